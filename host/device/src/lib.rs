//! Pictures and what can be done with them, on the CPU and on CUDA cards, with the same bits.
//!
//! [`Device::open`] opens a device, [`Device::stream`] makes a session's stream on it, and
//! [`Stream::run`] does an [`Op`] on [`Surface`]s. Every kernel has one source, `kernels/*.cu`,
//! built by clang for the CPU and committed as PTX for cards. This crate reads no environment, no
//! file and no clock, and knows neither sessions nor plugins.
//!
//! **Invariant:** the bytes of a result depend on the op and the bytes of its inputs, and on
//! nothing else: not on the device, the dispatch level, the number of threads, pitches, or what
//! the memory held before.
//!
//! # The ops, to the bit
//!
//! All arithmetic is on integers; `>>` rounds down; *cut* means cut to 0..255.
//!
//! ## `convert`
//!
//! `gray` is luma: what Y is to `nv12` and `yuv420p`. All three are in video range (black 16, white
//! 235). Chroma counts for two by two pixels; odd sizes round it up.
//!
//! * To its own format a picture stays as it is, alpha included.
//! * Among `nv12`, `yuv420p` and `gray` luma stays as it is, chroma is regrouped, dropped, or 128.
//! * To `rgb24` and `rgba`: each pixel takes the U and V of its block, `y = (Y - 16) * luma + 8192`,
//!   `r = cut((y + rv * (V - 128)) >> 14)`, `b` likewise with U and `bu`, and `g` with both.
//! * From them: `Y = 16 + ((yr * r + yg * g + yb * b + 8192) >> 14)` for each pixel;
//!   `U = 128 + ((ur * R + ug * G + ub * B + 32768) >> 16)` and V likewise, where R, G, B are sums
//!   over a block, in which a pixel beyond the edge is its nearest neighbour inside.
//! * Gains are those of BT.709 for pictures of 720 rows and more, else of BT.601, in units of
//!   2^-14, each to the nearest, the gain of green towards Y, U, V being what the others leave.
//! * `rgba` from a format without alpha is opaque; alpha is dropped on the way to one.
//!
//! ## `convolve`
//!
//! Weights and bias to the nearest 1/1024, halves away from zero; then
//! `cut((sum(weight * pixel) + bias + 512) >> 10)`, the pixels outside the picture being the nearest
//! inside. `rgb24`: r, g and b each. `rgba`: the same, alpha stays. `gray`: the luma. `nv12` and
//! `yuv420p`: the luma, chroma stays.
//!
//! ## `apply-lut`
//!
//! `rgb24` and `rgba`: a curve each for r, g and b; alpha stays. `gray`: the first curve. `nv12` and
//! `yuv420p`: as converted to `rgb24`, sent through the curves, and converted back.
//!
//! ## `mix`
//!
//! `(a * (255 - t) + b * t) / 255` to the nearest, for every byte of every plane, alpha included.

mod backend;
mod color;
mod cpu;
mod cuda;
mod device;
mod error;
mod launch;
mod op;
mod pool;
mod run;
mod simd;
mod stream;
mod surface;

pub use backend::{Backend, Direction, Memory, PlaneCopy};
pub use color::HD_ROWS;
pub use device::{Device, DeviceConfig};
pub use error::{DeviceError, OpenError};
pub use launch::{Extent, Kernel, Launch, PTX, SPAN};
pub use op::{BIAS_MAX, CURVES_BYTES, Convolution, Lut, Op, WEIGHT_MAX};
pub use pool::POISON;
pub use simd::SimdLevel;
pub use stream::Stream;
pub use surface::{MAX_SIDE, ROW_ALIGN, Rows, Surface};
