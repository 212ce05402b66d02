//! Pipelines: what becomes of each frame of one session.
//!
//! A [`Frame`] is a number for a picture that the host keeps. Its methods are the host's ops: each
//! returns at once with the frame that will hold the result. Frames end with the callback unless
//! they are kept. What the host finds out about a picture is a [`Reading`], to be asked for in a
//! later callback.
//!
//! [`granted`](crate::granted) has what the manifest has to ask for, [`recording`](crate::recording)
//! fixed plans of ops.

pub use crate::bindings::pipeline::exports::framegate::media::session_handler::{
    FrameTiming, Output, StopReason,
};
pub use crate::bindings::pipeline::framegate::host::log;
use crate::bindings::pipeline::framegate::host::metrics;
pub use crate::bindings::pipeline::framegate::media::catalogue::{
    Kernel, Model, open_kernel, open_model,
};
pub use crate::bindings::pipeline::framegate::media::frames::{Color, FrameError, Rect};
pub use crate::bindings::pipeline::framegate::media::ops::{Axis, Lut, Sampling};
pub use crate::bindings::pipeline::framegate::media::readings::Detection;
pub use crate::bindings::pipeline::framegate::media::session;
use crate::bindings::pipeline::framegate::media::{frames, ops, readings};
use crate::{ErrorClass, PluginInfo, SetupError};

/// What one plugin does for one session; export it with [`crate::export_pipeline!`].
pub trait Pipeline: Sized + 'static {
    /// Returns what the plugin says of itself.
    fn describe() -> PluginInfo;

    /// Sets up. `params` is JSON, empty if there is none. May take seconds.
    fn start(params: &str) -> Result<Self, SetupError>;

    /// Takes one picture.
    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError>;

    /// Takes new parameters, the whole document. On an error the old ones stay.
    fn on_params(&mut self, params: &str) -> Result<(), SetupError> {
        let _ = params;
        Err(SetupError::Unsupported("parameters that change while it runs".to_owned()))
    }

    /// Takes text from the client's control channel.
    fn on_message(&mut self, text: &str) {
        let _ = text;
    }

    /// Ends: the last call.
    fn stop(&mut self, reason: StopReason) {
        let _ = reason;
    }
}

impl From<ErrorClass> for FrameError {
    /// An op that failed costs one frame, not the session.
    fn from(_: ErrorClass) -> Self {
        Self::Skip
    }
}

impl From<ErrorClass> for SetupError {
    fn from(class: ErrorClass) -> Self {
        Self::Internal(format!("{}: {}", class.name(), log::last_error()))
    }
}

/// A picture by number; it ends with the callback unless it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame(pub u32);

type Made = Result<Frame, ErrorClass>;

impl Frame {
    /// Sends this frame out, at the time of the one that came in.
    pub const fn emit(self) -> Output {
        Output::Emit(self.0)
    }

    /// Lets the frame outlive the callback.
    pub fn keep(self) -> Result<(), ErrorClass> {
        frames::keep(self.0)
    }

    /// Ends the frame, kept or not.
    pub fn release(self) {
        frames::release(self.0);
    }

    /// Returns the pixels in a row; 0: not a frame.
    pub fn width(self) -> u32 {
        frames::width(self.0)
    }

    /// Returns the number of rows; 0: not a frame.
    pub fn height(self) -> u32 {
        frames::height(self.0)
    }

    /// Returns the name of the format, as FFmpeg has it; empty: not a frame.
    pub fn format(self) -> String {
        frames::format(self.0)
    }

    /// Returns the presentation time in microseconds on the session's clock.
    pub fn pts_us(self) -> i64 {
        frames::pts_us(self.0)
    }

    /// Changes the format.
    pub fn convert(self, format: &str) -> Made {
        ops::convert(self.0, format).map(Self)
    }

    /// Changes the size.
    pub fn resize(self, width: u32, height: u32, sampling: Sampling) -> Made {
        ops::resize(self.0, width, height, sampling).map(Self)
    }

    /// Cuts out `area`.
    pub fn crop(self, area: Rect) -> Made {
        ops::crop(self.0, area).map(Self)
    }

    /// Adds borders of `left`, `top`, `right` and `bottom` pixels.
    pub fn pad(self, borders: [u32; 4], fill: Color) -> Made {
        let [left, top, right, bottom] = borders;
        ops::pad(self.0, left, top, right, bottom, fill).map(Self)
    }

    /// Turns clockwise by so many quarters.
    pub fn rotate(self, quarters: u32) -> Made {
        ops::rotate(self.0, quarters).map(Self)
    }

    /// Mirrors.
    pub fn flip(self, axis: Axis) -> Made {
        ops::flip(self.0, axis).map(Self)
    }

