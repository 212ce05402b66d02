//! What a pipeline component asks of its session: the trait that the host of frames implements.
//!
//! The plugin crate turns guest calls into calls of [`PipelineHost`], keeps `last-error`, counts
//! ops and emitted pictures, and refuses what the contract allows only in `start`. It never looks
//! into a frame. Frames, readings and opened things are numbers that the implementation gives out
//! and checks on each use.
//!
//! **Invariant:** no method blocks on a device, a lock that may be held long, or the network: the
//! tick that ends a runaway guest does not end a host function.

use std::any::Any;

pub use domain::picture::{Axis, Color, Rect, Sampling};

/// Facts of a session that do not change from `start` to `stop`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFacts {
    /// Opaque id, as in logs.
    pub id: String,
    /// Capability for which the session was opened.
    pub capability: String,
    /// Pixels in a row of arriving pictures; 0: there is no video.
    pub width: u32,
    /// Rows of arriving pictures; 0: there is no video.
    pub height: u32,
    /// Format of arriving pictures, as FFmpeg names it; empty: there is no video.
    pub format: String,
    /// Nominal frames a second times 1000; 0: it varies.
    pub frame_rate_milli: u32,
    /// Whether results must not depend on timing.
    pub deterministic: bool,
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameFacts {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Format, as FFmpeg names it.
    pub format: &'static str,
    /// Presentation time on the session's clock, in microseconds.
    pub pts_us: i64,
}

