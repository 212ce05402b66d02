//! Breakers: when a version of a policy has faulted too often to be asked at all.
//!
//! A policy's fault never fails a job: whoever stands behind it answers. A breaker decides when it
//! is not worth asking any more, by two measures: many faults in a short time, and a share of many
//! calls. It closes again by calls that no job waits for, and never where a version was found to
//! give two answers to one question.
//!
//! **Invariant:** an open breaker is closed by shadow calls only, a quarantine by nothing.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

/// Faults within [`FAULTS_WITHIN`] that open a breaker: fewer are seen off by fresh instances.
pub const FAULTS_MAX: usize = 5;
/// The short time in which faults are counted: long enough that five are no coincidence of one bad
/// snapshot, short enough that a policy broken for all jobs is left out within seconds.
pub const FAULTS_WITHIN: Duration = Duration::from_secs(10);
/// Calls of which a share may fault.
pub const CALLS: u64 = 1000;
/// Faults among the last [`CALLS`] calls that open a breaker: one in a hundred.
pub const FAULTS_OF_CALLS: usize = 10;
/// Shadow calls in a row that close a breaker: as many as it judges a version by.
pub const SHADOW_CALLS: u32 = 1000;

/// What happens to a decision for which the policy of a plugin slot faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFault {
    /// The native rule decides.
    #[default]
    Native,
    /// There is no decision: what needed one is refused.
    Refuse,
    /// The slot's previous version decides, and the native rule where that one faults too.
    PreviousVersion,
}

impl OnFault {
    /// Returns the word used in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Refuse => "refuse",
            Self::PreviousVersion => "previous-version",
        }
    }
}

/// Why a breaker opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// Many faults in a short time.
    Often {
        /// How many.
        faults: usize,
        /// In which time.
        within: Duration,
    },
    /// Too great a share of its calls.
    Share {
        /// How many.
        faults: usize,
        /// Of how many calls.
        calls: u64,
    },
}

impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Often { faults, within } => write!(f, "{faults} faults within {within:?}"),
            Self::Share { faults, calls } => write!(f, "{faults} faults in {calls} calls"),
        }
    }
}

/// Whether a version is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// It is.
    Closed,
    /// It faulted too often.
    Open(Opened),
    /// It gave two answers to one question.
    Quarantined,
}

impl BreakerState {
    /// Returns the word used in lists and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open(_) => "open",
            Self::Quarantined => "quarantined",
        }
    }
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("it is asked"),
            Self::Open(why) => write!(f, "its breaker is open after {why}"),
            Self::Quarantined => f.write_str("it is quarantined for two answers to one question"),
        }
    }
}

/// The breaker of one version of a policy.
#[derive(Debug)]
pub struct Breaker {
    state: BreakerState,
    calls: u64,
    /// The last faults as number of the call and time; at most [`FAULTS_OF_CALLS`].
    faults: VecDeque<(u64, Instant)>,
    agreed: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        let faults = VecDeque::with_capacity(FAULTS_OF_CALLS);
        Self { state: BreakerState::Closed, calls: 0, faults, agreed: 0 }
    }
}

impl Breaker {
    /// Returns whether the version is asked.
    pub const fn state(&self) -> BreakerState {
        self.state
    }

    /// Notes a call that ended in a value or a refusal.
    pub const fn answered(&mut self) {
        self.calls += 1;
    }

    /// Notes a fault of the plugin; says why it opens the breaker if it does.
    pub fn faulted(&mut self, now: Instant) -> Option<Opened> {
        self.calls += 1;
        if self.faults.len() == FAULTS_OF_CALLS {
            self.faults.pop_front();
        }
        self.faults.push_back((self.calls, now));
        if self.state != BreakerState::Closed {
            return None;
        }
        let recent = |at: Instant| now.saturating_duration_since(at) < FAULTS_WITHIN;
        let often = self.faults.iter().filter(|(_, at)| recent(*at)).count();
        let share = self.faults.iter().filter(|(call, _)| call + CALLS > self.calls).count();
        let opened = if often >= FAULTS_MAX {
            Opened::Often { faults: often, within: FAULTS_WITHIN }
        } else if share >= FAULTS_OF_CALLS {
            Opened::Share { faults: share, calls: CALLS.min(self.calls) }
        } else {
            return None;
        };
        self.state = BreakerState::Open(opened);
        self.agreed = 0;
        Some(opened)
    }

