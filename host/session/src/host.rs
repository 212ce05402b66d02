//! The host side of one session: what a pipeline component sees of pictures, done on the device.
//!
//! Frame numbers are checked here and nowhere else. Ops run on the session's own stream in the
//! order of the calls; an op that has no kernel answers `not-found`.

use std::collections::BTreeMap;
use std::sync::Arc;

use device::{Lut, Op as DeviceOp, Stream, Surface};
use domain::Class;
use domain::planes::PixelFormat;
use plugin::pipeline::host::{
    ErrorClass, FrameFacts, HostError, Level, MetricKind, Op, PipelineHost, SessionFacts,
};
use worker::child::Outgoing;
use worker::message::{FromWorker, MetricChange};

use crate::frames::Frames;
use crate::meters::Meters;
use crate::pixels::Copies;

/// Colour tables that a session may hold: one for each look that a plugin switches between.
const LUTS_MAX: usize = 64;
/// Types of events that are the host's: a plugin that sent one would speak in its name.
const OUR_EVENTS: [&str; 3] = ["ended", "params-refused", "messages-lost"];

/// A picture that the plugin sends out besides its answers.
#[derive(Debug)]
pub(crate) struct Extra {
    /// The picture.
    pub(crate) surface: Surface,
    /// Its own time in microseconds.
    pub(crate) pts_us: i64,
}

/// What the plugin chose in `start`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Choices {
    /// Format in which pictures are to arrive.
    pub(crate) input_format: Option<PixelFormat>,
    /// Size of the pictures sent out.
    pub(crate) output_size: Option<(u32, u32)>,
}

/// State behind the imports of one pipeline instance.
pub(crate) struct Host {
    facts: SessionFacts,
    stream: Arc<Stream>,
    pub(crate) frames: Frames,
    pub(crate) extras: Vec<Extra>,
    /// Time of the last picture that went out, in microseconds.
    pub(crate) sent_us: Option<i64>,
    pub(crate) choices: Choices,
    luts: BTreeMap<u32, Lut>,
    next_lut: u32,
    pub(crate) copies: Copies,
    meters: Meters,
    plugin: String,
    session: u64,
    outgoing: Outgoing,
}

impl Host {
    /// Creates the host of a session that works on `stream`.
    pub(crate) fn new(
        facts: SessionFacts,
        stream: Arc<Stream>,
        plugin: &str,
        (session, outgoing): (u64, Outgoing),
    ) -> Self {
        Self {
            frames: Frames::new(),
            facts,
            stream,
            extras: Vec::new(),
            sent_us: None,
            choices: Choices::default(),
            luts: BTreeMap::new(),
            next_lut: 1,
            copies: Copies::default(),
            meters: Meters::new(),
            plugin: plugin.to_owned(),
            session,
            outgoing,
        }
    }

    fn run(&mut self, op: &DeviceOp, sources: &[u32]) -> Result<u32, HostError> {
        let first = self.frames.find(sources[0])?;
        let pts_us = first.pts_us;
        let result = match sources {
            [_] => self.stream.run(op, &[&first.surface]),
            [_, second, ..] => {
                self.stream.run(op, &[&first.surface, &self.frames.find(*second)?.surface])
            }
            [] => return Err(HostError::new(ErrorClass::Internal, "an op without a picture")),
        };
        self.frames.insert(result.map_err(device_error)?, pts_us)
    }

    fn tell(&self, changes: Vec<MetricChange>) {
        if !changes.is_empty() {
            // With the parent gone nobody counts any more.
            let _ = self.outgoing.send(FromWorker::Metrics(self.session, changes));
        }
    }

    fn lut(&self, lut: u32) -> Result<Lut, HostError> {
        let found = self.luts.get(&lut).cloned();
        found.ok_or_else(|| HostError::new(ErrorClass::Invalid, format!("`{lut}` is not a table")))
    }
}

fn format(name: &str) -> Result<PixelFormat, HostError> {
    PixelFormat::from_name(name)
        .ok_or_else(|| HostError::new(ErrorClass::Invalid, format!("`{name}` is not a format")))
}

fn device_error(error: device::DeviceError) -> HostError {
    let class = match error.class() {
        Class::Invalid => ErrorClass::Invalid,
        Class::Exhausted => ErrorClass::Exhausted,
        Class::Unavailable | Class::TimedOut => ErrorClass::Unavailable,
        Class::NotFound => ErrorClass::NotFound,
        _ => ErrorClass::Internal,
    };
    HostError::new(class, domain::chain(&error))
}

impl PipelineHost for Host {
    fn facts(&self) -> &SessionFacts {
        &self.facts
    }

    fn set_input_format(&mut self, name: &str) -> Result<(), HostError> {
        self.choices.input_format = Some(format(name)?);
        Ok(())
    }

    fn set_output_size(&mut self, width: u32, height: u32) -> Result<(), HostError> {
        let most = device::MAX_SIDE;
        if !(1..=most).contains(&width) || !(1..=most).contains(&height) {
            let text = format!("output size `{width}x{height}` (1 to {most} pixels a side)");
            return Err(HostError::new(ErrorClass::Invalid, text));
        }
        self.choices.output_size = Some((width, height));
        Ok(())
    }

