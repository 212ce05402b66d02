//! The threads of the CPU backend: one launch at a time, cut into bands of rows.
//!
//! The crew is shared by all sessions of a device. While it is busy with one launch, another
//! session's thread does its own launch alone: nobody waits for anybody else's frame.
//!
//! **Invariant:** [`Crew::run`] returns after the last row of its launch is done. No allocation.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{Builder, JoinHandle};

use super::Job;
use crate::error::OpenError;

/// Bands a thread: enough that a thread which was held up leaves its share to the others.
const BANDS_PER_THREAD: usize = 4;

/// A fixed number of threads, of which the caller's is one.
pub(super) struct Crew {
    shared: Arc<Shared>,
    /// Held by the caller whose launch the crew is busy with.
    turn: Mutex<()>,
    helpers: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    done: Condvar,
}

struct State {
    /// The launch in progress.
    job: Option<Job>,
    next_row: i32,
    rows: i32,
    band_rows: i32,
    /// Bands being computed.
    active: usize,
    stop: bool,
}

impl Crew {
    /// Starts `threads - 1` helpers. Errors: the system gives no more threads.
    pub(super) fn start(threads: usize) -> Result<Self, OpenError> {
        let state = State { job: None, next_row: 0, rows: 0, band_rows: 1, active: 0, stop: false };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            work: Condvar::new(),
            done: Condvar::new(),
        });
        let mut crew = Self { shared, turn: Mutex::new(()), helpers: Vec::new() };
        for index in 1..threads {
            let shared = Arc::clone(&crew.shared);
            let helper = Builder::new()
                .name(format!("kernel-{index}"))
                .spawn(move || shared.help())
                .map_err(|source| OpenError::Threads { index, threads, source })?;
            crew.helpers.push(helper);
        }
        Ok(crew)
    }

    /// Returns the number of threads, the caller's included.
    pub(super) fn threads(&self) -> usize {
        self.helpers.len() + 1
    }

    /// Does `rows` rows of a job.
    pub(super) fn run(&self, job: &Job, rows: i32) {
        let turn = match self.turn.try_lock() {
            Ok(turn) if !self.helpers.is_empty() => Some(turn),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Ok(_) | Err(TryLockError::WouldBlock) => None,
        };
        if turn.is_none() {
            job.run(0, rows);
            return;
        }
        let bands = self.threads() * BANDS_PER_THREAD;
        let mut state = self.shared.lock();
        state.job = Some(*job);
        state.next_row = 0;
        state.rows = rows;
        state.band_rows = (rows as usize).div_ceil(bands) as i32;
        self.shared.work.notify_all();
        state = self.shared.take_bands(state);
        while state.active > 0 {
            state = self.shared.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.job = None;
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.work.notify_all();
        for helper in self.helpers.drain(..) {
            // A helper runs kernels only, which do not panic.
            let _ = helper.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a helper does all its life.
    fn help(&self) {
        let mut state = self.lock();
        while !state.stop {
            state = self.take_bands(state);
            if !state.stop {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Computes bands until none is left to take.
    fn take_bands<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        while let Some((job, from, to)) = state.take_band() {
            drop(state);
            job.run(from, to);
            state = self.lock();
            state.active -= 1;
            if state.active == 0 {
                self.done.notify_all();
            }
        }
        state
    }
}

impl State {
    fn take_band(&mut self) -> Option<(Job, i32, i32)> {
        let job = self.job.filter(|_| self.next_row < self.rows)?;
        let from = self.next_row;
        self.next_row = (from + self.band_rows).min(self.rows);
        self.active += 1;
        Some((job, from, self.next_row))
    }
}
