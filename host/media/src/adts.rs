//! Reads the header of an AAC frame as MPEG-TS carries it (ADTS), and times audio frames that
//! share a PES packet.
//!
//! libav leaves both to a decoder that it opens on the side. We open none for audio: an AAC frame
//! may hold a second rate, but lasts as long at either.
//!
//! **Invariant:** interpolated times do not drift: each is computed from the last time that the
//! container gave.

use crate::track::Rational;

/// Sample rates by ADTS index (ISO/IEC 14496-3, table 1.18).
const SAMPLE_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];
/// Samples of one raw block.
const BLOCK_SAMPLES: u32 = 1024;

/// What an ADTS header tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) sample_rate: u32,
    pub(crate) channels: u32,
    pub(crate) samples: u32,
    pub(crate) profile: i32,
}

/// Reads the header at the start of `frame`, if one is there.
pub(crate) fn header(frame: &[u8]) -> Option<Header> {
    let &[first, second, third, fourth, _, _, seventh, ..] = frame else { return None };
    // Twelve set bits, then a version bit, then two zero layer bits.
    if first != 0xff || second & 0xf6 != 0xf0 {
        return None;
    }
    let sample_rate = *SAMPLE_RATES.get(usize::from(third >> 2 & 0xf))?;
    let channels = match u32::from(third & 1) << 2 | u32::from(fourth >> 6) {
        7 => 8,
        count => count,
    };
    let samples = (u32::from(seventh & 3) + 1) * BLOCK_SAMPLES;
    Some(Header { sample_rate, channels, samples, profile: i32::from(third >> 6) })
}

/// Times of the frames of one track.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    anchor: Option<i64>,
    samples: i64,
}

impl Pacer {
    /// Returns the time and duration of a frame of `samples` at `sample_rate`: the container's
    /// time, or the one that follows from the samples since the container last gave one.
    pub(crate) fn time(
        &mut self,
        pts: Option<i64>,
        (samples, sample_rate): (u32, u32),
        base: Rational,
    ) -> (Option<i64>, i64) {
        let tick = Rational { num: 1, den: i32::try_from(sample_rate).unwrap_or(i32::MAX) };
        if pts.is_some() {
            self.anchor = pts;
            self.samples = 0;
        }
        let time = self.anchor.map(|anchor| anchor + tick.rescale(self.samples, base));
        self.samples += i64::from(samples);
        (time, tick.rescale(i64::from(samples), base))
    }
}

#[cfg(test)]
#[test]
fn frames_without_a_time_follow_from_their_samples() {
    // 44.1 kHz, two channels, one block.
    let frame = [0xff, 0xf1, 0x50, 0x80, 0x10, 0x1f, 0xfc, 0x21];
    let header = header(&frame).unwrap();
    assert_eq!((header.sample_rate, header.channels, header.samples), (44_100, 2, 1024));
    let frame = (header.samples, header.sample_rate);
    let mut pacer = Pacer::default();
    assert_eq!(pacer.time(None, frame, Rational::MPEG_TS), (None, 2090));
    let mut pacer = Pacer::default();
    assert_eq!(pacer.time(Some(900), frame, Rational::MPEG_TS).0, Some(900));
    for frames in 1..200 {
        let exact = 900.0 + f64::from(frames) * 1024.0 * 90_000.0 / 44_100.0;
        let (time, _) = pacer.time(None, frame, Rational::MPEG_TS);
        assert_eq!(time, Some(exact.round() as i64));
    }
}
