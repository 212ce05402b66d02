//! The middle stage: the component and the ops that it calls.
//!
//! Owns the component's instance; everything about one frame happens on this thread, in order.

mod leave;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use device::{ColorSpace, Op as DeviceOp, Range, Standard, Stream, Surface};
use domain::planes::PixelFormat;
use media::{Key, Packet, Picture, Rational};
use plugin::Limit;
use plugin::pipeline::host::SessionFacts;
use plugin::pipeline::{Answer, FrameError, FrameTiming, Pipeline, PipelineInstance, StopReason};
use worker::message::{FromWorker, SessionSpec};

use crate::SessionError;
use crate::encode::{Look, Product};
use crate::host::Host;
use crate::input::{InputFacts, Item, Tracks};
use crate::run::Ends;
use crate::serve::Shared;
use crate::stats::{self, PictureHash, Times};
use leave::Sent;

/// Frames after which the worker counts as warmed up: pools, tables and encoder are filled.
const WARM_FRAMES: u64 = 60;

/// What the session counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    pub(crate) frames_in: u64,
    pub(crate) frames_out: u64,
    pub(crate) frames_dropped: u64,
    pub(crate) pixels_in: u64,
    pub(crate) stream_ms: u64,
    pub(crate) rss_warm_mib: u64,
}

/// What a session came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Why it failed, if it did; the first cause.
    pub(crate) error: Option<SessionError>,
    /// What was counted.
    pub(crate) figures: Figures,
    /// Hash of the pictures sent out.
    pub(crate) hash: PictureHash,
    /// Guest time of each frame.
    pub(crate) times: Times,
    /// What was odd about the input.
    pub(crate) warnings: Vec<String>,
}

impl Outcome {
    /// Makes the outcome of a session that did nothing.
    pub(crate) fn failed(error: SessionError) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    /// Notes a failure; the first one counts, except that a stage which only found its neighbour
    /// gone does not know why.
    pub(crate) fn fail(&mut self, error: SessionError) {
        match &self.error {
            None | Some(SessionError::Aborted) => self.error = Some(error),
            Some(_) => {}
        }
    }
}

/// Runs the component over everything that the first stage hands on.
pub(crate) fn run(
    pipeline: &Pipeline,
    spec: &SessionSpec,
    ends: &Ends,
    shared: &Shared,
    items: Receiver<Item>,
    products: SyncSender<Product>,
) -> Outcome {
    let mut outcome = Outcome::default();
    let stream =
        match shared.device.stream(usize::try_from(spec.surface_bytes_max).unwrap_or(usize::MAX)) {
            Ok(stream) => Arc::new(stream),
            Err(source) => {
                let device = shared.device.name().to_owned();
                return Outcome::failed(SessionError::Device { device, source });
            }
        };
    let mut stage = Stage {
        pipeline,
        spec,
        ends,
        shared,
        stream,
        products,
        outcome: &mut outcome,
        tracks: None,
        running: None,
        last_input: None,
        last_pts: None,
        early_warnings: Vec::new(),
    };
    if let Err(error) = stage.run(&items) {
        stage.outcome.fail(error);
    }
    // Dropping the stage closes the encoder's queue: it flushes whatever was sent out.
    drop(stage);
    outcome
}

struct Stage<'a> {
    pipeline: &'a Pipeline,
    spec: &'a SessionSpec,
    ends: &'a Ends,
    shared: &'a Shared,
    stream: Arc<Stream>,
    products: SyncSender<Product>,
    outcome: &'a mut Outcome,
    tracks: Option<Arc<Tracks>>,
    running: Option<Running>,
    last_input: Option<i64>,
    last_pts: Option<i64>,
    early_warnings: Vec<String>,
}

/// The component's instance once the first picture has told what it works on.
struct Running {
    instance: PipelineInstance,
    input: (PixelFormat, u32, u32),
    arriving: PixelFormat,
    output_size: (u32, u32),
    look: Look,
    first_pts: i64,
    end_pts: i64,
}

