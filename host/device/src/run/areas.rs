//! Ops on areas and text: `blur-areas`, `pixelate-areas`, `draw-rects`, `draw-text`. Each is a mask
//! of what is touched, and what is laid where the mask is; both are no larger than needed.

use domain::picture::Color;
use domain::planes::PixelFormat;

use super::blend::{Alpha, Cover, Top};
use super::convert::pixels;
use super::{arg, is_halved, part_arg, step_of};
use crate::args::{BlocksArgs, MaskArgs, TextArgs};
use crate::error::DeviceError;
use crate::launch::{Args, Extent};
use crate::op::{AREAS_MAX, Areas};
use crate::shape::Shape;
use crate::stream::Stream;
use crate::surface::Surface;
use crate::taps::Blur;
use crate::text::{CELL_COLUMNS, CELL_ROWS, Text};

/// Part of a picture, from the first corner up to and without the second.
#[derive(Clone, Copy)]
struct Part {
    x0: u32,
    y0: u32,
    x1: u32,
    y1: u32,
}

impl Part {
    /// Returns what of some areas lies inside a picture, if anything does.
    fn around(areas: &Areas, shape: Shape) -> Option<Self> {
        let mut found: Option<Self> = None;
        for &[x0, y0, x1, y1] in areas.corners() {
            let inside = |at: i32, size: u32| at.clamp(0, size as i32) as u32;
            let (x0, x1) = (inside(x0, shape.width), inside(x1, shape.width));
            let (y0, y1) = (inside(y0, shape.height), inside(y1, shape.height));
            if x0 >= x1 || y0 >= y1 {
                continue;
            }
            let one = Self { x0, y0, x1, y1 };
            found = Some(found.map_or(one, |all| Self {
                x0: all.x0.min(x0),
                y0: all.y0.min(y0),
                x1: all.x1.max(x1),
                y1: all.y1.max(y1),
            }));
        }
        found
    }

    /// Returns the part with `margin` pixels more on each side, as far as the picture goes, its
    /// corners on multiples of `grid` or at the picture's edge.
    fn widened(self, margin: u32, grid: u32, shape: Shape) -> Self {
        let down = |at: u32| at.saturating_sub(margin) / grid * grid;
        let up = |at: u32, size: u32| (at + margin).next_multiple_of(grid).min(size);
        Self {
            x0: down(self.x0),
            y0: down(self.y0),
            x1: up(self.x1, shape.width),
            y1: up(self.y1, shape.height),
        }
    }

    const fn size(self) -> (u32, u32) {
        (self.x1 - self.x0, self.y1 - self.y0)
    }
}

impl Stream {
    pub(super) fn blur_areas(
        &self,
        input: &Surface,
        areas: &Areas,
        blur: &Blur,
    ) -> Result<Surface, DeviceError> {
        let shape = input.shape();
        let Some(part) = Part::around(areas, shape) else { return Ok(input.clone()) };
        let part = part.widened(0, 2, shape);
        // All that the blur reads, so that the part's own pixels are those of a whole picture.
        let reach = blur.full.radius.max(2 * blur.half.radius) as u32;
        let read = part.widened(reach, 2, shape);
        let blurred = self.smooth(&self.view(input, (read.x0, read.y0), read.size()), blur)?;
        let corner = (part.x0 - read.x0, part.y0 - read.y0);
        let top = self.view(&blurred, corner, part.size());
        self.lay_on_areas(input, &top, areas, part)
    }

    pub(super) fn pixelate_areas(
        &self,
        input: &Surface,
        areas: &Areas,
        block: u32,
    ) -> Result<Surface, DeviceError> {
        let shape = input.shape();
        let Some(part) = Part::around(areas, shape) else { return Ok(input.clone()) };
        // Squares are counted from the picture's corner; those of colour have half the side.
        let block = if shape.format.halves_color() { block.next_multiple_of(2) } else { block };
        let part = part.widened(0, block, shape);
        let view = self.view(input, (part.x0, part.y0), part.size());
        let top = self.squares(&view, block)?;
        self.lay_on_areas(input, &top, areas, part)
    }

