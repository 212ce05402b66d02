//! How each op becomes kernels and shared planes, the same for every backend. The definitions are in
//! the [crate documentation](crate).
//!
//! Knows no memory and no device; it decides which planes are shared, which are new, and which
//! kernel fills them.
//!
//! **Invariant:** a plane that an op leaves as it is, is shared, never copied.

mod areas;
mod blend;
mod color;
mod convert;
mod count;
mod filter;
mod place;

use domain::planes::{Owner, PixelFormat, Plane};

use crate::color::Matrix;
use crate::error::DeviceError;
use crate::launch::{Args, Launch, PlaneArg};
use crate::op::Op;
use crate::shape::Shape;
use crate::stream::Stream;
use crate::surface::{PlaneRef, Surface};

pub use count::Counts;

/// Pictures that an op takes at most.
pub(crate) const PICTURES_MAX: usize = 3;

type Parts = [Option<PlaneRef>; 3];

impl Stream {
    /// Does an op. The result is there at once on the CPU, and in the order of the stream on a card.
    /// Errors: pictures that the op does not take (see [`Op::shape`]) or that are not the device's,
    /// memory used up.
    pub fn run(&self, op: &Op, inputs: &[&Surface]) -> Result<Surface, DeviceError> {
        let nothing = Shape { format: PixelFormat::Gray, width: 0, height: 0 };
        let mut shapes = [nothing; PICTURES_MAX];
        for (shape, input) in shapes.iter_mut().zip(inputs) {
            self.check_input(input)?;
            *shape = input.shape();
        }
        let result = match shapes.get(..inputs.len()) {
            Some(shapes) => op.shape(shapes)?,
            None => return Err(too_many(op, inputs)),
        };
        let result = match inputs {
            [] => self.blank(result, op)?,
            [first] => self.run_on_one(op, first, result)?,
            [first, rest @ ..] => self.run_on_more(op, first, rest)?,
        };
        self.hold_foreign(inputs)?;
        Ok(result)
    }

    fn run_on_one(&self, op: &Op, input: &Surface, result: Shape) -> Result<Surface, DeviceError> {
        match op {
            Op::Convert { format } => self.convert(input, *format),
            Op::Resize { sampling, .. } => self.resize(input, result, *sampling),
            Op::Crop { area } => {
                Ok(self.view(input, (area.x as u32, area.y as u32), result.size()))
            }
            Op::Pad { borders, fill } => self.pad(input, result, *borders, *fill),
            Op::Rotate { quarters } => self.rotate(input, result, quarters % 4),
            Op::Flip { axis } => self.flip(input, *axis),
            Op::BoxBlur { radius } => self.box_blur(input, *radius),
            Op::GaussianBlur(blur) => self.smooth(input, blur),
            Op::BlurAreas { areas, blur } => self.blur_areas(input, areas, blur),
            Op::PixelateAreas { areas, block } => self.pixelate_areas(input, areas, *block),
            Op::Edges => self.edges(input),
            Op::Convolve(convolution) => self.convolve(input, convolution),
            Op::ApplyLut(lut) => self.apply_lut(input, lut),
            Op::ColorMatrix(matrix) => self.color_matrix(input, matrix),
            Op::Threshold { level } => self.threshold(input, *level),
            Op::DrawRects { areas, thickness, ink } => {
                self.draw_rects(input, areas, *thickness, *ink)
            }
            Op::DrawText { text, x, y, size, ink } => {
                self.draw_text(input, text, (*x, *y), *size, *ink)
            }
            Op::Noise { strength, seed } => self.noise(input, *strength, *seed),
            Op::Blank { .. }
            | Op::Mix { .. }
            | Op::Denoise { .. }
            | Op::Overlay { .. }
            | Op::Composite => Err(too_many(op, &[input])),
        }
    }

