//! How each op becomes kernels and shared planes, the same for every backend. The definitions are in
//! the [crate documentation](crate).
//!
//! Knows no memory and no device; it decides which planes are shared, which are new, and which
//! kernel fills them.
//!
//! **Invariant:** a plane that an op leaves as it is, is shared, never copied.

use domain::planes::{Owner, PixelFormat, Plane};

use crate::color::Matrix;
use crate::error::DeviceError;
use crate::launch::{
    Args, ColorArgs, ConvolveArgs, Extent, Launch, LutArgs, LutYuvArgs, MixArgs, PairsArgs,
    PlaneArg, RepackArgs,
};
use crate::op::{Convolution, Lut, Op};
use crate::stream::Stream;
use crate::surface::{PlaneRef, Surface};

type Parts = [Option<PlaneRef>; 3];

impl Stream {
    /// Does an op. The result is there at once on the CPU, and in the order of the stream on a card.
    /// Errors: the wrong number of pictures, pictures that are not alike or not the device's,
    /// memory used up.
    pub fn run(&self, op: &Op, inputs: &[&Surface]) -> Result<Surface, DeviceError> {
        if inputs.len() != op.pictures() {
            return Err(DeviceError::PictureCount {
                op: op.name(),
                expected: op.pictures(),
                given: inputs.len(),
            });
        }
        for input in inputs {
            self.check_input(input)?;
        }
        let first = inputs[0];
        let result = match op {
            Op::Convert { format } => self.convert(first, *format)?,
            Op::Convolve(convolution) => self.convolve(first, convolution)?,
            Op::ApplyLut(lut) => self.apply_lut(first, lut)?,
            Op::Mix { t } => self.mix(first, inputs[1], *t)?,
        };
        if self.backend.owner() != Owner::Host {
            // Pooled planes are used again in stream order; a foreign owner must be kept.
            for input in inputs.iter().filter(|input| is_foreign(input)) {
                self.hold(input)?;
            }
        }
        Ok(result)
    }

