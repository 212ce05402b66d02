//! Which build of the CPU's kernels runs: by what the CPU has, or as the operator says.
//!
//! Reads no environment; the caller parses `FRAMEGATE_SIMD` with [`SimdLevel::from_name`].
//!
//! **Invariant:** a level that the CPU lacks is never chosen.

use std::fmt;

/// A build of the kernels. All give the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SimdLevel {
    /// What every CPU of this architecture has.
    Scalar,
    /// AVX2, in about every x86-64 server since 2013.
    Avx2,
    /// AVX-512 F, BW, VL and DQ.
    Avx512,
}

impl SimdLevel {
    /// Every level, slowest first.
    pub const ALL: [Self; 3] = [Self::Scalar, Self::Avx2, Self::Avx512];

    /// Returns the word for the level in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Finds a level by its word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }

    /// Returns whether this CPU can run the level.
    #[cfg(target_arch = "x86_64")]
    pub fn is_supported(self) -> bool {
        match self {
            Self::Scalar => true,
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
            }
        }
    }

    /// Returns whether this CPU can run the level.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn is_supported(self) -> bool {
        self == Self::Scalar
    }

    /// Returns the fastest level that this CPU can run.
    pub fn best() -> Self {
        let supported = Self::ALL.into_iter().rev().find(|level| level.is_supported());
        supported.expect("every CPU runs the scalar level")
    }
}

impl fmt::Display for SimdLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
