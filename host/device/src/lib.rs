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
//! All arithmetic is on integers unless it says otherwise; `>>` rounds down; *cut* means cut to
//! 0..255; *to the nearest* takes halves up. Ops take the
//! [basic](domain::planes::PixelFormat::BASIC) formats and give a picture in that of their first
//! one; `convert` also takes and gives `p010le` and `gbrpf32le`. A second picture of another format
//! is converted to the first one's.
//!
//! **Halved colour.** Where an op says what becomes of *pixels*, a sample of a colour plane that
//! counts for two by two pixels becomes the mean of what its four pixels become, in one rounding to
//! the nearest; a pixel beyond the edge is its nearest neighbour inside. Odd sizes round chroma up.
//!
//! ## `convert`
//!
//! `gray` is luma: what Y is to `nv12` and `yuv420p`. Y, U, V mean what [`Stream::set_color_space`]
//! says, else what [`ColorSpace::of_height`] does.
//!
//! * To its own format a picture stays as it is, alpha included.
//! * Among `nv12`, `yuv420p` and `gray` luma stays as it is, chroma is regrouped, dropped, or 128.
//! * To `rgb24` and `rgba`: each pixel takes the U and V of its block, `y = (Y - black) * luma +
//!   8192`, `r = cut((y + rv * (V - 128)) >> 14)`, `b` likewise with U and `bu`, and `g` with both.
//! * From them: `Y = black + ((yr * r + yg * g + yb * b + 8192) >> 14)` for each pixel;
//!   `U = cut(128 + ((ur * R + ug * G + ub * B + 32768) >> 16))` and V likewise, where R, G, B are
//!   sums over a block, in which a pixel beyond the edge is its nearest neighbour inside.
//! * Gains are those of BT.709 or BT.601, in units of 2^-14, each to the nearest, the gain of green
//!   towards Y, U, V being what the others leave. `black` is 16 in the limited range, else 0.
//! * `rgba` from a format without alpha is opaque; alpha is dropped on the way to one.
//! * `p010le` to `nv12`: `min(((v >> 6) + 2) >> 2, 255)`; back: `v << 8`. Others go through `nv12`.
//! * `gbrpf32le` from `rgb24`: `v / 255`; back: `v * 255 + 0.5`, cut to 0..1 before and without its
//!   fraction after, what is no number being 0. These are floats of 32 bits, each step rounded to
//!   the nearest, halves to even. Others go through `rgb24`.
//!
//! ## Places
//!
//! * `crop` shows the part, sharing memory. `rotate`, `flip`, `pad`: pixels move, see *halved
//!   colour*.
//! * A colour in Y, U, V is `black + ((yr * r + yg * g + yb * b + 8192) >> 14)`, and U and V
//!   likewise around 128, cut. `pad` and `blank` fill with it.
//!
//! ## Filters
//!
//! Each plane is filtered by itself, first down the columns, then along the rows; outside lies the
//! nearest pixel inside.
//!
//! * `resize`: weights of a place are the filter at the distances of the middles of pixels (at
//!   halves), which is as much wider as the result is smaller, over their sum; bicubic has a =
//!   -1/2, lanczos three lobes, `area` is what a result pixel covers. They are rounded to units of
//!   2^-16, 2^-15 or 2^-14, the finest in which each fits 16 bits (2^-15 if some are negative), by
//!   rounding their running sum, so that they add up to one. `nearest` takes pixel `((2 * x + 1) *
//!   from) / (2 * to)`. Between the passes lie units of 1/64: `(sum + half) >> (unit - 6)`, and
//!   then `cut((sum + half) >> (unit + 6))`.
//! * `gaussian-blur`: likewise; weights reach three sigma, both sides are rounded to the nearest
//!   and the middle takes what is missing. Colour planes of half the size take half of sigma.
//! * `box-blur`: the exact mean, to the nearest. Colour planes of half the size take half of the
//!   radius, rounded up.
//! * `convolve`: weights and bias to the nearest 1/1024, halves away from zero; then
//!   `cut((sum(weight * pixel) + bias + 512) >> 10)`. `rgb24`: r, g and b each. `rgba`: the same,
//!   alpha stays. `gray`: the luma. `nv12` and `yuv420p`: the luma, chroma stays.
//! * `edges`: `min(|gx| + |gy|, 255)` of the two Sobel kernels, of what `convert` to `gray` gives.
//!
//! ## Colours
//!
//! On `rgb24` and `rgba` directly; alpha stays. `nv12` and `yuv420p` go through `rgb24` and back,
//! as does `gray`, except for curves.
//!
//! * `apply-lut`: curves are looked up; `gray` takes the first one. Of a cube, points are rounded
//!   to 1/64, and a colour takes the tetrahedron around it: with remainders of `c * (size - 1) /
//!   255`, from the largest to the smallest, `(sum + 8160) / 16320`.
//! * `color-matrix`: `cut((sum(weight * colour) + constant + 2048) >> 12)`, numbers to the nearest
//!   1/4096, halves away from zero.
//! * `threshold`: of what `convert` to `gray` gives.
//! * `noise`: to byte `x` of row `y` of the first plane, cut:
//!   `((h(h(seed + h(y)) + x) >> 16) * (2 * strength + 1) >> 16) - strength`, `h` being the mixing
//!   of `kernels/mix.cu`. Alpha stays.
//!
//! ## Pictures on pictures
//!
//! * `mix`: `(a * (255 - t) + b * t) / 255` to the nearest, for every byte of every plane.
//! * `denoise`: for every byte, with `near = max(strength - |a - b|, 0)` and
//!   `share = near * (49152 / strength) >> 8`: `(a * (256 - share) + b * share + 128) >> 8`.
//! * `overlay`, `composite` and everything that draws: pixels become `mix(base, top, mix(0, alpha,
//!   mask))`; see *halved colour*. In `overlay` and drawings the fourth byte of `top` counts as
//!   255.
//! * `blur-areas`, `pixelate-areas`: the whole picture blurred, or in squares, laid where a pixel
//!   lies in an area. Squares are counted from the picture's corner, their means are exact, to the
//!   nearest; where colour is halved an odd side counts as one more.
//! * `draw-rects`, `draw-text`: one colour, once, where a pixel lies in an area, on an outline, or
//!   on ink. A character is 6 columns of 10 rows; pixel `p` of a line shows row or column `p * 10 /
//!   size`.
//!
//! ## Counts
//!
//! `histogram` counts bytes of `rgb24` (what `convert` gives) or of `gray`; `difference` is the sum
//! over all bytes of all planes over their number, rounded to a float of 32 bits.

