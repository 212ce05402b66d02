//! Numbers that a publisher has passed over. It opens requests ahead and on connections of their
//! own, so a later segment's first byte may overtake an earlier one's: the earlier number is kept
//! free for a while, and then given up as an empty segment, so that readers go on in order.
//!
//! **Invariant:** every hole lies below the next number to be written, has no writer, and ends
//! within [`HOLE_WAIT`] of its last change, or with the channel.

use std::time::Instant;

use super::state::{Phase, Segment, State};
use super::{HOLE_WAIT, OPEN_SEGMENTS_MAX};

fn is_hole(segment: &Segment) -> bool {
    segment.phase == Phase::Waiting && segment.writers == 0
}

impl State {
    /// Keeps the numbers from `expected` to below `seq` free. A longer run is no overtaking: its
    /// publisher has jumped, and its readers are sent after it.
    pub(super) fn open_holes(&mut self, expected: u64, seq: u64, now: Instant) {
        if seq.saturating_sub(expected) > OPEN_SEGMENTS_MAX as u64 {
            return;
        }
        for missing in expected..seq {
            if self.find(missing).is_none() {
                self.insert(Segment::waiting(missing, 0, now));
            }
        }
    }

    /// Returns the time at which the number `seq` is given up, if it is a hole.
    pub(super) fn hole_until(&self, seq: u64) -> Option<Instant> {
        let hole = self.find(seq).filter(|segment| is_hole(segment))?;
        Some(hole.written_at + HOLE_WAIT)
    }

    /// Returns the time at which the first hole is given up.
    pub(super) fn hole_deadline(&self) -> Option<Instant> {
        let holes = self.segments.iter().filter(|segment| is_hole(segment));
        holes.map(|hole| hole.written_at + HOLE_WAIT).min()
    }

    /// Gives up the holes whose time has come.
    pub(super) fn give_up_holes(&mut self, now: Instant) {
        self.give_up(now, |segment| is_hole(segment) && segment.written_at + HOLE_WAIT <= now);
    }

    /// Gives up every hole: nothing new begins any more.
    pub(super) fn give_up_all_holes(&mut self, now: Instant) {
        self.give_up(now, is_hole);
    }

    /// Ends segments below `seq` that got no byte for the stall time: their publisher has moved
    /// on, and readers wait for them in vain.
    pub(super) fn finish_superseded(&mut self, seq: u64, now: Instant) {
        let stall = self.options.stall;
        self.give_up(now, |segment| {
            segment.seq < seq && segment.phase != Phase::Ended && segment.written_at + stall <= now
        });
    }

    fn give_up(&mut self, now: Instant, which: impl Fn(&Segment) -> bool) {
        let mut from = 0;
        while let Some(at) = self.segments.iter().skip(from).position(&which) {
            from += at;
            let segment = &mut self.segments[from];
            // A hole was never begun, so nothing of it is cut.
            self.counters.segments_cut += u64::from(segment.phase == Phase::Open);
            segment.phase = Phase::Ended;
            let seq = segment.seq;
            self.segment_ended(seq, now);
            from += 1;
        }
    }
}
