//! What is counted in pictures: histograms and differences.

use domain::planes::PixelFormat;

use super::{arg, step_of};
use crate::args::{ApartArgs, CountArgs, SumArgs};
use crate::error::DeviceError;
use crate::launch::{Args, Extent};
use crate::shape::{Shape, alike};
use crate::stream::Stream;
use crate::surface::{PlaneRef, Surface};

/// Rows of a partial result; `BAND` in `kernels/count.cu`.
const BAND: usize = 8;
/// Values of a byte.
const VALUES: usize = 256;

/// Numbers of a picture, which are there once the device has got to them.
#[derive(Debug, Clone)]
pub struct Counts {
    /// Sums of 64 bits, in host memory.
    sums: Surface,
    divisor: u64,
    shape: CountsShape,
}

/// Sizes of the dimensions of numbers, slowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CountsShape {
    One,
    Histogram { channels: u32 },
}

impl Counts {
    /// Returns the numbers, last dimension fastest; nothing if they are not there yet.
    pub fn values(&self) -> Option<Vec<f32>> {
        let rows = self.sums.rows(0).ok()?;
        let words = rows.iter().flat_map(|row| row.chunks_exact(8));
        let numbers = words.map(|word| {
            let sum = word.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            (sum as f64 / self.divisor as f64) as f32
        });
        Some(numbers.collect())
    }

    /// Returns the sizes of the dimensions, slowest first.
    pub fn shape(&self) -> Vec<u32> {
        match self.shape {
            CountsShape::One => vec![1],
            CountsShape::Histogram { channels } => vec![channels, VALUES as u32],
        }
    }
}

impl Stream {
    /// Counts the values of r, g and b, or of the luma of a `gray` picture: 256 for each. Errors: a
    /// format that ops do not take, memory used up.
    pub fn histogram(&self, input: &Surface) -> Result<Counts, DeviceError> {
        self.check_count("histogram", input)?;
        let counted = match input.format() {
            PixelFormat::Nv12 | PixelFormat::Yuv420p => self.convert(input, PixelFormat::Rgb24)?,
            _ => input.clone(),
        };
        let step = step_of(counted.format(), 0);
        let channels = step.min(3);
        let (width, height) = (input.width() as usize, input.height() as usize);
        let bands = height.div_ceil(BAND);
        let partial = self.new_plane(channels * VALUES * 4, bands)?;
        self.launch(Args::CountValues(CountArgs {
            extent: Extent::new(1, bands),
            input: arg(&counted, 0),
            output: partial.plane().into(),
            width: width as i32,
            height: height as i32,
            step: step as i32,
            channels: channels as i32,
        }))?;
        let sums = self.sum(&partial, bands, channels * VALUES)?;
        self.hold_foreign(&[input])?;
        let shape = CountsShape::Histogram { channels: channels as u32 };
        Ok(Counts { sums, divisor: 1, shape })
    }

    /// Measures the mean absolute difference of all bytes of two pictures. Errors: formats or sizes
    /// that differ, a format that ops do not take, memory used up.
    pub fn difference(&self, a: &Surface, b: &Surface) -> Result<Counts, DeviceError> {
        self.check_count("difference", a)?;
        self.check_count("difference", b)?;
        let shape = a.shape();
        alike("difference", "format and size", shape == b.shape(), shape, b.shape())?;
        let sizes = [0, 1, 2].map(|at| shape.format.plane_size(at, shape.width, shape.height));
        let bands: usize = sizes.iter().map(|(_, rows)| rows.div_ceil(BAND)).sum();
        let partial = self.new_plane(4, bands)?;
        let mut before = 0;
        for (index, (row, rows)) in sizes.into_iter().enumerate().take(shape.format.planes()) {
            let output = crate::launch::PlaneArg::from(partial.plane());
            self.launch(Args::SumApart(ApartArgs {
                extent: Extent::new(1, rows.div_ceil(BAND)),
                a: arg(a, index),
                b: arg(b, index),
                output: output.offset((before * partial.plane().pitch) as u64),
                width: row as i32,
                height: rows as i32,
            }))?;
            before += rows.div_ceil(BAND);
        }
        let sums = self.sum(&partial, bands, 1)?;
        self.hold_foreign(&[a, b])?;
        let bytes = sizes.iter().map(|(row, rows)| (row * rows) as u64).sum();
        Ok(Counts { sums, divisor: bytes, shape: CountsShape::One })
    }

    fn check_count(&self, op: &'static str, input: &Surface) -> Result<(), DeviceError> {
        self.check_input(input)?;
        if input.format().is_basic() {
            return Ok(());
        }
        Err(DeviceError::Format { op, given: input.format() })
    }

    /// Adds the numbers of all bands and sends for the sums.
    fn sum(
        &self,
        partial: &PlaneRef,
        bands: usize,
        columns: usize,
    ) -> Result<Surface, DeviceError> {
        // Sums travel as a picture of one row.
        let shape = Shape { format: PixelFormat::Gray, width: columns as u32 * 8, height: 1 };
        let parts = self.new_parts(shape)?;
        self.launch(Args::SumBands(SumArgs {
            extent: Extent::new(columns, 1),
            input: partial.plane().into(),
            output: super::part_arg(&parts, 0),
            bands: bands as i32,
        }))?;
        self.download(&self.finish(shape, parts))
    }
}
