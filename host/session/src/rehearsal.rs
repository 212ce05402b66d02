//! A pipeline with pictures from memory and no media around it: for tests of plugins and for
//! measuring them, on the host that serves.
//!
//! **Invariant:** what a component sees here is what it sees in a worker: the same engine, limits,
//! device and host functions.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use device::{Device, Op, Stream};
use domain::planes::PixelFormat;
use plugin::limits::Limit;
use plugin::pipeline::host::SessionFacts;
use plugin::pipeline::{Answer, FrameError, FrameTiming, Pipeline, PipelineInstance, StopReason};
use worker::child::Outgoing;
use worker::frame;
use worker::message::FromWorker;

use crate::SessionError;
use crate::host::{Host, host_of};

/// Bytes of picture memory: sixteen 4K pictures.
const SURFACE_BYTES_MAX: usize = 256 << 20;
/// The only session of the process that is told of anything.
const SESSION: u64 = 1;

/// What pictures are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Show {
    /// Their format.
    pub format: PixelFormat,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Frames a second times 1000.
    pub frame_rate_milli: u32,
}

impl Show {
    /// Returns a picture of this format and size in which neighbours differ: every byte is the sum
    /// of its row and its column.
    pub fn gradient(&self) -> Vec<u8> {
        let planes = (0..self.format.planes()).flat_map(|plane| {
            let (row, rows) = self.format.plane_size(plane, self.width, self.height);
            (0..rows).flat_map(move |y| (0..row).map(move |x| ((x + y) % 251) as u8))
        });
        planes.collect()
    }
}

/// What a plugin sent out for a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// A picture: plane after plane, rows without padding.
    Picture {
        /// Its format.
        format: PixelFormat,
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Nothing.
    Dropped,
    /// The picture before, once more.
    Repeated,
    /// It failed at this one, and a worker sends out what came in.
    Skipped,
}

/// A session without media.
pub struct Rehearsal {
    show: Show,
    arriving: PixelFormat,
    device: String,
    stream: Arc<Stream>,
    instance: PipelineInstance,
    told: Told,
    sequence: u64,
}

/// The end of the socket at which a worker's parent would read.
struct Told {
    socket: UnixStream,
    buffer: BytesMut,
}

impl Rehearsal {
    /// Opens a session on `device` and starts the plugin with `params`, a JSON document or empty.
    pub fn open(
        pipeline: &Pipeline,
        device: &Device,
        show: &Show,
        params: &str,
    ) -> Result<Self, SessionError> {
        let name = device.name().to_owned();
        let stream = device
            .stream(SURFACE_BYTES_MAX)
            .map_err(|source| SessionError::Device { device: name.clone(), source })?;
        let stream = Arc::new(stream);
        let (ours, theirs) = pair().map_err(|_| SessionError::Panicked("starting"))?;
        let facts = SessionFacts {
            id: "rehearsal".to_owned(),
            capability: format!("live-video-to-video/{}", pipeline.id()),
            width: show.width,
            height: show.height,
            format: show.format.name().to_owned(),
            frame_rate_milli: show.frame_rate_milli,
            deterministic: true,
        };
        let limits = pipeline.limits();
        let told = (SESSION, Outgoing::over(theirs));
        let host = Host::new(facts, Arc::clone(&stream), pipeline.id(), told);
        let fault = |fault| SessionError::Fault(Box::new(fault));
        let mut instance =
            pipeline.instantiate(Box::new(host), limits.time(Limit::FrameBudget)).map_err(fault)?;
        let started = instance.start(params).map_err(fault)?;
        started.map_err(|source| {
            let plugin = pipeline.id().to_owned();
            SessionError::Setup { plugin, source }
        })?;
        let host = host_of(&mut instance);
        host.frames.sweep();
        let arriving = host.choices.input_format.unwrap_or(show.format);
        let told = Told { socket: ours, buffer: BytesMut::new() };
        let (show, sequence) = (show.clone(), 0);
        Ok(Self { show, arriving, device: name, stream, instance, told, sequence })
    }

