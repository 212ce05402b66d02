//! What was measured of an orchestrator: how long things took there, and whether it answered over
//! the last day.
//!
//! **Invariant:** what is kept is bounded: the last samples, and one pair of counts for an hour.

use std::time::{Duration, Instant};

/// Samples kept: enough for a 95th percentile, few enough to be about the present.
pub const SAMPLES_MAX: usize = 128;
/// Hours of the availability.
const HOURS: usize = 24;
/// An hour.
const HOUR: Duration = Duration::from_secs(3600);

/// The last durations of something.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    us: Vec<u32>,
    next: usize,
}

impl Samples {
    /// Notes one.
    pub fn add(&mut self, took: Duration) {
        let us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        if self.us.len() < SAMPLES_MAX {
            self.us.push(us);
        } else {
            self.us[self.next] = us;
        }
        self.next = (self.next + 1) % SAMPLES_MAX;
    }

    /// Returns the time in microseconds that so many of a thousand stayed within; `None` without
    /// any.
    pub fn within_us(&self, per_mille: usize) -> Option<u32> {
        let mut sorted = self.us.clone();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        let rank = (sorted.len() * per_mille.min(1000)).div_ceil(1000);
        sorted.get(rank.saturating_sub(1).min(last)).copied()
    }
}

/// How many questions of the last 24 hours were answered.
#[derive(Debug, Clone)]
pub struct Availability {
    since: Instant,
    /// Hours since `since` of the newest count.
    hour: u64,
    asked: [u32; HOURS],
    answered: [u32; HOURS],
}

impl Availability {
    /// Begins to count.
    pub const fn new(since: Instant) -> Self {
        Self { since, hour: 0, asked: [0; HOURS], answered: [0; HOURS] }
    }

    /// Notes a question and whether it was answered.
    pub fn asked(&mut self, answered: bool, now: Instant) {
        self.turn(now);
        let at = self.at(self.hour);
        self.asked[at] = self.asked[at].saturating_add(1);
        self.answered[at] = self.answered[at].saturating_add(u32::from(answered));
    }

    /// Returns the share of answers in parts per million; `None`: it was asked nothing.
    pub fn ppm(&mut self, now: Instant) -> Option<u32> {
        self.turn(now);
        let sum = |counts: &[u32; HOURS]| counts.iter().map(|count| u64::from(*count)).sum::<u64>();
        let share = (sum(&self.answered) * 1_000_000).checked_div(sum(&self.asked))?;
        u32::try_from(share).ok()
    }

    /// Forgets the hours that are more than a day ago.
    fn turn(&mut self, now: Instant) {
        let hour = now.saturating_duration_since(self.since).as_secs() / HOUR.as_secs();
        let past = hour.saturating_sub(self.hour).min(HOURS as u64);
        for step in 1..=past {
            let at = self.at(self.hour + step);
            (self.asked[at], self.answered[at]) = (0, 0);
        }
        self.hour = self.hour.max(hour);
    }

    fn at(&self, hour: u64) -> usize {
        usize::try_from(hour % HOURS as u64).unwrap_or(0)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test starts its own clock")]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_last_samples() {
        let mut samples = Samples::default();
        assert_eq!(samples.within_us(500), None);
        for us in 1..=100 {
            samples.add(Duration::from_micros(us));
        }
        let at = [500, 950, 990, 1000].map(|mille| samples.within_us(mille));
        assert_eq!(at, [Some(50), Some(95), Some(99), Some(100)]);
        for _ in 0..SAMPLES_MAX {
            samples.add(Duration::from_micros(7));
        }
        assert_eq!(samples.within_us(1000), Some(7), "the old ones are gone");
    }

    #[test]
    fn availability_is_that_of_the_last_day() {
        let start = Instant::now();
        let mut seen = Availability::new(start);
        assert_eq!(seen.ppm(start), None);
        for minute in 0..120 {
            seen.asked(minute % 2 == 0, start + Duration::from_secs(60 * minute));
        }
        assert_eq!(seen.ppm(start + HOUR * 2), Some(500_000));
        let later = start + HOUR * 24;
        seen.asked(true, later);
        assert!(seen.ppm(later).is_some_and(|ppm| (501_000..520_000).contains(&ppm)));
        assert_eq!(seen.ppm(later + HOUR), Some(1_000_000), "the bad day is over");
        assert_eq!(seen.ppm(later + HOUR * 24), None);
    }
}
