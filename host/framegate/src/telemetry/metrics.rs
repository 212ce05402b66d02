//! Names of the metrics, `framegate_<noun>_<unit>[_total]`, what they mean and their buckets.
//!
//! **Invariant:** labels come from closed sets: classes, end reasons, kinds of fault, plugin
//! slots. Nothing that a client or a remote chooses becomes a label.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};

/// Buckets of short waits in seconds: a tenth of a millisecond to half a minute.
const WAIT_BUCKETS: [f64; 12] =
    [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];
/// Buckets of the life of a session in seconds: a second to a day.
const LIFE_BUCKETS: [f64; 9] = [1.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 28_800.0, 86_400.0];

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Wait,
    Life,
}

macro_rules! names {
    ($($(#[doc = $doc:literal])+ $name:ident = $kind:ident $text:literal;)+) => {
        $( $(#[doc = $doc])+ pub(super) const $name: &str = $text; )+
        /// Every metric with its kind and its meaning.
        const ALL: &[(&str, Kind, &str)] = &[$( ($text, Kind::$kind, concat!($($doc),+)) ),+];
    };
}

names! {
    /// Jobs bound to an orchestrator.
    JOBS_STARTED = Counter "framegate_jobs_started_total";
    /// Jobs refused, by class.
    JOBS_REFUSED = Counter "framegate_jobs_refused_total";
    /// Moves of jobs from a lost orchestrator to another, by how it was lost.
    JOBS_MOVED = Counter "framegate_jobs_moved_total";
    /// Time from noticing that an orchestrator is lost to the answer of the next.
    JOB_MOVE = Wait "framegate_job_move_seconds";
    /// Jobs ended, by reason.
    JOBS_ENDED = Counter "framegate_jobs_ended_total";
    /// Jobs that run.
    JOBS_LIVE = Gauge "framegate_jobs_live";
    /// Time from a client's request to its answer.
    JOB_START = Wait "framegate_job_start_seconds";
    /// Wei that ended jobs came to.
    JOB_AMOUNT = Counter "framegate_job_amount_wei_total";
    /// Sessions opened.
    SESSIONS_OPENED = Counter "framegate_sessions_opened_total";
    /// Sessions refused, by class.
    SESSIONS_REFUSED = Counter "framegate_sessions_refused_total";
    /// Sessions ended, by reason.
    SESSIONS_ENDED = Counter "framegate_sessions_ended_total";
    /// Sessions that are open.
    SESSIONS_LIVE = Gauge "framegate_sessions_live";
    /// Life of a session.
    SESSION_LIFE = Life "framegate_session_life_seconds";
    /// Pictures decoded by ended sessions.
    FRAMES_IN = Counter "framegate_session_in_frames_total";
    /// Pictures sent out by ended sessions.
    FRAMES_OUT = Counter "framegate_session_out_frames_total";
    /// Pictures left out by ended sessions.
    FRAMES_DROPPED = Counter "framegate_session_dropped_frames_total";
    /// Leases that ran out unrenewed.
    LEASES_EXPIRED = Counter "framegate_leases_expired_total";
    /// Plugins whose code was loaded, by source: `cache` or `compiler`.
    CODE_LOADED = Counter "framegate_plugin_code_loaded_total";
    /// Time from a component's bytes to executable code.
    CODE_LOAD = Wait "framegate_plugin_code_load_seconds";
    /// Entries of the cache of compiled code that were not taken, by reason.
    CODE_REJECTED = Counter "framegate_plugin_code_rejected_total";
    /// Times that compiled code could not be kept, or its cache not be used.
    CODE_NOT_KEPT = Counter "framegate_plugin_code_not_kept_total";
    /// Plugin faults, by kind.
    PLUGIN_FAULTS = Counter "framegate_plugin_faults_total";
    /// Answers of another in place of a plugin slot's active version, by plugin slot and by who.
    FALLBACKS = Counter "framegate_plugin_fallbacks_total";
    /// Breakers of plugin versions that opened, closed or became a quarantine, by new state.
    BREAKERS_CHANGED = Counter "framegate_plugin_breakers_changed_total";
    /// Quotes brought back into the operator's bounds, by bound.
    PRICES_CORRECTED = Counter "framegate_prices_corrected_total";
    /// Pipelines replaced within their session after a fault, by what.
    PIPELINES_REPLACED = Counter "framegate_pipelines_replaced_total";
    /// Workers started.
    WORKERS_STARTED = Counter "framegate_workers_started_total";
    /// Workers lost.
    WORKERS_LOST = Counter "framegate_workers_lost_total";
    /// Time from spawning a worker to its first word.
    WORKER_START = Wait "framegate_worker_start_seconds";
    /// Orchestrators that became reachable (`to="reachable"`) or unreachable.
    ORCHESTRATORS_CHANGED = Counter "framegate_orchestrators_changed_total";
    /// Connections refused because their peer held as many as it may.
    CONNECTIONS_REFUSED = Counter "framegate_connections_refused_total";
    /// Readers given up because they took nothing.
    CHANNEL_GAPS = Counter "framegate_channel_gaps_total";
    /// Segments that such readers lost.
    CHANNEL_GAP_SEGMENTS = Counter "framegate_channel_gap_segments_total";
}

/// Sets the buckets of every histogram.
pub(super) fn with_buckets(mut builder: PrometheusBuilder) -> PrometheusBuilder {
    for (name, kind, _) in ALL {
        let buckets: &[f64] = match kind {
            Kind::Counter | Kind::Gauge => continue,
            Kind::Wait => &WAIT_BUCKETS,
            Kind::Life => &LIFE_BUCKETS,
        };
        let matcher = Matcher::Full((*name).to_owned());
        builder = builder.set_buckets_for_metric(matcher, buckets).expect("buckets are not empty");
    }
    builder
}

/// Tells the recorder what each metric means.
pub(super) fn describe() {
    for &(name, kind, about) in ALL {
        let about = about.trim();
        match kind {
            Kind::Counter => describe_counter!(name, about),
            Kind::Gauge => describe_gauge!(name, about),
            Kind::Wait | Kind::Life => describe_histogram!(name, Unit::Seconds, about),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_are_those_of_the_list() {
        let list: String = ALL
            .iter()
            .map(|(name, kind, about)| {
                let kind = match kind {
                    Kind::Counter => "counter",
                    Kind::Gauge => "gauge",
                    Kind::Wait | Kind::Life => "histogram",
                };
                format!("{name} {kind}:{about}\n")
            })
            .collect();
        crate::snapshot::compare("snapshots/metrics.txt", &list);
    }

    #[test]
    fn every_counter_ends_in_total_and_no_other_does() {
        for (name, kind, _) in ALL {
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert!(name.starts_with("framegate_"), "{name}");
        }
    }
}
