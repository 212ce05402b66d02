//! What the client says to a running session: new parameters and messages, waiting for the next
//! frame.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Messages that may wait for the next frame; a client that sends more between two frames loses the
/// oldest. Parameters are one document, so only the latest waits.
const MESSAGES_MAX: usize = 64;

/// What waits for the next frame.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// The latest parameters, a whole JSON document.
    pub(crate) params: Option<String>,
    /// Messages in order.
    pub(crate) messages: VecDeque<String>,
    /// Messages lost for want of room.
    pub(crate) lost: u64,
}

/// The mailbox of one session.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    waiting: Mutex<Waiting>,
    aborted: AtomicBool,
}

impl Mailbox {
    /// Leaves new parameters.
    pub(crate) fn params(&self, json: String) {
        self.lock().params = Some(json);
    }

    /// Leaves a message.
    pub(crate) fn message(&self, text: String) {
        let mut waiting = self.lock();
        if waiting.messages.len() == MESSAGES_MAX {
            waiting.messages.pop_front();
            waiting.lost += 1;
        }
        waiting.messages.push_back(text);
    }

    /// Takes everything that waits.
    pub(crate) fn take(&self) -> Waiting {
        std::mem::take(&mut self.lock())
    }

    /// Says that the session is to end at once.
    pub(crate) fn abort(&self) {
        self.aborted.store(true, Ordering::Release);
    }

    /// Returns whether the session is to end at once.
    pub(crate) fn aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