    fn convert(&self, input: &Surface, format: PixelFormat) -> Result<Surface, DeviceError> {
        use PixelFormat::{Gray, Nv12, Rgb24, Rgba, Yuv420p};
        let parts = match (input.format(), format) {
            (from, to) if from == to => return Ok(input.clone()),
            (Nv12 | Yuv420p, Gray) => [luma_of(input), None, None],
            (Gray, Nv12 | Yuv420p) => self.add_neutral_chroma(input, format)?,
            (Nv12, _) if format == Yuv420p => self.split_chroma(input)?,
            (Yuv420p, _) if format == Nv12 => self.join_chroma(input)?,
            (Gray, _) => {
                let yuv = self.convert(input, Yuv420p)?;
                self.yuv_to_rgb(&yuv, format)?
            }
            (Nv12 | Yuv420p, _) => self.yuv_to_rgb(input, format)?,
            (Rgb24 | Rgba, Rgb24 | Rgba) => self.repack(input, format)?,
            (Rgb24 | Rgba, Nv12 | Yuv420p | Gray) => self.rgb_to_yuv(input, format)?,
        };
        Ok(self.finish(input, format, parts))
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

    fn yuv_to_rgb(&self, input: &Surface, format: PixelFormat) -> Result<Parts, DeviceError> {
        let parts = self.new_parts(input, format)?;
        let (width, height) = size_of(input);
        self.launch(Args::YuvToRgb(ColorArgs {
            extent: Extent::new(width.div_ceil(2), height),
            yuv: yuv_args(input.format(), [0, 1, 2].map(|index| plane_of(input, index))),
            rgb: part_arg(&parts, 0),
            width: width as i32,
            height: height as i32,
            chroma_step: chroma_step(input.format()),
            step: pixel_bytes(format),
            matrix: Matrix::of_height(input.height()),
        }))?;
        Ok(parts)
    }

    fn rgb_to_yuv(&self, input: &Surface, format: PixelFormat) -> Result<Parts, DeviceError> {
        let parts = self.new_parts(input, format)?;
        let (width, height) = size_of(input);
        self.launch(Args::RgbToYuv(ColorArgs {
            extent: Extent::new(width.div_ceil(2), height.div_ceil(2)),
            yuv: yuv_args(format, [0, 1, 2].map(|index| part_plane(&parts, index))),
            rgb: arg(input, 0),
            width: width as i32,
            height: height as i32,
            chroma_step: chroma_step(format),
            step: pixel_bytes(input.format()),
            matrix: Matrix::of_height(input.height()),
        }))?;
        Ok(parts)
    }

    fn repack(&self, input: &Surface, format: PixelFormat) -> Result<Parts, DeviceError> {
        let parts = self.new_parts(input, format)?;
        let (width, height) = size_of(input);
        self.launch(Args::RepackRgb(RepackArgs {
            extent: Extent::new(width, height),
            input: arg(input, 0),
            output: part_arg(&parts, 0),
            in_step: pixel_bytes(input.format()),
            out_step: pixel_bytes(format),
        }))?;
        Ok(parts)
    }

    fn convolve(&self, input: &Surface, kernel: &Convolution) -> Result<Surface, DeviceError> {
        let format = input.format();
        let (row, rows) = format.plane_size(0, input.width(), input.height());
        let first = self.new_plane(row, rows)?;
        self.launch(Args::Convolve(ConvolveArgs {
            extent: Extent::new(row, rows),
            input: arg(input, 0),
            output: first.plane().into(),
            step: pixel_bytes(format),
            radius: kernel.radius,
            bias: kernel.bias,
            weights: kernel.weights,
        }))?;
        let [_, second, third] = input.plane_refs().clone();
        Ok(self.finish(input, format, [Some(first), second, third]))
    }

    fn apply_lut(&self, input: &Surface, lut: &Lut) -> Result<Surface, DeviceError> {
        let format = input.format();
        let parts = self.new_parts(input, format)?;
        let (width, height) = size_of(input);
        let curves = *lut.0;
        self.launch(match format {
            PixelFormat::Gray | PixelFormat::Rgb24 | PixelFormat::Rgba => Args::LutBytes(LutArgs {
                extent: Extent::new(width, height),
                input: arg(input, 0),
                output: part_arg(&parts, 0),
                step: pixel_bytes(format),
                curves,
            }),
            PixelFormat::Nv12 | PixelFormat::Yuv420p => Args::LutYuv(LutYuvArgs {
                extent: Extent::new(width.div_ceil(2), height.div_ceil(2)),
                input: yuv_args(format, [0, 1, 2].map(|index| plane_of(input, index))),
                output: yuv_args(format, [0, 1, 2].map(|index| part_plane(&parts, index))),
                width: width as i32,
                height: height as i32,
                chroma_step: chroma_step(format),
                matrix: Matrix::of_height(input.height()),
                curves,
            }),
        })?;
        Ok(self.finish(input, format, parts))
    }

    fn mix(&self, a: &Surface, b: &Surface, t: u8) -> Result<Surface, DeviceError> {
        let shape = |of: &Surface| (of.format(), of.width(), of.height());
        if shape(a) != shape(b) {
            return Err(DeviceError::Unlike { op: "mix", first: a.shape(), second: b.shape() });
        }
        let format = a.format();
        let parts = self.new_parts(a, format)?;
        for index in 0..format.planes() {
            let (row, rows) = format.plane_size(index, a.width(), a.height());
            self.launch(Args::Mix(MixArgs {
                extent: Extent::new(row, rows),
                a: arg(a, index),
                b: arg(b, index),
                output: part_arg(&parts, index),
                t: i32::from(t),
            }))?;
        }
        Ok(self.finish(a, format, parts))
    }

    /// Takes all the planes of a picture of the size of `like`.
    fn new_parts(&self, like: &Surface, format: PixelFormat) -> Result<Parts, DeviceError> {
        let mut parts = [None, None, None];
        for (index, slot) in parts.iter_mut().enumerate().take(format.planes()) {
            let (row, rows) = format.plane_size(index, like.width(), like.height());
            *slot = Some(self.new_plane(row, rows)?);
        }
        Ok(parts)
    }

    fn finish(&self, like: &Surface, format: PixelFormat, parts: Parts) -> Surface {
        Surface::from_parts(format, like.width(), like.height(), self.backend.owner(), parts)
    }

    fn launch(&self, args: Args) -> Result<(), DeviceError> {
        // SAFETY: inputs were checked to lie in the backend's memory and have the planes of their
        // format, immutable; results are fresh from the pool, of the sizes that the format gives,
        // and unseen. The callers' surfaces outlive the call; after it, pooled memory is used
        // again only by work that comes later in this stream, and `run` holds foreign pictures.
        unsafe { self.backend.launch(&Launch::new(args)) }
    }
}

fn is_foreign(surface: &Surface) -> bool {
    surface.plane_refs().iter().flatten().any(|shared| shared.lease().is_none())
}

fn luma_of(surface: &Surface) -> Option<PlaneRef> {
    surface.plane_refs()[0].clone()
}

fn plane_of(surface: &Surface, index: usize) -> Option<Plane> {
    surface.plane(index)
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
    let third = match format {
        PixelFormat::Nv12 => second.map(|pairs| Plane { address: pairs.address + 1, ..pairs }),
        PixelFormat::Yuv420p | PixelFormat::Rgb24 | PixelFormat::Rgba | PixelFormat::Gray => third,
    };
    [luma, second, third].map(|plane| plane.map_or(PlaneArg::NONE, PlaneArg::from))
}

/// Returns the bytes from one U to the next.
const fn chroma_step(format: PixelFormat) -> i32 {
    if matches!(format, PixelFormat::Nv12) { 2 } else { 1 }
}

/// Returns the bytes of a pixel in the first plane.
const fn pixel_bytes(format: PixelFormat) -> i32 {
    match format {
        PixelFormat::Rgb24 => 3,
        PixelFormat::Rgba => 4,
        PixelFormat::Nv12 | PixelFormat::Yuv420p | PixelFormat::Gray => 1,
    }
}

fn size_of(surface: &Surface) -> (usize, usize) {
    (surface.width() as usize, surface.height() as usize)
}
