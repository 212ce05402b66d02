//! Restarting a pipeline within its session: how soon after a fault, and how often.
//!
//! **Invariant:** a pipeline that never works again is restarted [`RESTARTS_MAX`] times and not
//! once more.

use std::time::{Duration, Instant};

/// Restarts of one version in a row; a fault that has to do with one picture is over by then.
pub const RESTARTS_MAX: u32 = 3;
/// Wait before the first restart; each further one in a row waits once more as long.
pub const WAIT: Duration = Duration::from_millis(200);
/// Longest wait before a restart.
pub const WAIT_MAX: Duration = Duration::from_secs(5);
/// Time without a fault after which a row of restarts is forgotten.
pub const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// What happens to a session whose pipeline faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// It ends, with the fault as its reason.
    #[default]
    End,
    /// Pictures pass as they came until a fresh instance takes the next one; once the restarts are
    /// used up they pass to the end.
    Passthrough,
    /// The same, and once the restarts are used up the pipeline's previous version takes over, with
    /// restarts of its own. When those are used up as well the session ends.
    PreviousVersion,
}

impl OnFailure {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::End, Self::Passthrough, Self::PreviousVersion];

    /// Returns the word used in configurations and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Passthrough => "passthrough",
            Self::PreviousVersion => "previous-version",
        }
    }
}

/// What follows a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A fresh instance, not before this time.
    Restart(Instant),
    /// No more of this version.
    GiveUp,
}

/// The restarts of one version of a pipeline in one session.
#[derive(Debug, Default)]
pub struct RestartBudget {
    used: u32,
    faulted_at: Option<Instant>,
}

impl RestartBudget {
    /// Notes a fault and says what follows.
    pub fn faulted(&mut self, now: Instant) -> Next {
        let before = self.faulted_at.replace(now);
        if before.is_some_and(|at| now.saturating_duration_since(at) >= HEALTHY_AFTER) {
            self.used = 0;
        }
        if self.used == RESTARTS_MAX {
            return Next::GiveUp;
        }
        self.used += 1;
        Next::Restart(now + (WAIT * self.used).min(WAIT_MAX))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test starts its own clock")]
#[test]
fn restarts_wait_longer_each_time_and_end_unless_a_minute_goes_well() {
    let (mut budget, begin) = (RestartBudget::default(), Instant::now());
    let at = |ms: u64| begin + Duration::from_millis(ms);
    assert_eq!(budget.faulted(at(0)), Next::Restart(at(200)));
    assert_eq!(budget.faulted(at(300)), Next::Restart(at(700)));
    assert_eq!(budget.faulted(at(60_299)), Next::Restart(at(60_899)));
    assert_eq!(budget.faulted(at(61_000)), Next::GiveUp);
    let mut budget = RestartBudget::default();
    for fault in 0..100 {
        let now = at(fault * 60_000);
        assert_eq!(budget.faulted(now), Next::Restart(now + WAIT), "fault {fault}");
    }
}
