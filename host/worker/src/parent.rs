//! The orchestrator's end: starts a worker process and speaks with its sessions, on tokio.
//!
//! One [`Worker`] is one process. When it is gone every open session reads [`Output::Lost`] once;
//! whether another is started is for the caller to decide.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use domain::event::Sink;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use crate::frame::{self, FrameError, Message};
use crate::message::{
    Failure, FromWorker, GrantSpec, Hello, MetricChange, PluginSummary, Replacement, SessionReport,
    SessionSpec, ToWorker,
};
use crate::spawn::{Process, SpawnError, Spawner};
use crate::{WINDOW_BYTES, lock};

/// Time for a worker to say hello: process start, device, thread pool. Seconds, since a loaded
/// machine may be slow to page the program in.
pub const HELLO_MAX: Duration = Duration::from_secs(10);
/// Time for loading and describing a plugin, compilation included.
pub const DESCRIBE_MAX: Duration = Duration::from_secs(60);
/// Messages that may wait for the socket before senders wait themselves; media is bounded by
/// credit, so this only smooths bursts of small messages.
const OUTBOX_MESSAGES: usize = 64;
/// Time for the exit status to arrive after the socket closed.
const STATUS_MAX: Duration = Duration::from_secs(2);

/// How to start a worker.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// The `framegate` program.
    pub program: PathBuf,
    /// Device that the worker is to own, such as `cpu-0`.
    pub device: String,
    /// Environment variables set for it, besides the parent's.
    pub env: Vec<(String, String)>,
}

/// Why a worker did not start or answer.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The process could not be started.
    #[error("starting a worker for `{device}`")]
    Spawn {
        /// Device it was for.
        device: String,
        /// Why.
        #[source]
        source: SpawnError,
    },
    /// It started and said nothing sensible.
    #[error("worker for `{device}` did not say hello ({detail})")]
    Silent {
        /// Device it was for.
        device: String,
        /// What came instead.
        detail: String,
    },
    /// It is gone.
    #[error("the worker is gone")]
    Gone,
    /// It did not answer in time.
    #[error("the worker did not answer within {0:?}")]
    Slow(Duration),
    /// It answered that it cannot.
    #[error("{}", .0.message)]
    Refused(Failure),
}

impl WorkerError {
    /// Returns the class of the error.
    pub fn class(&self) -> domain::Class {
        match self {
            Self::Spawn { .. } => domain::Class::Internal,
            Self::Silent { .. } | Self::Gone => domain::Class::Unavailable,
            Self::Slow(_) => domain::Class::TimedOut,
            Self::Refused(failure) => match failure.class.as_str() {
                "invalid" => domain::Class::Invalid,
                "exhausted" => domain::Class::Exhausted,
                "fault" => domain::Class::PluginFault,
                "not-found" => domain::Class::NotFound,
                _ => domain::Class::Internal,
            },
        }
    }
}

type Sessions = Arc<Mutex<HashMap<u64, Route>>>;
type Tickets = Arc<Mutex<HashMap<u64, oneshot::Sender<Result<PluginSummary, Failure>>>>>;

/// Where a session's messages go.
#[derive(Debug)]
struct Route {
    outputs: mpsc::UnboundedSender<Output>,
    credit: Arc<Semaphore>,
}

/// A worker process; clones speak to the same one.
#[derive(Debug, Clone)]
pub struct Worker {
    process: Arc<Process>,
    outbox: mpsc::Sender<ToWorker>,
    sessions: Sessions,
    tickets: Tickets,
    next: Arc<AtomicU64>,
}

/// Moves messages between the socket and the sessions; run it until the worker is gone.
#[derive(Debug)]
pub struct Driver {
    process: Arc<Process>,
    inbound: Inbound,
    writer: OwnedWriteHalf,
    outbox: mpsc::Receiver<ToWorker>,
    sessions: Sessions,
    tickets: Tickets,
    exited: oneshot::Receiver<String>,
}

