//! What a pipeline component sees besides ops: its session, frames, readings, log and metrics.
//!
//! Whatever the contract allows only at some times, or only so often, is refused here, before the
//! session's host is asked.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::Resource;

use crate::bindings::pipeline::framegate::host::{log, metrics};
use crate::bindings::pipeline::framegate::media::graphs::Graph;
use crate::bindings::pipeline::framegate::media::{frames, readings, session};
use crate::bindings::types::ErrorClass as WitClass;
use crate::limits::{Amount, EMITS_MAX, Limit, LimitHit, Limiter, Limits, METRICS_MAX, Pace, Rate};
use crate::pipeline::bounds;
use crate::pipeline::budget::Budget;
use crate::pipeline::granted::{Opened, Volume};
use crate::pipeline::host::{
    Detection, ErrorClass, HostError, Level, MetricKind, PipelineHost, Rect,
};
use crate::wasi::{Clock, HasShim, Shim};

/// Bytes of a metric's name; the contract's number.
const METRIC_NAME_MAX: usize = 64;
/// Bytes of a metric's help; one line.
const METRIC_HELP_MAX: usize = 256;
/// Bytes of a log message; the contract's number.
const LOG_BYTES_MAX: usize = 4096;

/// Which callback is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Describe,
    Start,
    Frame,
    Params,
    Message,
    State,
    Stop,
}

/// Data of one pipeline's store.
pub(crate) struct PipelineState {
    pub(crate) limiter: Limiter,
    pub(crate) host: Box<dyn PipelineHost>,
    pub(crate) budget: Budget,
    limits: Limits,
    phase: Phase,
    last_error: String,
    ops: u64,
    emits: u32,
    kept: HashSet<u32>,
    metrics: HashMap<String, (MetricKind, u32)>,
    metric_updates: Rate,
    log_lines: Rate,
    shim: Shim,
    pub(crate) store: Arc<Opened>,
    pub(crate) volume: Volume,
}

impl Phase {
    /// Returns which limits hold in it.
    pub(crate) const fn pace(self) -> Pace {
        match self {
            Self::Frame | Self::Message => Pace::Hot,
            Self::Describe | Self::Start | Self::Params | Self::State | Self::Stop => Pace::Setup,
        }
    }
}

impl PipelineState {
    pub(crate) fn new(limits: Limits, host: Box<dyn PipelineHost>, store: &Arc<Opened>) -> Self {
        let shim = if host.facts().deterministic {
            Shim::new(Clock::Fixed(0), 0)
        } else {
            Shim::new(Clock::Real(Instant::now()), entropy())
        };
        Self {
            limiter: Limiter::new(limits),
            host,
            budget: Budget::start(&limits, Pace::Setup),
            limits,
            phase: Phase::Describe,
            last_error: String::new(),
            ops: 0,
            emits: 0,
            kept: HashSet::new(),
            metrics: HashMap::new(),
            metric_updates: Rate::new(&limits, Limit::MetricUpdates),
            log_lines: Rate::new(&limits, Limit::LogLines),
            shim,
            store: Arc::clone(store),
            volume: Volume::new(&limits),
        }
    }