    fn emit(&mut self, frame: u32, pts_us: i64) -> Result<(), HostError> {
        let surface = self.frames.find(frame)?.surface.clone();
        let taken = self.extras.iter().any(|extra| extra.pts_us == pts_us);
        if taken || self.sent_us.is_some_and(|last| pts_us <= last) {
            let text = format!("a picture at {pts_us} us is not after the last one");
            return Err(HostError::new(ErrorClass::Invalid, text));
        }
        self.extras.push(Extra { surface, pts_us });
        Ok(())
    }

    fn keep(&mut self, frame: u32) -> Result<(), HostError> {
        self.frames.keep(frame)
    }

    fn release(&mut self, frame: u32) {
        self.frames.release(frame);
    }

    fn frame(&self, frame: u32) -> Option<FrameFacts> {
        let entry = self.frames.get(frame)?;
        Some(FrameFacts {
            width: entry.surface.width(),
            height: entry.surface.height(),
            format: entry.surface.format().name(),
            pts_us: entry.pts_us,
        })
    }

    fn op(&mut self, op: Op<'_>) -> Result<u32, HostError> {
        match op {
            Op::Convert { source, format: name } => {
                self.run(&DeviceOp::Convert { format: format(name)? }, &[source])
            }
            Op::Convolve { source, weights, bias } => {
                let op = DeviceOp::convolve(weights, bias).map_err(device_error)?;
                self.run(&op, &[source])
            }
            Op::ApplyLut { source, lut } => {
                let lut = self.lut(lut)?;
                self.run(&DeviceOp::ApplyLut(lut), &[source])
            }
            Op::Mix { a, b, t } => self.run(&DeviceOp::Mix { t }, &[a, b]),
            other => Err(HostError::not_here(other.name())),
        }
    }

    fn lut_from_curves(&mut self, curves: &[u8; 768]) -> Result<u32, HostError> {
        if self.luts.len() == LUTS_MAX {
            let text = format!("`session.tables` is used up ({LUTS_MAX} of {LUTS_MAX})");
            return Err(HostError::new(ErrorClass::Exhausted, text));
        }
        let lut = Lut::from_curves(curves).map_err(device_error)?;
        let number = self.next_lut;
        self.next_lut = number % (1 << 30) + 1;
        self.luts.insert(number, lut);
        Ok(number)
    }

    fn lut_drop(&mut self, lut: u32) {
        self.luts.remove(&lut);
    }

    fn log_enabled(&self, level: Level) -> bool {
        level >= Level::Info
    }

    fn log(&mut self, level: Level, message: &str) {
        if !self.log_enabled(level) {
            return;
        }
        let level = match level {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        let line = FromWorker::Log(self.session, level.to_owned(), message.to_owned());
        // With the parent gone nobody reads the log either, and the main loop ends the process.
        let _ = self.outgoing.send(line);
    }

    fn metric_register(
        &mut self,
        name: &str,
        kind: MetricKind,
        help: &str,
    ) -> Result<u32, HostError> {
        Ok(self.meters.register(&self.plugin, name, kind, help))
    }

    fn metric_update(&mut self, metric: u32, value: f64) {
        self.meters.update(metric, value);
    }

    fn send_event(&mut self, json: &str) -> Result<(), HostError> {
        let invalid = |text: String| HostError::new(ErrorClass::Invalid, text);
        let document: serde_json::Value =
            serde_json::from_str(json).map_err(|error| invalid(format!("not JSON: {error}")))?;
        let named = document.get("type").and_then(serde_json::Value::as_str);
        if let Some(name) = named.filter(|name| OUR_EVENTS.contains(name)) {
            return Err(invalid(format!("`{name}` is an event of the host")));
        }
        // With the parent gone the main loop ends the process.
        let _ = self.outgoing.send(FromWorker::Event(self.session, json.to_owned()));
        Ok(())
    }

    fn pixels_read(
        &mut self,
        source: u32,
        plane: u32,
        first_row: u32,
        rows: u32,
    ) -> Result<Option<Vec<u8>>, HostError> {
        self.copies.sweep(&self.frames);
        let surface = &self.frames.find(source)?.surface;
        let rows = (first_row as usize, rows as usize);
        let read = self.copies.read((source, surface), plane as usize, rows, &self.stream);
        read.map_err(device_error)
    }

    fn pixels_create(
        &mut self,
        width: u32,
        height: u32,
        name: &str,
        bytes: &[u8],
    ) -> Result<u32, HostError> {
        let format = PixelFormat::from_name(name).ok_or_else(|| {
            HostError::new(ErrorClass::NotFound, format!("`{name}` is not a format"))
        })?;
        let picture = self.stream.picture(format, width, height, bytes);
        let picture = picture.and_then(|picture| self.stream.upload(&picture));
        self.frames.insert(picture.map_err(device_error)?, 0)
    }

    /// Numbers end, pictures a moment later: the session first takes what the callback answered
    /// and then sweeps.
    fn end_callback(&mut self) {
        let changes = self.meters.due();
        self.tell(changes);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let changes = self.meters.take();
        self.tell(changes);
    }
}