    fn squares(&self, input: &Surface, block: u32) -> Result<Surface, DeviceError> {
        let shape @ Shape { format, width, height } = input.shape();
        let parts = self.new_parts(shape)?;
        for index in 0..format.planes() {
            let block = if is_halved(format, index) { block / 2 } else { block } as usize;
            let step = step_of(format, index);
            let (row, rows) = format.plane_size(index, width, height);
            let columns = row / step;
            let (across, down) = (columns.div_ceil(block) * step, rows.div_ceil(block));
            let means = self.new_plane(across, down)?;
            let args = BlocksArgs {
                extent: Extent::new(across, down),
                input: arg(input, index),
                output: means.plane().into(),
                width: columns as i32,
                height: rows as i32,
                step: step as i32,
                block: block as i32,
            };
            self.launch(Args::BlockMeans(args))?;
            let extent = Extent::new(columns, rows);
            let (input, output) = (args.output, part_arg(&parts, index));
            self.launch(Args::SpreadBlocks(BlocksArgs { extent, input, output, ..args }))?;
        }
        Ok(self.finish(shape, parts))
    }

    fn lay_on_areas(
        &self,
        input: &Surface,
        top: &Surface,
        areas: &Areas,
        part: Part,
    ) -> Result<Surface, DeviceError> {
        let mask = self.mask_of(areas, 0, part)?;
        let top = Top::Picture(top, Alpha::Mixed);
        self.blend(input, &top, &cover(part, &mask, 255))
    }

    pub(super) fn draw_rects(
        &self,
        input: &Surface,
        areas: &Areas,
        thickness: u32,
        ink: Color,
    ) -> Result<Surface, DeviceError> {
        let Some(part) = Part::around(areas, input.shape()) else { return Ok(input.clone()) };
        let mask = self.mask_of(areas, thickness, part)?;
        self.blend(input, &Top::Ink(ink), &cover(part, &mask, ink.a))
    }

    fn mask_of(&self, areas: &Areas, thickness: u32, part: Part) -> Result<Surface, DeviceError> {
        let (width, height) = part.size();
        let mut corners = [[0; 4]; AREAS_MAX];
        for (slot, &[x0, y0, x1, y1]) in corners.iter_mut().zip(areas.corners()) {
            let (x, y) = (part.x0 as i32, part.y0 as i32);
            // Far outside, one place is as good as another.
            *slot = [
                x0.saturating_sub(x),
                y0.saturating_sub(y),
                x1.saturating_sub(x),
                y1.saturating_sub(y),
            ]
            .map(|at| at.clamp(-FAR, FAR));
        }
        let thickness = thickness.min(FAR as u32 * 2) as i32;
        self.mask(width, height, |extent, output| {
            let count = areas.corners().len() as i32;
            Args::MaskAreas(MaskArgs { extent, output, count, thickness, areas: corners })
        })
    }

    fn mask(
        &self,
        width: u32,
        height: u32,
        args: impl FnOnce(Extent, crate::launch::PlaneArg) -> Args,
    ) -> Result<Surface, DeviceError> {
        let shape = Shape { format: PixelFormat::Gray, width, height };
        let parts = self.new_parts(shape)?;
        self.launch(args(pixels(shape), part_arg(&parts, 0)))?;
        Ok(self.finish(shape, parts))
    }

    pub(super) fn draw_text(
        &self,
        input: &Surface,
        text: &Text,
        (x, y): (i32, i32),
        size: u32,
        ink: Color,
    ) -> Result<Surface, DeviceError> {
        let columns = text.count() * CELL_COLUMNS;
        // The first column beyond the last one of the line.
        let wide = (columns * size as usize).div_ceil(CELL_ROWS) as i64;
        let inside = |at: i64, size: u32| at.clamp(0, i64::from(size)) as u32;
        let (left, top) = (i64::from(x), i64::from(y));
        let part = Part {
            x0: inside(left, input.width()),
            y0: inside(top, input.height()),
            x1: inside(left + wide, input.width()),
            y1: inside(top + i64::from(size), input.height()),
        };
        if part.x0 >= part.x1 || part.y0 >= part.y1 {
            return Ok(input.clone());
        }
        let (width, height) = part.size();
        let mask = self.mask(width, height, |extent, output| {
            Args::MaskText(TextArgs {
                extent,
                output,
                x: (i64::from(part.x0) - left) as i32,
                y: (i64::from(part.y0) - top) as i32,
                size: size as i32,
                count: text.count() as i32,
                cells: text.cells(),
            })
        })?;
        self.blend(input, &Top::Ink(ink), &cover(part, &mask, ink.a))
    }
}

/// Beyond any picture, and far from the ends of 32 bits.
const FAR: i32 = 1 << 20;

fn cover(part: Part, mask: &Surface, alpha: u8) -> Cover {
    let corner = (part.x0 as i32, part.y0 as i32);
    Cover { corner, size: part.size(), mask: (arg(mask, 0), 1), alpha }
}
