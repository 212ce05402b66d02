//! Poisonous input: a segment that was in work whenever something broke.
//!
//! A session that ended by a fault of its pipeline, or with its worker, is likely to be tried again
//! with the same input. What was in work at two such ends is refused the next time, before it
//! reaches a third worker.
//!
//! **Invariant:** at most [`SUSPECTS_MAX`] segments are remembered, each for [`SUSPECT_FOR`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Ends with one segment in work that make it poisonous.
pub const FAULTS_MAX: u32 = 2;
/// Segments remembered at once. At two for each fault these are 512 faults in ten minutes, and some
/// 100 KiB.
pub const SUSPECTS_MAX: usize = 1024;
/// How long a segment is remembered: who tries again does so within minutes, and a plugin that was
/// mended meanwhile deserves the input.
pub const SUSPECT_FOR: Duration = Duration::from_secs(600);

/// What a segment is told by: a digest of its beginning.
pub type SegmentDigest = [u8; 32];

/// Why an input is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "segment `{}` of the input was in work at {faults} faults of `{pipeline}`",
    short(.segment)
)]
pub struct Poisonous {
    /// The pipeline that it is poison to.
    pub pipeline: String,
    /// The segment.
    pub segment: SegmentDigest,
    /// Faults within [`SUSPECT_FOR`].
    pub faults: u32,
}

/// Writes the first bytes of a digest, as many as tell segments apart in a log.
fn short(segment: &SegmentDigest) -> String {
    segment.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Debug)]
struct Suspect {
    faults: u32,
    faulted_at: Instant,
}

/// The segments that were in work when something broke.
#[derive(Debug, Default)]
pub struct Suspects {
    by_pipeline: BTreeMap<(String, SegmentDigest), Suspect>,
}

impl Suspects {
    /// Notes that `segment` was in work in `pipeline` when its session ended by a fault.
    pub fn note(&mut self, pipeline: &str, segment: SegmentDigest, now: Instant) {
        self.forget(now);
        let key = (pipeline.to_owned(), segment);
        if self.by_pipeline.len() >= SUSPECTS_MAX && !self.by_pipeline.contains_key(&key) {
            let oldest = self.by_pipeline.iter().min_by_key(|(_, suspect)| suspect.faulted_at);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.by_pipeline.remove(&oldest);
            }
        }
        let fresh = Suspect { faults: 0, faulted_at: now };
        let suspect = self.by_pipeline.entry(key).or_insert(fresh);
        suspect.faults += 1;
        suspect.faulted_at = now;
    }

    /// Returns whether any segment is poisonous to `pipeline`: whether its input has to be looked
    /// at before it is passed on.
    pub fn any(&self, pipeline: &str, now: Instant) -> bool {
        self.by_pipeline.iter().any(|((of, _), suspect)| of == pipeline && suspect.is_poison(now))
    }

    /// Refuses `segment` if it is poisonous to `pipeline`.
    pub fn check(
        &self,
        pipeline: &str,
        segment: SegmentDigest,
        now: Instant,
    ) -> Result<(), Poisonous> {
        let key = (pipeline.to_owned(), segment);
        match self.by_pipeline.get(&key) {
            Some(suspect) if suspect.is_poison(now) => {
                Err(Poisonous { pipeline: key.0, segment, faults: suspect.faults })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn forget(&mut self, now: Instant) {
        self.by_pipeline.retain(|_, suspect| suspect.is_remembered(now));
    }
}

impl Suspect {
    fn is_remembered(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.faulted_at) < SUSPECT_FOR
    }

    fn is_poison(&self, now: Instant) -> bool {
        self.faults >= FAULTS_MAX && self.is_remembered(now)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test starts its own clock")]
mod tests {
    use super::*;

    #[test]
    fn the_third_try_of_a_segment_is_refused_for_that_pipeline_and_for_ten_minutes() {
        let (mut suspects, now) = (Suspects::default(), Instant::now());
        let (bad, good) = ([7; 32], [8; 32]);
        suspects.note("draw", bad, now);
        assert_eq!(suspects.check("draw", bad, now), Ok(()));
        assert!(!suspects.any("draw", now));
        suspects.note("draw", bad, now);
        let error = suspects.check("draw", bad, now).expect_err("two faults");
        assert_eq!(
            error.to_string(),
            "segment `070707070707` of the input was in work at 2 faults of `draw`"
        );
        assert!(suspects.any("draw", now) && !suspects.any("blur", now));
        assert_eq!(suspects.check("draw", good, now), Ok(()));
        assert_eq!(suspects.check("blur", bad, now), Ok(()));
        assert_eq!(suspects.check("draw", bad, now + SUSPECT_FOR), Ok(()));
    }

    #[test]
    fn the_oldest_suspect_makes_room() {
        let (mut suspects, begin) = (Suspects::default(), Instant::now());
        let segment = |n: usize| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&(n as u64).to_le_bytes());
            digest
        };
        for n in 0..=SUSPECTS_MAX {
            let now = begin + Duration::from_millis(n as u64);
            suspects.note("draw", segment(n), now);
            suspects.note("draw", segment(n), now);
        }
        assert_eq!(suspects.by_pipeline.len(), SUSPECTS_MAX);
        let now = begin + Duration::from_secs(2);
        assert_eq!(suspects.check("draw", segment(0), now), Ok(()));
        assert!(suspects.check("draw", segment(1), now).is_err());
    }
}
