//! What a process says about itself: log lines on standard error, metrics for a scrape.
//!
//! Decides level, form and names. What happened is told by the other crates as
//! [`domain::event::Event`]s; each becomes one log line and its metrics here.

mod metrics;
mod prefix;
mod sink;

use std::io::IsTerminal;
use std::sync::Arc;

use domain::event::Sink;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::Log;
use crate::config::Problem;
use crate::config::log::Format;

/// Seconds between two clean-ups of the recorder's histograms; what the exporter itself takes.
const UPKEEP: std::time::Duration = std::time::Duration::from_secs(5);

/// The metrics and the sink of this process.
#[derive(Clone)]
pub(crate) struct Telemetry {
    handle: PrometheusHandle,
}

impl Telemetry {
    /// Begins to log as `[log]` says, each line marked by `role`, and to count.
    pub(crate) fn start(role: &'static str, log: &Log) -> Self {
        // What cannot be read has been reported with the other problems of the file.
        let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
        let writer = prefix::Prefixed::new(role, log.format);
        let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
        // A process logs in one way; a second start, as in tests, keeps the first.
        drop(match log.format {
            Format::Json => lines.json().flatten_event(true).try_init(),
            Format::Text => {
                lines.with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init()
            }
        });
        let recorder = metrics::with_buckets(PrometheusBuilder::new()).build_recorder();
        let handle = recorder.handle();
        if ::metrics::set_global_recorder(recorder).is_ok() {
            metrics::describe();
        }
        Self { handle }
    }

    /// Returns what turns events into log lines and metrics.
    pub(crate) fn sink() -> Arc<dyn Sink> {
        Arc::new(sink::Telling::default())
    }

    /// Returns the metrics as Prometheus reads them.
    pub(crate) fn render(&self) -> String {
        self.handle.render()
    }

    /// Keeps the recorder small; runs until it is dropped.
    pub(crate) async fn upkeep(self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            self.handle.run_upkeep();
        }
    }
}

/// Checks `[log]`.
pub(crate) fn check(log: &Log) -> Option<Problem> {
    let error = EnvFilter::try_new(&log.level).err()?;
    let message = format!("`{}` is no level: {error}", log.level);
    Some(Problem::new("log.level", message).hint("`info`, or `info,gateway=debug`"))
}
