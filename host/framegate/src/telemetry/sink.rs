//! Events become log lines and metrics. The one list of which event is which.
//!
//! **Invariant:** every event is counted; what a plugin or a peer can cause in any number is logged once a
//! minute for each different thing, with the count of those left unsaid.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use domain::event::{Change, Event, Sink};
use domain::repeats::Repeats;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use tracing::{debug, info, warn};

use super::metrics as names;

/// The sink of a role's process.
#[derive(Debug, Default)]
pub(super) struct Telling {
    repeats: Mutex<Repeats>,
}

impl Sink for Telling {
    fn emit(&self, event: Event) {
        count(&event);
        match repeated(&event) {
            None => tell(event, 0),
            Some(kind) => {
                let unsaid = lock(&self.repeats).note(&kind, Instant::now());
                if let Some(unsaid) = unsaid {
                    tell(event, unsaid);
                }
            }
        }
    }
}

fn lock(repeats: &Mutex<Repeats>) -> MutexGuard<'_, Repeats> {
    repeats.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names what an event that a plugin or a peer can cause in any number is about, so that equal ones are told
/// once a minute. What the plugin itself wrote is no part of it: it could differ each time.
fn repeated(event: &Event) -> Option<String> {
    Some(match event {
        Event::PluginFaulted { plugin, version, digest, kind, call, at, .. } => {
            format!("fault {plugin} {version} {digest} {kind} {call} {at}")
        }
        Event::FellBack { plugin_slot, served, class, .. } => {
            format!("fell back {plugin_slot} {served} {class}")
        }
        Event::PriceCorrected { plugin, bound, .. } => format!("price {plugin} {bound}"),
        Event::PipelineReplaced { pipeline, by, .. } => format!("replaced {pipeline} {by}"),
        Event::ConnectionRefused { peer, .. } => format!("connection {peer}"),
        _ => return None,
    })
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
        Event::JobMoved { cause, took, .. } => {
            counter!(names::JOBS_MOVED, "cause" => *cause).increment(1);
            histogram!(names::JOB_MOVE).record(took.as_secs_f64());
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
        Event::WorkerStarted { took, .. } => {
            counter!(names::WORKERS_STARTED).increment(1);
            histogram!(names::WORKER_START).record(took.as_secs_f64());
        }
        Event::WorkerLost { .. } => counter!(names::WORKERS_LOST).increment(1),
        Event::OrchestratorChanged { reachable, .. } => {
            let to = if *reachable { "reachable" } else { "unreachable" };
            counter!(names::ORCHESTRATORS_CHANGED, "to" => to).increment(1);
        }
        Event::ConnectionRefused { .. } => counter!(names::CONNECTIONS_REFUSED).increment(1),
        Event::ChannelGap { segments, .. } => {
            counter!(names::CHANNEL_GAPS).increment(1);
            counter!(names::CHANNEL_GAP_SEGMENTS).increment(*segments);
        }
        event => count_plugin(event),
    }
}

/// Counts what plugins do and what becomes of them.
fn count_plugin(event: &Event) {
    match event {
        Event::CodeLoaded { source, took, .. } => {
            counter!(names::CODE_LOADED, "source" => source.name()).increment(1);
            histogram!(names::CODE_LOAD).record(took.as_secs_f64());
        }
        Event::CodeRejected { reason, .. } => {
            counter!(names::CODE_REJECTED, "reason" => reason.name()).increment(1);
        }
        Event::CodeNotKept { .. } | Event::CodeCacheClosed { .. } => {
            counter!(names::CODE_NOT_KEPT).increment(1)
        }
        Event::PluginFaulted { kind, .. } => {
            counter!(names::PLUGIN_FAULTS, "kind" => *kind).increment(1);
        }
        Event::PluginMeasured { name, help, change } => measure(name, help, change),
        Event::FellBack { plugin_slot, served, .. } => {
            counter!(names::FALLBACKS, "plugin_slot" => *plugin_slot, "served" => *served)
                .increment(1);
        }
        Event::BreakerChanged { plugin_slot, state, .. } => {
            counter!(names::BREAKERS_CHANGED, "plugin_slot" => *plugin_slot, "to" => *state)
                .increment(1);
        }
        Event::PriceCorrected { bound, .. } => {
            counter!(names::PRICES_CORRECTED, "bound" => *bound).increment(1);
        }
        Event::PipelineReplaced { by, .. } => {
            counter!(names::PIPELINES_REPLACED, "by" => *by).increment(1);
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

/// Writes the line of an event before which `unsaid` like it were left unsaid.
fn tell(event: Event, unsaid: u64) {
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
        Event::JobMoved { job, from, to, cause, took } => {
            warn!(%job, %from, %to, cause, ?took, "job moved");
        }
        Event::LeaseExpired { session } => warn!(%session, "lease expired"),
        Event::CodeLoaded { plugin, version, digest, source, took } => {
            let source = source.name();
            info!(plugin, version, digest, source, ?took, "plugin code loaded");
        }
        Event::CodeRejected { plugin, reason } => {
            warn!(plugin, reason = reason.name(), detail = %reason, "cached code rejected");
        }
        Event::CodeNotKept { plugin, detail } => {
            warn!(plugin, detail, "compiled code not kept");
        }
        Event::CodeCacheClosed { detail } => {
            warn!(detail, "cache of compiled code not usable");
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
        event => tell_of_plugins(event, unsaid),
    }
}

fn tell_of_plugins(event: Event, unsaid: u64) {
    match event {
        Event::PluginFaulted { plugin, version, digest, kind, call, at, detail } => {
            warn!(plugin, version, digest, kind, call, at, detail, unsaid, "plugin faulted");
        }
        Event::FellBack { plugin_slot, served, class, detail } => {
            warn!(plugin_slot, served, class, detail, unsaid, "another answered for a plugin");
        }
        Event::BreakerChanged { plugin_slot, plugin, version, state, detail } => {
            warn!(plugin_slot, plugin, version, state, detail, "plugin's breaker changed");
        }
        Event::PriceCorrected { plugin, bound, quoted_wei, offered_wei } => {
            warn!(plugin, bound, quoted_wei, offered_wei, unsaid, "price corrected");
        }
        Event::PipelineReplaced { session, pipeline, by } => {
            warn!(%session, pipeline, by, unsaid, "pipeline replaced");
        }
        Event::ConnectionRefused { peer, held } => {
            warn!(%peer, held, unsaid, "connection refused");
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

#[cfg(test)]
#[test]
fn equal_faults_are_one_line_whatever_the_plugin_writes() {
    let fault = |call, detail: &str| Event::PluginFaulted {
        plugin: "noisy".into(),
        version: "0.1.0".into(),
        kind: "trap",
        digest: "ab".into(),
        call,
        at: "noisy::pick".into(),
        detail: detail.into(),
    };
    let (one, two) = (repeated(&fault("pick", "at 1")), repeated(&fault("pick", "at 2")));
    assert!(one.is_some() && one == two);
    assert_ne!(one, repeated(&fault("prepare", "at 1")));
    assert_eq!(repeated(&Event::LeaseExpired { session: domain::id::SessionId(1) }), None);
}
