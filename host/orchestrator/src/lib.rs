//! The orchestrator role: offers, admits, prices, meters, and supervises the worker that computes.
//!
//! This control process links no codec, no CUDA and no pipeline component: pictures are the
//! worker's business, a process of its own. Decisions are `domain`'s, the protocol is `wire`'s.
//!
//! **Invariants:** a session holds a slot from its admission to its last event; losing the worker
//! ends its sessions with a reason and never the role.

mod admit;
mod channels;
pub mod config;
mod feedback;
mod info;
mod live;
mod offerings;
mod presence;
pub mod price;
mod quote;
mod report;
mod service;
mod state;
mod supervise;
mod suspect;

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use domain::event::{Event, Sink};
use domain::id::SessionId;
use domain::lease::LeaseTable;
use plugin::Standing;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use wire::livepeer::{TOKEN_TTL, Tokens};
use wire::tls::{IdentityError, ServerConfig};
use wire::trickle::{Limits, Store};

use crate::admit::lock;
pub use crate::config::{Callers, Config, PipelineConfig, SessionLimits};
pub use crate::feedback::HeardRow;
use crate::quote::QuoteTable;
use crate::state::{State, Task};
use crate::supervise::Supervisor;

/// Time for the sessions of a stopping role to send their tails.
pub const DRAIN_MAX: Duration = Duration::from_secs(20);
/// How often expired leases and idle channels are collected.
const SWEEP: Duration = Duration::from_secs(1);

/// Why an orchestrator could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Its certificate could not be read or made.
    #[error("certificate of the service port")]
    Identity(#[from] IdentityError),
    /// The listener cannot be used.
    #[error("service port")]
    Listener(#[source] std::io::Error),
    /// No thread for starting workers.
    #[error("starting workers")]
    Spawn(#[from] worker::spawn::SpawnError),
}

impl BuildError {
    /// Returns the class of the error.
    pub fn class(&self) -> domain::Class {
        match self {
            Self::Identity(error) => error.class(),
            Self::Listener(_) | Self::Spawn(_) => domain::Class::Internal,
        }
    }
}

/// An orchestrator that is ready to run.
pub struct Orchestrator {
    state: Arc<State>,
    listener: tokio::net::TcpListener,
    tls: Option<Arc<ServerConfig>>,
    supervisor: Supervisor,
    tasks: mpsc::UnboundedReceiver<Task>,
    stop: watch::Sender<bool>,
    tokens: Arc<Tokens>,
}

/// Looks into a running orchestrator.
#[derive(Clone)]
pub struct OrchestratorHandle {
    state: Arc<State>,
}

/// A running session, for lists.
#[derive(Debug, Clone)]
pub struct SessionRow {
    /// Its number.
    pub id: SessionId,
    /// Pipeline's id.
    pub pipeline: String,
    /// Id that goes through the logs of both roles.
    pub request: String,
    /// Name towards gateways.
    pub manifest_id: String,
    /// Agreed price in wei for one lot of live video.
    pub price_wei: u64,
    /// How long it has run.
    pub age: Duration,
}

/// The worker as the role sees it.
#[derive(Debug, Clone)]
pub struct WorkerRow {
    /// Device that it owns.
    pub device: String,
    /// Which device `auto` took and why; nothing for one that was named.
    pub device_note: Option<String>,
    /// Name of the hardware.
    pub hardware: String,
    /// Process id.
    pub pid: u32,
    /// Pipelines that it has loaded, as `(id, version, digest)`.
    pub pipelines: Vec<(String, String, String)>,
}

impl Orchestrator {
    /// Builds an orchestrator that will serve `listener`. Must be called within a tokio runtime.
    pub fn build(
        config: Config,
        listener: TcpListener,
        sink: Arc<dyn Sink>,
    ) -> Result<(Self, OrchestratorHandle), BuildError> {
        listener.set_nonblocking(true).map_err(BuildError::Listener)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(BuildError::Listener)?;
        let tls = if config.cleartext { None } else { Some(service::tls(&config)?) };
        let supervisor =
            Supervisor::new(config.worker.clone(), config.pipelines.clone(), Arc::clone(&sink))?;
        let (stop, stopping) = watch::channel(false);
        let (tasks_in, tasks) = mpsc::unbounded_channel();
        let state = Arc::new(State {
            seat: supervisor.seat(),
            leases: Arc::new(Mutex::new(LeaseTable::new(config.slots))),
            quotes: Mutex::new(QuoteTable::new(TOKEN_TTL)),
            store: Store::new(Limits::default()),
            sessions: Mutex::default(),
            suspects: Arc::default(),
            heard: Mutex::default(),
            stopping,
            tasks: tasks_in,
            config,
            sink,
        });
        let handle = OrchestratorHandle { state: Arc::clone(&state) };
        let tokens = Arc::new(Tokens::new());
        Ok((Self { state, listener, tls, supervisor, tasks, stop, tokens }, handle))
    }

    /// Serves until `shutdown` completes, then lets sessions send their tails within
    /// [`DRAIN_MAX`], and ends the worker.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let Self { state, listener, tls, supervisor, mut tasks, stop, tokens } = self;
        let (serving_ends, served_out) = tokio::sync::oneshot::channel::<()>();
        let app = service::app(Arc::clone(&state), tokens);
        let mut background = JoinSet::new();
        background.spawn(supervisor.run());
        background.spawn(sweep(Arc::clone(&state)));
        let mut sessions: JoinSet<()> = JoinSet::new();
        let (limits, sink) = (wire::serve::Config::default(), Arc::clone(&state.sink));
        let serve = wire::serve::serve(listener, tls, app, limits, sink, async {
            // The sender is dropped or used: either way serving ends.
            let _ = served_out.await;
        });
        let work = async {
            tokio::pin!(shutdown);
            loop {
                tokio::select! {
                    () = &mut shutdown => break,
                    Some(task) = tasks.recv() => drop(sessions.spawn(task)),
                    Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
                }
            }
            // Receivers live in the state, so this reaches every session.
            let _ = stop.send(true);
            let drained =
                timeout(DRAIN_MAX, async { while sessions.join_next().await.is_some() {} });
            if drained.await.is_err() {
                tracing::warn!(sessions = sessions.len(), limit = ?DRAIN_MAX, "sessions cut off by the stop");
            }
            drop(serving_ends);
        };
        tokio::join!(serve, work);
        background.shutdown().await;
    }
}

/// Collects what ran out: leases, idle channels.
async fn sweep(state: Arc<State>) {
    let mut clock = interval(SWEEP);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let expired = lock(&state.leases).expire(Instant::now());
        for session in expired {
            state.sink.emit(Event::LeaseExpired { session });
            if let Some(listed) = lock(&state.sessions).get(&session) {
                listed.ask.cancel();
            }
        }
        for channel in state.store.sweep() {
            tracing::debug!(channel, "idle channel closed");
        }
    }
}

