//! Ops on neighbourhoods: `resize`, `box-blur`, `gaussian-blur`, `edges`, `convolve`.

use domain::picture::Sampling;
use domain::planes::PixelFormat;

use super::convert::pixels;
use super::{arg, is_halved, part_arg, step_of};
use crate::args::{BoxAcrossArgs, BoxDownArgs, ConvolveArgs, PlainArgs, ResizeArgs, SmoothArgs};
use crate::error::DeviceError;
use crate::launch::{Args, Extent, PlaneArg};
use crate::shape::Shape;
use crate::stream::{Stream, TableKey};
use crate::surface::{PlaneRef, Surface};
use crate::tables::Convolution;
use crate::taps::{Blur, Side, Taps};

impl Stream {
    pub(super) fn resize(
        &self,
        input: &Surface,
        result: Shape,
        sampling: Sampling,
    ) -> Result<Surface, DeviceError> {
        if result == input.shape() {
            return Ok(input.clone());
        }
        let parts = self.new_parts(result)?;
        for index in 0..result.format.planes() {
            let step = step_of(result.format, index);
            let (in_row, in_rows) = result.format.plane_size(index, input.width(), input.height());
            let (row, rows) = result.format.plane_size(index, result.width, result.height);
            let (down, [down_taps, down_unit]) = self.taps(in_rows, rows, sampling)?;
            let (across, [across_taps, across_unit]) =
                self.taps(in_row / step, row / step, sampling)?;
            let between = self.new_plane(2 * in_row, rows)?;
            self.launch(Args::ResizeDown(ResizeArgs {
                extent: Extent::new(in_row, rows),
                input: arg(input, index),
                output: between.plane().into(),
                table: down.plane().into(),
                places: rows as i32,
                taps: down_taps as i32,
                unit: down_unit as i32,
                step: step as i32,
            }))?;
            self.launch(Args::ResizeAcross(ResizeArgs {
                extent: Extent::new(row / step, rows),
                input: between.plane().into(),
                output: part_arg(&parts, index),
                table: across.plane().into(),
                places: (row / step) as i32,
                taps: across_taps as i32,
                unit: across_unit as i32,
                step: step as i32,
            }))?;
        }
        Ok(self.finish(result, parts))
    }

    /// Returns the table for resizing a row or a column, its taps and their unit, made once for each
    /// pair of lengths.
    fn taps(
        &self,
        from: usize,
        to: usize,
        sampling: Sampling,
    ) -> Result<(PlaneRef, [u32; 2]), DeviceError> {
        let (from, to) = (from as u32, to as u32);
        self.table(TableKey::Resize { from, to, sampling }, || {
            let made = Taps::resize(from, to, sampling);
            (made.to_bytes(), [made.taps as u32, made.unit])
        })
    }

    pub(super) fn smooth(&self, input: &Surface, blur: &Blur) -> Result<Surface, DeviceError> {
        let shape = input.shape();
        let parts = self.new_parts(shape)?;
        for index in 0..shape.format.planes() {
            let Side { radius, unit, weights } =
                if is_halved(shape.format, index) { blur.half } else { blur.full };
            let (row, rows) = shape.format.plane_size(index, shape.width, shape.height);
            let between = self.new_plane(2 * row, rows)?;
            let args = |input: PlaneArg, output: PlaneArg| SmoothArgs {
                extent: Extent::new(row, rows),
                input,
                output,
                step: step_of(shape.format, index) as i32,
                radius: radius as i32,
                unit: unit as i32,
                weights,
            };
            let between: PlaneArg = between.plane().into();
            self.launch(Args::SmoothDown(args(arg(input, index), between)))?;
            self.launch(Args::SmoothAcross(args(between, part_arg(&parts, index))))?;
        }
        Ok(self.finish(shape, parts))
    }

    pub(super) fn box_blur(&self, input: &Surface, radius: u32) -> Result<Surface, DeviceError> {
        if radius == 0 {
            return Ok(input.clone());
        }
        let shape = input.shape();
        let parts = self.new_parts(shape)?;
        for index in 0..shape.format.planes() {
            let radius = if is_halved(shape.format, index) { radius.div_ceil(2) } else { radius };
            let step = step_of(shape.format, index);
            let (row, rows) = shape.format.plane_size(index, shape.width, shape.height);
            let sums = self.new_plane(2 * row, rows)?;
            self.launch(Args::BoxDown(BoxDownArgs {
                extent: Extent::new(row, rows),
                input: arg(input, index),
                output: sums.plane().into(),
                radius: radius as i32,
            }))?;
            let pixels = (2 * radius + 1).pow(2);
            let shift = pixels.ilog2();
            self.launch(Args::BoxAcross(BoxAcrossArgs {
                extent: Extent::new(row / step, rows),
                input: sums.plane().into(),
                output: part_arg(&parts, index),
                step: step as i32,
                radius: radius as i32,
                // 2^(32 + shift) / pixels lies between 2^31 and 2^32, as pixels is no power of 2.
                inverse: (1_u64 << (32 + shift)).div_ceil(u64::from(pixels)) as u32,
                half: pixels / 2,
                shift: shift as i32,
            }))?;
        }
        Ok(self.finish(shape, parts))
    }

    pub(super) fn edges(&self, input: &Surface) -> Result<Surface, DeviceError> {
        let gray = self.convert(input, PixelFormat::Gray)?;
        let shape = gray.shape();
        let parts = self.new_parts(shape)?;
        let (input, output) = (arg(&gray, 0), part_arg(&parts, 0));
        self.launch(Args::Edges(PlainArgs { extent: pixels(shape), input, output }))?;
        Ok(self.finish(shape, parts))
    }

    pub(super) fn convolve(
        &self,
        input: &Surface,
        kernel: &Convolution,
    ) -> Result<Surface, DeviceError> {
        let shape = input.shape();
        let (row, rows) = shape.format.plane_size(0, shape.width, shape.height);
        let first = self.new_plane(row, rows)?;
        self.launch(Args::Convolve(ConvolveArgs {
            extent: Extent::new(row, rows),
            input: arg(input, 0),
            output: first.plane().into(),
            step: step_of(shape.format, 0) as i32,
            radius: kernel.radius,
            bias: kernel.bias,
            weights: kernel.weights,
        }))?;
        let [_, second, third] = input.plane_refs().clone();
        Ok(self.finish(shape, [Some(first), second, third]))
    }
}
