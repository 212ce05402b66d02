//! Pictures on their way out: in order of time, of the announced size, hashed, in a format that
//! encoders take.
//!
//! **Invariant:** the hash covers exactly the pictures that the encoder gets, in that order.

use device::{Op as DeviceOp, Surface};
use domain::planes::{Owner, PixelFormat};
use media::{Key, Rational};

use super::{Stage, fault, host_of, to_us};
use crate::SessionError;
use crate::encode::Product;
use crate::host::Extra;

/// A picture on its way out.
#[derive(Clone)]
pub(super) struct Sent {
    /// The picture.
    pub(super) surface: Surface,
    /// Its time, in the input's ticks.
    pub(super) pts: i64,
    /// How long it is shown, in the same; 0: not known.
    pub(super) duration: i64,
    /// Whether it must be a key frame.
    pub(super) key: Key,
}

impl Stage<'_> {
    /// Sends out what one callback answered and what it emitted besides, in order of time.
    pub(super) fn send_out(&mut self, answer: Option<Sent>) -> Result<(), SessionError> {
        let time_base = self.time_base();
        let Some(instance) = self.seat.instance() else { return Ok(()) };
        let extras = std::mem::take(&mut host_of(instance).extras);
        let extra = |Extra { surface, pts_us }| {
            let pts = Rational::MICROSECONDS.rescale(pts_us, time_base);
            Sent { surface, pts, duration: 0, key: Key::Free }
        };
        let mut all: Vec<Sent> = extras.into_iter().map(extra).chain(answer).collect();
        all.sort_by_key(|sent| sent.pts);
        if let Some(last) = all.last() {
            host_of(instance).sent_us = Some(to_us(last.pts, time_base));
        }
        for sent in all {
            if let Some(what) = self.objection(&sent) {
                let Some(instance) = self.seat.instance() else { return Ok(()) };
                return Err(fault(instance.breach("on-frame", format!("sent {what}"))));
            }
            self.emit(sent)?;
        }
        Ok(())
    }

    /// Sends out a picture as it came, as far as it fits into the stream; else the last picture once
    /// more, else nothing.
    pub(super) fn pass_on(&mut self, sent: Sent) -> Result<(), SessionError> {
        let fits = self.shape.as_ref().is_some_and(|it| it.output_size == size(&sent.surface));
        let surface = if fits { Some(sent.surface.clone()) } else { self.last_surface.clone() };
        match surface.map(|surface| Sent { surface, ..sent }) {
            Some(sent) if self.objection(&sent).is_none() => self.emit(sent),
            Some(_) | None => {
                self.outcome.figures.frames_dropped += 1;
                Ok(())
            }
        }
    }

    /// Says why a picture cannot go out next.
    fn objection(&self, sent: &Sent) -> Option<String> {
        let (width, height) = self.shape.as_ref()?.output_size;
        let (own_width, own_height) = size(&sent.surface);
        if (own_width, own_height) != (width, height) {
            let announced = format!("(announced {width}x{height})");
            return Some(format!("a picture of {own_width}x{own_height} {announced}"));
        }
        let late = self.last_pts.is_some_and(|last| sent.pts <= last);
        late.then(|| format!("a picture at {}, not after the last one", sent.pts))
    }

    fn emit(&mut self, sent: Sent) -> Result<(), SessionError> {
        let Some(shape) = &self.shape else { return Err(SessionError::Aborted) };
        let Sent { surface, pts, duration, key } = sent;
        let look = shape.look;
        let encoded = self.encodable(&surface).map_err(|source| self.device_error(source))?;
        self.outcome.hash.add(&encoded).map_err(|source| self.device_error(source))?;
        self.last_pts = Some(pts);
        if let Some(instance) = self.seat.instance() {
            host_of(instance).note_sent(surface.clone());
        }
        self.last_surface = Some(surface);
        self.outcome.figures.frames_out += 1;
        self.send(Product::Picture { surface: encoded, pts, duration, key, look })
    }

    /// Brings a picture into host memory, in a format that encoders take.
    fn encodable(&self, surface: &Surface) -> Result<Surface, device::DeviceError> {
        let host = match surface.format() {
            PixelFormat::Yuv420p | PixelFormat::Nv12 => self.stream.download(surface)?,
            PixelFormat::Rgb24
            | PixelFormat::Rgba
            | PixelFormat::Gray
            | PixelFormat::P010
            | PixelFormat::Gbrpf32 => {
                let convert = DeviceOp::Convert { format: PixelFormat::Yuv420p };
                self.stream.download(&self.stream.run(&convert, &[surface])?)?
            }
        };
        if surface.owner() != Owner::Host {
            self.stream.wait()?;
        }
        Ok(host)
    }
}

fn size(surface: &Surface) -> (u32, u32) {
    (surface.width(), surface.height())
}
