//! The main loop of a worker process: one device, all its sessions.
//!
//! It reads the parent's messages and passes them on; sessions run on threads of their own. End of
//! file on the socket ends the process and with it everything in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use device::{Device, DeviceConfig};
use domain::event::{Event, Sink};
use plugin::code::{Compiler, Loader};
use plugin::kv::Stores;
use plugin::pipeline::{Pipeline, PipelineEngine};
use plugin::{Allowed, Grants, Limits};
use worker::child::{ChildError, Credit, Incoming, Outgoing};
use worker::message::{
    CodeFact, FromWorker, GrantSpec, Hello, PluginSummary, SessionSpec, ToWorker,
};

use crate::SessionError;
use crate::control::Mailbox;
use crate::queue::ByteQueue;
use crate::run::{self, Ends};
use crate::stats;

/// What a worker process is started with.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Device to own: `cpu-0`, `cuda-0`, `auto` and so on.
    pub device: String,
    /// How the device is opened.
    pub config: DeviceConfig,
    /// Folder of plugins' stores; `None`: there are none.
    pub stores: Option<PathBuf>,
    /// Who compiles plugins.
    pub compiler: Compiler,
    /// Folder in which compiled code is kept, if it is kept.
    pub cache: Option<PathBuf>,
}

/// Why a worker process could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The device could not be opened.
    #[error("opening device `{device}`")]
    Device {
        /// Its name.
        device: String,
        /// Why not.
        #[source]
        source: device::OpenError,
    },
    /// The plugin engine could not be made.
    #[error("making the pipeline engine")]
    Engine(#[source] plugin::EngineError),
    /// The socket to the parent broke.
    #[error("speaking with the parent")]
    Parent(#[from] ChildError),
}

impl ServeError {
    /// Returns the class of the error.
    pub fn class(&self) -> domain::Class {
        match self {
            Self::Device { source, .. } => source.class(),
            Self::Engine(_) => domain::Class::Internal,
            Self::Parent(_) => domain::Class::Unavailable,
        }
    }
}

/// Events of a worker are told by its parent.
struct ToParent(Outgoing);

impl Sink for ToParent {
    fn emit(&self, event: Event) {
        if let Some(fact) = CodeFact::of(event) {
            // With the parent gone nobody counts, and the main loop ends the process.
            let _ = self.0.send(FromWorker::Code(fact));
        }
    }
}

/// What the sessions of one worker share.
pub(crate) struct Shared {
    /// The device.
    pub(crate) device: Device,
    /// The way to the parent.
    pub(crate) outgoing: Outgoing,
    engine: PipelineEngine,
    stores: Option<Stores>,
    loaded: Mutex<BTreeMap<PathBuf, Arc<Pipeline>>>,
}

impl Shared {
    /// Returns the pipeline in `folder`, loading it under `limits` with `grants` unless it is loaded:
    /// they are the same for as long as the parent lives. Compiles for up to seconds.
    pub(crate) fn pipeline(
        &self,
        folder: &Path,
        limits: &BTreeMap<String, u64>,
        grants: &GrantSpec,
    ) -> Result<Arc<Pipeline>, SessionError> {
        // Held while loading, so that two sessions do not compile the same component twice.
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = loaded.get(folder) {
            return Ok(Arc::clone(pipeline));
        }
        let limits = Limits::pipeline_from(limits).map_err(SessionError::Limits)?;
        let GrantSpec { kv_bytes, data, pixels, audio } = *grants;
        let secrets = BTreeSet::new();
        let allowed = Allowed {
            grants: Grants { kv_bytes, data, pixels, audio, secrets },
            stores: self.stores.clone(),
        };
        let loaded_now = self.engine.load_with(folder, limits, &allowed);
        let pipeline = loaded_now.map_err(|source| SessionError::Load {
            folder: folder.display().to_string(),
            source,
        })?;
        let pipeline = Arc::new(pipeline);
        loaded.insert(folder.to_owned(), Arc::clone(&pipeline));
        Ok(pipeline)
    }

    fn describe(
        &self,
        folder: &Path,
        limits: &BTreeMap<String, u64>,
        grants: &GrantSpec,
    ) -> Result<PluginSummary, SessionError> {
        let pipeline = self.pipeline(folder, limits, grants)?;
        let info = pipeline.describe().map_err(|fault| SessionError::Fault(Box::new(fault)))?;
        Ok(PluginSummary {
            id: info.name,
            version: info.version,
            digest: pipeline.digest().to_owned(),
            summary: info.summary,
            config_schema: info.config_schema,
        })
    }
}

/// The main loop's ends of one session.
struct Session {
    queue: Arc<ByteQueue>,
    mailbox: Arc<Mailbox>,
    credit: Arc<Credit>,
}

impl Session {
    fn abort(&self) {
        self.mailbox.abort();
        self.queue.abort();
        self.credit.close();
    }
}

/// Serves the parent on standard input until it is gone.
pub fn serve(options: &ServeOptions) -> Result<(), ServeError> {
    let (mut incoming, outgoing) = worker::child::connect()?;
    let device = Device::open(&options.device, &options.config)
        .map_err(|source| ServeError::Device { device: options.device.clone(), source })?;
    let sink = Arc::new(ToParent(outgoing.clone()));
    let loader = Loader::open(options.compiler.clone(), options.cache.as_deref(), sink);
    let engine = PipelineEngine::new().map_err(ServeError::Engine)?.with_loader(loader);
    let (memory_free, memory_total) = stats::memory_bytes();
    let hello = Hello {
        device: device.name().to_owned(),
        note: device.note().map(str::to_owned),
        hardware: device.description(),
        memory_free,
        memory_total,
    };
    let loaded = Mutex::default();
    let stores = options.stores.as_deref().map(Stores::new);
    let shared = Arc::new(Shared { device, outgoing: outgoing.clone(), engine, stores, loaded });
    outgoing.send(FromWorker::Hello(hello)).map_err(ChildError::Socket)?;
    receive(&mut incoming, &shared)
}

fn receive(incoming: &mut Incoming, shared: &Arc<Shared>) -> Result<(), ServeError> {
    let mut sessions: BTreeMap<u64, Session> = BTreeMap::new();
    while let Some(message) = incoming.receive()? {
        match message {
            ToWorker::Describe { ticket, plugin, limits, grants } => {
                describe(ticket, plugin, (limits, grants), shared)?;
            }
            ToWorker::Open(id, spec) => {
                // What has ended is forgotten here: ids are never used again.
                sessions.retain(|_, session| Arc::strong_count(&session.mailbox) > 1);
                sessions.insert(id, open(id, *spec, shared)?);
            }
            ToWorker::Input(id, bytes) => with(&sessions, id, |session| session.queue.push(bytes)),
            ToWorker::EndInput(id) => with(&sessions, id, |session| session.queue.end()),
            ToWorker::Abort(id) => with(&sessions, id, Session::abort),
            ToWorker::Params(id, json) => {
                with(&sessions, id, |session| session.mailbox.params(json));
            }
            ToWorker::Message(id, text) => {
                with(&sessions, id, |session| session.mailbox.message(text));
            }
            ToWorker::Credit(id, bytes) => with(&sessions, id, |session| {
                session.credit.give(usize::try_from(bytes).unwrap_or(usize::MAX));
            }),
        }
    }
    sessions.values().for_each(Session::abort);
    Ok(())
}

/// A message to a session that has ended meanwhile is not an error.
fn with(sessions: &BTreeMap<u64, Session>, id: u64, act: impl FnOnce(&Session)) {
    if let Some(session) = sessions.get(&id) {
        act(session);
    }
}

/// Loading compiles for up to seconds, so it has a thread of its own.
fn describe(
    ticket: u64,
    folder: PathBuf,
    (limits, grants): (BTreeMap<String, u64>, GrantSpec),
    shared: &Arc<Shared>,
) -> Result<(), ServeError> {
    let shared = Arc::clone(shared);
    spawn(format!("describe-{ticket}"), move || {
        let answer = shared.describe(&folder, &limits, &grants).map_err(|error| error.failure());
        // With the parent gone the main loop ends the process.
        let _ = shared.outgoing.send(FromWorker::Described(ticket, answer));
    })
}

fn open(id: u64, spec: SessionSpec, shared: &Arc<Shared>) -> Result<Session, ServeError> {
    let session =
        Session { queue: Arc::default(), mailbox: Arc::default(), credit: Arc::default() };
    let ends = Ends {
        id,
        queue: Arc::clone(&session.queue),
        mailbox: Arc::clone(&session.mailbox),
        credit: Arc::clone(&session.credit),
    };
    let shared = Arc::clone(shared);
    spawn(format!("session-{id}"), move || run::run(&spec, &ends, &shared))?;
    Ok(session)
}

fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> Result<(), ServeError> {
    let spawned = thread::Builder::new().name(name).spawn(body);
    spawned.map(drop).map_err(|error| ServeError::Parent(ChildError::Socket(error)))
}
