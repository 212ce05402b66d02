//! Guest time of one callback, and the decision to end a guest that has used it up.
//!
//! Time in host functions has a limit of its own: on a CPU device an op does its work before it
//! returns, and no tick ends a host function. Past it every host function that works for the guest
//! refuses, so that whatever a guest goes on with is its own time again.
//!
//! Nor does time in which the guest's thread did not run: on a busy machine that would end honest
//! guests. Wall clocks are cheap and thread clocks are not, so the wall clock only raises the
//! suspicion and the thread's own clock decides.
//!
//! **Invariant:** a guest that computes without end is ended after at most twice its budget of
//! processor time and a few ticks, or after [`PATIENCE`] budgets of wall-clock time.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::limits::{Amount, Limit, LimitHit, Limits, Pace};
use crate::tick::TICK;

/// Budgets of wall-clock time after which a guest is ended whatever its thread's clock says.
const PATIENCE: u32 = 100;

/// Time of one callback.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: Limit,
    allowed: Duration,
    allowed_in_host: Duration,
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
    pub(crate) fn start(limits: &Limits, pace: Pace) -> Self {
        let limit = pace.budget();
        Self {
            limit,
            allowed: limits.time(limit),
            allowed_in_host: limits.time(Limit::HostBudget),
            started: Instant::now(),
            in_host: Duration::ZERO,
            host_since: None,
            suspected: None,
        }
    }

    /// Returns the ticks after which [`Budget::judge`] is first to be asked.
    pub(crate) fn ticks(&self) -> u64 {
        ticks(self.allowed)
    }

    /// Notes that a host function begins, unless the time for them is used up.
    pub(crate) fn enter_host(&mut self) -> Result<(), LimitHit> {
        if self.in_host >= self.allowed_in_host {
            let (value, used) = (Amount::Time(self.allowed_in_host), Amount::Time(self.in_host));
            return Err(LimitHit { name: Limit::HostBudget.name(), value, used });
        }
        self.host_since = Some(Instant::now());
        Ok(())
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
        Err(LimitHit { name: self.limit.name(), value, used })
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
mod tests {
    use super::*;

    fn budget(limit: Limit, allowed: Duration) -> Budget {
        let us = u64::try_from(allowed.as_micros()).unwrap();
        Budget::start(&Limits::pipeline().at_most(limit, us), Pace::Hot)
    }

    #[test]
    fn a_guest_in_budget_goes_on_and_one_that_computes_is_ended() {
        assert!(Budget::start(&Limits::pipeline(), Pace::Setup).judge().is_ok());
        let allowed = Duration::from_millis(2);
        let mut strict = budget(Limit::FrameBudget, allowed);
        let hit = loop {
            std::hint::spin_loop();
            if let Err(hit) = strict.judge() {
                break hit;
            }
        };
        assert_eq!(hit.name, "frame_budget");
        assert!(strict.guest_time() >= allowed);
    }

    #[test]
    fn host_functions_refuse_once_their_time_is_used_up() {
        let mut budget = budget(Limit::HostBudget, Duration::from_micros(50));
        let hit = loop {
            match budget.enter_host() {
                Ok(()) => budget.leave_host(),
                Err(hit) => break hit,
            }
        };
        assert_eq!(hit.name, "host_budget");
        assert!(hit.to_string().starts_with("host_budget limit 0.1 ms: plugin used "), "{hit}");
    }
}
