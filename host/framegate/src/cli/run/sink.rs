//! The result on its way back: MPEG-TS taken apart and written as the file asked for.
//!
//! Decides when enough is known to begin the file. Decodes nothing, and does not know where the
//! bytes come from.
//!
//! **Invariant:** the file gets its name only after [`Verdict::Keep`]; in every other case nothing
//! is left.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc as threads;

use bytes::{Buf, Bytes};
use domain::{Class, chain};
use media::{Container, Demuxer, Kind, Muxer, OutputFile, Packet, Rational, Track};
use tokio::sync::mpsc;

use super::progress::Progress;
use super::source::Facts;
use crate::failure::Failure;

/// Pieces of the result that may wait for the disk; they are at most 64 KiB each.
pub(super) const PIECES_MAX: usize = 16;
/// Bytes of packets held while the sound has not begun: a minute of pictures at 8 Mbit/s.
const HELD_BYTES_MAX: usize = 64 << 20;

/// Part of the result as it arrives. A channel that ends without [`Arrived::End`] was lost.
#[derive(Debug)]
pub(super) enum Arrived {
    /// Bytes of MPEG-TS.
    Data(Bytes),
    /// The last byte has come.
    End,
}

/// What is to become of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It gets its name.
    Keep,
    /// It goes.
    Drop,
}

/// A file that the result is written to.
pub(super) struct Target {
    file: OutputFile,
    container: Container,
    path: PathBuf,
}

impl Target {
    /// Takes the place of the file. Fails as a matter of usage if the folder is missing or takes no
    /// file, or if the name is that of no container.
    pub(super) fn create(path: PathBuf) -> Result<Self, Failure> {
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        let container = match extension.to_str() {
            Some("mp4" | "m4v" | "mov") => Container::Mp4,
            Some("ts") => Container::MpegTs,
            _ => {
                let text = format!("output `{}` names no container", path.display());
                return Err(Failure::usage(text).hint("write a name that ends in `.mp4` or `.ts`"));
            }
        };
        let file = OutputFile::create(&path)
            .map_err(|error| Failure::usage(format!("output: {}", chain(&error))))?;
        Ok(Self { file, container, path })
    }

    /// Writes what arrives, says through `written` how many pictures came, and does with the file
    /// what `verdict` says. Blocks as the two channels do.
    pub(super) fn write(
        self,
        arriving: mpsc::Receiver<Arrived>,
        facts: &Facts,
        progress: &Arc<Progress>,
        written: impl FnOnce(Result<u64, Failure>),
        verdict: &threads::Receiver<Verdict>,
    ) -> Result<(), Failure> {
        let path = self.path.clone();
        let (muxer, frames) = match self.collect(arriving, facts, progress) {
            Ok((muxer, frames)) => (muxer, Ok(frames)),
            Err(failure) => return Ok(written(Err(failure))),
        };
        written(frames);
        match verdict.recv() {
            Ok(Verdict::Keep) => muxer.finish().map_err(|error| {
                Failure::usage(format!("output `{}`: {}", path.display(), chain(&error)))
            }),
            Ok(Verdict::Drop) | Err(threads::RecvError) => Ok(()),
        }
    }

    fn collect(
        self,
        arriving: mpsc::Receiver<Arrived>,
        facts: &Facts,
        progress: &Arc<Progress>,
    ) -> Result<(Muxer, u64), Failure> {
        let reader = ArrivedReader { arriving, rest: Bytes::new(), ended: false };
        let mut demuxer =
            Demuxer::open(Box::new(reader), Container::MpegTs).map_err(|error| broken(&error))?;
        let mut held = Held::default();
        let chosen = loop {
            if let Some(chosen) = Chosen::of(&demuxer, facts.has_audio) {
                break chosen;
            }
            match demuxer.next_packet().map_err(|error| broken(&error))? {
                Some(packet) => held.take(packet)?,
                None => return Err(no_sound("the result ended")),
            }
        };
        let mut muxer =
            self.file.muxer(self.container, &chosen.tracks()).map_err(|error| broken(&error))?;
        muxer.delay(-facts.delay, Rational::MPEG_TS);
        let mut frames = 0;
        let mut packets = held.packets.into_iter();
        loop {
            let packet = match packets.next() {
                Some(packet) => packet,
                None => match demuxer.next_packet().map_err(|error| broken(&error))? {
                    Some(packet) => packet,
                    None => return Ok((muxer, frames)),
                },
            };
            let Some((track, pictures)) = chosen.place(&packet) else { continue };
            muxer.write(track, &packet).map_err(|error| broken(&error))?;
            frames += pictures;
            progress.received(pictures);
        }
    }
}

/// Packets that came before the file could begin.
#[derive(Default)]
struct Held {
    packets: Vec<Packet>,
    bytes: usize,
}

impl Held {
    fn take(&mut self, packet: Packet) -> Result<(), Failure> {
        self.bytes += packet.data().len();
        self.packets.push(packet);
        if self.bytes > HELD_BYTES_MAX {
            return Err(no_sound(&format!("{HELD_BYTES_MAX} bytes of pictures came")));
        }
        Ok(())
    }
}

/// The tracks that are written.
struct Chosen {
    video: Track,
    audio: Option<Track>,
}

impl Chosen {
    /// Picks them once the container's header can be written; nothing before that.
    fn of(demuxer: &Demuxer, wants_audio: bool) -> Option<Self> {
        let video = demuxer.video().filter(|track| track.size.is_some())?.clone();
        let mut audible = demuxer.tracks().iter().filter(|track| track.kind == Kind::Audio);
        let audio = audible.find(|track| track.sample_rate() > 0).cloned();
        (audio.is_some() || !wants_audio).then_some(Self { video, audio })
    }

    fn tracks(&self) -> Vec<&Track> {
        [Some(&self.video), self.audio.as_ref()].into_iter().flatten().collect()
    }

    /// Returns the output track of a packet and how many pictures it is.
    fn place(&self, packet: &Packet) -> Option<(usize, u64)> {
        if packet.track() == self.video.index {
            return Some((0, 1));
        }
        let audio = self.audio.as_ref()?;
        (packet.track() == audio.index).then_some((1, 0))
    }
}

fn broken(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::new(Class::Unavailable, format!("receiving the result: {}", chain(error)))
}

fn no_sound(when: &str) -> Failure {
    Failure::new(Class::Unavailable, format!("{when} before its sound began"))
}

/// Reads what arrives as one run of bytes.
struct ArrivedReader {
    arriving: mpsc::Receiver<Arrived>,
    rest: Bytes,
    ended: bool,
}

impl Read for ArrivedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() && !self.ended {
            match self.arriving.blocking_recv() {
                Some(Arrived::Data(bytes)) => self.rest = bytes,
                Some(Arrived::End) => self.ended = true,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let count = buffer.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
