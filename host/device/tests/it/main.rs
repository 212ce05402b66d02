//! What the crate promises, checked through its public functions only.

#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod card;
mod counted;
mod devices;
mod driver;
mod every;
mod graphs;
mod interpret;
mod ops;
mod program;
mod ptx;
mod reference;
mod shipped;
mod surfaces;

use std::num::NonZeroUsize;

use device::{Device, DeviceConfig, SimdLevel, Stream};

/// More than any test needs.
const PLENTY: usize = 256 << 20;

/// Opens the CPU with so many threads at one level.
fn open_cpu(threads: usize, simd: Option<SimdLevel>) -> Device {
    let threads = NonZeroUsize::new(threads).unwrap();
    Device::open("cpu-0", &DeviceConfig { threads, simd }).unwrap()
}

/// Makes a stream on the CPU.
fn stream() -> Stream {
    open_cpu(1, None).stream(PLENTY).unwrap()
}

/// Reproducible bytes: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 56) as u8).collect()
    }
}
