//! Limits of volume in time: so much a second, what is above is dropped and told of once.

use std::time::{Duration, Instant};

use super::{Limit, LimitHit, Limits};

/// Length of a window. Windows follow on each other from the first use on.
const WINDOW: Duration = Duration::from_secs(1);

/// What was used in the second that runs.
#[derive(Debug)]
pub(crate) struct Rate {
    limit: Limit,
    most: u64,
    since: Instant,
    used: u64,
}

impl Rate {
    pub(crate) fn new(limits: &Limits, limit: Limit) -> Self {
        Self { limit, most: limits.get(limit), since: Instant::now(), used: 0 }
    }

    /// Uses `amount` and returns whether that is within the limit. `tell` is given the report of a
    /// second that has ended and in which the limit was hit.
    pub(crate) fn take(&mut self, amount: u64, tell: impl FnOnce(LimitHit)) -> bool {
        if self.since.elapsed() >= WINDOW {
            if let Some(hit) = self.end() {
                tell(hit);
            }
            self.since = Instant::now();
        }
        self.used = self.used.saturating_add(amount);
        self.used <= self.most
    }

    /// Returns the report of what was used in the second that runs.
    pub(crate) fn hit(&self) -> LimitHit {
        self.limit.hit(self.most, self.limit.amount(self.used))
    }

    /// Ends the second that runs, and returns the report if the limit was hit in it.
    pub(crate) fn end(&mut self) -> Option<LimitHit> {
        let hit = (self.used > self.most).then(|| self.hit());
        self.used = 0;
        hit
    }
}

#[cfg(test)]
#[test]
fn what_is_above_the_limit_is_refused_and_told_of_once() {
    let limits = Limits::pipeline().at_most(Limit::Data, 1024);
    let mut rate = Rate::new(&limits, Limit::Data);
    assert!(rate.take(1000, |_| ()) && !rate.take(1000, |_| ()) && !rate.take(48, |_| ()));
    rate.since = Instant::now().checked_sub(WINDOW).unwrap();
    let mut told = None;
    assert!(rate.take(1024, |hit| told = Some(hit.to_string())));
    assert_eq!(told.as_deref(), Some("data limit 1 KiB a second: plugin used 2 KiB a second"));
    assert_eq!(rate.end(), None);
}
