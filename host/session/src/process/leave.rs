//! Pictures on their way out: in order of time, of the announced size, hashed, in a format that
//! encoders take.
//!
//! **Invariant:** the hash covers exactly the pictures that the encoder gets, in that order.

use device::{Op as DeviceOp, Surface};
use domain::planes::{Owner, PixelFormat};
use media::{Key, Rational};

use super::{Stage, host_of, to_us};
use crate::SessionError;
use crate::encode::Product;
use crate::host::Extra;

/// A picture on its way out.
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
        let Some(running) = &mut self.running else { return Ok(()) };
        let extras = std::mem::take(&mut host_of(&mut running.instance).extras);
        let extra = |Extra { surface, pts_us }| {
            let pts = Rational::MICROSECONDS.rescale(pts_us, time_base);
            Sent { surface, pts, duration: 0, key: Key::Free }
        };
        let mut all: Vec<Sent> = extras.into_iter().map(extra).chain(answer).collect();
        all.sort_by_key(|sent| sent.pts);
        if let Some(last) = all.last() {
            host_of(&mut running.instance).sent_us = Some(to_us(last.pts, time_base));
        }
        all.into_iter().try_for_each(|sent| self.emit(sent))
    }

    fn emit(&mut self, sent: Sent) -> Result<(), SessionError> {
        let Some(running) = &self.running else { return Err(SessionError::Aborted) };
        let Sent { surface, pts, duration, key } = sent;
        let bad = |what| Err(SessionError::Picture { plugin: self.pipeline.id().to_owned(), what });
        let size = (surface.width(), surface.height());
        if size != running.output_size {
            let (width, height) = running.output_size;
            return bad(format!("a picture of {}x{} (announced {width}x{height})", size.0, size.1));
        }
        if self.last_pts.is_some_and(|last| pts <= last) {
            return bad(format!("a picture at {pts}, not after the last one"));
        }
        let look = running.look;
        let encoded = self.encodable(&surface).map_err(|source| self.device_error(source))?;
        self.outcome.hash.add(&encoded).map_err(|source| self.device_error(source))?;
        self.last_pts = Some(pts);
        if let Some(running) = &mut self.running {
            host_of(&mut running.instance).note_sent(surface);
        }
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
