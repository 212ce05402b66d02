//! Weights of filters as integers: of resizing from place to place, of blurs once for all.
//!
//! Sines and exponentials are summed here from products, because a system's own may differ in the
//! last bit from another's, and a weight that rounds the other way changes pictures.
//!
//! **Invariant:** the weights of each place add up to one exactly, and no sum of a kernel overflows.
//! **Invariant:** no place of a resize begins before the one it follows.

use domain::picture::Sampling;

use crate::args::SMOOTH_WEIGHTS;
use crate::error::DeviceError;
use crate::op::argument;

/// The largest sigma of a blur: three of it are [`SMOOTH_WEIGHTS`] less the middle and one.
const SIGMA_MAX: f32 = 64.0;
/// Bits of the fraction of a weight: as many as leave it in 16 bits, but no more than this, for the
/// sums of the second pass.
const UNIT_MAX: u32 = 16;
const UNIT_MIN: u32 = 14;

/// Weights from place to place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taps {
    pub(crate) taps: usize,
    pub(crate) unit: u32,
    firsts: Vec<i32>,
    weights: Vec<i16>,
}

impl Taps {
    /// Makes the weights for resizing `from` pixels to `to`. Pixels are squares: their middles lie
    /// at halves. Where the result is smaller, the filter is as much wider; outside lies the
    /// nearest pixel inside.
    pub(crate) fn resize(from: u32, to: u32, sampling: Sampling) -> Self {
        let mut rows: Vec<_> = (0..to).map(|at| place((from, to), at, sampling)).collect();
        // A place whose outer weights are 0 begins later than the next one; kernels read on from
        // place to place and never back.
        let mut next = i32::MAX as usize;
        for (first, weights) in rows.iter_mut().rev() {
            next = next.min(*first);
            weights.splice(0..0, std::iter::repeat_n(0.0, *first - next));
            *first = next;
        }
        let taps = rows.iter().map(|(_, weights)| weights.len()).max().unwrap_or(1);
        let unit = unit_for(rows.iter().flat_map(|(_, weights)| weights).copied());
        let mut made = Self { taps, unit, firsts: Vec::new(), weights: Vec::new() };
        for (first, mut weights) in rows {
            // Kernels read as many pixels for each place, all inside.
            let most = (from as usize).saturating_sub(taps);
            let start = first.min(most);
            weights.splice(0..0, std::iter::repeat_n(0.0, first - start));
            weights.resize(taps, 0.0);
            made.firsts.push(start as i32);
            made.weights.extend(to_unit(&weights, unit));
        }
        made
    }

    /// Returns the table as kernels read it.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let firsts = self.firsts.iter().flat_map(|first| first.to_le_bytes());
        firsts.chain(self.weights.iter().flat_map(|weight| weight.to_le_bytes())).collect()
    }
}

/// Returns the first source pixel of a place and the weights from there on, which add up to one.
fn place((from, to): (u32, u32), at: u32, sampling: Sampling) -> (usize, Vec<f64>) {
    if sampling == Sampling::Nearest {
        let nearest = (u64::from(at) * 2 + 1) * u64::from(from) / (2 * u64::from(to));
        return (nearest as usize, vec![1.0]);
    }
    let scale = f64::from(from) / f64::from(to);
    let middle = (f64::from(at) + 0.5) * scale;
    let wide = scale.max(1.0);
    let reach = wide * reach_of(sampling, scale);
    let (low, high) = ((middle - reach).floor() as i64, (middle + reach).ceil() as i64);
    let last = i64::from(from) - 1;
    let first = low.clamp(0, last);
    let mut weights = vec![0.0; (high.clamp(first, last) - first + 1) as usize];
    for pixel in low..=high {
        let weight = if sampling == Sampling::Area {
            let (left, right) = (middle - scale / 2.0, middle + scale / 2.0);
            ((pixel as f64 + 1.0).min(right) - (pixel as f64).max(left)).max(0.0)
        } else {
            kernel(sampling, (pixel as f64 + 0.5 - middle) / wide)
        };
        weights[(pixel.clamp(first, last) - first) as usize] += weight;
    }
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= sum);
    let zeros = weights.iter().rev().take_while(|weight| **weight == 0.0).count();
    weights.truncate(weights.len() - zeros);
    let zeros = weights.iter().take_while(|weight| **weight == 0.0).count();
    weights.drain(..zeros);
    (first as usize + zeros, weights)
}

