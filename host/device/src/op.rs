//! Ops: what can be done with pictures, checked and made ready before the first frame.
//!
//! Numbers become integers here, once, so that every device computes the same bits. What each op
//! does to each format is defined in the [crate documentation](crate). An op that is not in [`Op`]
//! does not exist on this host. Whether an op takes certain pictures is [`crate::shape`]'s affair.
//!
//! **Invariant:** no sum that a kernel forms from these numbers overflows 32 bits.

use domain::picture::{Axis, Color, Rect, Sampling};
use domain::planes::PixelFormat;

use crate::args::Corners;
use crate::error::DeviceError;
use crate::tables::{ColorMatrix, Convolution, Cube, Lut};
use crate::taps::Blur;
use crate::text::Text;

/// Areas of one op.
pub const AREAS_MAX: usize = 64;
/// Radius of a box blur: sums of `2 * 127 + 1` bytes fit 16 bits.
pub const RADIUS_MAX: u32 = 127;
/// Sides of the squares of `pixelate-areas`: sums of their bytes fit 32 bits with much to spare.
pub const BLOCK: std::ops::RangeInclusive<u32> = 2..=256;
/// Heights of a line of text, in pixels.
pub const TEXT_SIZE: std::ops::RangeInclusive<u32> = 8..=512;

/// Borders in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the four sides of a picture")]
pub struct Borders {
    pub left: u32,
    pub top: u32,
    pub right: u32,
    pub bottom: u32,
}

/// Up to [`AREAS_MAX`] areas. Nothing of it is on the heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Areas {
    count: usize,
    corners: [Corners; AREAS_MAX],
}

impl Areas {
    fn new(op: &'static str, areas: &[Rect]) -> Result<Self, DeviceError> {
        if areas.len() > AREAS_MAX {
            return Err(argument(op, "the number of areas", areas.len(), "0 to 64"));
        }
        let mut corners = [[0; 4]; AREAS_MAX];
        for (slot, area) in corners.iter_mut().zip(areas) {
            let end = |from: i32, length: u32| from.saturating_add_unsigned(length);
            *slot = [area.x, area.y, end(area.x, area.width), end(area.y, area.height)];
        }
        Ok(Self { count: areas.len(), corners })
    }

    pub(crate) fn corners(&self) -> &[Corners] {
        &self.corners[..self.count]
    }
}

/// An operation on pictures.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "ops are made for every frame, without allocating")]
#[expect(missing_docs, reason = "`wit/deps/media/media.wit` documents every op and argument")]
pub enum Op {
    Convert { format: PixelFormat },
    Resize { width: u32, height: u32, sampling: Sampling },
    Crop { area: Rect },
    Pad { borders: Borders, fill: Color },
    Rotate { quarters: u32 },
    Flip { axis: Axis },
    BoxBlur { radius: u32 },
    GaussianBlur(Blur),
    BlurAreas { areas: Areas, blur: Blur },
    PixelateAreas { areas: Areas, block: u32 },
    Edges,
    Convolve(Convolution),
    Denoise { strength: u8 },
    ApplyLut(Lut),
    ColorMatrix(ColorMatrix),
    Threshold { level: u8 },
    Mix { t: u8 },
    Overlay { x: i32, y: i32, alpha: u8 },
    Composite,
    DrawRects { areas: Areas, thickness: u32, ink: Color },
    DrawText { text: Text, x: i32, y: i32, size: u32, ink: Color },
    Blank { width: u32, height: u32, format: PixelFormat, fill: Color },
    Noise { strength: u8, seed: u32 },
}

impl Op {
    /// Makes a box blur. Errors: a radius above [`RADIUS_MAX`].
    pub fn box_blur(radius: u32) -> Result<Self, DeviceError> {
        if radius > RADIUS_MAX {
            return Err(argument("box-blur", "the radius", radius, "0 to 127"));
        }
        Ok(Self::BoxBlur { radius })
    }

    /// Makes a Gaussian blur. Errors: a sigma that is not above 0 and up to 64.
    pub fn gaussian_blur(sigma: f32) -> Result<Self, DeviceError> {
        Blur::new("gaussian-blur", sigma).map(Self::GaussianBlur)
    }

    /// Makes a Gaussian blur of areas. Errors: more than [`AREAS_MAX`], or as
    /// [`Op::gaussian_blur`].
    pub fn blur_areas(areas: &[Rect], sigma: f32) -> Result<Self, DeviceError> {
        let (op, areas) = ("blur-areas", Areas::new("blur-areas", areas)?);
        Ok(Self::BlurAreas { areas, blur: Blur::new(op, sigma)? })
    }

