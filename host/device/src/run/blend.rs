//! Ops that lay pictures on each other: `mix`, `denoise`, `overlay`, `composite`; and those on single
//! bytes, `threshold` and `noise`.

use domain::picture::Color;
use domain::planes::PixelFormat;

use super::convert::pixels;
use super::{arg, is_halved, part_arg, step_of};
use crate::args::{BlendArgs, DenoiseArgs, MixArgs, NoiseArgs, ThresholdArgs};
use crate::error::DeviceError;
use crate::launch::{Args, Extent, PlaneArg};
use crate::shape::Shape;
use crate::stream::Stream;
use crate::surface::Surface;

/// The most of a previous picture that `denoise` takes, in 256ths of 256ths.
const DENOISE_SHARE: i32 = 192 * 256;

/// What is laid on a picture.
pub(super) enum Top<'a> {
    /// One colour.
    Ink(Color),
    /// A picture of the same format; with [`Alpha::Opaque`], its own alpha counts as 255.
    Picture(&'a Surface, Alpha),
}

/// What becomes of the fourth byte of a pixel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Alpha {
    /// It is mixed as the others are.
    Mixed,
    /// The result is as opaque as both together.
    Opaque,
}

/// Where and how much of it is laid.
pub(super) struct Cover {
    /// The top left corner, in pixels of the base.
    pub(super) corner: (i32, i32),
    /// Pixels in a row, and rows.
    pub(super) size: (u32, u32),
    /// A byte for each pixel, and the bytes from one to the next; null: all of it.
    pub(super) mask: (PlaneArg, i32),
    /// Multiplies the mask.
    pub(super) alpha: u8,
}

impl Stream {
    pub(super) fn mix(&self, a: &Surface, b: &Surface, t: u8) -> Result<Surface, DeviceError> {
        self.by_bytes(a, b, |extent, a, b, output| {
            Args::Mix(MixArgs { extent, a, b, output, t: i32::from(t) })
        })
    }

    pub(super) fn denoise(
        &self,
        input: &Surface,
        previous: &Surface,
        strength: u8,
    ) -> Result<Surface, DeviceError> {
        if strength == 0 {
            return Ok(input.clone());
        }
        let strength = i32::from(strength);
        self.by_bytes(input, previous, |extent, input, previous, output| {
            let slope = DENOISE_SHARE / strength;
            Args::Denoise(DenoiseArgs { extent, input, previous, output, strength, slope })
        })
    }

    /// Runs a kernel over every byte of two pictures, the second one in the first one's format.
    fn by_bytes(
        &self,
        a: &Surface,
        b: &Surface,
        args: impl Fn(Extent, PlaneArg, PlaneArg, PlaneArg) -> Args,
    ) -> Result<Surface, DeviceError> {
        let shape = a.shape();
        let b = self.convert(b, shape.format)?;
        let parts = self.new_parts(shape)?;
        for index in 0..shape.format.planes() {
            let (row, rows) = shape.format.plane_size(index, shape.width, shape.height);
            let extent = Extent::new(row, rows);
            self.launch(args(extent, arg(a, index), arg(&b, index), part_arg(&parts, index)))?;
        }
        Ok(self.finish(shape, parts))
    }

    pub(super) fn threshold(&self, input: &Surface, level: u8) -> Result<Surface, DeviceError> {
        let gray = self.convert(input, PixelFormat::Gray)?;
        let shape = gray.shape();
        let parts = self.new_parts(shape)?;
        self.launch(Args::Threshold(ThresholdArgs {
            extent: pixels(shape),
            input: arg(&gray, 0),
            output: part_arg(&parts, 0),
            level: i32::from(level),
        }))?;
        Ok(self.finish(shape, parts))
    }

    pub(super) fn noise(
        &self,
        input: &Surface,
        strength: u8,
        seed: u32,
    ) -> Result<Surface, DeviceError> {
        let shape = input.shape();
        let (row, rows) = shape.format.plane_size(0, shape.width, shape.height);
        let first = self.new_plane(row, rows)?;
        self.launch(Args::Noise(NoiseArgs {
            extent: Extent::new(row, rows),
            input: arg(input, 0),
            output: first.plane().into(),
            step: step_of(shape.format, 0) as i32,
            strength: i32::from(strength),
            seed,
        }))?;
        let [_, second, third] = input.plane_refs().clone();
        Ok(self.finish(shape, [Some(first), second, third]))
    }

    pub(super) fn overlay(
        &self,
        base: &Surface,
        top: &Surface,
        corner: (i32, i32),
        alpha: u8,
    ) -> Result<Surface, DeviceError> {
        let seen = |at: i32, size: u32, of: u32| {
            i64::from(at) < i64::from(of) && i64::from(at) + i64::from(size) > 0
        };
        let (x, y) = corner;
        let inside = seen(x, top.width(), base.width()) && seen(y, top.height(), base.height());
        if alpha == 0 || !inside {
            return Ok(base.clone());
        }
        let mask = match top.format() {
            PixelFormat::Rgba => (arg(top, 0).offset(3), 4),
            _ => (PlaneArg::NONE, 0),
        };
        let like = self.convert(top, base.format())?;
        let size = (top.width(), top.height());
        let cover = Cover { corner, size, mask, alpha };
        self.blend(base, &Top::Picture(&like, Alpha::Opaque), &cover)
    }

    pub(super) fn composite(
        &self,
        base: &Surface,
        top: &Surface,
        mask: &Surface,
    ) -> Result<Surface, DeviceError> {
        let like = self.convert(top, base.format())?;
        let size = (base.width(), base.height());
        let cover = Cover { corner: (0, 0), size, mask: (arg(mask, 0), 1), alpha: 255 };
        self.blend(base, &Top::Picture(&like, Alpha::Mixed), &cover)
    }

    pub(super) fn blend(
        &self,
        base: &Surface,
        top: &Top<'_>,
        cover: &Cover,
    ) -> Result<Surface, DeviceError> {
        let shape @ Shape { format, width, height } = base.shape();
        let parts = self.new_parts(shape)?;
        for index in 0..format.planes() {
            let step = step_of(format, index);
            let (row, rows) = format.plane_size(index, width, height);
            let (top_plane, color, opaque) = match top {
                Top::Ink(ink) => (PlaneArg::NONE, self.in_plane(*ink, shape, index), true),
                Top::Picture(top, alpha) => (arg(top, index), [0; 4], *alpha == Alpha::Opaque),
            };
            self.launch(Args::Blend(BlendArgs {
                extent: Extent::new(row / step, rows),
                base: arg(base, index),
                top: top_plane,
                mask: cover.mask.0,
                output: part_arg(&parts, index),
                width: width as i32,
                height: height as i32,
                x: cover.corner.0,
                y: cover.corner.1,
                top_width: cover.size.0 as i32,
                top_height: cover.size.1 as i32,
                step: step as i32,
                mask_step: cover.mask.1,
                alpha: i32::from(cover.alpha),
                opaque: i32::from(opaque),
                halved: i32::from(is_halved(format, index)),
                color,
            }))?;
        }
        Ok(self.finish(shape, parts))
    }
}