    /// Takes the mean over a square of `2 * radius + 1` pixels a side.
    pub fn box_blur(self, radius: u32) -> Made {
        ops::box_blur(self.0, radius).map(Self)
    }

    /// Blurs with a Gaussian of `sigma` pixels.
    pub fn gaussian_blur(self, sigma: f32) -> Made {
        ops::gaussian_blur(self.0, sigma).map(Self)
    }

    /// Blurs `areas` only.
    pub fn blur_areas(self, areas: &[Rect], sigma: f32) -> Made {
        ops::blur_areas(self.0, areas, sigma).map(Self)
    }

    /// Shows `areas` in squares of `block` pixels.
    pub fn pixelate_areas(self, areas: &[Rect], block: u32) -> Made {
        ops::pixelate_areas(self.0, areas, block).map(Self)
    }

    /// Makes a `gray` picture of the strength of edges.
    pub fn edges(self) -> Made {
        ops::edges(self.0).map(Self)
    }

    /// Sums each pixel's neighbourhood by 9 or 25 `weights` and adds `bias`.
    pub fn convolve(self, weights: &[f32], bias: f32) -> Made {
        ops::convolve(self.0, weights, bias).map(Self)
    }

    /// Mixes with `previous` where they differ by less than `strength`.
    pub fn denoise(self, previous: Self, strength: u8) -> Made {
        ops::denoise(self.0, previous.0, strength).map(Self)
    }

    /// Sends every colour through a table.
    pub fn apply_lut(self, lut: &Lut) -> Made {
        ops::apply_lut(self.0, lut).map(Self)
    }

    /// Makes new r, g, b of 3 rows of 4 weights.
    pub fn color_matrix(self, weights: &[f32]) -> Made {
        ops::color_matrix(self.0, weights).map(Self)
    }

    /// Makes a mask of what is at least as bright as `level`.
    pub fn threshold(self, level: u8) -> Made {
        ops::threshold(self.0, level).map(Self)
    }

    /// Mixes `t` parts of 255 of `other` into this picture.
    pub fn mix(self, other: Self, t: u8) -> Made {
        ops::mix(self.0, other.0, t).map(Self)
    }

    /// Adds grain of up to `strength` either way, the same for the same `seed`.
    pub fn noise(self, strength: u8, seed: u32) -> Made {
        ops::noise(self.0, strength, seed).map(Self)
    }

    /// Lays `top` on this picture with its corner at `x`, `y`.
    pub fn overlay(self, top: Self, x: i32, y: i32, alpha: u8) -> Made {
        ops::overlay(self.0, top.0, x, y, alpha).map(Self)
    }

    /// Shows `top` where `mask` is 255.
    pub fn composite(self, top: Self, mask: Self) -> Made {
        ops::composite(self.0, top.0, mask.0).map(Self)
    }

    /// Draws outlines of `areas`; a `thickness` of 0 fills them.
    pub fn draw_rects(self, areas: &[Rect], thickness: u32, ink: Color) -> Made {
        ops::draw_rects(self.0, areas, thickness, ink).map(Self)
    }

    /// Writes one line of text, `size` pixels high.
    pub fn draw_text(self, text: &str, at: (i32, i32), size: u32, ink: Color) -> Made {
        ops::draw_text(self.0, text, at.0, at.1, size, ink).map(Self)
    }

    /// Makes a picture of one colour.
    pub fn blank(width: u32, height: u32, format: &str, fill: Color) -> Made {
        ops::blank(width, height, format, fill).map(Self)
    }

    /// Makes a picture of `rgba` bytes; only in `start` and `on_params`.
    pub fn picture(width: u32, height: u32, rgba: &[u8]) -> Made {
        ops::picture(width, height, rgba).map(Self)
    }

    /// Runs a model from picture to picture.
    pub fn infer(self, model: &Model) -> Made {
        ops::infer(model, self.0).map(Self)
    }

    /// Runs a kernel of the catalogue on up to 8 pictures, with its numbers in the order that its
    /// entry gives.
    pub fn run_kernel(kernel: &Kernel, sources: &[Self], numbers: &[f32]) -> Made {
        let sources: Vec<_> = sources.iter().map(|source| source.0).collect();
        ops::run_kernel(kernel, &sources, numbers).map(Self)
    }

    /// Has a model look at the picture: numbers or text.
    pub fn analyze(self, model: &Model) -> Result<Reading, ErrorClass> {
        ops::analyze(model, self.0).map(Reading)
    }

    /// Has a model find objects of at least `score_min`.
    pub fn detect(self, model: &Model, score_min: f32) -> Result<Reading, ErrorClass> {
        ops::detect(model, self.0, score_min).map(Reading)
    }

