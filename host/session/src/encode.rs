//! The last stage: pictures in, an MPEG transport stream out, cut into segments at key frames.
//!
//! Opens encoder and muxer with the first picture, since only then the output's size is known.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use device::Surface;
use media::{Color, Container, EncodeConfig, Encoder, Key, Muxer, Packet, Picture, Rate, Rational};
use worker::message::EncodeSpec;

use crate::SessionError;
use crate::input::Tracks;
use crate::output::MediaSink;

/// Pictures and packets between pipeline and encoder, for the same reason as before the pipeline.
const QUEUE_ITEMS: usize = 8;
/// Packets of sound that may wait for the first picture: some ten seconds of AAC, more than any
/// stream that a player accepts has before its first picture.
const EARLY_PACKETS_MAX: usize = 512;

/// Place of the video among the muxer's tracks.
const VIDEO: usize = 0;
/// B-frames in a row where delay does not matter: libx264's own default.
const B_FRAMES: u32 = 3;
/// The worst quality that libx264 knows.
const QUALITY_MAX: u32 = 51;

/// How a picture is shown, carried from decoder to encoder unread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Colour description.
    pub(crate) color: Color,
    /// Width to height of one pixel, if not square.
    pub(crate) pixel_aspect: Option<Rational>,
}

/// What the second stage hands on, in order.
pub(crate) enum Product {
    /// The tracks of the input; the first product.
    Tracks(Arc<Tracks>),
    /// A picture to encode, in host memory.
    Picture {
        /// The picture, `yuv420p` or `nv12`.
        surface: Surface,
        /// Presentation time in the video track's time base.
        pts: i64,
        /// How long it is shown, in the same; 0: not known.
        duration: i64,
        /// Whether it must be a key frame.
        key: Key,
        /// How it is shown.
        look: Look,
    },
    /// A packet of another track, as it came.
    Packet(Packet),
}

/// Makes the queue between the second and the last stage.
pub(crate) fn queue() -> (SyncSender<Product>, Receiver<Product>) {
    sync_channel(QUEUE_ITEMS)
}

/// Encodes and packs until the queue closes, then flushes what is left.
pub(crate) fn run(
    products: &Receiver<Product>,
    spec: &EncodeSpec,
    sink: &MediaSink,
) -> Result<(), SessionError> {
    let mut stage: Option<Stage> = None;
    let mut tracks: Option<Arc<Tracks>> = None;
    let mut early: Vec<Packet> = Vec::new();
    for product in products {
        match (product, &mut stage, &tracks) {
            (Product::Tracks(found), _, _) => tracks = Some(found),
            (Product::Picture { surface, pts, duration, key, .. }, Some(stage), _) => {
                stage.picture(surface, pts, duration, key)?;
            }
            (Product::Picture { surface, pts, duration, key, look }, None, Some(tracks)) => {
                let mut opened = Stage::open(tracks, &surface, look, spec, sink)?;
                opened.picture(surface, pts, duration, key)?;
                for packet in early.drain(..) {
                    opened.pass(&packet)?;
                }
                stage = Some(opened);
            }
            (Product::Packet(packet), Some(stage), _) => stage.pass(&packet)?,
            (Product::Packet(packet), None, _) if early.len() < EARLY_PACKETS_MAX => {
                early.push(packet);
            }
            // Sound without end before the first picture: nothing could play it in step.
            (Product::Packet(_), None, _) | (Product::Picture { .. }, None, None) => {}
        }
    }
    stage.map_or(Ok(()), Stage::finish)
}

/// Encoder and muxer once they are open.
struct Stage {
    encoder: Encoder,
    muxer: Muxer,
    sink: MediaSink,
    audio: Vec<(usize, usize)>,
}

impl Stage {
    fn open(
        tracks: &Tracks,
        first: &Surface,
        look: Look,
        spec: &EncodeSpec,
        sink: &MediaSink,
    ) -> Result<Self, SessionError> {
        let quality = u8::try_from(spec.quality.min(QUALITY_MAX)).unwrap_or(u8::MAX);
        let encoder = Encoder::open(EncodeConfig {
            codec: spec.codec.clone(),
            width: first.width(),
            height: first.height(),
            format: first.format(),
            time_base: tracks.video.time_base,
            frame_rate: tracks.video.frame_rate,
            pixel_aspect: look.pixel_aspect,
            color: look.color,
            preset: spec.preset.clone(),
            rate: Rate::Quality(quality),
            threads: spec.threads,
            gop_max: spec.gop_frames_max,
            b_frames: if spec.low_latency { 0 } else { B_FRAMES },
            low_latency: spec.low_latency,
        })?;
        let video = encoder.track()?;
        let all: Vec<_> = std::iter::once(&video).chain(&tracks.audio).collect();
        let muxer = Muxer::open(Box::new(sink.clone()), Container::MpegTs, &all)?;
        let audio = tracks.audio.iter().enumerate();
        let audio = audio.map(|(place, track)| (track.index, place + 1)).collect();
        Ok(Self { encoder, muxer, sink: sink.clone(), audio })
    }

    fn picture(
        &mut self,
        surface: Surface,
        pts: i64,
        duration: i64,
        key: Key,
    ) -> Result<(), SessionError> {
        let planes = surface.planes();
        // SAFETY: the surface keeps its planes alive and unchanged, and the picture keeps the
        // surface until the encoder has read them.
        let picture = unsafe { Picture::borrow(planes, Arc::new(surface)) };
        let picture = picture.ok_or(SessionError::NotHost)?;
        self.encoder.send(&picture, pts, duration, key)?;
        self.drain()
    }

    fn drain(&mut self) -> Result<(), SessionError> {
        while let Some(packet) = self.encoder.next_packet()? {
            if packet.is_key() {
                self.muxer.flush()?;
                self.sink.begin_segment().map_err(|_| SessionError::Aborted)?;
            }
            self.muxer.write(VIDEO, &packet)?;
        }
        Ok(())
    }

    fn pass(&mut self, packet: &Packet) -> Result<(), SessionError> {
        let place = self.audio.iter().find(|(index, _)| *index == packet.track());
        match place {
            Some(&(_, place)) => Ok(self.muxer.write(place, packet)?),
            None => Ok(()),
        }
    }

    fn finish(mut self) -> Result<(), SessionError> {
        self.encoder.finish()?;
        self.drain()?;
        Ok(self.muxer.finish()?)
    }
}
