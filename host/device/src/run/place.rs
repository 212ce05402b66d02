//! Ops that move pixels and do not change them: `crop`, `pad`, `rotate`, `flip`; and `blank`.

use domain::picture::{Axis, Color};
use domain::planes::PixelFormat;

use super::{arg, is_halved, part_arg, step_of};
use crate::args::{FillArgs, MoveArgs};
use crate::error::DeviceError;
use crate::launch::{Args, Extent};
use crate::op::{Borders, Op};
use crate::shape::Shape;
use crate::stream::Stream;
use crate::surface::Surface;

/// Which source pixel a result pixel shows: (a * x + b * y + c) of each row.
#[derive(Clone, Copy)]
struct Places {
    across: [i32; 3],
    down: [i32; 3],
}

impl Places {
    /// Returns the places of samples of planes that have half the size, if blocks of two by two
    /// pixels stay together: forwards from an even place on, up to the source's end if its last
    /// block is not whole; backwards only if all blocks are whole.
    fn halved(self, source: Shape, result: Shape) -> Option<Self> {
        let half = |[x, y, at]: [i32; 3], size: u32| {
            let length = if x == 0 { result.height } else { result.width };
            let size = size as i32;
            if x + y < 0 {
                return (size % 2 == 0).then_some([x, y, (at + 1) / 2 - 1]);
            }
            let whole = size % 2 == 0 || at + length as i32 == size;
            (at % 2 == 0 && whole).then_some([x, y, at / 2])
        };
        let across = half(self.across, source.width)?;
        Some(Self { across, down: half(self.down, source.height)? })
    }
}

impl Stream {
    /// Shows a part of a picture: its planes from another address on. Where the format halves its
    /// colour planes the corner is on even numbers.
    pub(super) fn view(
        &self,
        input: &Surface,
        (x, y): (u32, u32),
        (width, height): (u32, u32),
    ) -> Surface {
        let format = input.format();
        let mut parts = input.plane_refs().clone();
        for (index, part) in parts.iter_mut().enumerate() {
            let Some(part) = part else { continue };
            let shift = u32::from(is_halved(format, index));
            let column = (x >> shift) as usize * step_of(format, index);
            part.skip(column, (y >> shift) as usize);
        }
        self.finish(Shape { format, width, height }, parts)
    }

    pub(super) fn pad(
        &self,
        input: &Surface,
        result: Shape,
        borders: Borders,
        fill: Color,
    ) -> Result<Surface, DeviceError> {
        let Borders { left, top, .. } = borders;
        if result == input.shape() {
            return Ok(input.clone());
        }
        let places = Places { across: [1, 0, -(left as i32)], down: [0, 1, -(top as i32)] };
        self.move_pixels(input, result, places, fill)
    }

    pub(super) fn rotate(
        &self,
        input: &Surface,
        result: Shape,
        quarters: u32,
    ) -> Result<Surface, DeviceError> {
        let (right, bottom) = (input.width() as i32 - 1, input.height() as i32 - 1);
        let places = match quarters {
            0 => return Ok(input.clone()),
            1 => Places { across: [0, 1, 0], down: [-1, 0, bottom] },
            2 => Places { across: [-1, 0, right], down: [0, -1, bottom] },
            _ => Places { across: [0, -1, right], down: [1, 0, 0] },
        };
        self.move_pixels(input, result, places, BLACK)
    }

    pub(super) fn flip(&self, input: &Surface, axis: Axis) -> Result<Surface, DeviceError> {
        let (right, bottom) = (input.width() as i32 - 1, input.height() as i32 - 1);
        let places = match axis {
            Axis::Horizontal => Places { across: [-1, 0, right], down: [0, 1, 0] },
            Axis::Vertical => Places { across: [1, 0, 0], down: [0, -1, bottom] },
        };
        self.move_pixels(input, input.shape(), places, BLACK)
    }

    fn move_pixels(
        &self,
        input: &Surface,
        result: Shape,
        places: Places,
        fill: Color,
    ) -> Result<Surface, DeviceError> {
        let parts = self.new_parts(result)?;
        let format = result.format;
        let halved_places = places.halved(input.shape(), result);
        for index in 0..format.planes() {
            let step = step_of(format, index);
            let (row, rows) = format.plane_size(index, result.width, result.height);
            let (in_row, in_rows) = format.plane_size(index, input.width(), input.height());
            // Where blocks stay together a plane of half the size is like any other.
            let apart = is_halved(format, index) && halved_places.is_none();
            let (in_size, size) = if apart {
                (
                    (input.width() as usize, input.height() as usize),
                    (result.width as usize, result.height as usize),
                )
            } else {
                ((in_row / step, in_rows), (row / step, rows))
            };
            let here =
                if is_halved(format, index) { halved_places.unwrap_or(places) } else { places };
            self.launch(Args::Move(MoveArgs {
                extent: Extent::new(row / step, rows),
                input: arg(input, index),
                output: part_arg(&parts, index),
                step: step as i32,
                in_width: in_size.0 as i32,
                in_height: in_size.1 as i32,
                width: size.0 as i32,
                height: size.1 as i32,
                across: here.across,
                down: here.down,
                halved: i32::from(apart),
                fill: self.in_plane(fill, result, index),
            }))?;
        }
        Ok(self.finish(result, parts))
    }

    pub(super) fn blank(&self, shape: Shape, op: &Op) -> Result<Surface, DeviceError> {
        let fill = if let Op::Blank { fill, .. } = op { *fill } else { BLACK };
        let parts = self.new_parts(shape)?;
        for index in 0..shape.format.planes() {
            let (row, rows) = shape.format.plane_size(index, shape.width, shape.height);
            let step = step_of(shape.format, index);
            self.launch(Args::Fill(FillArgs {
                extent: Extent::new(row / step, rows),
                output: part_arg(&parts, index),
                step: step as i32,
                color: self.in_plane(fill, shape, index),
            }))?;
        }
        Ok(self.finish(shape, parts))
    }

    /// Returns the bytes of a colour in one plane of a picture.
    pub(super) fn in_plane(&self, color: Color, shape: Shape, plane: usize) -> [u8; 4] {
        let Color { r, g, b, a } = color;
        if matches!(shape.format, PixelFormat::Rgb24 | PixelFormat::Rgba) {
            return [r, g, b, a];
        }
        let [y, u, v] = self.matrix(shape.height).yuv(color);
        match (shape.format, plane) {
            (_, 0) => [y; 4],
            (PixelFormat::Nv12, _) => [u, v, u, v],
            (_, 1) => [u; 4],
            _ => [v; 4],
        }
    }
}

/// What lies outside where nothing is ever outside.
const BLACK: Color = Color { r: 0, g: 0, b: 0, a: 255 };
