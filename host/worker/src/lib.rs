//! The boundary between the orchestrator's control process and its worker: one socket pair, framed
//! messages, credit for bytes.
//!
//! Mechanics only. What a session does is `session`'s business, in the child; when a worker is
//! started again is the orchestrator's, in the parent. The child side uses plain threads: a worker
//! process has no async runtime of its own.
//!
//! **Invariant:** neither side ever holds more unread bytes of one session than [`WINDOW_BYTES`],
//! so a slow session never stops the others on the shared socket.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub mod child;
mod fact;
pub mod frame;
pub mod message;
pub mod parent;
pub mod spawn;

pub use message::{
    Failure, FaultFacts, FromWorker, Hello, PluginSummary, Replacement, SessionReport, SessionSpec,
    ToWorker,
};

/// Most bytes of one session, each way, that are sent and not yet taken. A second of 32 Mbit/s
/// video: enough to keep both sides busy, small enough for hundreds of sessions.
pub const WINDOW_BYTES: usize = 4 << 20;
/// Most bytes in one message of media, so that no session occupies the socket for long.
pub const CHUNK_BYTES_MAX: usize = 64 << 10;

/// A panicked holder has left nothing half-done in this crate's locks: counters, whole writes, maps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
