//! Ops: what can be done with pictures, checked and made ready before the first frame.
//!
//! Numbers become integers here, once, so that every device computes the same bits. What each op
//! does to each format is defined in the [crate documentation](crate). An op that is not in [`Op`]
//! does not exist on this host.
//!
//! **Invariant:** no sum that a kernel forms from these numbers overflows 32 bits.

use std::sync::Arc;

use domain::planes::PixelFormat;

use crate::error::DeviceError;

/// The largest weight of a convolution, either sign: its Q10 integer fits 16 bits, so that the CPU
/// multiplies in 16-bit lanes, and 25 of them times 255 fit 32.
pub const WEIGHT_MAX: f32 = 31.0;

/// The largest bias of a convolution, either sign: beyond it every result is 0 or 255, whatever
/// the weights.
pub const BIAS_MAX: f32 = 200_000.0;

/// Bytes of a table of three curves.
pub const CURVES_BYTES: usize = 3 * 256;

/// One unit of a weight, and of the bias: Q10.
const ONE: f64 = 1024.0;

/// An operation on pictures.
#[derive(Debug, Clone)]
pub enum Op {
    /// Change the format.
    Convert {
        /// Of the result.
        format: PixelFormat,
    },
    /// Weighted sum of each pixel's neighbourhood.
    Convolve(Convolution),
    /// Send every colour through a table.
    ApplyLut(Lut),
    /// `(a * (255 - t) + b * t) / 255` of two pictures, to the nearest.
    Mix {
        /// Share of the second picture, in 255ths.
        t: u8,
    },
}

impl Op {
    /// Makes a convolution with 9 or 25 weights, row by row. Errors: another number of weights, one
    /// that is not a number or beyond [`WEIGHT_MAX`], a bias beyond [`BIAS_MAX`].
    pub fn convolve(weights: &[f32], bias: f32) -> Result<Self, DeviceError> {
        Convolution::new(weights, bias).map(Self::Convolve)
    }

    /// Makes the table of three curves, for r, g and b. Errors: not [`CURVES_BYTES`] bytes.
    pub fn apply_lut(curves: &[u8]) -> Result<Self, DeviceError> {
        Lut::from_curves(curves).map(Self::ApplyLut)
    }

    /// Returns the op's name in `wit/`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Convert { .. } => "convert",
            Self::Convolve(_) => "convolve",
            Self::ApplyLut(_) => "apply-lut",
            Self::Mix { .. } => "mix",
        }
    }

    /// Returns how many pictures the op takes.
    pub const fn pictures(&self) -> usize {
        match self {
            Self::Convert { .. } | Self::Convolve(_) | Self::ApplyLut(_) => 1,
            Self::Mix { .. } => 2,
        }
    }
}

/// Weights and bias in units of 1/1024, to the nearest, halves away from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    pub(crate) radius: i32,
    pub(crate) weights: [i32; 25],
    pub(crate) bias: i32,
}

impl Convolution {
    fn new(weights: &[f32], bias: f32) -> Result<Self, DeviceError> {
        let radius = match weights.len() {
            9 => 1,
            25 => 2,
            other => return Err(argument("the number of weights", other, "9 or 25")),
        };
        let mut fixed = [0; 25];
        for (slot, &weight) in fixed.iter_mut().zip(weights) {
            *slot = to_fixed(weight, WEIGHT_MAX)
                .ok_or_else(|| argument("a weight", weight, "-31 to 31"))?;
        }
        let bias = to_fixed(bias, BIAS_MAX)
            .ok_or_else(|| argument("the bias", bias, "-200000 to 200000"))?;
        Ok(Self { radius, weights: fixed, bias })
    }
}

/// A colour table of three curves. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lut(pub(crate) Arc<[u8; CURVES_BYTES]>);

impl Lut {
    /// Makes the table from one curve of 256 bytes for each of r, g and b. Errors: another length.
    pub fn from_curves(curves: &[u8]) -> Result<Self, DeviceError> {
        let curves = <[u8; CURVES_BYTES]>::try_from(curves).map_err(|_| DeviceError::Argument {
            op: "apply-lut",
            what: "the number of bytes of the curves",
            given: curves.len().to_string(),
            range: "768",
        })?;
        Ok(Self(Arc::new(curves)))
    }
}

/// Returns a number in Q10, or nothing if it is none or beyond `max`.
fn to_fixed(number: f32, max: f32) -> Option<i32> {
    // In range, so neither the product nor the conversion can lose anything but the fraction.
    (number.is_finite() && number.abs() <= max).then(|| (f64::from(number) * ONE).round() as i32)
}

fn argument(what: &'static str, given: impl ToString, range: &'static str) -> DeviceError {
    DeviceError::Argument { op: "convolve", what, given: given.to_string(), range }
}
