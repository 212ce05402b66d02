//! Taking a live job on, or saying why not: pipeline, quote, slot, worker, channels, in this order.
//!
//! **Invariant:** a start that fails leaves nothing behind: no lease, no channel, no session.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use domain::Class;
use domain::capability::{BadName, Capability};
use domain::event::Event;
use domain::id::{LeaseId, SessionId};
use domain::lease::LeaseError;
use domain::resume::Resume;
use tokio::time::timeout;
use tracing::Instrument;
use wire::trickle::StoreError;
use worker::Failure;
use worker::message::{ResumeSpec, SessionSpec};
use worker::parent::{Input, Output, Outputs, WorkerError};

use crate::channels::Channels;
use crate::config::{OPEN_MAX, PipelineConfig, WORKER_MAX};
use crate::live::{Asked, Live};
use crate::state::{Listed, State};
use crate::suspect::Watch;

/// A gateway's ask for a live session.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// Pipeline's id.
    pub(crate) pipeline: String,
    /// Parameters, a JSON document; empty if there are none.
    pub(crate) params: String,
    /// Session id of the auth token that the gateway presented.
    pub(crate) quote: String,
    /// Id that goes through the logs of both roles.
    pub(crate) request: String,
    /// Where the output goes on, if another orchestrator began it.
    pub(crate) resume: Option<Resume>,
}