    /// Begins a callback.
    pub(crate) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.ops = 0;
        self.emits = 0;
        self.volume.enter();
        self.budget = Budget::start(&self.limits, phase.pace());
    }

    /// Ends a callback and passes what the guest wrote to its output on to the log.
    pub(crate) fn leave(&mut self) {
        if let Some(text) = self.shim.take_output() {
            self.write_log(Level::Info, &text);
        }
        if self.phase == Phase::Stop {
            self.tell_of_floods();
        }
        self.host.end_callback();
    }

    /// Ends a callback that ended in a fault, and returns the guest's last words.
    pub(crate) fn abandon(&mut self) -> String {
        self.tell_of_floods();
        self.host.end_callback();
        self.shim.take_output().unwrap_or_default()
    }

    /// Tells the operator of what was dropped since it was last told.
    fn tell_of_floods(&mut self) {
        for hit in [self.log_lines.end(), self.metric_updates.end()].into_iter().flatten() {
            self.host.log(Level::Warn, &hit.to_string());
        }
    }

    /// Asks the host, whose time is not the guest's, and keeps the text of an error.
    pub(crate) fn ask<T>(
        &mut self,
        function: &'static str,
        ask: impl FnOnce(&mut dyn PipelineHost) -> Result<T, HostError>,
    ) -> Result<T, WitClass> {
        if let Err(hit) = self.budget.enter_host() {
            return Err(self.refuse_past(function, hit));
        }
        let answer = ask(&mut *self.host);
        self.budget.leave_host();
        answer.map_err(|error| self.refuse(function, &error))
    }

    /// As [`PipelineState::ask`], and counts against `session.max-ops`.
    pub(crate) fn ask_op(
        &mut self,
        function: &'static str,
        ask: impl FnOnce(&mut dyn PipelineHost) -> Result<u32, HostError>,
    ) -> Result<u32, WitClass> {
        self.ops += 1;
        if self.ops > self.limits.get(Limit::Ops) {
            let hit = self.limits.hit(Limit::Ops, Amount::Count(self.ops));
            return Err(self.refuse_past(function, hit));
        }
        self.ask(function, ask)
    }

    fn refuse_past(&mut self, function: &'static str, hit: LimitHit) -> WitClass {
        self.refuse(function, &HostError::new(ErrorClass::Exhausted, hit.to_string()))
    }

    /// Keeps the text of an error and returns its class as the guest sees it.
    pub(crate) fn refuse(&mut self, function: &'static str, error: &HostError) -> WitClass {
        self.last_error = format!("{function}: {}", error.message);
        class(error.class)
    }

    /// Refuses with `conflict` unless one of `phases` is running.
    pub(crate) fn only_in(
        &mut self,
        function: &'static str,
        phases: &[Phase],
    ) -> Result<(), WitClass> {
        if phases.contains(&self.phase) {
            return Ok(());
        }
        let text = "called outside the callbacks that allow it";
        Err(self.refuse(function, &HostError::new(ErrorClass::Conflict, text)))
    }

    fn write_log(&mut self, level: Level, text: &str) {
        let host = &mut self.host;
        if self.log_lines.take(1, |hit| host.log(Level::Warn, &hit.to_string())) {
            host.log(level, cut(text, LOG_BYTES_MAX));
        }
    }
}