mod args;
mod backend;
mod color;
mod cpu;
mod cuda;
mod device;
mod error;
mod graph;
mod launch;
mod op;
mod pool;
mod run;
pub mod sample;
mod shape;
mod simd;
mod stream;
mod surface;
mod tables;
mod taps;
mod text;

pub use backend::{Backend, Direction, Memory, PlaneCopy};
pub use color::{ColorSpace, HD_ROWS, Range, Standard};
pub use cuda::DRIVER_FUNCTIONS;
pub use device::{Device, DeviceConfig};
pub use domain::picture::{Axis, Color, Rect, Sampling};
pub use error::{DeviceError, OpenError};
pub use graph::{AGE_MAX, Graph, OPS_MAX, Recorder, Source};
pub use launch::{Extent, Kernel, Launch, PTX, SPAN};
pub use op::{AREAS_MAX, Areas, BLOCK, Borders, Op, RADIUS_MAX, TEXT_SIZE};
pub use pool::POISON;
pub use run::Counts;
pub use shape::Shape;
pub use simd::SimdLevel;
pub use stream::Stream;
pub use surface::{MAX_SIDE, ROW_ALIGN, Rows, Surface};
pub use tables::{
    BIAS_MAX, CUBE_SIDES, CURVES_BYTES, ColorMatrix, Convolution, Cube, Lut, MATRIX_MAX, WEIGHT_MAX,
};
pub use taps::Blur;
pub use text::TEXT_MAX;
