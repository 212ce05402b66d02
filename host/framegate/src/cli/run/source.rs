//! The file on its way in: its segments, at the speed asked for.
//!
//! Decides when a part is due. Where segments begin is the segmenter's business, and who takes the
//! parts is not known here.
//!
//! **Invariant:** every part is sent once, in the file's order, and memory does not grow with the
//! file.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::{Class, chain};
use media::{Plan, SegmentError, Segmenter};
use tokio::sync::mpsc;

use super::progress::Progress;
use crate::failure::Failure;

/// Parts that may wait for the network: one is a packet of the file, so this smooths bursts and
/// holds some pictures.
pub(super) const PIECES_MAX: usize = 16;
/// Every key frame begins a segment: an orchestrator can then be changed at any of them.
const SEGMENT_MIN: Duration = Duration::ZERO;
/// Longest wait for one part with `--realtime`: a gap in the file is no reason to seem dead.
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
    /// Each part at the time it is due.
    Realtime,
}

/// What the file turned out to be, once all of it was sent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sent {
    /// Whether it stops before its end.
    pub(super) truncated: bool,
}

/// An input that was found good and is about to be sent.
pub(super) struct Source {
    segmenter: Segmenter,
    path: PathBuf,
}

impl Source {
    /// Opens the file. Fails if it cannot be read, is not media, has no pictures, or has a codec
    /// that MPEG-TS does not carry.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        match Segmenter::open(path, SEGMENT_MIN) {
            Ok(segmenter) => Ok(Self { segmenter, path: path.to_owned() }),
            Err(error) => Err(unusable(path, &error)),
        }
    }

    /// Returns what the way back needs.
    pub(super) fn plan(&self) -> Plan {
        self.segmenter.plan().clone()
    }

    /// Returns how many pictures the file has, as far as that can be told beforehand.
    pub(super) fn frames_expected(&self) -> Option<u64> {
        self.segmenter.facts().frames_expected
    }

    /// Says whether the file has tracks that a live job does not carry.
    pub(super) fn leaves_tracks_out(&self) -> bool {
        !self.segmenter.facts().left_out.is_empty()
    }

    /// Sends the file; blocks as the receiver does. A receiver that went away ends it early.
    pub(super) fn send(
        mut self,
        pieces: &mpsc::Sender<Piece>,
        pace: Pace,
        progress: &Progress,
    ) -> Result<Sent, Failure> {
        let start = Instant::now();
        let mut segment = 0;
        while let Some(part) =
            self.segmenter.next_part().map_err(|error| unusable(&self.path, &error))?
        {
            if pace == Pace::Realtime {
                let wait = (start + part.at).saturating_duration_since(Instant::now());
                thread::sleep(wait.min(PACE_WAIT_MAX));
            }
            let begins = part.segment != segment;
            segment = part.segment;
            let data = Piece::Data(part.bytes.into());
            let gone = begins && pieces.blocking_send(Piece::Segment).is_err();
            if gone || pieces.blocking_send(data).is_err() {
                return Ok(Sent::default());
            }
            progress.sent();
        }
        Ok(Sent { truncated: self.segmenter.truncated() })
    }
}

/// Whatever keeps a file from being sent, it is the file's.
fn unusable(path: &Path, error: &SegmentError) -> Failure {
    Failure::new(Class::Invalid, format!("input `{}`: {}", path.display(), chain(error)))
}