/// Returns a limit as the contract has it; every cap fits.
fn number(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Returns a seed that nobody can foresee, from the standard library's keyed hasher.
fn entropy() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

const fn class(class: ErrorClass) -> WitClass {
    match class {
        ErrorClass::Invalid => WitClass::Invalid,
        ErrorClass::Denied => WitClass::Denied,
        ErrorClass::NotFound => WitClass::NotFound,
        ErrorClass::Conflict => WitClass::Conflict,
        ErrorClass::Exhausted => WitClass::Exhausted,
        ErrorClass::Unavailable => WitClass::Unavailable,
        ErrorClass::Internal => WitClass::Internal,
    }
}

impl HasShim for PipelineState {
    fn shim(&mut self) -> &mut Shim {
        &mut self.shim
    }
}

impl crate::bindings::types::Host for PipelineState {}

impl session::Host for PipelineState {
    fn id(&mut self) -> String {
        self.host.facts().id.clone()
    }

    fn capability(&mut self) -> String {
        self.host.facts().capability.clone()
    }

    fn width(&mut self) -> u32 {
        self.host.facts().width
    }

    fn height(&mut self) -> u32 {
        self.host.facts().height
    }

    fn format(&mut self) -> String {
        self.host.facts().format.clone()
    }

    fn frame_rate_milli(&mut self) -> u32 {
        self.host.facts().frame_rate_milli
    }

    fn deterministic(&mut self) -> bool {
        self.host.facts().deterministic
    }

    fn max_frames(&mut self) -> u32 {
        number(self.limits.get(Limit::Frames))
    }

    fn max_ops(&mut self) -> u32 {
        number(self.limits.get(Limit::Ops))
    }

    fn frame_budget_us(&mut self) -> u32 {
        number(self.limits.get(Limit::FrameBudget))
    }

    fn set_input_format(&mut self, format: String) -> Result<(), WitClass> {
        self.only_in("session.set-input-format", &[Phase::Start])?;
        self.ask("session.set-input-format", |host| host.set_input_format(&format))
    }

    fn set_output_size(&mut self, width: u32, height: u32) -> Result<(), WitClass> {
        self.only_in("session.set-output-size", &[Phase::Start])?;
        self.ask("session.set-output-size", |host| {
            bounds::size(width, height).and_then(|()| host.set_output_size(width, height))
        })
    }

    fn set_graph(&mut self, graph: Option<Resource<Graph>>) -> Result<(), WitClass> {
        let graph = graph.map(|graph| graph.rep());
        self.ask("session.set-graph", |host| host.set_graph(graph))
    }

    fn emit(&mut self, frame: u32, pts_us: i64) -> Result<(), WitClass> {
        if self.emits >= EMITS_MAX {
            let value = Amount::Count(u64::from(EMITS_MAX));
            let used = Amount::Count(u64::from(EMITS_MAX) + 1);
            return Err(self.refuse_past("session.emit", LimitHit { name: "emits", value, used }));
        }
        self.ask("session.emit", |host| host.emit(frame, pts_us))?;
        self.emits += 1;
        Ok(())
    }
}

impl frames::Host for PipelineState {
    fn keep(&mut self, frame: u32) -> Result<(), WitClass> {
        if self.kept.contains(&frame) {
            return Ok(());
        }
        let used = self.kept.len() as u64 + 1;
        if used > self.limits.get(Limit::Frames) {
            let hit = self.limits.hit(Limit::Frames, Amount::Count(used));
            return Err(self.refuse_past("frames.keep", hit));
        }
        self.ask("frames.keep", |host| host.keep(frame))?;
        self.kept.insert(frame);
        Ok(())
    }

    fn release(&mut self, frame: u32) {
        self.kept.remove(&frame);
        self.host.release(frame);
    }

    fn width(&mut self, frame: u32) -> u32 {
        self.host.frame(frame).map_or(0, |facts| facts.width)
    }

    fn height(&mut self, frame: u32) -> u32 {
        self.host.frame(frame).map_or(0, |facts| facts.height)
    }

    fn format(&mut self, frame: u32) -> String {
        self.host.frame(frame).map_or_else(String::new, |facts| facts.format.to_owned())
    }

    fn pts_us(&mut self, frame: u32) -> i64 {
        self.host.frame(frame).map_or(0, |facts| facts.pts_us)
    }
}

impl readings::Host for PipelineState {
    fn values(&mut self, reading: u32) -> Result<Option<Vec<f32>>, WitClass> {
        self.ask("readings.values", |host| host.reading_values(reading))
    }

    fn shape(&mut self, reading: u32) -> Result<Option<Vec<u32>>, WitClass> {
        self.ask("readings.shape", |host| host.reading_shape(reading))
    }

    fn detections(&mut self, reading: u32) -> Result<Option<Vec<readings::Detection>>, WitClass> {
        let found = self.ask("readings.detections", |host| host.reading_detections(reading))?;
        Ok(found.map(|all| all.into_iter().map(detection).collect()))
    }

    fn text(&mut self, reading: u32) -> Result<Option<String>, WitClass> {
        self.ask("readings.text", |host| host.reading_text(reading))
    }
}

fn detection(found: Detection) -> readings::Detection {
    let Detection { area: Rect { x, y, width, height }, label, score } = found;
    readings::Detection { area: frames::Rect { x, y, width, height }, label, score }
}

const fn level(level: log::Level) -> Level {
    match level {
        log::Level::Trace => Level::Trace,
        log::Level::Debug => Level::Debug,
        log::Level::Info => Level::Info,
        log::Level::Warn => Level::Warn,
        log::Level::Error => Level::Error,
    }
}

impl log::Host for PipelineState {
    fn enabled(&mut self, at: log::Level) -> bool {
        self.host.log_enabled(level(at))
    }

    fn write(&mut self, at: log::Level, message: String) {
        self.write_log(level(at), &message);
    }

    fn last_error(&mut self) -> String {
        self.last_error.clone()
    }
}

impl metrics::Host for PipelineState {
    fn register(
        &mut self,
        name: String,
        kind: metrics::MetricKind,
        help: String,
    ) -> Result<u32, WitClass> {
        let kind = match kind {
            metrics::MetricKind::Counter => MetricKind::Counter,
            metrics::MetricKind::Gauge => MetricKind::Gauge,
            metrics::MetricKind::Histogram => MetricKind::Histogram,
        };
        let error = match self.metrics.get(&name) {
            Some((known, number)) if *known == kind => return Ok(*number),
            Some(_) => {
                let text = format!("metric `{name}` is known with another kind");
                HostError::new(ErrorClass::Conflict, text)
            }
            None if !is_metric_name(&name) => {
                let text = format!("`{}` is not a metric's name", cut(&name, METRIC_NAME_MAX));
                HostError::new(ErrorClass::Invalid, text)
            }
            None if self.metrics.len() == METRICS_MAX => {
                let value = Amount::Count(METRICS_MAX as u64);
                let used = Amount::Count(METRICS_MAX as u64 + 1);
                let hit = LimitHit { name: "metrics", value, used };
                HostError::new(ErrorClass::Exhausted, hit.to_string())
            }
            None => {
                let help = cut(&help, METRIC_HELP_MAX);
                let number =
                    self.ask("metrics.register", |host| host.metric_register(&name, kind, help))?;
                self.metrics.insert(name, (kind, number));
                return Ok(number);
            }
        };
        Err(self.refuse("metrics.register", &error))
    }

    fn update(&mut self, metric: u32, value: f64) {
        let host = &mut self.host;
        let within = self.metric_updates.take(1, |hit| host.log(Level::Warn, &hit.to_string()));
        if within && value.is_finite() {
            host.metric_update(metric, value);
        }
    }
}

fn is_metric_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= METRIC_NAME_MAX
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
