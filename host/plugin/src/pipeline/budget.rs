//! Guest time of one callback, and the decision to end a guest that has used it up.
//!
//! Time in host functions does not count: on a CPU device an op does its work before it returns.
//! Nor does time in which the guest's thread did not run: on a busy machine that would end honest
//! guests. Wall clocks are cheap and thread clocks are not, so the wall clock only raises the
//! suspicion and the thread's own clock decides.
//!
//! **Invariant:** a guest that computes without end is ended after at most twice its budget of
//! processor time and a few ticks, or after [`PATIENCE`] budgets of wall-clock time.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::limits::{Amount, LimitHit};
use crate::tick::TICK;

/// Budgets of wall-clock time after which a guest is ended whatever its thread's clock says.
const PATIENCE: u32 = 100;

/// Time of one callback.
#[derive(Debug)]
pub(crate) struct Budget {
    allowed: Duration,
    started: Instant,
    in_host: Duration,
    host_since: Option<Instant>,
    suspected: Option<Suspicion>,
}

#[derive(Debug, Clone, Copy)]
struct Suspicion {
    thread: Duration,
    in_host: Duration,
}

impl Budget {
    /// Starts the time of a callback.
    pub(crate) fn start(allowed: Duration) -> Self {
        let started = Instant::now();
        let in_host = Duration::ZERO;
        Self { allowed, started, in_host, host_since: None, suspected: None }
    }

    /// Returns the ticks after which [`Budget::judge`] is first to be asked.
    pub(crate) fn ticks(&self) -> u64 {
        ticks(self.allowed)
    }

    /// Notes that a host function begins.
    pub(crate) fn enter_host(&mut self) {
        self.host_since = Some(Instant::now());
    }

    /// Notes that a host function ends.
    pub(crate) fn leave_host(&mut self) {
        if let Some(since) = self.host_since.take() {
            self.in_host += since.elapsed();
        }
    }

    /// Returns the wall-clock time that the guest has run.
    pub(crate) fn guest_time(&self) -> Duration {
        self.started.elapsed().saturating_sub(self.in_host)
    }

    /// Decides whether the guest goes on: for how many ticks, or which limit it has hit.
    pub(crate) fn judge(&mut self) -> Result<u64, LimitHit> {
        let guest = self.guest_time();
        if guest < self.allowed {
            return Ok(ticks(self.allowed.saturating_sub(guest)));
        }
        let in_host = self.in_host;
        let Some(since) = self.suspected else {
            self.suspected = Some(Suspicion { thread: thread_time(), in_host });
            return Ok(ticks(self.allowed));
        };
        // Processor time in the host is at most wall-clock time there: the doubt favours the guest.
        let ran = thread_time().saturating_sub(since.thread);
        let used = ran.saturating_sub(in_host.saturating_sub(since.in_host));
        if used < self.allowed && guest < self.allowed * PATIENCE {
            return Ok(ticks(self.allowed.saturating_sub(used)));
        }
        let (value, used) = (Amount::Time(self.allowed), Amount::Time(guest));
        Err(LimitHit { name: "time", value, used })
    }
}

fn ticks(time: Duration) -> u64 {
    let ticks = time.as_nanos().div_ceil(TICK.as_nanos()) + 1;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
#[test]
fn a_guest_in_budget_goes_on_and_one_that_computes_is_ended() {
    let mut generous = Budget::start(Duration::from_secs(3600));
    assert!(generous.judge().is_ok());
    let allowed = Duration::from_millis(2);
    let mut strict = Budget::start(allowed);
    let hit = loop {
        std::hint::spin_loop();
        if let Err(hit) = strict.judge() {
            break hit;
        }
    };
    assert_eq!(hit.name, "time");
    assert!(strict.guest_time() >= allowed);
}
