//! Unwraps timestamps of containers whose counters begin again (33 bits in MPEG-TS), and fills in
//! the first decode times of those that store none.
//!
//! libav can undo one wrap, seen from the first timestamp; a live job may run for days. Here each
//! time is placed next to the one before it, so any number of wraps comes out straight.
//!
//! **Invariant:** an unwrapped time equals the wrapped one modulo the counter, and lies less than
//! half the counter from the time before it.

use crate::track::Rational;

/// Frames that a codec may hold back to put them in order of display (H.264 and HEVC).
const REORDER_MAX: i64 = 16;

/// The place in time of the last packet, of any track.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    last: Option<(i64, Rational)>,
}

impl Clock {
    /// Unwraps a packet's times, in ticks of `base`, of a counter of `bits`.
    pub(crate) fn unwrap(
        &mut self,
        pts: Option<i64>,
        dts: Option<i64>,
        base: Rational,
        bits: u32,
    ) -> (Option<i64>, Option<i64>) {
        let Some(time) = dts.or(pts) else { return (pts, dts) };
        if bits >= 63 || bits == 0 {
            return (pts, dts);
        }
        let near = match self.last {
            Some((last, last_base)) => {
                let last = last_base.rescale(last, base);
                last + wrapped(time - last, bits)
            }
            None => time,
        };
        self.last = Some((near, base));
        let pts = pts.map(|pts| near + wrapped(pts - time, bits));
        (pts, dts.map(|_| near))
    }
}

/// Decode times for the packets at the start of a track whose container stores none (Matroska):
/// libav knows them only once it has seen the reordering.
#[derive(Debug, Default)]
pub(crate) struct FirstTimes {
    known: bool,
    start: Option<i64>,
    given: i64,
}

impl FirstTimes {
    /// Returns the packet's decode time, or one just before the start of display.
    pub(crate) fn dts(&mut self, pts: Option<i64>, dts: Option<i64>) -> Option<i64> {
        self.known |= dts.is_some();
        if self.known || self.given == REORDER_MAX {
            return dts;
        }
        let start = *self.start.get_or_insert(pts?);
        self.given += 1;
        Some(start - 1 - REORDER_MAX + self.given)
    }
}

/// Returns the distance of least size that equals `difference` modulo the counter.
fn wrapped(difference: i64, bits: u32) -> i64 {
    let shift = 64 - bits;
    (difference << shift) >> shift
}

#[cfg(test)]
#[test]
fn times_rise_through_any_number_of_wraps() {
    let mut clock = Clock::default();
    let turn = 1_i64 << 33;
    let mut time = turn - 9000;
    for _ in 0..8 {
        let wrap = |time: i64| Some(time.rem_euclid(turn));
        let (pts, dts) = clock.unwrap(wrap(time + 3600), wrap(time), Rational::MPEG_TS, 33);
        assert_eq!((pts, dts), (Some(time + 3600), Some(time)));
        // Audio that lies a little behind, in its own packet.
        let (pts, _) = clock.unwrap(wrap(time - 4000), None, Rational::MPEG_TS, 33);
        assert_eq!(pts, Some(time - 4000));
        time += turn / 3;
    }
}
