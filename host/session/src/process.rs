//! The middle stage: the component and the ops that it calls.
//!
//! Everything about one frame happens on this thread, in order: it comes in here, is handed to the
//! component ([`call`]), and leaves ([`leave`]). What becomes of the session when the component
//! faults is decided in [`recover`].
//!
//! **Invariant:** a picture that came in leaves or is counted as dropped, whoever handled it.

mod call;
mod leave;
mod recover;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use device::{ColorSpace, Op as DeviceOp, Range, Standard, Stream, Surface};
use domain::planes::PixelFormat;
use domain::resume::Resume;
use media::{Key, Packet, Picture, Rational};
use plugin::pipeline::{Pipeline, StopReason};
use worker::message::{FromWorker, SessionSpec};

use crate::SessionError;
use crate::encode::{Look, Product};
use crate::host::host_of;
use crate::input::{InputFacts, Item, Tracks};
use crate::run::Ends;
use crate::serve::Shared;
use crate::stats::{self, PictureHash, Times};
use call::Incoming;
use leave::Sent;
use recover::Seat;

/// Frames after which the worker counts as warmed up: pools, tables and encoder are filled.
const WARM_FRAMES: u64 = 60;

/// What the session counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    pub(crate) frames_in: u64,
    pub(crate) frames_out: u64,
    pub(crate) frames_dropped: u64,
    pub(crate) input_bytes: u64,
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
    pipeline: Arc<Pipeline>,
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
        seat: Seat::new(pipeline, spec),
        spec,
        ends,
        shared,
        stream,
        products,
        outcome: &mut outcome,
        tracks: None,
        shape: None,
        last_input: None,
        last_pts: None,
        last_surface: None,
        resume: spec.resume.map(|it| Resume { picture: it.picture, audio: it.audio }),
        skipped: false,
    };
    if let Err(error) = stage.run(&items) {
        stage.outcome.fail(error);
    }
    // Dropping the stage closes the encoder's queue: it flushes whatever was sent out.
    drop(stage);
    outcome
}

struct Stage<'a> {
    seat: Seat,
    spec: &'a SessionSpec,
    ends: &'a Ends,
    shared: &'a Shared,
    stream: Arc<Stream>,
    products: SyncSender<Product>,
    outcome: &'a mut Outcome,
    tracks: Option<Arc<Tracks>>,
    shape: Option<Shape>,
    last_input: Option<i64>,
    last_pts: Option<i64>,
    last_surface: Option<Surface>,
    /// What the client has already; it is decoded where later pictures need it, and no more.
    resume: Option<Resume>,
    skipped: bool,
}

/// What the first picture and the component's first start settled.
struct Shape {
    /// Format, width and height of pictures as they are decoded.
    input: (PixelFormat, u32, u32),
    /// Format in which the component takes them.
    arriving: PixelFormat,
    /// Width and height of pictures sent out.
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
        let tracks = self.tracks.as_ref().map_or(&[][..], |tracks| &tracks.audio);
        let base = tracks.iter().find(|track| track.index == packet.track());
        let base = base.map_or(Rational::MPEG_TS, |track| track.time_base);
        let time = packet.pts().map(|pts| base.rescale(pts, Rational::MPEG_TS));
        if let (Some(resume), Some(time)) = (&self.resume, time)
            && resume.has_audio(time)
        {
            return Ok(());
        }
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

    fn warn(&mut self, name: &str) {
        let warnings = &mut self.outcome.warnings;
        if !warnings.iter().any(|warning| warning == name) {
            warnings.push(name.to_owned());
        }
    }

    fn picture(&mut self, picture: &Picture) -> Result<(), SessionError> {
        let time = picture.pts().map(|pts| self.time_base().rescale(pts, Rational::MPEG_TS));
        if let (Some(resume), Some(time)) = (&self.resume, time)
            && resume.has_picture(time)
        {
            self.skipped = true;
            return Ok(());
        }
        let planes = picture.planes();
        let input = (planes.format, planes.width, planes.height);
        let before = self.last_input;
        let Some(pts) = self.in_order(picture) else { return Ok(()) };
        let shape = self.shape.get_or_insert_with(|| {
            let look = Look { color: picture.color(), pixel_aspect: picture.pixel_aspect() };
            self.stream.set_color_space(color_space(look.color, input.2));
            let (output_size, arriving) = ((input.1, input.2), input.0);
            Shape { input, arriving, output_size, look, first_pts: pts, end_pts: pts }
        });
        if shape.input != input {
            let (was, now) = (text(shape.input), text(input));
            return Err(SessionError::InputChanged { was, now });
        }
        // A picture that does not say how long it is shown is shown as long as the one before.
        let step = before.map_or(0, |before| pts.saturating_sub(before));
        let shown = if picture.duration() > 0 { picture.duration() } else { step };
        shape.end_pts = shape.end_pts.max(pts.saturating_add(shown));
        self.fill_seat()?;
        self.controls()?;
        let figures = &mut self.outcome.figures;
        let sequence = figures.frames_in;
        figures.frames_in += 1;
        figures.pixels_in += u64::from(input.1) * u64::from(input.2);
        if figures.frames_in == WARM_FRAMES {
            figures.rss_warm_mib = stats::resident_mib();
        }
        let arriving = self.shape.as_ref().map_or(input.0, |shape| shape.arriving);
        let surface = self.borrow(picture, arriving)?;
        let key = if picture.is_key() { Key::Forced } else { Key::Free };
        let sent = Sent { surface, pts, duration: picture.duration(), key };
        let incoming = Incoming { sequence, sent };
        match self.call(&incoming) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.recover(error)?;
                self.pass_on(incoming.sent)
            }
        }
    }

    /// Returns a picture's time if it lies after the one before. A picture without a time of its
    /// own cannot be shown, so it is left out, counted and named.
    fn in_order(&mut self, picture: &Picture) -> Option<i64> {
        let pts = picture.pts().filter(|pts| self.last_input.is_none_or(|last| *pts > last));
        match pts {
            Some(_) => self.last_input = pts,
            None => {
                self.outcome.figures.frames_in += 1;
                self.outcome.figures.frames_dropped += 1;
                self.warn("timestamps-not-increasing");
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

    fn end(&mut self, facts: InputFacts) -> Result<(), SessionError> {
        let own = std::mem::replace(&mut self.outcome.warnings, facts.warnings);
        self.outcome.warnings.extend(own);
        if self.shape.is_none() && !self.skipped {
            return Err(SessionError::NoPicture { errors: facts.errors });
        }
        self.stop(StopReason::Finished)
    }

    fn event(&self, json: String) {
        // With the parent gone the main loop ends the process.
        let _ = self.shared.outgoing.send(FromWorker::Event(self.ends.id, json));
    }
}

fn fault(fault: plugin::Fault) -> SessionError {
    SessionError::Fault(Box::new(fault))
}

fn text((format, width, height): (PixelFormat, u32, u32)) -> String {
    format!("{} {width}x{height}", format.name())
}

fn to_us(ticks: i64, base: Rational) -> i64 {
    base.rescale(ticks, Rational::MICROSECONDS)
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
