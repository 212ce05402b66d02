//! Samples: which of many numbered things are looked at twice.

/// Takes one in so many, by a key that those who are looked at do not know.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    key: u64,
    one_in: u64,
}

impl Sample {
    /// Makes a sample of one in `one_in`, which is at least 1; equal keys take equally.
    pub const fn new(key: u64, one_in: u64) -> Self {
        assert!(one_in > 0, "one in none is no share");
        Self { key, one_in }
    }

    /// Returns whether the thing with this number is taken.
    pub const fn takes(&self, number: u64) -> bool {
        mix(number ^ self.key).is_multiple_of(self.one_in)
    }
}

/// Spreads a number over 64 bits, as the generator `SplitMix64` does.
const fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
#[test]
fn a_sample_takes_its_share_and_another_key_takes_others() {
    let (one, other) = (Sample::new(1, 64), Sample::new(2, 64));
    let taken = |sample: Sample| (0..64_000).filter(move |number| sample.takes(*number));
    assert!((900..1100).contains(&taken(one).count()), "{}", taken(one).count());
    assert!(taken(one).filter(|number| other.takes(*number)).count() < 50);
    assert_eq!((0..9).filter(|number| Sample::new(3, 1).takes(*number)).count(), 9);
}
