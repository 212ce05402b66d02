//! `convert`.

use domain::planes::PixelFormat;

use super::{Parts, arg, chroma_step, part_arg, part_plane, step_of, yuv_args};
use crate::args::{ColorArgs, FloatsArgs, PairsArgs, PlainArgs, RepackArgs};
use crate::error::DeviceError;
use crate::launch::{Args, Extent};
use crate::shape::Shape;
use crate::stream::Stream;
use crate::surface::{PlaneRef, Surface};

impl Stream {
    pub(super) fn convert(
        &self,
        input: &Surface,
        format: PixelFormat,
    ) -> Result<Surface, DeviceError> {
        use PixelFormat::{Gbrpf32, Gray, Nv12, P010, Rgb24, Rgba, Yuv420p};
        let shape = Shape { format, ..input.shape() };
        let parts = match (input.format(), format) {
            (from, to) if from == to => return Ok(input.clone()),
            (P010, Nv12) => self.change_depth(input, shape, Args::Shallow)?,
            (Nv12, P010) => self.change_depth(input, shape, Args::Deep)?,
            (Gbrpf32, Rgb24) => self.pack_floats(input, shape)?,
            (Rgb24, Gbrpf32) => self.spread_floats(input, shape)?,
            (P010, _) => return self.convert(&self.convert(input, Nv12)?, format),
            (_, P010) => return self.convert(&self.convert(input, Nv12)?, format),
            (Gbrpf32, _) => return self.convert(&self.convert(input, Rgb24)?, format),
            (_, Gbrpf32) => return self.convert(&self.convert(input, Rgb24)?, format),
            (Nv12 | Yuv420p, Gray) => [luma_of(input), None, None],
            (Gray, Nv12 | Yuv420p) => self.add_neutral_chroma(input, format)?,
            (Nv12, _) if format == Yuv420p => self.split_chroma(input)?,
            (Yuv420p, _) if format == Nv12 => self.join_chroma(input)?,
            (Gray, _) => self.yuv_to_rgb(&self.convert(input, Yuv420p)?, shape)?,
            (Nv12 | Yuv420p, _) => self.yuv_to_rgb(input, shape)?,
            (Rgb24 | Rgba, Rgb24 | Rgba) => self.repack(input, shape)?,
            (Rgb24 | Rgba, Nv12 | Yuv420p | Gray) => self.rgb_to_yuv(input, shape)?,
        };
        Ok(self.finish(shape, parts))
    }

    fn change_depth(
        &self,
        input: &Surface,
        shape: Shape,
        args: fn(PlainArgs) -> Args,
    ) -> Result<Parts, DeviceError> {
        let parts = self.new_parts(shape)?;
        for plane in 0..shape.format.planes() {
            let (row, rows) = PixelFormat::Nv12.plane_size(plane, shape.width, shape.height);
            let (input, output) = (arg(input, plane), part_arg(&parts, plane));
            self.launch(args(PlainArgs { extent: Extent::new(row, rows), input, output }))?;
        }
        Ok(parts)
    }

    fn spread_floats(&self, input: &Surface, shape: Shape) -> Result<Parts, DeviceError> {
        let parts = self.new_parts(shape)?;
        let [g, b, r] = [0, 1, 2].map(|plane| part_arg(&parts, plane));
        self.launch(Args::ToFloats(FloatsArgs {
            extent: pixels(shape),
            rgb: arg(input, 0),
            r,
            g,
            b,
        }))?;
        Ok(parts)
    }

    fn pack_floats(&self, input: &Surface, shape: Shape) -> Result<Parts, DeviceError> {
        let parts = self.new_parts(shape)?;
        let [g, b, r] = [0, 1, 2].map(|plane| arg(input, plane));
        let rgb = part_arg(&parts, 0);
        self.launch(Args::FromFloats(FloatsArgs { extent: pixels(shape), rgb, r, g, b }))?;
        Ok(parts)
    }

    fn add_neutral_chroma(
        &self,
        input: &Surface,
        format: PixelFormat,
    ) -> Result<Parts, DeviceError> {
        let (row, rows) = format.plane_size(1, input.width(), input.height());
        let neutral = self.neutral_plane(row, rows)?;
        let third = (format.planes() == 3).then(|| neutral.clone());
        Ok([luma_of(input), Some(neutral), third])
    }

    fn split_chroma(&self, input: &Surface) -> Result<Parts, DeviceError> {
        let (row, rows) = PixelFormat::Yuv420p.plane_size(1, input.width(), input.height());
        let (u, v) = (self.new_plane(row, rows)?, self.new_plane(row, rows)?);
        self.launch(Args::SplitPairs(PairsArgs {
            extent: Extent::new(row, rows),
            pairs: arg(input, 1),
            u: u.plane().into(),
            v: v.plane().into(),
        }))?;
        Ok([luma_of(input), Some(u), Some(v)])
    }

    fn join_chroma(&self, input: &Surface) -> Result<Parts, DeviceError> {
        let (row, rows) = PixelFormat::Nv12.plane_size(1, input.width(), input.height());
        let pairs = self.new_plane(row, rows)?;
        self.launch(Args::JoinPairs(PairsArgs {
            extent: Extent::new(row / 2, rows),
            pairs: pairs.plane().into(),
            u: arg(input, 1),
            v: arg(input, 2),
        }))?;
        Ok([luma_of(input), Some(pairs), None])
    }

    fn yuv_to_rgb(&self, input: &Surface, shape: Shape) -> Result<Parts, DeviceError> {
        let parts = self.new_parts(shape)?;
        let (width, height) = (shape.width as usize, shape.height as usize);
        self.launch(Args::YuvToRgb(ColorArgs {
            extent: Extent::new(width.div_ceil(2), height),
            yuv: yuv_args(input.format(), [0, 1, 2].map(|index| input.plane(index))),
            rgb: part_arg(&parts, 0),
            width: width as i32,
            height: height as i32,
            chroma_step: chroma_step(input.format()),
            step: step_of(shape.format, 0) as i32,
            matrix: self.matrix(shape.height),
        }))?;
        Ok(parts)
    }

    fn rgb_to_yuv(&self, input: &Surface, shape: Shape) -> Result<Parts, DeviceError> {
        let parts = self.new_parts(shape)?;
        let (width, height) = (shape.width as usize, shape.height as usize);
        self.launch(Args::RgbToYuv(ColorArgs {
            extent: Extent::new(width.div_ceil(2), height.div_ceil(2)),
            yuv: yuv_args(shape.format, [0, 1, 2].map(|index| part_plane(&parts, index))),
            rgb: arg(input, 0),
            width: width as i32,
            height: height as i32,
            chroma_step: chroma_step(shape.format),
            step: step_of(input.format(), 0) as i32,
            matrix: self.matrix(shape.height),
        }))?;
        Ok(parts)
    }

    fn repack(&self, input: &Surface, shape: Shape) -> Result<Parts, DeviceError> {
        let parts = self.new_parts(shape)?;
        self.launch(Args::RepackRgb(RepackArgs {
            extent: pixels(shape),
            input: arg(input, 0),
            output: part_arg(&parts, 0),
            in_step: step_of(input.format(), 0) as i32,
            out_step: step_of(shape.format, 0) as i32,
        }))?;
        Ok(parts)
    }
}

/// Returns an extent with an element for each pixel.
pub(super) const fn pixels(shape: Shape) -> Extent {
    Extent::new(shape.width as usize, shape.height as usize)
}

fn luma_of(surface: &Surface) -> Option<PlaneRef> {
    surface.plane_refs()[0].clone()
}