    /// Makes squares of areas. Errors: more than [`AREAS_MAX`], a side outside [`BLOCK`].
    pub fn pixelate_areas(areas: &[Rect], block: u32) -> Result<Self, DeviceError> {
        let (op, areas) = ("pixelate-areas", Areas::new("pixelate-areas", areas)?);
        if !BLOCK.contains(&block) {
            return Err(argument(op, "the block", block, "2 to 256"));
        }
        Ok(Self::PixelateAreas { areas, block })
    }

    /// Makes a convolution with 9 or 25 weights, row by row. Errors: another number of weights, one
    /// that is not a number or beyond [`WEIGHT_MAX`](crate::WEIGHT_MAX), a bias beyond
    /// [`BIAS_MAX`](crate::BIAS_MAX).
    pub fn convolve(weights: &[f32], bias: f32) -> Result<Self, DeviceError> {
        Convolution::new(weights, bias).map(Self::Convolve)
    }

    /// Makes the table of three curves, for r, g and b. Errors: not 768 bytes.
    pub fn apply_lut(curves: &[u8]) -> Result<Self, DeviceError> {
        Lut::from_curves(curves).map(Self::ApplyLut)
    }

    /// Makes the table of a cube. Errors: as [`Lut::from_cube`].
    pub fn apply_cube(size: u32, points: &[f32]) -> Result<Self, DeviceError> {
        Cube::new(size, points).map(|cube| Self::ApplyLut(Lut::Cube(cube.into())))
    }

    /// Makes a colour matrix of 3 rows of 4 weights. Errors: another number of weights, one that is
    /// not a number or beyond [`MATRIX_MAX`](crate::MATRIX_MAX), a constant beyond
    /// [`BIAS_MAX`](crate::BIAS_MAX).
    pub fn color_matrix(weights: &[f32]) -> Result<Self, DeviceError> {
        ColorMatrix::new(weights).map(Self::ColorMatrix)
    }

    /// Makes rectangles. Errors: more than [`AREAS_MAX`].
    pub fn draw_rects(areas: &[Rect], thickness: u32, ink: Color) -> Result<Self, DeviceError> {
        Ok(Self::DrawRects { areas: Areas::new("draw-rects", areas)?, thickness, ink })
    }

    /// Makes a line of text. Errors: more than 256 characters, a size outside [`TEXT_SIZE`].
    pub fn draw_text(
        text: &str,
        (x, y): (i32, i32),
        size: u32,
        ink: Color,
    ) -> Result<Self, DeviceError> {
        if !TEXT_SIZE.contains(&size) {
            return Err(argument("draw-text", "the size", size, "8 to 512"));
        }
        Ok(Self::DrawText { text: Text::new(text)?, x, y, size, ink })
    }

    /// Returns the op's name in `wit/`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Convert { .. } => "convert",
            Self::Resize { .. } => "resize",
            Self::Crop { .. } => "crop",
            Self::Pad { .. } => "pad",
            Self::Rotate { .. } => "rotate",
            Self::Flip { .. } => "flip",
            Self::BoxBlur { .. } => "box-blur",
            Self::GaussianBlur(_) => "gaussian-blur",
            Self::BlurAreas { .. } => "blur-areas",
            Self::PixelateAreas { .. } => "pixelate-areas",
            Self::Edges => "edges",
            Self::Convolve(_) => "convolve",
            Self::Denoise { .. } => "denoise",
            Self::ApplyLut(_) => "apply-lut",
            Self::ColorMatrix(_) => "color-matrix",
            Self::Threshold { .. } => "threshold",
            Self::Mix { .. } => "mix",
            Self::Overlay { .. } => "overlay",
            Self::Composite => "composite",
            Self::DrawRects { .. } => "draw-rects",
            Self::DrawText { .. } => "draw-text",
            Self::Blank { .. } => "blank",
            Self::Noise { .. } => "noise",
        }
    }

    /// Returns how many pictures the op takes.
    pub const fn pictures(&self) -> usize {
        match self {
            Self::Blank { .. } => 0,
            Self::Mix { .. } | Self::Denoise { .. } | Self::Overlay { .. } => 2,
            Self::Composite => 3,
            _ => 1,
        }
    }
}

/// Makes the error of an argument outside what an op takes.
pub(crate) fn argument(
    op: &'static str,
    what: &'static str,
    given: impl ToString,
    range: &'static str,
) -> DeviceError {
    DeviceError::Argument { op, what, given: given.to_string(), range }
}