/// Starts a worker and waits for its hello.
pub async fn start(
    spawner: &Spawner,
    config: &WorkerConfig,
) -> Result<(Worker, Driver, Hello), WorkerError> {
    let device = config.device.clone();
    let spawned = spawner.spawn(config.clone()).await;
    let (process, socket, exited) =
        spawned.map_err(|source| WorkerError::Spawn { device: device.clone(), source })?;
    let (reader, writer) = socket.into_split();
    let (sender, outbox) = mpsc::channel(OUTBOX_MESSAGES);
    let process = Arc::new(process);
    let worker = Worker {
        process: Arc::clone(&process),
        outbox: sender,
        sessions: Sessions::default(),
        tickets: Tickets::default(),
        next: Arc::new(AtomicU64::new(1)),
    };
    let mut inbound = Inbound { reader, buffer: BytesMut::new() };
    let detail = match timeout(HELLO_MAX, inbound.next()).await {
        Ok(Ok(Some(FromWorker::Hello(hello)))) => {
            let driver = Driver {
                process,
                inbound,
                writer,
                outbox,
                sessions: Arc::clone(&worker.sessions),
                tickets: Arc::clone(&worker.tickets),
                exited,
            };
            return Ok((worker, driver, hello));
        }
        Ok(Ok(Some(_))) => "another message came first".to_owned(),
        Ok(Ok(None)) => status(exited).await,
        Ok(Err(error)) => domain::chain(&error),
        Err(_) => format!("nothing within {HELLO_MAX:?}"),
    };
    worker.kill();
    Err(WorkerError::Silent { device, detail })
}

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Exit status and what went wrong, for people.
    pub detail: String,
    /// Sessions that it took along.
    pub sessions: usize,
}