/// Why a live job is not taken on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Name(#[from] BadName),
    #[error("pipeline `{pipeline}` is not offered (offered: {offered})")]
    NotOffered { pipeline: String, offered: String },
    #[error("no quote of ours stands for pipeline `{pipeline}` under this auth token")]
    NoQuote { pipeline: String },
    #[error(transparent)]
    NoSlot(#[from] LeaseError),
    #[error("the worker of `{device}` is not up")]
    NoWorker { device: String },
    #[error("opening the session")]
    Worker(#[from] WorkerError),
    #[error("{}", .0.message)]
    Failed(Failure),
    #[error("the worker did not open the session within {OPEN_MAX:?}")]
    Slow,
    #[error("creating the session's channels")]
    Channels(#[from] StoreError),
}

impl StartError {
    /// Returns the class of the error.
    pub(crate) fn class(&self) -> Class {
        match self {
            Self::Name(_) => Class::Invalid,
            Self::NotOffered { .. } => Class::NotFound,
            Self::NoQuote { .. } => Class::Denied,
            Self::NoSlot(_) => Class::Exhausted,
            Self::NoWorker { .. } => Class::Unavailable,
            Self::Worker(error) => error.class(),
            Self::Failed(failure) if failure.fault.is_some() => Class::PluginFault,
            Self::Failed(failure) if failure.class == "invalid" => Class::Invalid,
            Self::Failed(_) => Class::Internal,
            Self::Slow => Class::TimedOut,
            Self::Channels(error) => error.class(),
        }
    }
}

/// Numbers sessions over the life of the role.
static NEXT_SESSION: AtomicU64 = AtomicU64::new(1);

/// Takes a live job on and returns its channels; the session runs from here on by itself.
pub(crate) async fn start(state: &Arc<State>, ask: Ask) -> Result<Channels, StartError> {
    let started = try_start(state, &ask).await;
    if let Err(error) = &started {
        tracing::info!(error = %domain::chain(error), "session refused");
        state.sink.emit(Event::SessionRefused {
            class: error.class().name(),
            pipeline: ask.pipeline.chars().take(domain::capability::NAME_BYTES_MAX).collect(),
            request: ask.request,
        });
    }
    started
}

async fn try_start(state: &Arc<State>, ask: &Ask) -> Result<Channels, StartError> {
    let started = Instant::now();
    let capability = Capability::live(&ask.pipeline)?;
    let offered = |pipeline: &&PipelineConfig| pipeline.id == ask.pipeline;
    let pipeline =
        state.config.pipelines.iter().find(offered).ok_or_else(|| not_offered(state, ask))?;
    let price_wei = lock(&state.quotes).price(&ask.quote, &capability, Instant::now());
    let price_wei =
        price_wei.ok_or_else(|| StartError::NoQuote { pipeline: ask.pipeline.clone() })?;
    let id = SessionId(NEXT_SESSION.fetch_add(1, Ordering::Relaxed));
    let slot = Slot::claim(state, id)?;
    let running = timeout(WORKER_MAX, state.seat.wait()).await;
    let running =
        running.map_err(|_| StartError::NoWorker { device: state.config.worker.device.clone() })?;
    if !running.pipelines.contains_key(&ask.pipeline) {
        return Err(not_offered(state, ask));
    }
    let spec = spec(state, ask, id, &capability, pipeline);
    let opening = async {
        let (input, mut outputs) = running.worker.open(spec).await?;
        confirm(&mut outputs).await?;
        Ok::<(Input, Outputs), StartError>((input, outputs))
    };
    let left = (started + OPEN_MAX).saturating_duration_since(Instant::now());
    let (input, outputs) = timeout(left, opening).await.map_err(|_| StartError::Slow)??;
    let channels = Channels::create(&state.store)?;
    let asked = Arc::new(Asked::default());
    let live = Live {
        id,
        request: ask.request.clone(),
        capability,
        channels: channels.clone(),
        lease: slot.keep(),
        leases: Arc::clone(&state.leases),
        price_wei,
        pricer: Arc::clone(&state.config.pricer),
        sink: Arc::clone(&state.sink),
        ask: Arc::clone(&asked),
        watch: Mutex::new(Watch::new(&ask.pipeline, Arc::clone(&state.suspects))),
    };
    state.sink.emit(Event::SessionOpened {
        session: id,
        pipeline: ask.pipeline.clone(),
        request: ask.request.clone(),
    });
    let listed = Listed {
        pipeline: ask.pipeline.clone(),
        request: ask.request.clone(),
        manifest_id: channels.manifest_id.clone(),
        price_wei,
        opened_at: Instant::now(),
        ask: asked,
    };
    run(state, live, listed, input, outputs);
    Ok(channels)
}

/// Runs a session on the role's own task set, under a span that names it.
fn run(state: &Arc<State>, live: Live, listed: Listed, input: Input, outputs: Outputs) {
    let id = live.id;
    lock(&state.sessions).insert(id, listed);
    let span = tracing::info_span!("session", session = %id, request = live.request);
    let (stopping, owner) = (state.stopping.clone(), Arc::clone(state));
    let session = async move {
        live.run(input, outputs, stopping).await;
        lock(&owner.sessions).remove(&id);
    };
    state.spawn(session.instrument(span));
}

fn not_offered(state: &State, ask: &Ask) -> StartError {
    let offered: Vec<_> = state
        .seat
        .running()
        .map_or_else(Vec::new, |running| running.pipelines.keys().cloned().collect());
    let offered = if offered.is_empty() { "none".to_owned() } else { offered.join(", ") };
    StartError::NotOffered { pipeline: ask.pipeline.clone(), offered }
}

/// Waits for the worker's confirmation.
async fn confirm(outputs: &mut Outputs) -> Result<(), StartError> {
    loop {
        match outputs.next().await {
            Some(Output::Opened) => return Ok(()),
            Some(Output::Ended(report)) => {
                let failure = report.failure.unwrap_or(Failure {
                    class: "internal".to_owned(),
                    message: "the session ended before it began".to_owned(),
                    fault: None,
                });
                return Err(StartError::Failed(failure));
            }
            Some(Output::Lost(_)) | None => return Err(WorkerError::Gone.into()),
            Some(_) => {}
        }
    }
}

fn spec(
    state: &State,
    ask: &Ask,
    id: SessionId,
    capability: &Capability,
    pipeline: &PipelineConfig,
) -> SessionSpec {
    let config = &state.config;
    SessionSpec {
        id: id.to_string(),
        capability: capability.to_string(),
        plugin: pipeline.folder.clone(),
        params: ask.params.clone(),
        deterministic: true,
        encode: config.encode.clone(),
        decode_threads: config.decode_threads,
        limits: pipeline.limits.named(),
        grants: pipeline.granted(),
        surface_bytes_max: config.limits.surface_bytes_max,
        on_failure: pipeline.on_failure,
        previous: pipeline.previous.clone(),
        resume: ask.resume.map(|it| ResumeSpec { picture: it.picture, audio: it.audio }),
    }
}

/// A claimed slot that is given back unless a session keeps it.
struct Slot<'a> {
    state: &'a State,
    lease: Option<LeaseId>,
}

impl<'a> Slot<'a> {
    fn claim(state: &'a State, session: SessionId) -> Result<Self, LeaseError> {
        let lease = lock(&state.leases).grant(session, Instant::now())?;
        Ok(Self { state, lease: Some(lease) })
    }

    fn keep(mut self) -> LeaseId {
        self.lease.take().expect("a slot is kept once, by value")
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            lock(&self.state.leases).release(lease);
        }
    }
}

/// A panicked task has left nothing half-done in these tables.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