    /// Notes a call that no job waited for, with whether it ended well; says whether it closes the
    /// breaker.
    pub fn shadowed(&mut self, well: bool) -> bool {
        if !matches!(self.state, BreakerState::Open(_)) {
            return false;
        }
        self.agreed = if well { self.agreed + 1 } else { 0 };
        if self.agreed < SHADOW_CALLS {
            return false;
        }
        *self = Self::default();
        true
    }

    /// Notes two answers to one question; says whether that is news.
    pub fn quarantine(&mut self) -> bool {
        let news = self.state != BreakerState::Quarantined;
        self.state = BreakerState::Quarantined;
        news
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test starts its own clock")]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Makes `calls` calls, one each `every`, of which each `one_in`th faults; returns the number of
    /// the call that opened the breaker, and why.
    fn run(every: Duration, one_in: u64, calls: u64) -> Option<(u64, Opened)> {
        let (mut breaker, begin) = (Breaker::default(), Instant::now());
        (1..=calls).find_map(|call| {
            let now = begin + every * u32::try_from(call).expect("few");
            if call % one_in != 0 {
                breaker.answered();
                return None;
            }
            breaker.faulted(now).map(|why| (call, why))
        })
    }

    #[test]
    fn five_faults_in_ten_seconds_open_it_and_five_in_eleven_do_not() {
        let often = Opened::Often { faults: 5, within: FAULTS_WITHIN };
        assert_eq!(run(2400 * MS, 1, 9), Some((5, often)));
        let share = Opened::Share { faults: 10, calls: 10 };
        assert_eq!(run(2600 * MS, 1, 20), Some((10, share)));
    }

    #[test]
    fn one_fault_in_a_thousand_picks_opens_it_under_load_and_never_at_leisure() {
        let often = Opened::Often { faults: 5, within: FAULTS_WITHIN };
        assert_eq!(run(MS, 1000, 100_000), Some((5000, often)));
        assert_eq!(run(10 * MS, 1000, 100_000), None);
    }

    #[test]
    fn one_in_a_hundred_opens_it_however_slow_the_calls_are() {
        let share = Opened::Share { faults: 10, calls: 1000 };
        assert_eq!(run(1000 * MS, 100, 5000), Some((1000, share)));
        assert_eq!(run(1000 * MS, 112, 5000), None);
    }

    #[test]
    fn a_thousand_shadow_calls_in_a_row_close_it_and_a_fault_begins_them_anew() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        assert!(!breaker.shadowed(true), "a closed one has nothing to close");
        assert_eq!((0..FAULTS_MAX).filter_map(|_| breaker.faulted(now)).count(), 1);
        assert!(breaker.state().to_string().contains("5 faults within 10s"));
        let closes = |breaker: &mut Breaker| (1..=SHADOW_CALLS).find(|_| breaker.shadowed(true));
        assert_eq!((1..SHADOW_CALLS).find(|_| breaker.shadowed(true)), None);
        assert!(!breaker.shadowed(false));
        assert_eq!(closes(&mut breaker), Some(SHADOW_CALLS));
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert_eq!(breaker.faulted(now), None, "old faults are forgotten");
        assert!(breaker.quarantine() && !breaker.quarantine());
        assert_eq!(closes(&mut breaker), None, "a quarantine stays");
        assert_eq!((0..2 * FAULTS_OF_CALLS).find_map(|_| breaker.faulted(now)), None);
        assert_eq!(breaker.state(), BreakerState::Quarantined);
    }
}