impl Stage<'_> {
    fn run(&mut self, items: &Receiver<Item>) -> Result<(), SessionError> {
        for item in items {
            if self.ends.mailbox.aborted() {
                self.stop(StopReason::Aborted)?;
                return Err(SessionError::Aborted);
            }
            match item {
                Item::Tracks(tracks) => {
                    self.tracks = Some(Arc::clone(&tracks));
                    self.send(Product::Tracks(tracks))?;
                }
                Item::Packet(packet) => self.pass(packet)?,
                Item::Picture(picture) => self.picture(&picture)?,
                Item::End(facts) => return self.end(facts),
                Item::Failed(error) => {
                    self.stop(StopReason::Aborted)?;
                    return Err(error);
                }
            }
        }
        Err(SessionError::Panicked("decode"))
    }

    fn pass(&self, packet: Packet) -> Result<(), SessionError> {
        self.send(Product::Packet(packet))
    }

    fn send(&self, product: Product) -> Result<(), SessionError> {
        // The encoder hangs up only on a failure of its own, which is the one that counts.
        self.products.send(product).map_err(|_| SessionError::Aborted)
    }

    fn device_error(&self, source: device::DeviceError) -> SessionError {
        SessionError::Device { device: self.shared.device.name().to_owned(), source }
    }

    fn time_base(&self) -> Rational {
        self.tracks.as_ref().map_or(Rational::MPEG_TS, |tracks| tracks.video.time_base)
    }

    fn picture(&mut self, picture: &Picture) -> Result<(), SessionError> {
        let planes = picture.planes();
        let input = (planes.format, planes.width, planes.height);
        let before = self.last_input;
        let Some(pts) = self.in_order(picture) else { return Ok(()) };
        if self.running.is_none() {
            let look = Look { color: picture.color(), pixel_aspect: picture.pixel_aspect() };
            self.stream.set_color_space(color_space(look.color, input.2));
            self.start(input, look, pts)?;
        }
        self.controls()?;
        let Some(running) = &mut self.running else { return Err(SessionError::Aborted) };
        if running.input != input {
            return Err(SessionError::InputChanged {
                was: shape(running.input),
                now: shape(input),
            });
        }
        // A picture that does not say how long it is shown is shown as long as the one before.
        let step = before.map_or(0, |before| pts.saturating_sub(before));
        let shown = if picture.duration() > 0 { picture.duration() } else { step };
        running.end_pts = running.end_pts.max(pts.saturating_add(shown));
        let arriving = running.arriving;
        let figures = &mut self.outcome.figures;
        let sequence = figures.frames_in;
        figures.frames_in += 1;
        figures.pixels_in += u64::from(input.1) * u64::from(input.2);
        if figures.frames_in == WARM_FRAMES {
            figures.rss_warm_mib = stats::resident_mib();
        }
        let surface = self.borrow(picture, arriving)?;
        self.call(surface, sequence, picture, pts)
    }

    /// Returns a picture's time if it lies after the one before. A picture without a time of its
    /// own cannot be shown, so it is left out, counted and named.
    fn in_order(&mut self, picture: &Picture) -> Option<i64> {
        let pts = picture.pts().filter(|pts| self.last_input.is_none_or(|last| *pts > last));
        match pts {
            Some(_) => self.last_input = pts,
            None => {
                let figures = &mut self.outcome.figures;
                figures.frames_in += 1;
                figures.frames_dropped += 1;
                let name = "timestamps-not-increasing";
                if !self.early_warnings.iter().any(|warning| warning == name) {
                    self.early_warnings.push(name.to_owned());
                }
            }
        }
        pts
    }

    /// Gives a decoder's picture to the device, in the format that the plugin asked for.
    fn borrow(&self, picture: &Picture, format: PixelFormat) -> Result<Surface, SessionError> {
        let keep_alive = Arc::new(picture.clone());
        // SAFETY: the clone of the picture keeps its planes alive, and decoders do not write a
        // picture once they have handed it out.
        let surface = unsafe { Surface::borrow_foreign(picture.planes(), keep_alive) };
        let fitted = surface.and_then(|surface| {
            let surface = self.stream.upload(&surface)?;
            if surface.format() == format {
                return Ok(surface);
            }
            self.stream.run(&DeviceOp::Convert { format }, &[&surface])
        });
        fitted.map_err(|source| self.device_error(source))
    }

    fn start(
        &mut self,
        input: (PixelFormat, u32, u32),
        look: Look,
        first_pts: i64,
    ) -> Result<(), SessionError> {
        let (format, width, height) = input;
        let rate = self.tracks.as_ref().and_then(|tracks| tracks.video.frame_rate);
        let facts = SessionFacts {
            id: self.spec.id.clone(),
            capability: self.spec.capability.clone(),
            width,
            height,
            format: format.name().to_owned(),
            frame_rate_milli: rate.map_or(0, milli),
            deterministic: self.spec.deterministic,
        };
        let parent = (self.ends.id, self.shared.outgoing.clone());
        let limits = self.pipeline.limits();
        let stream = Arc::clone(&self.stream);
        let host = Host::new(facts, stream, self.pipeline.id(), parent);
        let budget = limits.time(Limit::FrameBudget);
        let mut instance = self.pipeline.instantiate(Box::new(host), budget).map_err(fault)?;
        let plugin = self.pipeline.id().to_owned();
        // Parameters that came before the first picture are the ones to start with.
        let waiting = self.ends.mailbox.take();
        let params = waiting.params.as_ref().unwrap_or(&self.spec.params);
        instance
            .start(params)
            .map_err(fault)?
            .map_err(|source| SessionError::Setup { plugin, source })?;
        for message in &waiting.messages {
            instance.on_message(message).map_err(fault)?;
        }
        let choices = host_of(&mut instance).choices;
        host_of(&mut instance).frames.sweep();
        self.running = Some(Running {
            instance,
            input,
            arriving: choices.input_format.unwrap_or(format),
            output_size: choices.output_size.unwrap_or((width, height)),
            look,
            first_pts,
            end_pts: first_pts,
        });
        Ok(())
    }

    /// Hands the plugin what the client said since the last frame.
    fn controls(&mut self) -> Result<(), SessionError> {
        let Some(running) = &mut self.running else { return Ok(()) };
        let waiting = self.ends.mailbox.take();
        if let Some(params) = waiting.params {
            let refused = running.instance.on_params(&params).map_err(fault)?.err();
            host_of(&mut running.instance).frames.sweep();
            if let Some(error) = refused {
                let event = serde_json::json!({
                    "type": "params-refused",
                    "message": error.to_string(),
                });
                self.event(event.to_string());
            }
        }
        let Some(running) = &mut self.running else { return Ok(()) };
        for message in &waiting.messages {
            running.instance.on_message(message).map_err(fault)?;
            host_of(&mut running.instance).frames.sweep();
        }
        if waiting.lost > 0 {
            let event = serde_json::json!({ "type": "messages-lost", "count": waiting.lost });
            self.event(event.to_string());
        }
        self.send_out(None)
    }

    fn event(&self, json: String) {
        // With the parent gone the main loop ends the process.
        let _ = self.shared.outgoing.send(FromWorker::Event(self.ends.id, json));
    }

    fn call(
        &mut self,
        surface: Surface,
        sequence: u64,
        picture: &Picture,
        pts: i64,
    ) -> Result<(), SessionError> {
        let pts_us = to_us(pts, self.time_base());
        let budget_us = self.pipeline.limits().get(Limit::FrameBudget);
        let budget_us = i32::try_from(budget_us).unwrap_or(i32::MAX);
        let Some(running) = &mut self.running else { return Err(SessionError::Aborted) };
        let instance = &mut running.instance;
        let host = host_of(instance);
        if let Some(result) = host.run_active(&surface) {
            // One frame failed: the input passes, so that the stream has no hole.
            let chosen = Some(result.unwrap_or(surface));
            host.frames.sweep();
            return self.answer(chosen, picture, pts);
        }
        let frame = host.frames.insert(surface.clone(), pts_us).map_err(|error| {
            let plugin = self.pipeline.id().to_owned();
            SessionError::Picture { plugin, what: format!("too many frames: {error}") }
        })?;
        if self.pipeline.granted().pixels {
            host.copies.sweep(&host.frames);
            let brought = host.copies.bring(frame, &surface, &self.stream);
            brought.map_err(|source| SessionError::Device {
                device: self.shared.device.name().to_owned(),
                source,
            })?;
        }
        // No frame is ever left out, so nothing is gained by telling the plugin to hurry.
        let timing = FrameTiming { sequence, pts_us, backlog: 0, slack_us: budget_us };
        let answer = instance.on_frame(frame, &timing).map_err(fault)?;
        self.outcome.times.add(instance.guest_time());
        let chosen = match answer {
            Ok(Answer::Pass) => Some(surface),
            Ok(Answer::Emit(number)) => {
                let entry = host_of(instance).frames.get(number);
                let Some(entry) = entry else { return Err(self.bad_frame(number)) };
                Some(entry.surface.clone())
            }
            Ok(Answer::Drop) => None,
            Ok(Answer::Repeat) => Some(host_of(instance).last_sent().cloned().unwrap_or(surface)),
            // One frame failed: the input passes, so that the stream has no hole.
            Err(FrameError::Skip) => Some(surface),
            Err(FrameError::Fatal) => {
                let plugin = self.pipeline.id().to_owned();
                return Err(SessionError::Fatal { plugin, sequence });
            }
        };
        host_of(instance).frames.sweep();
        self.answer(chosen, picture, pts)
    }

    /// Sends out what was chosen for a picture that came in.
    fn answer(
        &mut self,
        chosen: Option<Surface>,
        picture: &Picture,
        pts: i64,
    ) -> Result<(), SessionError> {
        let key = if picture.is_key() { Key::Forced } else { Key::Free };
        let duration = picture.duration();
        self.send_out(chosen.map(|surface| Sent { surface, pts, duration, key }))
    }

    fn bad_frame(&self, number: u32) -> SessionError {
        let plugin = self.pipeline.id().to_owned();
        SessionError::Picture { plugin, what: format!("`{number}`, which is not a frame") }
    }

    fn end(&mut self, facts: InputFacts) -> Result<(), SessionError> {
        self.outcome.warnings = facts.warnings;
        self.outcome.warnings.append(&mut self.early_warnings);
        if self.running.is_none() {
            return Err(SessionError::NoPicture { errors: facts.errors });
        }
        self.stop(StopReason::Finished)
    }

    fn stop(&mut self, reason: StopReason) -> Result<(), SessionError> {
        let time_base = self.time_base();
        let Some(running) = &mut self.running else { return Ok(()) };
        let lasted = to_us(running.end_pts - running.first_pts, time_base);
        self.outcome.figures.stream_ms = u64::try_from(lasted / 1000).unwrap_or(0);
        running.instance.stop(reason).map_err(fault)?;
        if reason == StopReason::Finished { self.send_out(None) } else { Ok(()) }
    }
}

fn fault(fault: plugin::Fault) -> SessionError {
    SessionError::Fault(Box::new(fault))
}

fn host_of(instance: &mut PipelineInstance) -> &mut Host {
    instance.host_mut::<Host>().expect("the instance was made with this host")
}

fn shape((format, width, height): (PixelFormat, u32, u32)) -> String {
    format!("{} {width}x{height}", format.name())
}

/// Returns what Y, U, V mean in a track: what its pictures say, else what players assume.
fn color_space(color: media::Color, height: u32) -> ColorSpace {
    let assumed = ColorSpace::of_height(height);
    let standard = match color.is_bt709() {
        Some(true) => Standard::Bt709,
        Some(false) => Standard::Bt601,
        None => assumed.standard,
    };
    ColorSpace { standard, range: if color.is_full_range() { Range::Full } else { assumed.range } }
}

fn milli(rate: Rational) -> u32 {
    let milli = i64::from(rate.num) * 1000 / i64::from(rate.den.max(1));
    u32::try_from(milli).unwrap_or(0)
}

fn to_us(ticks: i64, base: Rational) -> i64 {
    base.rescale(ticks, Rational::MICROSECONDS)
}
