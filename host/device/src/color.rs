//! The one table of colour coefficients, derived from the two constants of each standard.
//!
//! Video range: black is Y 16, white is Y 235, U and V are 16..240 around 128.
//!
//! **Invariant:** white and grey stay white and grey: the gains to Y add up to the whole range, and
//! those to U and to V add up to nothing.

/// Rows from which a picture counts as high definition and is taken for BT.709, else for BT.601:
/// what players assume of a stream that does not say.
pub const HD_ROWS: u32 = 720;

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
}

/// ITU-R BT.601, for standard definition.
const BT601: Matrix = matrix(2_990, 1_140);
/// ITU-R BT.709, for high definition.
const BT709: Matrix = matrix(2_126, 722);

impl Matrix {
    /// Returns the coefficients for pictures of `height` rows.
    pub(crate) const fn of_height(height: u32) -> Self {
        if height >= HD_ROWS { BT709 } else { BT601 }
    }
}

/// Derives the gains from the shares of red and blue in luma, in ten-thousandths.
const fn matrix(kr: i64, kb: i64) -> Matrix {
    const ONE: i64 = 10_000;
    let kg = ONE - kr - kb;
    let (yr, yb) = (gain(kr * 219, ONE * 255), gain(kb * 219, ONE * 255));
    let half = gain(224, 2 * 255);
    let (ur, vb) = (-gain(kr * 224, (ONE - kb) * 2 * 255), -gain(kb * 224, (ONE - kr) * 2 * 255));
    Matrix {
        luma: gain(255, 219),
        rv: gain(2 * (ONE - kr) * 255, ONE * 224),
        gu: -gain(2 * (ONE - kb) * kb * 255, ONE * kg * 224),
        gv: -gain(2 * (ONE - kr) * kr * 255, ONE * kg * 224),
        bu: gain(2 * (ONE - kb) * 255, ONE * 224),
        yr,
        yg: gain(219, 255) - yr - yb,
        yb,
        ur,
        ug: -(half + ur),
        ub: half,
        vr: half,
        vg: -(half + vb),
        vb,
    }
}

/// Returns a positive fraction in units of 2^-14, to the nearest.
const fn gain(numerator: i64, denominator: i64) -> i32 {
    (((numerator << 15) / denominator + 1) >> 1) as i32
}
