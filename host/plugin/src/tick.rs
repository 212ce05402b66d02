//! The tick that ends a guest which runs past its time: one OS thread for an engine, which raises
//! the engine's epoch every millisecond while a call is armed.
//!
//! A tokio task would not do: the runaway guest may hold the very thread that should run it.
//!
//! **Invariant:** with no call armed for [`LINGER_TICKS`] the thread sleeps until the next one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::Engine;

/// Time between ticks: the grain of a pipeline's deadlines.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// Idle ticks after which the thread sleeps: a session of 20 frames a second or more never pays
/// for waking it.
const LINGER_TICKS: u32 = 50;

#[derive(Debug, Default)]
struct State {
    armed: AtomicUsize,
    asleep: AtomicBool,
    ended: AtomicBool,
}

/// Owns the thread; dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Ticker {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

/// A call in progress; dropping it disarms.
pub(crate) struct Armed<'a>(&'a State);

impl Ticker {
    /// Starts the thread for `engine`.
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Self> {
        let state = Arc::new(State::default());
        let (theirs, weak) = (Arc::clone(&state), engine.weak());
        let builder = thread::Builder::new().name("plugin-tick".to_owned());
        let thread = builder.spawn(move || {
            let mut idle = 0;
            while !theirs.ended.load(Ordering::Acquire) {
                thread::sleep(TICK);
                if theirs.armed.load(Ordering::SeqCst) > 0 {
                    idle = 0;
                    let Some(engine) = weak.upgrade() else { return };
                    engine.increment_epoch();
                } else {
                    idle += 1;
                }
                if idle >= LINGER_TICKS {
                    theirs.sleep();
                    idle = 0;
                }
            }
        })?;
        Ok(Self { state, thread: Some(thread) })
    }

    /// Ticks until the answer is dropped.
    pub(crate) fn arm(&self) -> Armed<'_> {
        self.state.armed.fetch_add(1, Ordering::SeqCst);
        if self.state.asleep.load(Ordering::SeqCst)
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
        Armed(&self.state)
    }
}

impl State {
    /// Sleeps until something is armed. `asleep` is set before `armed` is read, and `arm` does it
    /// the other way round, so one of the two sees the other.
    fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        while self.armed.load(Ordering::SeqCst) == 0 && !self.ended.load(Ordering::Acquire) {
            thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}

impl Drop for Armed<'_> {
    fn drop(&mut self) {
        self.0.armed.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // The thread panics at nothing; were it to, there is nothing left to end.
            let _ = thread.join();
        }
    }
}