/// An operation that gives a picture, as the contract's `ops` has it. `source`, `a`, `b`, `base`,
/// `top`, `mask` and `previous` are frames or stand-ins, as the guest gave them: check them.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "`wit/deps/media/media.wit` documents every op and argument")]
pub enum Op<'a> {
    Convert { source: u32, format: &'a str },
    Resize { source: u32, width: u32, height: u32, sampling: Sampling },
    Crop { source: u32, area: Rect },
    Pad { source: u32, left: u32, top: u32, right: u32, bottom: u32, fill: Color },
    Rotate { source: u32, quarters: u32 },
    Flip { source: u32, axis: Axis },
    BoxBlur { source: u32, radius: u32 },
    GaussianBlur { source: u32, sigma: f32 },
    BlurAreas { source: u32, areas: &'a [Rect], sigma: f32 },
    PixelateAreas { source: u32, areas: &'a [Rect], block: u32 },
    Edges { source: u32 },
    Convolve { source: u32, weights: &'a [f32], bias: f32 },
    Denoise { source: u32, previous: u32, strength: u8 },
    ApplyLut { source: u32, lut: u32 },
    ColorMatrix { source: u32, weights: &'a [f32] },
    Threshold { source: u32, level: u8 },
    Mix { a: u32, b: u32, t: u8 },
    Noise { source: u32, strength: u8, seed: u32 },
    Overlay { base: u32, top: u32, x: i32, y: i32, alpha: u8 },
    Composite { base: u32, top: u32, mask: u32 },
    DrawRects { source: u32, areas: &'a [Rect], thickness: u32, ink: Color },
    DrawText { source: u32, text: &'a str, x: i32, y: i32, size: u32, ink: Color },
    Blank { width: u32, height: u32, format: &'a str, fill: Color },
    Picture { width: u32, height: u32, rgba: &'a [u8] },
    Infer { model: u32, source: u32 },
    RunKernel { kernel: u32, sources: &'a [u32], numbers: &'a [f32] },
}

impl Op<'_> {
    /// Returns the contract's name of the op.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Convert { .. } => "convert",
            Self::Resize { .. } => "resize",
            Self::Crop { .. } => "crop",
            Self::Pad { .. } => "pad",
            Self::Rotate { .. } => "rotate",
            Self::Flip { .. } => "flip",
            Self::BoxBlur { .. } => "box-blur",
            Self::GaussianBlur { .. } => "gaussian-blur",
            Self::BlurAreas { .. } => "blur-areas",
            Self::PixelateAreas { .. } => "pixelate-areas",
            Self::Edges { .. } => "edges",
            Self::Convolve { .. } => "convolve",
            Self::Denoise { .. } => "denoise",
            Self::ApplyLut { .. } => "apply-lut",
            Self::ColorMatrix { .. } => "color-matrix",
            Self::Threshold { .. } => "threshold",
            Self::Mix { .. } => "mix",
            Self::Noise { .. } => "noise",
            Self::Overlay { .. } => "overlay",
            Self::Composite { .. } => "composite",
            Self::DrawRects { .. } => "draw-rects",
            Self::DrawText { .. } => "draw-text",
            Self::Blank { .. } => "blank",
            Self::Picture { .. } => "picture",
            Self::Infer { .. } => "infer",
            Self::RunKernel { .. } => "run-kernel",
        }
    }

    /// Returns the pictures that it takes, at most three, in the contract's order; 0 for the rest.
    pub fn sources(&self) -> [u32; 3] {
        match *self {
            Self::Blank { .. } | Self::Picture { .. } => [0; 3],
            Self::Mix { a, b, .. } => [a, b, 0],
            Self::Denoise { source, previous, .. } => [source, previous, 0],
            Self::Overlay { base, top, .. } => [base, top, 0],
            Self::Composite { base, top, mask } => [base, top, mask],
            Self::RunKernel { sources, .. } => {
                std::array::from_fn(|at| sources.get(at).copied().unwrap_or(0))
            }
            Self::Convert { source, .. }
            | Self::Resize { source, .. }
            | Self::Crop { source, .. }
            | Self::Pad { source, .. }
            | Self::Rotate { source, .. }
            | Self::Flip { source, .. }
            | Self::BoxBlur { source, .. }
            | Self::GaussianBlur { source, .. }
            | Self::BlurAreas { source, .. }
            | Self::PixelateAreas { source, .. }
            | Self::Edges { source }
            | Self::Convolve { source, .. }
            | Self::ApplyLut { source, .. }
            | Self::ColorMatrix { source, .. }
            | Self::Threshold { source, .. }
            | Self::Noise { source, .. }
            | Self::DrawRects { source, .. }
            | Self::DrawText { source, .. }
            | Self::Infer { source, .. } => [source, 0, 0],
        }
    }
}

/// An operation whose result is a reading.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "`wit/deps/media/media.wit` documents every op and argument")]
pub enum Ask {
    Analyze { model: u32, source: u32 },
    Detect { model: u32, source: u32, min_score: f32 },
    Histogram { source: u32 },
    Difference { a: u32, b: u32 },
}

impl Ask {
    /// Returns the contract's name of the op.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Analyze { .. } => "analyze",
            Self::Detect { .. } => "detect",
            Self::Histogram { .. } => "histogram",
            Self::Difference { .. } => "difference",
        }
    }
}

/// One object found in a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Where, in pixels of the frame that was asked about.
    pub area: Rect,
    /// Index into the model's labels.
    pub label: u32,
    /// 0.0 to 1.0.
    pub score: f32,
}

/// Level of a log message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the five levels of every log")]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the three kinds that Prometheus can hold")]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

/// Class of an error that a guest gets to see; the contract's `error-class`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// An argument is outside what the function takes.
    Invalid,
    /// Neither manifest nor operator grants it.
    Denied,
    /// Nothing goes by that name, or this host cannot do it.
    NotFound,
    /// Not in this state.
    Conflict,
    /// A quota, pool or queue is used up.
    Exhausted,
    /// The device or service behind it is gone.
    Unavailable,
    /// The host's own fault.
    Internal,
}

/// An error that a guest gets to see: the class at once, the text through `last-error`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct HostError {
    /// Who has to act.
    pub class: ErrorClass,
    /// Lower-case fact with operands in backticks.
    pub message: String,
}

impl HostError {
    /// Makes an error of `class`.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }

    /// Makes the answer of a host that cannot do `what`.
    pub fn not_here(what: &str) -> Self {
        Self::new(ErrorClass::NotFound, format!("`{what}` is not available on this host"))
    }
}

/// The host side of one session. What a method does is in `wit/deps/media/media.wit`; what has a
/// body here answers `not-found` until a host overrides it.
///
/// This crate checks before it calls: ops and pictures emitted in one callback, the time of all
/// calls in it, frames kept, and what is allowed only in `start` or `on-params`.
pub trait PipelineHost: Send + Any {
    /// Returns the facts of the session.
    fn facts(&self) -> &SessionFacts;

    /// Has pictures arrive in `format`.
    fn set_input_format(&mut self, format: &str) -> Result<(), HostError>;

    /// Announces the size of the pictures sent out.
    fn set_output_size(&mut self, width: u32, height: u32) -> Result<(), HostError>;

    /// Runs a graph on every further frame in place of `on-frame`; `None`: calls it again.
    fn set_graph(&mut self, graph: Option<u32>) -> Result<(), HostError> {
        let _ = graph;
        Err(HostError::not_here("set-graph"))
    }

    /// Sends a picture out besides what `on-frame` answers.
    fn emit(&mut self, frame: u32, pts_us: i64) -> Result<(), HostError>;

    /// Lets a frame outlive the callback. This crate has counted it.
    fn keep(&mut self, frame: u32) -> Result<(), HostError>;

