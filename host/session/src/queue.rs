//! The bytes of one session's input, between the worker's main loop and the demuxer.
//!
//! The parent sends only what it has credit for, so the queue is bounded without waiting; credit
//! goes back as the demuxer reads.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};
use worker::child::Outgoing;
use worker::message::FromWorker;

/// Bytes read before credit for them goes back: one message for many small reads.
const CREDIT_STEP: usize = 256 << 10;

#[derive(Debug, Default)]
struct State {
    pieces: VecDeque<Bytes>,
    ended: bool,
    aborted: bool,
    taken: u64,
}

/// The writing end, shared with the worker's main loop.
#[derive(Debug, Default)]
pub(crate) struct ByteQueue {
    state: Mutex<State>,
    changed: Condvar,
}

impl ByteQueue {
    /// Adds bytes at the end.
    pub(crate) fn push(&self, bytes: Bytes) {
        let mut state = self.lock();
        if !state.ended && !state.aborted && !bytes.is_empty() {
            state.pieces.push_back(bytes);
            self.changed.notify_one();
        }
    }

    /// Says that nothing follows.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_one();
    }

    /// Drops what is left and ends at once.
    pub(crate) fn abort(&self) {
        let mut state = self.lock();
        state.aborted = true;
        state.pieces.clear();
        self.changed.notify_one();
    }

    /// Returns the bytes that were read.
    pub(crate) fn taken(&self) -> u64 {
        self.lock().taken
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for bytes; `None` at the end.
    fn pop(&self, most: usize) -> Option<Bytes> {
        let mut state = self.lock();
        loop {
            if state.aborted {
                return None;
            }
            if let Some(front) = state.pieces.front_mut() {
                let taken = front.split_to(front.len().min(most));
                if front.is_empty() {
                    state.pieces.pop_front();
                }
                state.taken += taken.len() as u64;
                return Some(taken);
            }
            if state.ended {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The demuxer's end.
#[derive(Debug)]
pub(crate) struct ByteReader {
    queue: Arc<ByteQueue>,
    outgoing: Outgoing,
    session: u64,
    owed: usize,
}

impl ByteReader {
    /// Reads `queue` and gives credit for `session` back through `outgoing`.
    pub(crate) const fn new(queue: Arc<ByteQueue>, outgoing: Outgoing, session: u64) -> Self {
        Self { queue, outgoing, session, owed: 0 }
    }
}

impl Read for ByteReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(mut bytes) = self.queue.pop(buffer.len()) else { return Ok(0) };
        let len = bytes.len();
        bytes.copy_to_slice(&mut buffer[..len]);
        self.owed += len;
        if self.owed >= CREDIT_STEP {
            self.outgoing.send(FromWorker::Credit(self.session, self.owed as u64))?;
            self.owed = 0;
        }
        Ok(len)
    }
}
