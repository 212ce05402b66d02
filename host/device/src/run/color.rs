//! Ops on colours: `apply-lut`, `color-matrix`.

use domain::planes::PixelFormat;

use super::convert::pixels;
use super::{arg, chroma_step, part_arg, part_plane, step_of, yuv_args};
use crate::args::{CubeArgs, CubeYuvArgs, LutArgs, LutYuvArgs, MatrixArgs, MatrixYuvArgs};
use crate::color::Matrix;
use crate::error::DeviceError;
use crate::launch::{Args, Extent, PlaneArg};
use crate::shape::Shape;
use crate::stream::{Stream, TableKey};
use crate::surface::Surface;
use crate::tables::{ColorMatrix, Cube, Lut};

/// What the kernels that go through r, g, b share.
struct Through {
    extent: Extent,
    input: [PlaneArg; 3],
    output: [PlaneArg; 3],
    width: i32,
    height: i32,
    chroma_step: i32,
    matrix: Matrix,
}

impl Stream {
    pub(super) fn apply_lut(&self, input: &Surface, lut: &Lut) -> Result<Surface, DeviceError> {
        match lut {
            Lut::Curves(curves) => self.apply_curves(input, **curves),
            Lut::Cube(cube) => self.apply_cube(input, cube),
        }
    }

    fn apply_curves(&self, input: &Surface, curves: [u8; 768]) -> Result<Surface, DeviceError> {
        if input.format().halves_color() {
            return self.through_rgb(input, |to| {
                let Through { extent, input, output, width, height, chroma_step, matrix } = to;
                let args = LutYuvArgs {
                    extent,
                    input,
                    output,
                    width,
                    height,
                    chroma_step,
                    matrix,
                    curves,
                };
                Args::LutYuv(args)
            });
        }
        self.on_pixels(input, |extent, input, output, step| {
            Args::LutBytes(LutArgs { extent, input, output, step, curves })
        })
    }

    fn apply_cube(&self, input: &Surface, cube: &Cube) -> Result<Surface, DeviceError> {
        let (shared, _) = self.table(TableKey::Cube(cube.id), || (cube.points.clone(), [0; 2]))?;
        let (table, size) = (shared.plane().into(), cube.size as i32);
        if has_rgb(input) {
            return self.on_pixels(input, |extent, input, output, step| {
                Args::CubeRgb(CubeArgs { extent, input, output, step, size, table })
            });
        }
        self.through_rgb(input, |to| {
            let Through { extent, input, output, width, height, chroma_step, matrix } = to;
            let args = CubeYuvArgs {
                extent,
                input,
                output,
                width,
                height,
                chroma_step,
                matrix,
                size,
                table,
            };
            Args::CubeYuv(args)
        })
    }

    pub(super) fn color_matrix(
        &self,
        input: &Surface,
        matrix: &ColorMatrix,
    ) -> Result<Surface, DeviceError> {
        let weights = matrix.0;
        if has_rgb(input) {
            return self.on_pixels(input, |extent, input, output, step| {
                Args::MatrixRgb(MatrixArgs { extent, input, output, step, weights })
            });
        }
        self.through_rgb(input, |to| {
            let Through { extent, input, output, width, height, chroma_step, matrix } = to;
            let args = MatrixYuvArgs {
                extent,
                input,
                output,
                width,
                height,
                chroma_step,
                matrix,
                weights,
            };
            Args::MatrixYuv(args)
        })
    }

    /// Runs a kernel over the pixels of a format of one plane.
    fn on_pixels(
        &self,
        input: &Surface,
        args: impl FnOnce(Extent, PlaneArg, PlaneArg, i32) -> Args,
    ) -> Result<Surface, DeviceError> {
        let shape = input.shape();
        let parts = self.new_parts(shape)?;
        let step = step_of(shape.format, 0) as i32;
        self.launch(args(pixels(shape), arg(input, 0), part_arg(&parts, 0), step))?;
        Ok(self.finish(shape, parts))
    }

    /// Runs a kernel that takes Y, U, V through r, g, b. A gray picture has no colour either way.
    fn through_rgb(
        &self,
        input: &Surface,
        args: impl FnOnce(Through) -> Args,
    ) -> Result<Surface, DeviceError> {
        let shape = input.shape();
        let parts = self.new_parts(shape)?;
        let colored = match shape.format {
            PixelFormat::Gray => self.convert(input, PixelFormat::Yuv420p)?,
            _ => input.clone(),
        };
        let Shape { format, width, height } = shape;
        self.launch(args(Through {
            extent: Extent::new(width.div_ceil(2) as usize, height.div_ceil(2) as usize),
            input: yuv_args(colored.format(), [0, 1, 2].map(|index| colored.plane(index))),
            output: yuv_args(format, [0, 1, 2].map(|index| part_plane(&parts, index))),
            width: width as i32,
            height: height as i32,
            chroma_step: chroma_step(format),
            matrix: self.matrix(height),
        }))?;
        Ok(self.finish(shape, parts))
    }
}

fn has_rgb(surface: &Surface) -> bool {
    matches!(surface.format(), PixelFormat::Rgb24 | PixelFormat::Rgba)
}