/// Returns how far a filter reaches, in pixels of the wider of the two grids.
fn reach_of(sampling: Sampling, scale: f64) -> f64 {
    match sampling {
        Sampling::Nearest => 0.5,
        Sampling::Bilinear => 1.0,
        Sampling::Bicubic => 2.0,
        Sampling::Lanczos => 3.0,
        // Half of what a result pixel covers.
        Sampling::Area => scale.min(1.0) / 2.0,
    }
}

fn kernel(sampling: Sampling, x: f64) -> f64 {
    let x = x.abs();
    match sampling {
        Sampling::Bilinear => (1.0 - x).max(0.0),
        Sampling::Bicubic if x < 1.0 => 1.0 + x * x * (1.5 * x - 2.5),
        Sampling::Bicubic if x < 2.0 => 2.0 + x * (-4.0 + x * (2.5 - 0.5 * x)),
        Sampling::Lanczos if x < 1e-9 => 1.0,
        Sampling::Lanczos if x < 3.0 => {
            let pi = std::f64::consts::PI;
            sin_pi(x) * sin_pi(x / 3.0) * 3.0 / (pi * pi * x * x)
        }
        Sampling::Bicubic | Sampling::Lanczos => 0.0,
        Sampling::Nearest | Sampling::Area => 1.0,
    }
}

/// Weights of a Gaussian, the middle first, and as many for planes of half the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blur {
    pub(crate) full: Side,
    pub(crate) half: Side,
}

/// One side of a filter that looks the same both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Side {
    pub(crate) radius: usize,
    pub(crate) unit: u32,
    pub(crate) weights: [i16; SMOOTH_WEIGHTS],
}

impl Blur {
    pub(crate) fn new(op: &'static str, sigma: f32) -> Result<Self, DeviceError> {
        if !(sigma > 0.0 && sigma <= SIGMA_MAX) {
            return Err(argument(op, "sigma", sigma, "above 0, up to 64"));
        }
        let sigma = f64::from(sigma);
        Ok(Self { full: Side::gaussian(sigma), half: Side::gaussian(sigma / 2.0) })
    }
}

impl Side {
    fn gaussian(sigma: f64) -> Self {
        let radius = ((3.0 * sigma).ceil() as usize).max(1);
        let mut both = [0.0; 2 * SMOOTH_WEIGHTS];
        let both = &mut both[..2 * radius + 1];
        for (index, weight) in both.iter_mut().enumerate() {
            let apart = index as f64 - radius as f64;
            *weight = exp_of_minus(apart * apart / (2.0 * sigma * sigma));
        }
        let sum: f64 = both.iter().sum();
        both.iter_mut().for_each(|weight| *weight /= sum);
        let unit = unit_for(both.iter().copied());
        // Both sides are rounded alike, and the middle takes what is missing.
        let one = f64::from(1_u32 << unit);
        let mut weights = [0; SMOOTH_WEIGHTS];
        let mut rest = 1_i32 << unit;
        for (slot, weight) in weights[1..=radius].iter_mut().zip(&both[radius + 1..]) {
            *slot = (weight * one).round() as i16;
            rest -= 2 * i32::from(*slot);
        }
        weights[0] = rest as i16;
        Self { radius, unit, weights }
    }
}

/// Returns how many bits of fraction weights can have.
fn unit_for(weights: impl Iterator<Item = f64>) -> u32 {
    let (mut most, mut negative) = (0.0_f64, false);
    for weight in weights {
        most = most.max(weight.abs());
        negative |= weight < 0.0;
    }
    // Weights of both signs make sums larger than one; a bit less leaves room for that.
    let limit = if negative { UNIT_MAX - 1 } else { UNIT_MAX };
    // A little below 2^15, because the middle of a blur takes what rounding leaves.
    let fits = |unit: &u32| most * f64::from(1_u32 << unit) < 32_500.0;
    (UNIT_MIN..=limit).rev().find(fits).unwrap_or(UNIT_MIN)
}

/// Rounds weights so that they add up to one exactly, by rounding the sum up to each of them.
fn to_unit(weights: &[f64], unit: u32) -> impl Iterator<Item = i16> {
    let one = f64::from(1_u32 << unit);
    weights.iter().scan((0.0, 0), move |(sum, before), weight| {
        *sum += weight * one;
        let upto = sum.round() as i32;
        let step = upto - std::mem::replace(before, upto);
        Some(step as i16)
    })
}