    /// Ends a frame, kept or not.
    fn release(&mut self, frame: u32);

    /// Returns what a frame is; `None`: not a frame.
    fn frame(&self, frame: u32) -> Option<FrameFacts>;

    /// Does one op, or writes it down if it takes a stand-in, and returns the frame or stand-in of
    /// its result.
    fn op(&mut self, op: Op<'_>) -> Result<u32, HostError>;

    /// Asks for a reading and returns its number.
    fn ask(&mut self, ask: Ask) -> Result<u32, HostError> {
        Err(HostError::not_here(ask.name()))
    }

    /// Makes a colour table from one curve each for r, g and b.
    fn lut_from_curves(&mut self, curves: &[u8; 768]) -> Result<u32, HostError>;

    /// Makes a colour table from a cube of `size` steps a side.
    fn lut_from_cube(&mut self, size: u32, points: &[f32]) -> Result<u32, HostError> {
        let _ = (size, points);
        Err(HostError::not_here("from-cube"))
    }

    /// Drops a colour table.
    fn lut_drop(&mut self, lut: u32);

    /// Begins to write ops down and returns the recorder's number.
    fn recorder_new(&mut self) -> Result<u32, HostError> {
        Err(HostError::not_here("recorder"))
    }

    /// Returns the stand-in for the frame that arrives.
    fn recorder_input(&mut self, recorder: u32) -> Result<u32, HostError> {
        let _ = recorder;
        Err(HostError::not_here("recorder.input"))
    }

    /// Returns the stand-in for the picture sent out `age` frames ago.
    fn recorder_previous(&mut self, recorder: u32, age: u32) -> Result<u32, HostError> {
        let _ = (recorder, age);
        Err(HostError::not_here("recorder.previous"))
    }

    /// Ends a recorder with `output` and returns the graph's number.
    fn recorder_finish(&mut self, recorder: u32, output: u32) -> Result<u32, HostError> {
        let _ = (recorder, output);
        Err(HostError::not_here("recorder.finish"))
    }

    /// Drops a recorder, finished or not.
    fn recorder_drop(&mut self, recorder: u32) {
        let _ = recorder;
    }

    /// Runs a graph on one frame.
    fn graph_run(&mut self, graph: u32, input: u32) -> Result<u32, HostError> {
        let _ = (graph, input);
        Err(HostError::not_here("graph.run"))
    }

    /// Drops a graph.
    fn graph_drop(&mut self, graph: u32) {
        let _ = graph;
    }

    /// Loads a model and returns its number.
    fn open_model(&mut self, name: &str) -> Result<u32, HostError> {
        Err(HostError::new(ErrorClass::NotFound, format!("no model `{name}` on this host")))
    }

    /// Sets a number of a model.
    fn model_set_number(&mut self, model: u32, name: &str, value: f32) -> Result<(), HostError> {
        let _ = (model, name, value);
        Err(HostError::not_here("model.set-number"))
    }

    /// Sets a text of a model.
    fn model_set_text(&mut self, model: u32, name: &str, value: &str) -> Result<(), HostError> {
        let _ = (model, name, value);
        Err(HostError::not_here("model.set-text"))
    }

    /// Sets a picture of a model.
    fn model_set_frame(&mut self, model: u32, name: &str, frame: u32) -> Result<(), HostError> {
        let _ = (model, name, frame);
        Err(HostError::not_here("model.set-frame"))
    }

    /// Returns the names of the things that a model tells apart.
    fn model_labels(&self, model: u32) -> Vec<String> {
        let _ = model;
        Vec::new()
    }

    /// Drops a model.
    fn model_drop(&mut self, model: u32) {
        let _ = model;
    }

    /// Finds a kernel and returns its number.
    fn open_kernel(&mut self, name: &str) -> Result<u32, HostError> {
        Err(HostError::new(ErrorClass::NotFound, format!("no kernel `{name}` on this host")))
    }

    /// Drops a kernel.
    fn kernel_drop(&mut self, kernel: u32) {
        let _ = kernel;
    }

    /// Returns the numbers of a reading; `None`: not there yet.
    fn reading_values(&mut self, reading: u32) -> Result<Option<Vec<f32>>, HostError> {
        Err(no_reading(reading))
    }

    /// Returns the sizes of the dimensions of a reading's numbers.
    fn reading_shape(&mut self, reading: u32) -> Result<Option<Vec<u32>>, HostError> {
        Err(no_reading(reading))
    }

    /// Returns the objects of a reading.
    fn reading_detections(&mut self, reading: u32) -> Result<Option<Vec<Detection>>, HostError> {
        Err(no_reading(reading))
    }

    /// Returns the text of a reading.
    fn reading_text(&mut self, reading: u32) -> Result<Option<String>, HostError> {
        Err(no_reading(reading))
    }

    /// Returns whether a message of `level` would be kept.
    fn log_enabled(&self, level: Level) -> bool;

    /// Takes one message; this crate has cut it to 4 KiB and drops those over 100 a second.
    fn log(&mut self, level: Level, message: &str);

    /// Registers a metric and returns its number; this crate has checked name and number.
    fn metric_register(
        &mut self,
        name: &str,
        kind: MetricKind,
        help: &str,
    ) -> Result<u32, HostError> {
        let _ = (kind, help);
        Err(HostError::not_here(name))
    }

    /// Adds to a counter, sets a gauge or observes a histogram value; unknown numbers are ignored.
    fn metric_update(&mut self, metric: u32, value: f64) {
        let _ = (metric, value);
    }

    /// Sends text on the client's data channel; this crate has counted its bytes.
    fn send_text(&mut self, pts_us: i64, text: &str) -> Result<(), HostError> {
        let _ = (pts_us, text);
        Err(no_channel("data"))
    }

    /// Sends bytes on the client's data channel; this crate has counted them.
    fn send_bytes(&mut self, pts_us: i64, bytes: &[u8]) -> Result<(), HostError> {
        let _ = (pts_us, bytes);
        Err(no_channel("data"))
    }

    /// Sends what should be one JSON document on the client's events channel.
    fn send_event(&mut self, json: &str) -> Result<(), HostError> {
        let _ = json;
        Err(no_channel("events"))
    }

    /// Copies `rows` rows of a plane, which this crate has checked to exist; `None`: the copy has
    /// been started.
    fn pixels_read(
        &mut self,
        source: u32,
        plane: u32,
        first_row: u32,
        rows: u32,
    ) -> Result<Option<Vec<u8>>, HostError> {
        let _ = (source, plane, first_row, rows);
        Err(HostError::not_here("pixels"))
    }

    /// Makes a picture from its planes' bytes.
    fn pixels_create(
        &mut self,
        width: u32,
        height: u32,
        format: &str,
        bytes: &[u8],
    ) -> Result<u32, HostError> {
        let _ = (width, height, format, bytes);
        Err(HostError::not_here("pixels"))
    }

    /// Ends every frame of the callback that is neither kept nor sent, and every stand-in. Called
    /// after each callback that ended in a value or a refusal, and after a fault.
    fn end_callback(&mut self);
}

fn no_reading(reading: u32) -> HostError {
    HostError::new(ErrorClass::Invalid, format!("`{reading}` is not a reading"))
}

fn no_channel(name: &str) -> HostError {
    let text = format!("the client did not ask for the `{name}` channel");
    HostError::new(ErrorClass::NotFound, text)
}

/// The host of an instance that serves no session, such as one that only describes itself.
#[derive(Debug)]
pub(crate) struct Nothing(SessionFacts);

impl Default for Nothing {
    fn default() -> Self {
        Self(SessionFacts {
            id: String::new(),
            capability: String::new(),
            width: 0,
            height: 0,
            format: String::new(),
            frame_rate_milli: 0,
            deterministic: false,
        })
    }
}

impl PipelineHost for Nothing {
    fn facts(&self) -> &SessionFacts {
        &self.0
    }

    fn set_input_format(&mut self, _: &str) -> Result<(), HostError> {
        Err(HostError::not_here("session"))
    }

    fn set_output_size(&mut self, _: u32, _: u32) -> Result<(), HostError> {
        Err(HostError::not_here("session"))
    }

    fn emit(&mut self, _: u32, _: i64) -> Result<(), HostError> {
        Err(HostError::not_here("session"))
    }

    fn keep(&mut self, _: u32) -> Result<(), HostError> {
        Err(HostError::not_here("session"))
    }

    fn release(&mut self, _: u32) {}

    fn frame(&self, _: u32) -> Option<FrameFacts> {
        None
    }

    fn op(&mut self, op: Op<'_>) -> Result<u32, HostError> {
        Err(HostError::not_here(op.name()))
    }

    fn lut_from_curves(&mut self, _: &[u8; 768]) -> Result<u32, HostError> {
        Err(HostError::not_here("lut"))
    }

    fn lut_drop(&mut self, _: u32) {}

    fn log_enabled(&self, _: Level) -> bool {
        false
    }

    fn log(&mut self, _: Level, _: &str) {}

    fn end_callback(&mut self) {}
}
