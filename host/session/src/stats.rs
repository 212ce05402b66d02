//! What a session measures of itself: guest time, pictures, pixels, memory, and the hash that
//! makes its output verifiable.

use std::fs;
use std::time::Duration;

use device::{DeviceError, Surface};
use sha2::{Digest, Sha256};

/// Buckets of the guest-time histogram: 128 for each power of two, so a percentile is off by less
/// than 1 %.
const STEPS: u32 = 128;
/// Powers of two of nanoseconds covered: 1 ns to 2^40 ns, some 18 minutes.
const POWERS: u32 = 40;

/// Times in a fixed number of buckets.
#[derive(Debug)]
pub(crate) struct Times {
    buckets: Vec<u32>,
    count: u64,
}

impl Default for Times {
    fn default() -> Self {
        Self { buckets: vec![0; (STEPS * POWERS) as usize], count: 0 }
    }
}

impl Times {
    /// Adds one time.
    pub(crate) fn add(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1);
        let power = nanos.ilog2().min(POWERS - 1);
        let step = ((u128::from(nanos) * u128::from(STEPS)) >> power) as u64 - u64::from(STEPS);
        let index = power as usize * STEPS as usize + (step.min(u64::from(STEPS) - 1)) as usize;
        self.buckets[index] = self.buckets[index].saturating_add(1);
        self.count += 1;
    }

    /// Returns the time that `share_milli` thousandths did not exceed, in whole microseconds,
    /// rounded up.
    pub(crate) fn percentile_us(&self, share_milli: u64) -> u64 {
        let rank = (self.count * share_milli).div_ceil(1000).max(1);
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank {
                let (power, step) = (index as u32 / STEPS, index as u64 % u64::from(STEPS));
                let nanos =
                    ((u128::from(step) + u128::from(STEPS) + 1) << power) / u128::from(STEPS);
                return u64::try_from(nanos).unwrap_or(u64::MAX).div_ceil(1000);
            }
        }
        0
    }
}

/// Hashes pictures: every visible byte, row by row and plane by plane, without padding.
#[derive(Debug, Default)]
pub(crate) struct PictureHash(Sha256);

impl PictureHash {
    /// Adds one picture, which must lie in host memory.
    pub(crate) fn add(&mut self, picture: &Surface) -> Result<(), DeviceError> {
        for plane in 0..picture.format().planes() {
            for row in picture.rows(plane)?.iter() {
                self.0.update(row);
            }
        }
        Ok(())
    }

    /// Returns the hash so far, in hexadecimal.
    pub(crate) fn hex(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Returns the resident memory of this process in MiB; 0 where the system does not tell.
pub(crate) fn resident_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// Returns the free and all memory of the machine in bytes; 0 where the system does not tell.
pub(crate) fn memory_bytes() -> (u64, u64) {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    (kib("MemAvailable:") * 1024, kib("MemTotal:") * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_hundredth() {
        let mut times = Times::default();
        for micros in 1..=1000 {
            times.add(Duration::from_micros(micros));
        }
        let (p50, p99) = (times.percentile_us(500), times.percentile_us(990));
        assert!((500..=505).contains(&p50), "{p50}");
        assert!((990..=1000).contains(&p99), "{p99}");
        assert_eq!(Times::default().percentile_us(500), 0);
        times.add(Duration::from_secs(1 << 40));
    }
}
