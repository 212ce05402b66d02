//! Tracks, and the arithmetic of their time bases.
//!
//! **Invariant:** rescaling is exact integer arithmetic, rounded once to the nearest tick and
//! half away from zero; a time that goes to a finer base and back is unchanged.

use std::sync::Arc;

use crate::ffi::params::Parameters;

/// A ratio of two integers: seconds per tick, frames per second, width per height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rational {
    /// Above the line.
    pub num: i32,
    /// Below the line; above zero in a time base.
    pub den: i32,
}

impl Rational {
    /// Ticks of MPEG-TS: 90,000 a second.
    pub const MPEG_TS: Self = Self { num: 1, den: 90_000 };
    /// Microseconds.
    pub const MICROSECONDS: Self = Self { num: 1, den: 1_000_000 };

    /// Says whether it can measure time: both parts above zero.
    pub fn is_positive(self) -> bool {
        self.num > 0 && self.den > 0
    }

    /// Converts `ticks` of this time base to the nearest tick of `to`. Saturates.
    pub fn rescale(self, ticks: i64, to: Self) -> i64 {
        let above = i128::from(ticks) * i128::from(self.num) * i128::from(to.den);
        let below = i128::from(self.den) * i128::from(to.num);
        if below <= 0 {
            return ticks;
        }
        let half = below / 2;
        let nearest = if above >= 0 { (above + half) / below } else { (above - half) / below };
        i64::try_from(nearest).unwrap_or(if nearest > 0 { i64::MAX } else { i64::MIN })
    }

    /// Returns the value as a float, for display only.
    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }
}

impl std::fmt::Display for Rational {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.num, self.den)
    }
}

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Moving pictures.
    Video,
    /// Sound.
    Audio,
    /// Subtitles, data, cover pictures: never sent.
    Other,
}

impl Kind {
    /// Returns the word used in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Other => "other",
        }
    }
}

/// One elementary media flow of an input, or of an encoder.
#[derive(Debug, Clone)]
pub struct Track {
    /// Position in [`Demuxer::tracks`](crate::Demuxer::tracks); packets name it.
    pub index: usize,
    /// What it carries.
    pub kind: Kind,
    /// libav's name of the codec, such as `h264`.
    pub codec: String,
    /// Seconds in a tick of its packets' timestamps.
    pub time_base: Rational,
    /// Width and height in pixels of a video track, once known.
    pub size: Option<(u32, u32)>,
    /// Frames a second, where the container or encoder tells.
    pub frame_rate: Option<Rational>,
    /// Packets that the container announces; zero if it does not.
    pub packets_expected: u64,
    pub(crate) parameters: Arc<Parameters>,
}

impl Track {
    /// Returns samples a second of an audio track; zero if not known.
    pub fn sample_rate(&self) -> u32 {
        self.parameters.sample_rate()
    }
}

#[cfg(test)]
#[test]
fn a_time_survives_the_way_through_a_finer_base() {
    for base in [(1, 1000), (1, 12_800), (1001, 30_000), (1, 44_100), (1, 48_000), (1, 90_000)] {
        let base = Rational { num: base.0, den: base.1 };
        for ticks in [-100_003_i64, -1, 0, 1, 7, 12_345_679, 90_000 * 3600 * 30] {
            let there = base.rescale(ticks, Rational::MPEG_TS);
            assert_eq!(Rational::MPEG_TS.rescale(there, base), ticks, "{ticks} of {base}");
        }
    }
}
