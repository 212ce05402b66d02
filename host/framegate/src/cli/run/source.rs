//! The file on its way in: cut at key frames, rewritten as MPEG-TS, at the speed asked for.
//!
//! Decides where segments begin and when a packet is due. Decodes nothing, and does not know who
//! takes the pieces.
//!
//! **Invariant:** every packet of the two tracks is sent once, untouched, in the file's order.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::{Class, chain};
use media::{Container, Demuxer, Kind, Muxer, Packet, Rational, Track};
use tokio::sync::mpsc;

use super::progress::Progress;
use crate::failure::Failure;

/// Pieces that may wait for the network: each is at most one write of the muxer (32 KiB), so this
/// smooths bursts and holds half a megabyte.
const PIECES_MAX: usize = 16;
/// Times on the wire are later than in a file that begins at zero by so many ticks of MPEG-TS (ten
/// seconds): pictures that are reordered are decoded before time zero, and MPEG-TS cannot say that.
const WIRE_DELAY: i64 = 900_000;
/// Longest wait for one packet with `--realtime`: a gap in the file is no reason to seem dead.
const PACE_WAIT_MAX: Duration = Duration::from_secs(5);

/// Part of the input as it is sent.
#[derive(Debug)]
pub(super) enum Piece {
    /// What follows begins with a key frame.
    Segment,
    /// Bytes of the current segment.
    Data(Bytes),
}

/// How fast the file is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// As fast as it is taken.
    Unbounded,
    /// Each packet at the time it is due.
    Realtime,
}

/// What the file turned out to be, once all of it was sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent {
    /// Whether it stops before its end.
    pub(super) truncated: bool,
}

/// An input that was found good and is about to be sent.
pub(super) struct Source {
    demuxer: Demuxer,
    muxer: Muxer,
    /// Index of the video track, and of the sound that goes with it.
    video: usize,
    audio: Option<usize>,
    pieces: mpsc::Sender<Piece>,
    facts: Facts,
}

/// The facts of the input that the receiving side needs.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// Whether there is sound.
    pub(super) has_audio: bool,
    /// Pictures that the container announces, or that its length makes likely; 0 if unknown.
    pub(super) frames_expected: u64,
    /// Whether tracks are left out, since a live job has one of pictures and one of sound.
    pub(super) tracks_left_out: bool,
    /// Ticks of MPEG-TS by which times on the wire are later than in the file.
    pub(super) delay: i64,
}

impl Source {
    /// Opens the file and the way to send it. Fails if it cannot be read, is not media, has no
    /// pictures, or has a codec that MPEG-TS does not carry.
    pub(super) fn open(path: &Path) -> Result<(Self, mpsc::Receiver<Piece>), Failure> {
        let invalid = |error: &dyn std::error::Error| {
            Failure::new(Class::Invalid, format!("input `{}`: {}", path.display(), chain(error)))
        };
        let demuxer = Demuxer::open_file(path).map_err(|error| invalid(&error))?;
        let first = |kind| demuxer.tracks().iter().find(|track| track.kind == kind);
        let Some(video) = first(Kind::Video) else {
            return Err(invalid(&media::OpenError::NoVideo { found: "no tracks".to_owned() }));
        };
        let audio = first(Kind::Audio);
        let chosen: Vec<&Track> = [Some(video), audio].into_iter().flatten().collect();
        let audible = demuxer.tracks().iter().filter(|track| track.kind != Kind::Other).count();
        let (pieces, receiver) = mpsc::channel(PIECES_MAX);
        let writer = PieceWriter { pieces: pieces.clone() };
        let mut muxer = Muxer::open(Box::new(writer), Container::MpegTs, &chosen)
            .map_err(|error| invalid(&error))?;
        let facts = Facts {
            has_audio: audio.is_some(),
            frames_expected: frames_expected(&demuxer, video),
            tracks_left_out: audible > chosen.len(),
            // MPEG-TS has times that MPEG-TS can say.
            delay: if demuxer.container() == Container::MpegTs.name() { 0 } else { WIRE_DELAY },
        };
        muxer.delay(facts.delay, Rational::MPEG_TS);
        let (video, audio) = (video.index, audio.map(|track| track.index));
        Ok((Self { demuxer, muxer, video, audio, pieces, facts }, receiver))
    }

    /// Returns what the receiving side needs to know.
    pub(super) fn facts(&self) -> Facts {
        self.facts.clone()
    }

    /// Sends the file; blocks as the receiver does. A receiver that went away ends it early.
    pub(super) fn send(mut self, pace: Pace, progress: &Arc<Progress>) -> Result<Sent, Failure> {
        let mut clock = Clock::new(pace);
        let mut begun = false;
        while let Some(packet) = self.demuxer.next_packet().map_err(|error| failed(&error))? {
            let is_video = packet.track() == self.video;
            let track = match (is_video, Some(packet.track()) == self.audio) {
                (true, _) => 0,
                (false, true) => 1,
                (false, false) => continue,
            };
            clock.wait_for(&packet);
            if is_video && packet.is_key() {
                if begun && self.cut().is_err() {
                    return Ok(Sent::default());
                }
                begun = true;
            }
            match self.muxer.write(track, &packet) {
                Err(media::MuxError::Sink(_)) => return Ok(Sent::default()),
                written => written.map_err(|error| failed(&error))?,
            }
            if pace == Pace::Realtime && self.muxer.flush().is_err() {
                return Ok(Sent::default());
            }
            progress.sent();
        }
        let truncated = self.demuxer.truncated();
        match self.muxer.finish() {
            Err(media::MuxError::Sink(_)) => {}
            finished => finished.map_err(|error| failed(&error))?,
        }
        Ok(Sent { truncated })
    }

    /// Ends the current segment. Fails if the receiver is gone.
    fn cut(&mut self) -> Result<(), media::MuxError> {
        self.muxer.flush()?;
        let gone = |_| media::MuxError::Sink(io::ErrorKind::BrokenPipe.into());
        self.pieces.blocking_send(Piece::Segment).map_err(gone)
    }
}

/// Pictures that the container announces, or that its length makes likely.
fn frames_expected(demuxer: &Demuxer, video: &Track) -> u64 {
    if video.packets_expected > 0 {
        return video.packets_expected;
    }
    let guess = || {
        let rate = video.frame_rate?;
        let length_us = i128::from(demuxer.duration_us()?);
        let ticks_us = i128::from(rate.den) * 1_000_000;
        u64::try_from(length_us * i128::from(rate.num) / ticks_us.max(1)).ok()
    };
    guess().unwrap_or(0)
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::new(Class::Invalid, format!("reading the input: {}", chain(error)))
}

/// Hands the muxer's bytes on.
struct PieceWriter {
    pieces: mpsc::Sender<Piece>,
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Piece::Data(Bytes::copy_from_slice(bytes));
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.pieces.blocking_send(piece).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Says when a packet is due.
struct Clock {
    pace: Pace,
    first: Option<(Instant, i64)>,
}

impl Clock {
    fn new(pace: Pace) -> Self {
        Self { pace, first: None }
    }

    fn wait_for(&mut self, packet: &Packet) {
        if self.pace == Pace::Unbounded {
            return;
        }
        let Some(time) = packet.dts().or(packet.pts()) else { return };
        let due_us = packet.time_base().rescale(time, Rational::MICROSECONDS);
        let (start, start_us) = *self.first.get_or_insert((Instant::now(), due_us));
        let after = Duration::from_micros(u64::try_from(due_us - start_us).unwrap_or(0));
        let wait = (start + after).saturating_duration_since(Instant::now());
        thread::sleep(wait.min(PACE_WAIT_MAX));
    }
}
