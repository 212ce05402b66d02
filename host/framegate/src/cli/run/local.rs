//! A run without network: the same session, in a worker that this process starts.
//!
//! Decides which plugin and which limits the session has: those of the default configuration. There
//! is no orchestrator, no policy and no price.

use domain::Class;
use domain::capability::Capability;
use orchestrator::config::{PipelineConfig, SessionLimits};
use serde_json::Value;
use tokio::task::JoinSet;
use wire::ended::{Frames, GuestTime, Resources};
use worker::message::{Failure as Refused, SessionReport, SessionSpec};
use worker::parent::{self, Input, Output, Outputs, WorkerConfig};
use worker::spawn::Spawner;

use super::Common;
use super::Ends;
use super::report::Report;
use super::sink::Arrived;
use super::source::Piece;
use crate::config::convert::{self, Search};
use crate::config::{Config, env};
use crate::data::DataDir;
use crate::failure::{Failure, FaultReport};
use crate::telemetry::Telemetry;

/// Id of the only job that there is.
const JOB: &str = "local";

/// A session that can be opened.
pub(super) struct Local {
    spec: SessionSpec,
    worker: WorkerConfig,
}

impl Local {
    /// Finds the pipeline and settles everything about the session but the media.
    pub(super) fn prepare(
        pipeline: &str,
        params: &Value,
        common: &Common,
    ) -> Result<Self, Failure> {
        let internal = |error: &dyn std::error::Error| Failure::from_error(Class::Internal, error);
        let (mut config, mut problems) = Config::load(None).map_err(|error| internal(&error))?;
        // There is nothing to pay, so no plugin for it has to be there.
        config.orchestrator.pricing = String::new();
        let plan = convert::orchestrator(&config, &Search::new(&config));
        let plan = plan.map_err(|found| problems.extend(found));
        let (Ok(plan), []) = (plan, &problems[..]) else {
            let texts = problems.iter().map(|it| format!("{}: {}", it.key, it.message));
            let texts: Vec<_> = texts.collect();
            return Err(Failure::usage(texts.join("; ")));
        };
        let capability = Capability::live(pipeline)
            .map_err(|error| Failure::new(Class::NotFound, error.to_string()))?;
        let offered = plan.pipelines.iter().find(|offered| offered.id == pipeline);
        let offered = offered.ok_or_else(|| {
            Failure::new(Class::NotFound, format!("no pipeline `{pipeline}` is installed"))
        })?;
        let spec = session(&capability, offered, &plan.limits, params.to_string());
        let program = std::env::current_exe().map_err(|error| internal(&error))?;
        let device = config.orchestrator.device.clone();
        let mut worker_env = plan.worker_env;
        // Without a place for state it runs as well, and compiles each time.
        if let Ok(data) = DataDir::find(common.data_dir.as_deref()) {
            worker_env.push((env::DATA.to_owned(), data.path().display().to_string()));
        }
        Ok(Self { spec, worker: WorkerConfig { program, device, env: worker_env } })
    }

    /// Carries the media through a worker and returns what the session came to.
    pub(super) async fn run(&self, ends: Ends) -> Result<Report, Failure> {
        let spawner =
            Spawner::new().map_err(|error| Failure::from_error(Class::Internal, &error))?;
        let (worker, driver, _hello) = parent::start(&spawner, &self.worker)
            .await
            .map_err(|error| Failure::from_error(error.class(), &error))?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(driver.run(&*Telemetry::sink()).await) });
        let (input, outputs) = worker
            .open(self.spec.clone())
            .await
            .map_err(|error| Failure::from_error(error.class(), &error))?;
        let Ends { pieces, arrived } = ends;
        tasks.spawn(feed(input, pieces));
        collect(outputs, arrived).await
    }
}

/// Settles a session as an orchestrator with the default configuration would.
fn session(
    capability: &Capability,
    offered: &PipelineConfig,
    limits: &SessionLimits,
    params: String,
) -> SessionSpec {
    SessionSpec {
        id: JOB.to_owned(),
        capability: capability.to_string(),
        plugin: offered.folder.clone(),
        params,
        deterministic: true,
        encode: convert::encode(),
        decode_threads: convert::DECODE_THREADS,
        limits: offered.limits.named(),
        grants: offered.granted(),
        surface_bytes_max: limits.surface_bytes_max,
        on_failure: offered.on_failure,
        previous: offered.previous.clone(),
        resume: None,
    }
}

/// Gives the pieces to the worker. A worker that is gone is told of by its outputs.
async fn feed(input: Input, mut pieces: tokio::sync::mpsc::Receiver<Piece>) {
    while let Some(piece) = pieces.recv().await {
        let given = match piece {
            Piece::Segment => Ok(()),
            Piece::Data(bytes) => input.write(bytes).await,
        };
        if given.is_err() {
            return;
        }
    }
    // As above.
    let _ = input.end().await;
}

/// Takes what the worker makes until it says what the session came to.
async fn collect(
    mut outputs: Outputs,
    arrived: tokio::sync::mpsc::Sender<Arrived>,
) -> Result<Report, Failure> {
    while let Some(output) = outputs.next().await {
        match output {
            Output::Data(bytes) => {
                if arrived.send(Arrived::Data(bytes)).await.is_err() {
                    return Err(super::not_taken());
                }
            }
            Output::Opened | Output::Segment | Output::Event(_) | Output::Metrics(_) => {}
            Output::Log { level, text } => tracing::debug!(level, text, "pipeline logged"),
            Output::Replaced(how) => {
                tracing::warn!(by = how.by, fault = how.message, "pipeline replaced");
            }
            Output::Ended(report) => {
                if let Some(failure) = &report.failure {
                    return Err(refused(failure));
                }
                return Ok(reported(*report));
            }
            Output::Lost(how) => {
                return Err(Failure::new(Class::Internal, format!("the worker was lost: {how}")));
            }
        }
    }
    Err(Failure::new(Class::Internal, "the worker went away without a word"))
}

fn refused(refused: &Refused) -> Failure {
    let failure = super::failure_of(&refused.class, &refused.message);
    match &refused.fault {
        None => failure,
        Some(fault) => failure.fault(FaultReport {
            kind: fault.kind.clone(),
            plugin: fault.plugin.clone(),
            version: fault.version.clone(),
        }),
    }
}

fn reported(report: SessionReport) -> Report {
    Report {
        job: JOB.to_owned(),
        amount_wei: "0".to_owned(),
        frames: Frames {
            input: report.frames_in,
            out: report.frames_out,
            dropped: report.frames_dropped,
        },
        frames_sha256: report.frames_sha256,
        guest_us: GuestTime { p50: report.guest_us_p50, p99: report.guest_us_p99 },
        resources: Resources { rss_warm_mib: report.rss_warm_mib, rss_end_mib: report.rss_end_mib },
        warnings: report.warnings,
        ..Report::default()
    }
}
