//! Where an output goes on that another orchestrator began, on the 33-bit clock of MPEG-TS.
//!
//! **Invariant:** times are compared over a wrap of the clock, so a job may last longer than one.

/// Ticks in a second of the clock.
pub const CLOCK_HZ: i64 = 90_000;
/// Range of the clock on the wire.
const WRAP: i64 = 1 << 33;

/// The last times that a client was given, in ticks of [`CLOCK_HZ`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// Of a picture.
    pub picture: i64,
    /// Of sound, if there was any.
    pub audio: Option<i64>,
}

impl Resume {
    /// Says whether the client has a picture of this time.
    pub const fn has_picture(&self, time: i64) -> bool {
        ticks_since(time, self.picture) <= 0
    }

    /// Says whether the client has sound of this time.
    pub fn has_audio(&self, time: i64) -> bool {
        ticks_since(time, self.audio.unwrap_or(self.picture)) <= 0
    }
}

/// Returns how many ticks `time` lies after `since`, over a wrap of the clock.
pub const fn ticks_since(time: i64, since: i64) -> i64 {
    let ahead = time.wrapping_sub(since).rem_euclid(WRAP);
    if ahead < WRAP / 2 { ahead } else { ahead - WRAP }
}

#[cfg(test)]
#[test]
fn what_a_client_has_is_told_over_a_wrap_of_the_clock() {
    let resume = Resume { picture: WRAP - 10, audio: None };
    assert!(resume.has_picture(WRAP - 10) && resume.has_picture(WRAP - 3610));
    assert!(!resume.has_picture(WRAP + 20) && !resume.has_picture(20), "after the wrap");
    assert!(!resume.has_audio(5));
    let resume = Resume { audio: Some(30), ..resume };
    assert!(resume.has_audio(20) && !resume.has_audio(40) && !resume.has_picture(20));
}