impl OrchestratorHandle {
    /// Returns whether the worker is up and has loaded at least one pipeline, or nothing is to be
    /// loaded.
    pub fn ready(&self) -> bool {
        let running = self.state.seat.running();
        let nothing = self.state.config.pipelines.is_empty();
        running.is_some_and(|running| nothing || !running.pipelines.is_empty())
    }

    /// Lists the running sessions.
    pub fn sessions(&self) -> Vec<SessionRow> {
        let sessions = lock(&self.state.sessions);
        let row = |(id, listed): (&SessionId, &crate::state::Listed)| SessionRow {
            id: *id,
            pipeline: listed.pipeline.clone(),
            request: listed.request.clone(),
            manifest_id: listed.manifest_id.clone(),
            price_wei: listed.price_wei,
            age: listed.opened_at.elapsed(),
        };
        sessions.iter().map(row).collect()
    }

    /// Ends a session at once; `false` if there is none of that number.
    pub fn cancel(&self, id: SessionId) -> bool {
        lock(&self.state.sessions).get(&id).map(|listed| listed.ask.cancel()).is_some()
    }

    /// Lists the versions of the pricing rule with whether each is asked, the active one first.
    pub fn pricing(&self) -> Vec<Arc<Standing>> {
        self.state.config.pricer.versions().cloned().collect()
    }

    /// Lists what gateways said last of this orchestrator.
    pub fn heard(&self) -> Vec<HeardRow> {
        lock(&self.state.heard).rows(Instant::now())
    }

    /// Returns the name that it goes by.
    pub fn name(&self) -> &str {
        &self.state.config.name
    }

    /// Returns free and all slots of the device.
    pub fn slots(&self) -> (u32, u32) {
        let leases = lock(&self.state.leases);
        (leases.slots_free(), leases.slots_total())
    }

    /// Counts the channels that are kept.
    pub fn channels(&self) -> usize {
        self.state.store.all().len()
    }

    /// Describes the worker, if it is up.
    pub fn worker(&self) -> Option<WorkerRow> {
        let running = self.state.seat.running()?;
        let pipelines = running
            .pipelines
            .iter()
            .map(|(id, summary)| (id.clone(), summary.version.clone(), summary.digest.clone()));
        Some(WorkerRow {
            device: running.hello.device.clone(),
            device_note: running.hello.note.clone(),
            hardware: running.hello.hardware.clone(),
            pid: running.worker.pid(),
            pipelines: pipelines.collect(),
        })
    }
}