    fn run_on_more(
        &self,
        op: &Op,
        first: &Surface,
        rest: &[&Surface],
    ) -> Result<Surface, DeviceError> {
        match (op, rest) {
            (Op::Mix { t }, [other]) => self.mix(first, other, *t),
            (Op::Denoise { strength }, [other]) => self.denoise(first, other, *strength),
            (Op::Overlay { x, y, alpha }, [top]) => self.overlay(first, top, (*x, *y), *alpha),
            (Op::Composite, [top, mask]) => self.composite(first, top, mask),
            _ => Err(too_many(op, rest)),
        }
    }

    /// Keeps pictures that come from elsewhere until a card has read them.
    pub(crate) fn hold_foreign(&self, inputs: &[&Surface]) -> Result<(), DeviceError> {
        if self.backend.owner() == Owner::Host {
            return Ok(());
        }
        // Pooled planes are used again in stream order; a foreign owner must be kept.
        inputs.iter().filter(|input| is_foreign(input)).try_for_each(|input| self.hold(input))
    }

    /// Takes all the planes of a picture.
    fn new_parts(&self, shape: Shape) -> Result<Parts, DeviceError> {
        let mut parts = [None, None, None];
        for (index, slot) in parts.iter_mut().enumerate().take(shape.format.planes()) {
            let (row, rows) = shape.format.plane_size(index, shape.width, shape.height);
            *slot = Some(self.new_plane(row, rows)?);
        }
        Ok(parts)
    }

    fn finish(&self, shape: Shape, parts: Parts) -> Surface {
        let Shape { format, width, height } = shape;
        Surface::from_parts(format, width, height, self.backend.owner(), parts)
    }

    fn matrix(&self, height: u32) -> Matrix {
        Matrix::of(self.color_space(height))
    }

    fn launch(&self, args: Args) -> Result<(), DeviceError> {
        // SAFETY: inputs were checked to lie in the backend's memory and have the planes of their
        // format, immutable; results are fresh from the pool, of the sizes that the format gives,
        // and unseen. The callers' surfaces outlive the call; after it, pooled memory is used
        // again only by work that comes later in this stream, and `run` holds foreign pictures.
        unsafe { self.backend.launch(&Launch::new(args)) }
    }
}

fn too_many(op: &Op, inputs: &[&Surface]) -> DeviceError {
    DeviceError::PictureCount { op: op.name(), expected: op.pictures(), given: inputs.len() }
}

fn is_foreign(surface: &Surface) -> bool {
    surface.plane_refs().iter().flatten().any(|shared| shared.lease().is_none())
}

fn part_plane(parts: &Parts, index: usize) -> Option<Plane> {
    parts[index].as_ref().map(PlaneRef::plane)
}

fn part_arg(parts: &Parts, index: usize) -> PlaneArg {
    part_plane(parts, index).map_or(PlaneArg::NONE, PlaneArg::from)
}

fn arg(surface: &Surface, index: usize) -> PlaneArg {
    surface.plane(index).map_or(PlaneArg::NONE, PlaneArg::from)
}

/// Returns Y, U and V of planes: of pairs, V is the byte after U.
fn yuv_args(format: PixelFormat, planes: [Option<Plane>; 3]) -> [PlaneArg; 3] {
    let [luma, second, third] = planes;
    let third = if format == PixelFormat::Nv12 {
        second.map(|pairs| Plane { address: pairs.address + 1, ..pairs })
    } else {
        third
    };
    [luma, second, third].map(|plane| plane.map_or(PlaneArg::NONE, PlaneArg::from))
}

/// Returns the bytes from one U to the next.
const fn chroma_step(format: PixelFormat) -> i32 {
    if matches!(format, PixelFormat::Nv12) { 2 } else { 1 }
}

/// Returns the bytes of a pixel, or sample, of a plane of a basic format.
const fn step_of(format: PixelFormat, plane: usize) -> usize {
    match (format, plane) {
        (PixelFormat::Rgb24, _) => 3,
        (PixelFormat::Rgba, _) => 4,
        (PixelFormat::Nv12, 1) => 2,
        _ => 1,
    }
}

/// Says whether a plane of a format has half the size both ways.
const fn is_halved(format: PixelFormat, plane: usize) -> bool {
    format.halves_color() && plane > 0
}