/// The socket to a worker broke.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("socket to the worker")]
    Socket(#[from] io::Error),
    #[error("message from the worker")]
    Frame(#[from] FrameError),
}

impl Driver {
    /// Runs until the worker is gone. Sessions and questions still open are told.
    /// The worker's events go to `sink`.
    pub async fn run(self, sink: &dyn Sink) -> Loss {
        let Self { process, mut inbound, writer, outbox, sessions, tickets, exited } = self;
        // The two directions run apart: a full socket one way must not stop the other.
        let why = tokio::select! {
            result = receive(&mut inbound, &sessions, &tickets, sink) => result,
            result = send(writer, outbox) => result,
        };
        process.kill();
        let status = status(exited).await;
        let how = match why {
            Ok(()) => status,
            Err(error) => format!("{status}; {}", domain::chain(&error)),
        };
        lock(&tickets).clear();
        let open: Vec<_> = lock(&sessions).drain().map(|(_, route)| route).collect();
        for route in &open {
            route.credit.close();
            // A session that nobody reads any more needs no telling.
            let _ = route.outputs.send(Output::Lost(how.clone()));
        }
        Loss { detail: how, sessions: open.len() }
    }
}

/// The reading half of the socket.
#[derive(Debug)]
struct Inbound {
    reader: OwnedReadHalf,
    buffer: BytesMut,
}

impl Inbound {
    /// Waits for the next message; `None` at end of file.
    async fn next(&mut self) -> Result<Option<FromWorker>, LinkError> {
        loop {
            if let Some(message) = frame::take(&mut self.buffer)? {
                return Ok(Some(message));
            }
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

async fn status(exited: oneshot::Receiver<String>) -> String {
    match timeout(STATUS_MAX, exited).await {
        Ok(Ok(status)) => status,
        _ => "no exit status".to_owned(),
    }
}

async fn send(
    mut writer: OwnedWriteHalf,
    mut outbox: mpsc::Receiver<ToWorker>,
) -> Result<(), LinkError> {
    while let Some(message) = outbox.recv().await {
        let (kind, session, body) = message.encode();
        writer.write_all(&frame::header(kind, session, body.len())).await?;
        writer.write_all(&body).await?;
    }
    Ok(())
}

async fn receive(
    inbound: &mut Inbound,
    sessions: &Sessions,
    tickets: &Tickets,
    sink: &dyn Sink,
) -> Result<(), LinkError> {
    while let Some(message) = inbound.next().await? {
        match message {
            FromWorker::Hello(_) => {}
            FromWorker::Code(fact) => sink.emit(fact.into_event()),
            FromWorker::Described(ticket, result) => {
                if let Some(waiting) = lock(tickets).remove(&ticket) {
                    let _ = waiting.send(result);
                }
            }
            FromWorker::Credit(session, bytes) => {
                if let Some(route) = lock(sessions).get(&session) {
                    route.credit.add_permits(usize::try_from(bytes).unwrap_or(WINDOW_BYTES));
                }
            }
            FromWorker::Ended(session, report) => {
                if let Some(route) = lock(sessions).remove(&session) {
                    route.credit.close();
                    let _ = route.outputs.send(Output::Ended(report));
                }
            }
            FromWorker::Opened(session) => forward(sessions, session, Output::Opened),
            FromWorker::Segment(session) => forward(sessions, session, Output::Segment),
            FromWorker::Output(session, bytes) => forward(sessions, session, Output::Data(bytes)),
            FromWorker::Metrics(session, changes) => {
                forward(sessions, session, Output::Metrics(changes));
            }
            FromWorker::Event(session, text) => forward(sessions, session, Output::Event(text)),
            FromWorker::Replaced(session, how) => {
                forward(sessions, session, Output::Replaced(how));
            }
            FromWorker::Log(session, level, text) => {
                forward(sessions, session, Output::Log { level, text });
            }
        }
    }
    Ok(())
}

fn forward(sessions: &Sessions, session: u64, output: Output) {
    if let Some(route) = lock(sessions).get(&session) {
        // The reader of an abandoned session is gone before the worker has heard of it.
        let _ = route.outputs.send(output);
    }
}

impl Worker {
    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Kills the process; its sessions end as lost.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Has the plugin in `folder` loaded under `limits` with `grants` and described, within [`DESCRIBE_MAX`].
    pub async fn describe(
        &self,
        folder: PathBuf,
        limits: BTreeMap<String, u64>,
        grants: GrantSpec,
    ) -> Result<PluginSummary, WorkerError> {
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        lock(&self.tickets).insert(ticket, sender);
        let question = ToWorker::Describe { ticket, plugin: folder, limits, grants };
        let answer = async {
            self.outbox.send(question).await.map_err(|_| WorkerError::Gone)?;
            answer.await.map_err(|_| WorkerError::Gone)
        };
        let answer = timeout(DESCRIBE_MAX, answer).await;
        lock(&self.tickets).remove(&ticket);
        answer.map_err(|_| WorkerError::Slow(DESCRIBE_MAX))??.map_err(WorkerError::Refused)
    }

    /// Opens a session. What the worker says of it comes out of the [`Outputs`]; the first is
    /// [`Output::Opened`], unless it fails.
    pub async fn open(&self, spec: SessionSpec) -> Result<(Input, Outputs), WorkerError> {
        let session = self.next.fetch_add(1, Ordering::Relaxed);
        let (outputs, receiver) = mpsc::unbounded_channel();
        let credit = Arc::new(Semaphore::new(WINDOW_BYTES));
        let route = Route { outputs, credit: Arc::clone(&credit) };
        lock(&self.sessions).insert(session, route);
        let input = Input {
            handle: Arc::new(Handle {
                session,
                outbox: self.outbox.clone(),
                sessions: Arc::clone(&self.sessions),
            }),
            credit,
        };
        let outputs = Outputs { handle: Arc::clone(&input.handle), receiver };
        input.handle.send(ToWorker::Open(session, Box::new(spec))).await?;
        Ok((input, outputs))
    }
}

/// What both halves of a session share: it is aborted when the last one is dropped.
#[derive(Debug)]
struct Handle {
    session: u64,
    outbox: mpsc::Sender<ToWorker>,
    sessions: Sessions,
}

impl Handle {
    async fn send(&self, message: ToWorker) -> Result<(), WorkerError> {
        self.outbox.send(message).await.map_err(|_| WorkerError::Gone)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if lock(&self.sessions).remove(&self.session).is_none() {
            return;
        }
        let abort = ToWorker::Abort(self.session);
        if let Err(mpsc::error::TrySendError::Full(abort)) = self.outbox.try_send(abort)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let outbox = self.outbox.clone();
            // A full outbox drains within a moment or the worker is gone; either ends this task.
            runtime.spawn(async move { outbox.send(abort).await });
        }
    }
}

/// The side of a session that gives.
#[derive(Debug, Clone)]
pub struct Input {
    handle: Arc<Handle>,
    credit: Arc<Semaphore>,
}

impl Input {
    /// Sends media, waiting while the worker has [`WINDOW_BYTES`] of it unread.
    pub async fn write(&self, bytes: Bytes) -> Result<(), WorkerError> {
        for piece in frame::chunks(bytes) {
            let permits = u32::try_from(piece.len()).unwrap_or(u32::MAX);
            let taken = self.credit.acquire_many(permits).await;
            taken.map_err(|_| WorkerError::Gone)?.forget();
            self.handle.send(ToWorker::Input(self.handle.session, piece)).await?;
        }
        Ok(())
    }

    /// Returns the bytes sent that the worker has not said it took, at most [`WINDOW_BYTES`].
    pub fn unread(&self) -> usize {
        WINDOW_BYTES.saturating_sub(self.credit.available_permits())
    }

    /// Says that the input is at its end.
    pub async fn end(&self) -> Result<(), WorkerError> {
        self.handle.send(ToWorker::EndInput(self.handle.session)).await
    }

    /// Sends new parameters, a whole JSON document.
    pub async fn params(&self, json: String) -> Result<(), WorkerError> {
        self.handle.send(ToWorker::Params(self.handle.session, json)).await
    }

    /// Sends text for the plugin's `on-message`.
    pub async fn message(&self, text: String) -> Result<(), WorkerError> {
        self.handle.send(ToWorker::Message(self.handle.session, text)).await
    }

    /// Ends the session at once; its report still comes.
    pub async fn abort(&self) -> Result<(), WorkerError> {
        self.handle.send(ToWorker::Abort(self.handle.session)).await
    }
}

/// What comes out of a session.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// The plugin is ready.
    Opened,
    /// What follows begins with a key frame.
    Segment,
    /// Media.
    Data(Bytes),
    /// One JSON document for the client.
    Event(String),
    /// What has changed of the plugin's own metrics.
    Metrics(Vec<MetricChange>),
    /// A line for the log.
    Log {
        /// Level, as `tracing` names it.
        level: String,
        /// The line.
        text: String,
    },
    /// The pipeline faulted, and the session goes on.
    Replaced(Box<Replacement>),
    /// The session is over. The last output.
    Ended(Box<SessionReport>),
    /// The worker is gone: how it ended. The last output.
    Lost(String),
}

/// The side of a session that takes.
#[derive(Debug)]
pub struct Outputs {
    handle: Arc<Handle>,
    receiver: mpsc::UnboundedReceiver<Output>,
}

impl Outputs {
    /// Waits for the next output; `None` after the last. Taking media lets the worker send more.
    pub async fn next(&mut self) -> Option<Output> {
        let output = self.receiver.recv().await?;
        if let Output::Data(bytes) = &output {
            let credit = ToWorker::Credit(self.handle.session, bytes.len() as u64);
            // With the worker gone the loss is the next output.
            let _ = self.handle.send(credit).await;
        }
        Some(output)
    }
}
