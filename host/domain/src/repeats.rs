//! Saying the same thing once a minute: which of many equal facts become a line of the log.
//!
//! **Invariants:** the first of a kind is said; at most [`KINDS_MAX`] kinds are known at once, and
//! one that finds no room is not said, so that a flood of different facts is no flood of lines.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Time between two lines about one fact.
pub const SAY_EVERY: Duration = Duration::from_secs(60);
/// Different facts known at once: far more than one machine's plugins have ways to fault, and the
/// most lines that they can cause in a minute.
pub const KINDS_MAX: usize = 256;

#[derive(Debug)]
struct Said {
    at: Instant,
    unsaid: u64,
}

/// What was said lately.
#[derive(Debug, Default)]
pub struct Repeats {
    by_kind: BTreeMap<String, Said>,
    /// Facts that found no room, or were left unsaid and forgotten.
    crowded_out: u64,
}

impl Repeats {
    /// Notes a fact of a `kind`. Returns how many were left unsaid before it if it is to be said;
    /// `None`: it is left unsaid.
    pub fn note(&mut self, kind: &str, now: Instant) -> Option<u64> {
        let is_due = |said: &Said| now.saturating_duration_since(said.at) >= SAY_EVERY;
        if let Some(said) = self.by_kind.get_mut(kind) {
            if !is_due(said) {
                said.unsaid += 1;
                return None;
            }
            said.at = now;
            return Some(std::mem::take(&mut said.unsaid));
        }
        if self.by_kind.len() >= KINDS_MAX {
            let forgotten = &mut self.crowded_out;
            self.by_kind.retain(|_, said| {
                *forgotten += if is_due(said) { said.unsaid } else { 0 };
                !is_due(said)
            });
        }
        if self.by_kind.len() >= KINDS_MAX {
            self.crowded_out += 1;
            return None;
        }
        self.by_kind.insert(kind.to_owned(), Said { at: now, unsaid: 0 });
        Some(std::mem::take(&mut self.crowded_out))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test starts its own clock")]
mod tests {
    use super::*;

    #[test]
    fn a_fact_is_said_once_a_minute_with_the_count_of_those_unsaid() {
        let (mut repeats, begin) = (Repeats::default(), Instant::now());
        let at = |s: u64| begin + Duration::from_secs(s);
        assert_eq!(repeats.note("trap", at(0)), Some(0));
        assert_eq!((1..60).filter_map(|s| repeats.note("trap", at(s))).count(), 0);
        assert_eq!(repeats.note("fuel", at(59)), Some(0), "another fact is another line");
        assert_eq!(repeats.note("trap", at(60)), Some(59));
        assert_eq!(repeats.note("trap", at(120)), Some(0));
    }

    #[test]
    fn a_flood_of_different_facts_is_no_flood_of_lines() {
        let (mut repeats, begin) = (Repeats::default(), Instant::now());
        let said = |repeats: &mut Repeats, now| {
            (0..10_000).filter_map(|n| repeats.note(&format!("{now:?} {n}"), now)).collect()
        };
        let first: Vec<u64> = said(&mut repeats, begin);
        assert_eq!(first.len(), KINDS_MAX);
        let later: Vec<u64> = said(&mut repeats, begin + SAY_EVERY);
        assert_eq!((later.len(), later[0]), (KINDS_MAX, 10_000 - KINDS_MAX as u64));
    }
}
