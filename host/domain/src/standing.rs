//! Whether an orchestrator is given work: what the operator decided about it, and how long it is left
//! alone after failing.
//!
//! **Invariants:** only what an orchestrator did itself suspends it; a suspension grows with each
//! failure in a row, ends by itself, and never stands in the way where nobody else is left.

use std::time::{Duration, Instant};

/// First suspension: two questions of discovery, after which its figures are fresh.
pub const SUSPEND_MIN: Duration = Duration::from_secs(10);
/// Longest suspension: as long as the network's gateways leave a live orchestrator out.
pub const SUSPEND_MAX: Duration = Duration::from_secs(30 * 60);
/// Time without a failure after which a row of them is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(60 * 60);

/// What the operator decided about an orchestrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wish {
    /// It is given work.
    #[default]
    Use,
    /// It finishes what it has and gets nothing new.
    Drain,
    /// It is given nothing.
    Block,
}

impl Wish {
    /// Returns the word used in lists.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Use => "active",
            Self::Drain => "draining",
            Self::Block => "blocked",
        }
    }
}

/// The failures of one orchestrator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Suspension {
    in_a_row: u32,
    failed_at: Option<Instant>,
    until: Option<Instant>,
}

impl Suspension {
    /// Notes a failure; returns for how long the orchestrator is left alone.
    pub fn failed(&mut self, now: Instant) -> Duration {
        if self.failed_at.is_some_and(|at| now >= at + FORGET_AFTER) {
            self.in_a_row = 0;
        }
        // Jobs that fail together are one failure: they say the same thing.
        if self.until.is_none_or(|until| now >= until) {
            self.in_a_row = self.in_a_row.saturating_add(1);
        }
        self.failed_at = Some(now);
        let doubled = 2_u32.saturating_pow(self.in_a_row.saturating_sub(1));
        let lasts = SUSPEND_MIN.saturating_mul(doubled).min(SUSPEND_MAX);
        self.until = Some(self.until.map_or(now + lasts, |until| until.max(now + lasts)));
        lasts
    }

    /// Notes a success: the row is over.
    pub const fn served(&mut self) {
        self.in_a_row = 0;
        self.until = None;
    }

    /// Ends the suspension by hand.
    pub fn lift(&mut self) {
        *self = Self::default();
    }

    /// Returns how much longer it lasts, if it does.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        let left = self.until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Returns the failures in a row.
    pub const fn in_a_row(&self) -> u32 {
        self.in_a_row
    }
}

#[cfg(test)]
#[test]
#[expect(clippy::disallowed_methods, reason = "a test starts its own clock")]
fn a_suspension_grows_on_repeats_and_ends_by_itself_by_success_or_by_hand() {
    let start = Instant::now();
    let mut suspension = Suspension::default();
    assert_eq!(suspension.left(start), None);
    assert_eq!(suspension.failed(start), SUSPEND_MIN);
    assert_eq!(suspension.failed(start), SUSPEND_MIN, "what fails together fails once");
    assert_eq!(suspension.left(start), Some(SUSPEND_MIN));
    let mut now = start + SUSPEND_MIN;
    assert_eq!(suspension.left(now), None);
    assert_eq!(suspension.failed(now), SUSPEND_MIN * 2);
    for _ in 0..20 {
        now += suspension.left(now).unwrap_or_default();
        suspension.failed(now);
    }
    assert_eq!(suspension.left(now), Some(SUSPEND_MAX));
    suspension.served();
    assert_eq!((suspension.left(now), suspension.failed(now)), (None, SUSPEND_MIN));
    suspension.lift();
    assert_eq!((suspension.left(now), suspension.in_a_row()), (None, 0));
}