/// Returns e^-x for x of 0 and more.
fn exp_of_minus(x: f64) -> f64 {
    let halvings = (0..64).find(|n| x / f64::from(2_u32.pow(*n.min(&31))) < 0.5).unwrap_or(31);
    let small = x / f64::from(2_u32.pow(halvings));
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..=16 {
        term *= -small / f64::from(n);
        sum += term;
    }
    (0..halvings).fold(sum, |power, _| power * power)
}

/// Returns the sine of pi times x for x of 0 and more.
fn sin_pi(x: f64) -> f64 {
    let turns = x - 2.0 * (x / 2.0).floor();
    let (sign, part) = if turns >= 1.0 { (-1.0, turns - 1.0) } else { (1.0, turns) };
    let angle = std::f64::consts::PI * part.min(1.0 - part);
    let (mut term, mut sum) = (angle, angle);
    for n in 1..=12_u32 {
        term *= -angle * angle / f64::from(2 * n * (2 * n + 1));
        sum += term;
    }
    sign * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits of the fraction between the two passes of a filter, as in `kernels/filter.cu`.
    const BETWEEN: u32 = 6;

    const ALL: [Sampling; 5] = [
        Sampling::Nearest,
        Sampling::Bilinear,
        Sampling::Bicubic,
        Sampling::Lanczos,
        Sampling::Area,
    ];

    #[test]
    fn own_sines_and_exponentials_are_those_of_the_system_but_for_the_last_bits() {
        for step in 0..4000 {
            let x = f64::from(step) / 1000.0;
            assert!((sin_pi(x) - (std::f64::consts::PI * x).sin()).abs() < 1e-12, "{x}");
            assert!((exp_of_minus(x) / (-x).exp() - 1.0).abs() < 1e-12, "{x}");
        }
    }

    #[test]
    fn no_place_begins_before_the_one_it_follows() {
        // Place 63 of 67 to 127 lies on the middle of a pixel, where Lanczos has one weight only.
        let small = (1..40).flat_map(|from| (1..80).map(move |to| (from, to)));
        for (from, to) in small.chain([(67, 127)]) {
            for sampling in ALL {
                let firsts = Taps::resize(from, to, sampling).firsts;
                assert!(firsts.is_sorted(), "{from} to {to}, {sampling:?}: {firsts:?}");
            }
        }
    }

    #[test]
    fn weights_add_up_to_one_read_inside_and_overflow_no_sum() {
        let sizes = [(1, 1), (1, 9), (9, 1), (5, 7), (1080, 720), (720, 1080), (1920, 64), (3, 2)];
        for sampling in ALL {
            for (from, to) in sizes {
                let made = Taps::resize(from, to, sampling);
                assert_eq!(made.firsts.len(), to as usize);
                for (at, weights) in made.weights.chunks(made.taps).enumerate() {
                    let sum: i32 = weights.iter().map(|weight| i32::from(*weight)).sum();
                    assert_eq!(sum, 1 << made.unit, "{sampling:?} {from} to {to}");
                    let first = usize::try_from(made.firsts[at]).unwrap();
                    assert!(first + made.taps <= from as usize, "{sampling:?} {from} to {to}");
                    let all: i64 = weights.iter().map(|weight| i64::from(weight.abs())).sum();
                    let between = (255 * all) >> (made.unit - BETWEEN);
                    assert!(between <= i64::from(i16::MAX), "{sampling:?} {from} to {to}");
                    let half = 1_i64 << (made.unit + BETWEEN - 1);
                    assert!(between * all + half <= i64::from(i32::MAX), "{sampling:?}");
                }
            }
        }
    }

    #[test]
    fn a_blur_has_the_width_it_was_asked_for() {
        for sigma in [0.05_f32, 0.5, 1.0, 3.3, 20.0, 64.0] {
            let Blur { full, .. } = Blur::new("gaussian-blur", sigma).unwrap();
            let weights = &full.weights[..=full.radius];
            assert!(weights.iter().all(|weight| *weight >= 0), "{sigma}");
            let one = f64::from(1_u32 << full.unit);
            let spread: f64 = weights.iter().enumerate().skip(1).fold(0.0, |sum, (at, weight)| {
                sum + 2.0 * (at * at) as f64 * f64::from(*weight) / one
            });
            let sigma = f64::from(sigma);
            assert!(sigma < 0.6 || (spread.sqrt() / sigma - 1.0).abs() < 0.03, "{sigma} {spread}");
        }
    }
}
