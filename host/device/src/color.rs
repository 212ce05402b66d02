//! The one table of colour coefficients, derived from the two constants of each standard.
//!
//! In the limited range black is Y 16, white is Y 235, U and V are 16..240 around 128; in the full
//! one Y is 0..255 and U and V are 0.5..255.5 around 128, cut to bytes.
//!
//! **Invariant:** white and grey stay white and grey: the gains to Y add up to the whole range, and
//! those to U and to V add up to nothing.

use domain::picture::Color;

/// Rows from which a picture counts as high definition and is taken for BT.709, else for BT.601:
/// what players assume of a stream that does not say.
pub const HD_ROWS: u32 = 720;

/// The standard that says how much of r, g and b is in Y.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standard {
    /// ITU-R BT.601, for standard definition.
    Bt601,
    /// ITU-R BT.709, for high definition.
    Bt709,
}

/// Which numbers Y, U and V use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// 16 to 235, and 16 to 240.
    Limited,
    /// 0 to 255.
    Full,
}

/// What Y, U, V mean in all pictures of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColorSpace {
    /// The standard.
    pub standard: Standard,
    /// The range.
    pub range: Range,
}

impl ColorSpace {
    /// Returns what players assume of a picture of `height` rows that does not say.
    pub const fn of_height(height: u32) -> Self {
        let standard = if height >= HD_ROWS { Standard::Bt709 } else { Standard::Bt601 };
        Self { standard, range: Range::Limited }
    }
}

/// Gains in units of 2^-14; `Matrix` in `kernels/color.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Matrix {
    luma: i32,
    rv: i32,
    gu: i32,
    gv: i32,
    bu: i32,
    yr: i32,
    yg: i32,
    yb: i32,
    ur: i32,
    ug: i32,
    ub: i32,
    vr: i32,
    vg: i32,
    vb: i32,
    black: i32,
}

impl Matrix {
    /// Returns the coefficients of a colour space.
    pub(crate) const fn of(space: ColorSpace) -> Self {
        let (kr, kb) = match space.standard {
            Standard::Bt601 => (2_990, 1_140),
            Standard::Bt709 => (2_126, 722),
        };
        match space.range {
            Range::Limited => matrix(kr, kb, 219, 224, 16),
            Range::Full => matrix(kr, kb, 255, 255, 0),
        }
    }

    /// Returns Y, U and V of a colour.
    pub(crate) fn yuv(&self, color: Color) -> [u8; 3] {
        let weigh = |r: i32, g: i32, b: i32| {
            let [red, green, blue] = [color.r, color.g, color.b].map(i32::from);
            (r * red + g * green + b * blue + (1 << 13)) >> 14
        };
        let y = self.black + weigh(self.yr, self.yg, self.yb);
        let u = 128 + weigh(self.ur, self.ug, self.ub);
        let v = 128 + weigh(self.vr, self.vg, self.vb);
        [y, u, v].map(|part| part.clamp(0, 255) as u8)
    }
}

/// Derives the gains from the shares of red and blue in luma, in ten-thousandths, and the steps from
/// least to most of Y and of U and V.
const fn matrix(kr: i64, kb: i64, luma: i64, chroma: i64, black: i32) -> Matrix {
    const ONE: i64 = 10_000;
    let kg = ONE - kr - kb;
    let (yr, yb) = (gain(kr * luma, ONE * 255), gain(kb * luma, ONE * 255));
    let half = gain(chroma, 2 * 255);
    let (ur, vb) =
        (-gain(kr * chroma, (ONE - kb) * 2 * 255), -gain(kb * chroma, (ONE - kr) * 2 * 255));
    Matrix {
        luma: gain(255, luma),
        rv: gain(2 * (ONE - kr) * 255, ONE * chroma),
        gu: -gain(2 * (ONE - kb) * kb * 255, ONE * kg * chroma),
        gv: -gain(2 * (ONE - kr) * kr * 255, ONE * kg * chroma),
        bu: gain(2 * (ONE - kb) * 255, ONE * chroma),
        yr,
        yg: gain(luma, 255) - yr - yb,
        yb,
        ur,
        ug: -(half + ur),
        ub: half,
        vr: half,
        vg: -(half + vb),
        vb,
        black,
    }
}

/// Returns a positive fraction in units of 2^-14, to the nearest.
const fn gain(numerator: i64, denominator: i64) -> i32 {
    (((numerator << 15) / denominator + 1) >> 1) as i32
}
