//! Keeping the worker of one device alive: start, describe the pipelines, restart.
//!
//! It decides when a worker is started again; `worker` has the mechanics. A lost worker is
//! replaced at once, and later each time it is lost again soon.
//!
//! **Invariant:** a pipeline is on offer only while a running worker has loaded and described it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::event::{Event, Sink};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};
use worker::message::Hello;
use worker::parent::{self, Driver, Loss, Worker, WorkerConfig, WorkerError};
use worker::spawn::{SpawnError, Spawner};
use worker::{PluginSummary, parent::DESCRIBE_MAX};

use crate::config::PipelineConfig;

/// Wait before the second restart in a row; it doubles with each further one. The first has none:
/// the sessions that just ended are waiting for a successor.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
/// Longest wait between two restarts.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A worker that lived so long has worked: its loss begins a new row.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// Time to wait after `losses` losses in a row.
fn wait(losses: u32) -> Duration {
    match losses {
        0 | 1 => Duration::ZERO,
        more => (BACKOFF_MIN * 2_u32.saturating_pow(more - 2)).min(BACKOFF_MAX),
    }
}

/// A running worker and what it can do.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    /// The process.
    pub(crate) worker: Worker,
    /// What it said of its device.
    pub(crate) hello: Hello,
    /// Pipelines that it has loaded, by id.
    pub(crate) pipelines: BTreeMap<String, PluginSummary>,
}

/// The worker of one device, as the rest of the role sees it.
#[derive(Debug)]
pub(crate) struct Seat {
    running: watch::Sender<Option<Arc<Running>>>,
}

impl Default for Seat {
    fn default() -> Self {
        Self { running: watch::Sender::new(None) }
    }
}

impl Seat {
    /// Returns the running worker, if there is one.
    pub(crate) fn running(&self) -> Option<Arc<Running>> {
        self.running.borrow().clone()
    }

    /// Waits for a running worker: a lost one is replaced within a second, which is not worth
    /// refusing a job for.
    pub(crate) async fn wait(&self) -> Arc<Running> {
        let mut receiver = self.running.subscribe();
        loop {
            if let Some(running) = receiver.borrow_and_update().clone() {
                return running;
            }
            if receiver.changed().await.is_err() {
                // The sender is this seat's own, so it outlives the wait.
                std::future::pending::<()>().await;
            }
        }
    }

    fn set(&self, running: Option<Arc<Running>>) {
        self.running.send_replace(running);
    }
}

/// Keeps the worker of one device alive.
pub(crate) struct Supervisor {
    config: WorkerConfig,
    pipelines: Vec<PipelineConfig>,
    spawner: Spawner,
    seat: Arc<Seat>,
    sink: Arc<dyn Sink>,
}

impl Supervisor {
    /// Prepares to run the worker that `config` describes; nothing is started yet.
    pub(crate) fn new(
        config: WorkerConfig,
        pipelines: Vec<PipelineConfig>,
        sink: Arc<dyn Sink>,
    ) -> Result<Self, SpawnError> {
        let spawner = Spawner::new()?;
        Ok(Self { config, pipelines, spawner, seat: Arc::default(), sink })
    }

    /// Returns where the running worker is found.
    pub(crate) fn seat(&self) -> Arc<Seat> {
        Arc::clone(&self.seat)
    }

    /// Runs workers one after the other; ends only when dropped, which ends the worker.
    pub(crate) async fn run(self) {
        let mut losses = 0;
        loop {
            sleep(wait(losses)).await;
            let started = Instant::now();
            match parent::start(&self.spawner, &self.config).await {
                Ok((worker, driver, hello)) => self.serve(worker, driver, hello, started).await,
                Err(error) => {
                    error!(device = self.config.device, error = %domain::chain(&error), "worker did not start");
                }
            }
            losses = if started.elapsed() >= HEALTHY_AFTER { 1 } else { losses + 1 };
        }
    }

    async fn serve(&self, worker: Worker, driver: Driver, hello: Hello, started: Instant) {
        let device = self.config.device.clone();
        let pid = worker.pid();
        self.sink.emit(Event::WorkerStarted {
            device: device.clone(),
            pid,
            took: started.elapsed(),
        });
        let publish = async {
            let pipelines = self.describe(&worker).await;
            self.seat.set(Some(Arc::new(Running { worker: worker.clone(), hello, pipelines })));
            std::future::pending::<()>().await;
        };
        let loss = tokio::select! {
            loss = driver.run(&*self.sink) => loss,
            () = publish => return,
        };
        self.seat.set(None);
        let Loss { detail, sessions } = loss;
        self.sink.emit(Event::WorkerLost { device, pid, sessions, detail });
    }

    async fn describe(&self, worker: &Worker) -> BTreeMap<String, PluginSummary> {
        let mut loaded = BTreeMap::new();
        // What is to take over in the middle of a session has to be loaded before.
        for pipeline in &self.pipelines {
            let Some(previous) = &pipeline.previous else { continue };
            let limits = pipeline.limits.named();
            if let Err(error) = worker.describe(previous.clone(), limits, pipeline.granted()).await
            {
                let (pipeline, error) = (&pipeline.id, domain::chain(&error));
                error!(pipeline, error, "previous version not loaded");
            }
        }
        for pipeline in &self.pipelines {
            let (folder, limits) = (pipeline.folder.clone(), pipeline.limits.named());
            match worker.describe(folder, limits, pipeline.granted()).await {
                Ok(summary) => {
                    info!(
                        pipeline = pipeline.id,
                        version = summary.version,
                        digest = summary.digest,
                        "pipeline loaded"
                    );
                    loaded.insert(pipeline.id.clone(), summary);
                }
                Err(WorkerError::Gone) => break,
                Err(WorkerError::Slow(_)) => {
                    warn!(pipeline = pipeline.id, limit = ?DESCRIBE_MAX, "pipeline took too long to load");
                }
                Err(error) => {
                    error!(pipeline = pipeline.id, error = %domain::chain(&error), "pipeline not offered");
                }
            }
        }
        loaded
    }
}
