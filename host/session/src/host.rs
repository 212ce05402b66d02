//! The host side of one session: what a pipeline component sees of pictures, done on the device.
//!
//! Frame numbers are checked here and nowhere else. Ops run on the session's own stream in the
//! order of the calls; one that this host cannot do answers `not-found`.

mod graphs;
mod ops;
mod readings;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use device::{Graph, Lut, Stream, Surface};
use domain::Class;
use domain::planes::PixelFormat;
use plugin::pipeline::PipelineInstance;
use plugin::pipeline::host::{
    Ask, ErrorClass, FrameFacts, HostError, Level, MetricKind, Op, PipelineHost, SessionFacts,
};
use worker::child::Outgoing;
use worker::message::{FromWorker, MetricChange};

use crate::frames::Frames;
use crate::meters::Meters;
use crate::pixels::Copies;
use graphs::Graphs;
use readings::Readings;

/// Colour tables that a session may hold: one for each look that a plugin switches between.
const LUTS_MAX: usize = 64;
/// Types of events that are the host's: a plugin that sent one would speak in its name.
const OUR_EVENTS: [&str; 3] = ["ended", "params-refused", "messages-lost"];

/// How far after the picture that came in last another may be sent out: the pictures that come
/// until then could not be shown any more.
const EMIT_AHEAD_US: i64 = 1_000_000;
/// How far before it: longer than any plugin can keep a picture.
const EMIT_LATE_US: i64 = 10_000_000;

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
    /// Time of the last picture that came in, in microseconds.
    pub(crate) input_us: Option<i64>,
    pub(crate) choices: Choices,
    /// Pictures that were sent out, the last one first.
    sent: VecDeque<Surface>,
    graphs: Graphs,
    readings: Readings,
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
            input_us: None,
            choices: Choices::default(),
            sent: VecDeque::new(),
            graphs: Graphs::default(),
            readings: Readings::default(),
            luts: BTreeMap::new(),
            next_lut: 1,
            copies: Copies::default(),
            meters: Meters::new(),
            plugin: plugin.to_owned(),
            session,
            outgoing,
        }
    }

    /// Notes a picture that went out, for `repeat` and for graphs that look back.
    pub(crate) fn note_sent(&mut self, surface: Surface) {
        self.sent.truncate(self.graphs.look_back() - 1);
        self.sent.push_front(surface);
    }

    /// Returns the last picture that went out.
    pub(crate) fn last_sent(&self) -> Option<&Surface> {
        self.sent.front()
    }

    /// Runs the graph that the plugin set, if it set one.
    pub(crate) fn run_active(&mut self, input: &Surface) -> Option<Result<Surface, HostError>> {
        let graph = self.graphs.active.as_mut()?;
        Some(run_graph(graph, &self.stream, &self.sent, input))
    }

    fn add_lut(&mut self, lut: Lut) -> Result<u32, HostError> {
        if self.luts.len() == LUTS_MAX {
            let text = format!("`session.tables` is used up ({LUTS_MAX} of {LUTS_MAX})");
            return Err(HostError::new(ErrorClass::Exhausted, text));
        }
        let number = self.next_lut;
        self.next_lut = number % (1 << 30) + 1;
        self.luts.insert(number, lut);
        Ok(number)
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

fn run_graph(
    graph: &mut Graph,
    stream: &Stream,
    sent: &VecDeque<Surface>,
    input: &Surface,
) -> Result<Surface, HostError> {
    let back = |age: u32| sent.get(age as usize - 1).cloned();
    graph.run(stream, input, back).map_err(device_error)
}

/// Returns the host of an instance that was made with one of these.
pub(crate) fn host_of(instance: &mut PipelineInstance) -> &mut Host {
    instance.host_mut::<Host>().expect("the instance was made with this host")
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
        let wanted = self.choices.output_size.unwrap_or((self.facts.width, self.facts.height));
        let size = (surface.width(), surface.height());
        if size != wanted {
            let ((width, height), (wide, high)) = (size, wanted);
            let text = format!("a picture of {width}x{height} (announced {wide}x{high})");
            return Err(HostError::new(ErrorClass::Invalid, text));
        }
        let now = self.input_us.unwrap_or(pts_us);
        if pts_us > now.saturating_add(EMIT_AHEAD_US) || pts_us < now.saturating_sub(EMIT_LATE_US) {
            let text = format!(
                "a picture at {pts_us} us, where the last one came at {now} us (at most \
                 {EMIT_AHEAD_US} us after it or {EMIT_LATE_US} us before)"
            );
            return Err(HostError::new(ErrorClass::Invalid, text));
        }
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
        self.do_op(op)
    }

    fn ask(&mut self, ask: Ask) -> Result<u32, HostError> {
        self.ask_reading(ask)
    }

    fn reading_values(&mut self, reading: u32) -> Result<Option<Vec<f32>>, HostError> {
        self.readings.values(reading)
    }

    fn reading_shape(&mut self, reading: u32) -> Result<Option<Vec<u32>>, HostError> {
        self.readings.shape(reading)
    }

    fn lut_from_curves(&mut self, curves: &[u8; 768]) -> Result<u32, HostError> {
        self.add_lut(Lut::from_curves(curves).map_err(device_error)?)
    }

    fn lut_from_cube(&mut self, size: u32, points: &[f32]) -> Result<u32, HostError> {
        self.add_lut(Lut::from_cube(size, points).map_err(device_error)?)
    }

    fn lut_drop(&mut self, lut: u32) {
        self.luts.remove(&lut);
    }

    fn recorder_new(&mut self) -> Result<u32, HostError> {
        self.new_recorder()
    }

    fn recorder_input(&mut self, recorder: u32) -> Result<u32, HostError> {
        self.graphs.stand_in(recorder, device::Source::Input)
    }

    fn recorder_previous(&mut self, recorder: u32, age: u32) -> Result<u32, HostError> {
        self.graphs.stand_in(recorder, device::Source::Previous(age))
    }

    fn recorder_finish(&mut self, recorder: u32, output: u32) -> Result<u32, HostError> {
        self.graphs.finish(recorder, output)
    }

    fn recorder_drop(&mut self, recorder: u32) {
        self.graphs.drop_recorder(recorder);
    }

    fn graph_run(&mut self, graph: u32, input: u32) -> Result<u32, HostError> {
        let entry = self.frames.find(input)?;
        let (surface, pts_us) = (entry.surface.clone(), entry.pts_us);
        let graph = self.graphs.graph(graph)?;
        let result = run_graph(graph, &self.stream, &self.sent, &surface)?;
        self.frames.insert(result, pts_us)
    }

    fn graph_drop(&mut self, graph: u32) {
        self.graphs.drop_graph(graph);
    }

    fn set_graph(&mut self, graph: Option<u32>) -> Result<(), HostError> {
        self.choose_graph(graph)
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
        self.graphs.end_stand_ins();
        self.readings.end_callback(&self.stream, self.facts.deterministic);
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

#[cfg(test)]
mod tests;