    /// Counts values: 256 for each of r, g and b, or for `gray`.
    pub fn histogram(self) -> Result<Reading, ErrorClass> {
        ops::histogram(self.0).map(Reading)
    }

    /// Takes the mean absolute difference to `other`, 0.0 to 255.0.
    pub fn difference(self, other: Self) -> Result<Reading, ErrorClass> {
        ops::difference(self.0, other.0).map(Reading)
    }
}

/// A result on its way, by number. `None` of every method: not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading(pub u32);

impl Reading {
    /// Returns its numbers, last dimension fastest.
    pub fn values(self) -> Result<Option<Vec<f32>>, ErrorClass> {
        readings::values(self.0)
    }

    /// Returns the sizes of the dimensions of its numbers, slowest first.
    pub fn shape(self) -> Result<Option<Vec<u32>>, ErrorClass> {
        readings::shape(self.0)
    }

    /// Returns the objects found, best score first.
    pub fn detections(self) -> Result<Option<Vec<Detection>>, ErrorClass> {
        readings::detections(self.0)
    }

    /// Returns its text.
    pub fn text(self) -> Result<Option<String>, ErrorClass> {
        readings::text(self.0)
    }
}

/// A number on the operator's dashboards, registered once and then updated without a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric(u32);

impl Metric {
    /// Registers a counter; units go into the name: `_bytes`, `_ms`.
    pub fn counter(name: &str, help: &str) -> Result<Self, ErrorClass> {
        metrics::register(name, metrics::MetricKind::Counter, help).map(Self)
    }

    /// Registers a gauge.
    pub fn gauge(name: &str, help: &str) -> Result<Self, ErrorClass> {
        metrics::register(name, metrics::MetricKind::Gauge, help).map(Self)
    }

    /// Registers a histogram.
    pub fn histogram(name: &str, help: &str) -> Result<Self, ErrorClass> {
        metrics::register(name, metrics::MetricKind::Histogram, help).map(Self)
    }

    /// Adds to a counter, sets a gauge, or observes a value of a histogram.
    pub fn update(self, value: f64) {
        metrics::update(self.0, value);
    }
}

/// Sends a picture out at a time of its own, besides what `on_frame` answers.
pub fn emit(frame: Frame, pts_us: i64) -> Result<(), ErrorClass> {
    session::emit(frame.0, pts_us)
}

/// Exports a type that implements [`Pipeline`] as the component's pipeline.
///
/// `export_pipeline!(Mine, carry)` also exports its [`Carry`](crate::granted::Carry),
/// `export_pipeline!(Mine, sound)` its [`Sound`](crate::granted::Sound).
#[macro_export]
macro_rules! export_pipeline {
    ($pipeline:ident $(, $also:ident)*) => {
        // Natively nothing is exported; naming the type keeps it from counting as unused.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() -> $crate::PluginInfo = <$pipeline as $crate::pipeline::Pipeline>::describe;

        #[cfg(target_arch = "wasm32")]
        mod __framegate_export {
            use std::cell::RefCell;

            use $crate::bindings::pipeline::exports::framegate::media::session_handler::Guest;
            use $crate::pipeline::{
                Frame, FrameError, FrameTiming, Output, Pipeline, StopReason,
            };

            type Session = super::$pipeline;

            std::thread_local! {
                static STARTED: RefCell<Option<Session>> = const { RefCell::new(None) };
            }

            fn started<T>(call: impl FnOnce(&mut Session) -> T) -> T {
                STARTED.with_borrow_mut(|session| {
                    call(session.as_mut().expect("the host calls `start` first"))
                })
            }

            struct Component;

            impl Guest for Component {
                fn describe() -> $crate::PluginInfo {
                    <Session as Pipeline>::describe()
                }

                fn start(params: String) -> Result<(), $crate::SetupError> {
                    let session = <Session as Pipeline>::start(&params)?;
                    STARTED.set(Some(session));
                    Ok(())
                }

                fn on_frame(input: u32, timing: FrameTiming) -> Result<Output, FrameError> {
                    started(|session| session.on_frame(Frame(input), &timing))
                }

                fn on_params(params: String) -> Result<(), $crate::SetupError> {
                    started(|session| session.on_params(&params))
                }

                fn on_message(text: String) {
                    started(|session| session.on_message(&text));
                }

                fn stop(reason: StopReason) {
                    started(|session| session.stop(reason));
                }
            }

            $crate::bindings::pipeline::export_pipeline!(
                Component with_types_in $crate::bindings::pipeline
            );

            $( $crate::__export_also!($also); )*
        }
    };
}
