//! Starting worker processes from a thread that lives as long as its owner.
//!
//! The kernel sends the parent-death signal when the *thread* that forked ends, so processes are
//! forked by a thread of their own, which also waits for them.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::oneshot;

use crate::parent::WorkerConfig;

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// No socket pair, thread or process to be had.
    #[error("running `{program}`")]
    Run {
        /// What was to be run.
        program: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The forking thread is gone.
    #[error("the thread that starts workers is gone")]
    Gone,
}

/// A running worker process.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    pidfd: OwnedFd,
}

impl Process {
    /// Returns the process id.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Kills the process. One that is gone already is left alone: the handle names this process,
    /// whoever has its number by then.
    pub fn kill(&self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

type Started = (Process, tokio::net::UnixStream, oneshot::Receiver<String>);

struct Request {
    config: WorkerConfig,
    reply: oneshot::Sender<Result<(Process, UnixStream), SpawnError>>,
    exited: oneshot::Sender<String>,
}

/// The thread that forks the workers of one device, one at a time.
#[derive(Debug, Clone)]
pub struct Spawner {
    requests: mpsc::Sender<Request>,
}

impl Spawner {
    /// Starts the thread. It ends when the last clone is dropped and its worker is gone.
    pub fn new() -> Result<Self, SpawnError> {
        let (requests, inbox) = mpsc::channel::<Request>();
        thread::Builder::new()
            .name("spawn-worker".to_owned())
            .spawn(move || {
                for request in inbox {
                    serve(request);
                }
            })
            .map_err(|source| SpawnError::Run { program: "a thread".to_owned(), source })?;
        Ok(Self { requests })
    }

    /// Starts a process and returns it with its socket and, later, how it ended. Waits for the one
    /// before to have ended.
    pub async fn spawn(&self, config: WorkerConfig) -> Result<Started, SpawnError> {
        let program = config.program.display().to_string();
        let (reply, answer) = oneshot::channel();
        let (exited, status) = oneshot::channel();
        let request = Request { config, reply, exited };
        self.requests.send(request).map_err(|_| SpawnError::Gone)?;
        let (process, socket) = answer.await.map_err(|_| SpawnError::Gone)??;
        let socket = socket
            .set_nonblocking(true)
            .and_then(|()| tokio::net::UnixStream::from_std(socket))
            .map_err(|source| SpawnError::Run { program, source })?;
        Ok((process, socket, status))
    }
}

fn serve(request: Request) {
    let program = request.config.program.display().to_string();
    match fork(&request.config) {
        Ok((mut child, process, socket)) => {
            // If nobody waits any more the socket is dropped, and the worker sees end of file.
            let _ = request.reply.send(Ok((process, socket)));
            let how = match child.wait() {
                Ok(status) => status.to_string(),
                Err(error) => format!("waiting for it failed: {error}"),
            };
            let _ = request.exited.send(how);
        }
        Err(source) => {
            let _ = request.reply.send(Err(SpawnError::Run { program, source }));
        }
    }
}

fn fork(config: &WorkerConfig) -> io::Result<(Child, Process, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut child = Command::new(&config.program)
        .arg("worker")
        .arg("--device")
        .arg(&config.device)
        .envs(config.env.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .spawn()?;
    let pid = child.id();
    let named = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let opened = named
        .ok_or(io::ErrorKind::InvalidData.into())
        .and_then(|named| pidfd_open(named, PidfdFlags::empty()).map_err(io::Error::from));
    match opened {
        Ok(pidfd) => Ok((child, Process { pid, pidfd }, ours)),
        Err(error) => {
            child.kill()?;
            child.wait()?;
            Err(error)
        }
    }
}