    /// Hands over the next picture, plane after plane without padding, and returns what becomes of
    /// it.
    pub fn frame(&mut self, bytes: &[u8]) -> Result<Shown, SessionError> {
        let failed = |device: &str| {
            let device = device.to_owned();
            move |source| SessionError::Device { device, source }
        };
        let Show { format, width, height, frame_rate_milli } = self.show;
        let picture = self.stream.picture(format, width, height, bytes);
        let fitted = picture.and_then(|picture| {
            let picture = self.stream.upload(&picture)?;
            if picture.format() == self.arriving {
                return Ok(picture);
            }
            self.stream.run(&Op::Convert { format: self.arriving }, &[&picture])
        });
        let surface = fitted.map_err(failed(&self.device))?;
        let sequence = self.sequence;
        self.sequence += 1;
        let us = i128::from(sequence) * 1_000_000_000 / i128::from(frame_rate_milli.max(1));
        let pts_us = i64::try_from(us).unwrap_or(i64::MAX);
        let fault = |fault| SessionError::Fault(Box::new(fault));
        let inserted = host_of(&mut self.instance).frames.insert(surface.clone(), pts_us);
        let number = match inserted {
            Ok(number) => number,
            Err(error) => {
                let text = format!("too many frames: {error}");
                return Err(fault(self.instance.breach("on-frame", text)));
            }
        };
        let timing = FrameTiming { sequence, pts_us, backlog: 0, slack_us: i32::MAX };
        let answer = self.instance.on_frame(number, &timing);
        let answer = answer.map_err(fault)?;
        let chosen = match answer {
            Ok(Answer::Pass) => Some(surface),
            Ok(Answer::Emit(number)) => {
                let entry = host_of(&mut self.instance).frames.get(number);
                Some(entry.map_or(surface, |entry| entry.surface.clone()))
            }
            Ok(Answer::Drop | Answer::Repeat) | Err(FrameError::Skip) => None,
            Err(FrameError::Fatal) => {
                let text = format!("answered `fatal` to frame {sequence}");
                return Err(fault(self.instance.breach("on-frame", text)));
            }
        };
        host_of(&mut self.instance).frames.sweep();
        let Some(surface) = chosen else {
            return Ok(match answer {
                Ok(Answer::Repeat) => Shown::Repeated,
                Err(_) => Shown::Skipped,
                Ok(_) => Shown::Dropped,
            });
        };
        let host = self.stream.download(&surface).and_then(|picture| {
            self.stream.wait()?;
            picture.to_bytes()
        });
        let bytes = host.map_err(failed(&self.device))?;
        let (width, height) = (surface.width(), surface.height());
        Ok(Shown::Picture { format: surface.format(), width, height, bytes })
    }

    /// Hands over new parameters, the whole document; the text says why they are refused.
    pub fn params(&mut self, json: &str) -> Result<Result<(), String>, SessionError> {
        let answer = self.instance.on_params(json);
        let answer = answer.map_err(|fault| SessionError::Fault(Box::new(fault)))?;
        host_of(&mut self.instance).frames.sweep();
        Ok(answer.map_err(|error| error.to_string()))
    }

    /// Hands over text, as the client's control channel does.
    pub fn message(&mut self, text: &str) -> Result<(), SessionError> {
        let answer = self.instance.on_message(text);
        host_of(&mut self.instance).frames.sweep();
        answer.map_err(|fault| SessionError::Fault(Box::new(fault)))
    }

    /// Ends the session.
    pub fn stop(&mut self) -> Result<(), SessionError> {
        let answer = self.instance.stop(StopReason::Finished);
        answer.map_err(|fault| SessionError::Fault(Box::new(fault)))
    }

    /// Returns the guest time of the last callback.
    pub fn guest_time(&self) -> Duration {
        self.instance.guest_time()
    }

    /// Returns what the plugin has logged since the last look, as `(level, text)`.
    pub fn logged(&mut self) -> Vec<(String, String)> {
        let mut piece = [0; 4096];
        // The socket does not block: it ends where nothing has been said yet.
        while let Ok(length @ 1..) = self.told.socket.read(&mut piece) {
            self.told.buffer.extend_from_slice(&piece[..length]);
        }
        let mut lines = Vec::new();
        while let Ok(Some(message)) = frame::take::<FromWorker>(&mut self.told.buffer) {
            if let FromWorker::Log(_, level, text) = message {
                lines.push((level, text));
            }
        }
        lines
    }
}

/// Two ends, of which neither waits: a plugin that says more than the socket holds is not heard.
fn pair() -> io::Result<(UnixStream, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    Ok((ours, theirs))
}
