//! Numbers that ops take as floats, made into integers once, the same on every machine.
//!
//! **Invariant:** a number is rounded to the nearest, halves away from zero, by multiplication and
//! rounding only, which every processor does alike.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::DeviceError;
use crate::op::argument;

/// The largest weight of a convolution, either sign: its Q10 integer fits 16 bits, so that the CPU
/// multiplies in 16-bit lanes, and 25 of them times 255 fit 32.
pub const WEIGHT_MAX: f32 = 31.0;

/// The largest weight of a colour matrix, either sign: three of them times 255 fit 32 bits in Q12,
/// with as much again for the constant.
pub const MATRIX_MAX: f32 = 128.0;

/// The largest bias of a convolution or constant of a matrix, either sign: beyond it every result
/// is 0 or 255, whatever the weights.
pub const BIAS_MAX: f32 = 200_000.0;

/// Bytes of a table of three curves.
pub const CURVES_BYTES: usize = 3 * 256;

/// Steps a side of a cube.
pub const CUBE_SIDES: std::ops::RangeInclusive<u32> = 2..=65;

/// Weights and bias in units of 1/1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    pub(crate) radius: i32,
    pub(crate) weights: [i32; 25],
    pub(crate) bias: i32,
}

impl Convolution {
    pub(crate) fn new(weights: &[f32], bias: f32) -> Result<Self, DeviceError> {
        const OP: &str = "convolve";
        let radius = match weights.len() {
            9 => 1,
            25 => 2,
            other => return Err(argument(OP, "the number of weights", other, "9 or 25")),
        };
        let mut fixed = [0; 25];
        for (slot, &weight) in fixed.iter_mut().zip(weights) {
            *slot = to_fixed(weight, 10, WEIGHT_MAX)
                .ok_or_else(|| argument(OP, "a weight", weight, "-31 to 31"))?;
        }
        let bias = to_fixed(bias, 10, BIAS_MAX)
            .ok_or_else(|| argument(OP, "the bias", bias, "-200000 to 200000"))?;
        Ok(Self { radius, weights: fixed, bias })
    }
}

/// Weights and constants in units of 1/4096; half a unit of the result is in the constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColorMatrix(pub(crate) [i32; 12]);

impl ColorMatrix {
    pub(crate) fn new(weights: &[f32]) -> Result<Self, DeviceError> {
        const OP: &str = "color-matrix";
        let weights = <[f32; 12]>::try_from(weights)
            .map_err(|_| argument(OP, "the number of weights", weights.len(), "12"))?;
        let mut fixed = [0; 12];
        for (index, (slot, weight)) in fixed.iter_mut().zip(weights).enumerate() {
            *slot = if index % 4 == 3 {
                let constant = to_fixed(weight, 12, BIAS_MAX)
                    .ok_or_else(|| argument(OP, "a constant", weight, "-200000 to 200000"))?;
                constant + (1 << 11)
            } else {
                to_fixed(weight, 12, MATRIX_MAX)
                    .ok_or_else(|| argument(OP, "a weight", weight, "-128 to 128"))?
            };
        }
        Ok(Self(fixed))
    }
}

/// A colour table. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Lut {
    /// A curve each for r, g and b.
    Curves(Arc<[u8; CURVES_BYTES]>),
    /// A point for each of the colours of a grid.
    Cube(Arc<Cube>),
}

impl Lut {
    /// Makes the table from one curve of 256 bytes for each of r, g and b. Errors: another length.
    pub fn from_curves(curves: &[u8]) -> Result<Self, DeviceError> {
        let what = "the number of bytes of the curves";
        let curves = <[u8; CURVES_BYTES]>::try_from(curves)
            .map_err(|_| argument("apply-lut", what, curves.len(), "768"))?;
        Ok(Self::Curves(Arc::new(curves)))
    }

    /// Makes the table from r, g and b in 0..1 for each point of a cube of `size` steps a side, red
    /// fastest. Errors: a size outside [`CUBE_SIDES`], another number of points, one that is not a
    /// number. What is below 0 or above 1 is cut.
    pub fn from_cube(size: u32, points: &[f32]) -> Result<Self, DeviceError> {
        Cube::new(size, points).map(|cube| Self::Cube(Arc::new(cube)))
    }
}

/// Points of a cube, three words and one that is nothing each, in units of 1/64 of a step of a
/// byte.
#[derive(Debug)]
pub struct Cube {
    /// Tells tables apart, so that a stream uploads each one once.
    pub(crate) id: u64,
    pub(crate) size: u32,
    pub(crate) points: Vec<u8>,
}

impl Cube {
    pub(crate) fn new(size: u32, points: &[f32]) -> Result<Self, DeviceError> {
        const OP: &str = "apply-lut";
        static NEXT: AtomicU64 = AtomicU64::new(1);
        if !CUBE_SIDES.contains(&size) {
            return Err(argument(OP, "the side of the cube", size, "2 to 65"));
        }
        if points.len() != (size as usize).pow(3) * 3 {
            let range = "three for each point";
            return Err(argument(OP, "the number of numbers of the cube", points.len(), range));
        }
        let mut bytes = Vec::with_capacity(points.len() / 3 * 8);
        for point in points.chunks_exact(3) {
            for &part in point {
                if part.is_nan() {
                    return Err(argument(OP, "a number of the cube", part, "0 to 1"));
                }
                let fixed = (f64::from(part.clamp(0.0, 1.0)) * 255.0 * 64.0).round() as u16;
                bytes.extend(fixed.to_le_bytes());
            }
            bytes.extend([0, 0]);
        }
        Ok(Self { id: NEXT.fetch_add(1, Ordering::Relaxed), size, points: bytes })
    }
}

/// Returns a number in units of 2^-`bits`, or nothing if it is none or beyond `max`.
fn to_fixed(number: f32, bits: u32, max: f32) -> Option<i32> {
    // In range, so neither the product nor the conversion can lose anything but the fraction.
    let unit = f64::from(1_u32 << bits);
    (number.is_finite() && number.abs() <= max).then(|| (f64::from(number) * unit).round() as i32)
}
