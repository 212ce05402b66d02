//! Events become log lines and metrics. The one list of which event is which.

use domain::event::{Change, Event, Sink};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use tracing::{debug, info, warn};

use super::metrics as names;

/// The sink of a role's process.
#[derive(Debug)]
pub(super) struct Telling;

impl Sink for Telling {
    fn emit(&self, event: Event) {
        count(&event);
        tell(event);
    }
}

fn count(event: &Event) {
    match event {
        Event::JobStarted { took, .. } => {
            counter!(names::JOBS_STARTED).increment(1);
            gauge!(names::JOBS_LIVE).increment(1.0);
            histogram!(names::JOB_START).record(took.as_secs_f64());
        }
        Event::JobRefused { class, .. } => {
            counter!(names::JOBS_REFUSED, "class" => *class).increment(1);
        }
        Event::JobEnded { reason, amount_wei, .. } => {
            counter!(names::JOBS_ENDED, "reason" => reason.name()).increment(1);
            gauge!(names::JOBS_LIVE).decrement(1.0);
            counter!(names::JOB_AMOUNT).increment(*amount_wei);
        }
        Event::SessionOpened { .. } => {
            counter!(names::SESSIONS_OPENED).increment(1);
            gauge!(names::SESSIONS_LIVE).increment(1.0);
        }
        Event::SessionEnded { reason, frames_in, frames_out, frames_dropped, lasted, .. } => {
            counter!(names::SESSIONS_ENDED, "reason" => reason.name()).increment(1);
            gauge!(names::SESSIONS_LIVE).decrement(1.0);
            counter!(names::FRAMES_IN).increment(*frames_in);
            counter!(names::FRAMES_OUT).increment(*frames_out);
            counter!(names::FRAMES_DROPPED).increment(*frames_dropped);
            histogram!(names::SESSION_LIFE).record(lasted.as_secs_f64());
        }
        Event::SessionRefused { class, .. } => {
            counter!(names::SESSIONS_REFUSED, "class" => *class).increment(1);
        }
        Event::LeaseExpired { .. } => counter!(names::LEASES_EXPIRED).increment(1),
        Event::PluginFaulted { kind, .. } => {
            counter!(names::PLUGIN_FAULTS, "kind" => *kind).increment(1);
        }
        Event::PluginMeasured { name, help, change } => measure(name, help, change),
        Event::FellBack { plugin_slot, .. } => {
            counter!(names::FALLBACKS, "plugin_slot" => *plugin_slot).increment(1);
        }
        Event::WorkerStarted { took, .. } => {
            counter!(names::WORKERS_STARTED).increment(1);
            histogram!(names::WORKER_START).record(took.as_secs_f64());
        }
        Event::WorkerLost { .. } => counter!(names::WORKERS_LOST).increment(1),
        Event::OrchestratorChanged { reachable, .. } => {
            let to = if *reachable { "reachable" } else { "unreachable" };
            counter!(names::ORCHESTRATORS_CHANGED, "to" => to).increment(1);
        }
        Event::ChannelGap { segments, .. } => {
            counter!(names::CHANNEL_GAPS).increment(1);
            counter!(names::CHANNEL_GAP_SEGMENTS).increment(*segments);
        }
        // The list grows in `domain` first; until it is counted here it is at least logged.
        _ => {}
    }
}

/// Updates a metric of a plugin. Its name is a plugin's and not of our list; a plugin has at most
/// 64, and which plugins there are is the operator's choice.
fn measure(name: &str, help: &str, change: &Change) {
    let (name, help) = (name.to_owned(), help.to_owned());
    match change {
        Change::Add(sum) => {
            describe_counter!(name.clone(), help);
            counter!(name).increment(whole(*sum));
        }
        Change::Set(value) => {
            describe_gauge!(name.clone(), help);
            gauge!(name).set(*value);
        }
        Change::Observe(values) => {
            describe_histogram!(name.clone(), help);
            let histogram = histogram!(name);
            values.iter().for_each(|value| histogram.record(*value));
        }
    }
}

/// Counters are whole numbers here; parts are rounded.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` cuts to range")]
fn whole(sum: f64) -> u64 {
    sum.round() as u64
}

fn tell(event: Event) {
    match event {
        // A number is a number: nothing to log.
        Event::PluginMeasured { .. } => {}
        Event::JobStarted { job, orchestrator, capability, request, took } => {
            info!(%job, %orchestrator, capability, request, ?took, "job started");
        }
        Event::JobRefused { class, capability, request } => {
            info!(class, capability, request, "job refused");
        }
        Event::JobEnded { job, reason, amount_wei } => {
            info!(%job, %reason, amount_wei, "job ended");
        }
        Event::LeaseExpired { session } => warn!(%session, "lease expired"),
        Event::PluginFaulted { plugin, version, kind, call, detail } => {
            warn!(plugin, version, kind, call, detail, "plugin faulted");
        }
        Event::FellBack { plugin_slot, detail } => {
            warn!(plugin_slot, detail, "native rule answered for a plugin");
        }
        Event::OrchestratorChanged { orchestrator, uri, reachable: true, detail } => {
            info!(%orchestrator, uri, detail, "orchestrator became reachable");
        }
        Event::OrchestratorChanged { orchestrator, uri, reachable: false, detail } => {
            warn!(%orchestrator, uri, detail, "orchestrator became unreachable");
        }
        Event::ChannelGap { channel, segments } => {
            // A channel's name is its key: it is not for the log.
            debug!(channel, "reader given up");
            warn!(segments, "channel reader given up");
        }
        event => tell_of_sessions(event),
    }
}

fn tell_of_sessions(event: Event) {
    match event {
        Event::SessionOpened { session, pipeline, request } => {
            info!(%session, pipeline, request, "session opened");
        }
        Event::SessionEnded {
            session,
            pipeline,
            reason,
            frames_in,
            frames_out,
            frames_dropped,
            lasted,
        } => {
            info!(
                %session, pipeline, %reason, frames_in, frames_out, frames_dropped, ?lasted,
                "session ended"
            );
        }
        Event::SessionRefused { class, pipeline, request } => {
            info!(class, pipeline, request, "session refused");
        }
        Event::WorkerStarted { device, pid, took } => {
            info!(device, pid, ?took, "worker started");
        }
        Event::WorkerLost { device, pid, sessions, detail } => {
            warn!(device, pid, sessions, detail, "worker lost");
        }
        other => info!(event = ?other, "event"),
    }
}
