//! The worker's end: plain threads and blocking calls.
//!
//! The socket is the process's standard input. End of file on it means that the parent is gone;
//! the parent-death signal is the second line of defence.

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use bytes::BytesMut;

use crate::frame::{self, FrameError, Message};
use crate::message::{FromWorker, ToWorker};
use crate::{CHUNK_BYTES_MAX, WINDOW_BYTES, lock};

/// Why the worker's end of the socket stopped.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The socket broke.
    #[error("socket to the parent")]
    Socket(#[from] io::Error),
    /// The parent sent what is no message.
    #[error("message from the parent")]
    Frame(#[from] FrameError),
}

/// Connects to the parent over standard input and asks the kernel to end this process with it.
pub fn connect() -> Result<(Incoming, Outgoing), ChildError> {
    let death = rustix::process::Signal::KILL;
    rustix::process::set_parent_process_death_signal(Some(death)).map_err(io::Error::from)?;
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // The parent may have gone before the signal was asked for; end of file tells that as well.
    let outgoing = Outgoing::over(socket.try_clone()?);
    Ok((Incoming { socket, buffer: BytesMut::with_capacity(4 * CHUNK_BYTES_MAX) }, outgoing))
}

/// Reads messages of the parent.
#[derive(Debug)]
pub struct Incoming {
    socket: UnixStream,
    buffer: BytesMut,
}

impl Incoming {
    /// Waits for the next message; `None` once the parent is gone.
    pub fn receive(&mut self) -> Result<Option<ToWorker>, ChildError> {
        let mut piece = [0; CHUNK_BYTES_MAX];
        loop {
            if let Some(message) = frame::take(&mut self.buffer)? {
                return Ok(Some(message));
            }
            match self.socket.read(&mut piece) {
                Ok(0) => return Ok(None),
                Ok(len) => self.buffer.extend_from_slice(&piece[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Writes messages to the parent; shared by all sessions of the worker.
#[derive(Debug, Clone)]
pub struct Outgoing {
    socket: Arc<Mutex<UnixStream>>,
}

impl Outgoing {
    /// Writes to `socket`, whoever reads at its other end.
    pub fn over(socket: UnixStream) -> Self {
        Self { socket: Arc::new(Mutex::new(socket)) }
    }

    /// Sends one message. An error means that the parent is gone.
    pub fn send(&self, message: FromWorker) -> io::Result<()> {
        let (kind, session, body) = message.encode();
        let header = frame::header(kind, session, body.len());
        let mut socket = lock(&self.socket);
        let mut rest = &mut [IoSlice::new(&header), IoSlice::new(&body)][..];
        while !rest.is_empty() {
            match socket.write_vectored(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => IoSlice::advance_slices(&mut rest, len),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The right to send so many more bytes of one session's output.
#[derive(Debug)]
pub struct Credit {
    state: Mutex<CreditState>,
    changed: Condvar,
}

#[derive(Debug)]
struct CreditState {
    bytes: usize,
    closed: bool,
}

impl Default for Credit {
    fn default() -> Self {
        let state = CreditState { bytes: WINDOW_BYTES, closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl Credit {
    /// Takes the right to send `bytes` (at most [`CHUNK_BYTES_MAX`]), waiting for it. `false` once
    /// closed.
    pub fn take(&self, bytes: usize) -> bool {
        let mut state = lock(&self.state);
        while state.bytes < bytes && !state.closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return false;
        }
        state.bytes -= bytes;
        true
    }

    /// Gives back what the parent has taken.
    pub fn give(&self, bytes: usize) {
        let mut state = lock(&self.state);
        state.bytes = state.bytes.saturating_add(bytes).min(WINDOW_BYTES);
        self.changed.notify_all();
    }

    /// Ends all waiting, now and later.
    pub fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_all();
    }
}
