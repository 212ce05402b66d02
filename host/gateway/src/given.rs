//! The output of a job on its way to the client, and how far the client was given it: what the next
//! orchestrator has to know if this one is lost.
//!
//! **Invariants:** after a move nothing passes until a segment begins with a picture that the client
//! does not have; bytes that were taken from an orchestrator reach the client's channel, or are
//! still here when the job moves.

use std::collections::VecDeque;

use bytes::Bytes;
use domain::resume::{Resume, ticks_since};
use wire::trickle::{CHUNK_BYTES_MAX, ChannelWriter, WriteError};
use wire::ts::{Event, Kind, Scanner, Track};

use crate::pump::Signs;
use crate::replay::Piece;

/// Bytes of a segment that are held until its first picture tells whether it passes: the largest
/// picture that live video has.
const HELD_BYTES_MAX: usize = 1 << 20;

/// What passes of the present segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    /// Its first picture has not been seen.
    Undecided,
    /// The client has it already.
    Shut,
}

/// How far a client was given the output.
#[derive(Debug)]
pub(crate) struct Given {
    scanner: Scanner,
    gate: Gate,
    /// Where the output has to go on.
    resume: Option<Resume>,
    picture: Option<i64>,
    audio: Option<i64>,
    /// Pictures passed, over all orchestrators.
    pictures: u64,
    bytes: u64,
    held: Vec<Bytes>,
    held_bytes: usize,
    pending: VecDeque<Piece>,
}

impl Given {
    /// Begins with a client that has nothing.
    pub(crate) fn new() -> Self {
        Self {
            scanner: Scanner::new(),
            gate: Gate::Open,
            resume: None,
            picture: None,
            audio: None,
            pictures: 0,
            bytes: 0,
            held: Vec::new(),
            held_bytes: 0,
            pending: VecDeque::new(),
        }
    }

    /// Returns where another orchestrator has to go on; `None`: at the beginning.
    pub(crate) fn resume(&self) -> Option<Resume> {
        self.picture.map(|picture| Resume { picture, audio: self.audio })
    }

    /// Returns the pictures that were passed so far.
    pub(crate) const fn pictures(&self) -> u64 {
        self.pictures
    }

    /// Takes the output of another orchestrator from here on.
    pub(crate) fn move_on(&mut self) {
        self.scanner = Scanner::new();
        self.resume = self.resume();
        self.held.clear();
        self.held_bytes = 0;
        self.gate = Gate::Open;
    }

    /// A segment begins.
    pub(crate) fn begin(&mut self) {
        self.gate = if self.resume.is_some() { Gate::Undecided } else { Gate::Open };
        if self.gate == Gate::Open {
            self.pending.push_back(Piece::Begin(false));
        }
    }

    /// Takes bytes of it.
    pub(crate) fn take(&mut self, mut bytes: Bytes) {
        let mut units = Vec::new();
        self.scanner.feed(&bytes, |event| {
            if let Event::Unit { track, pts: Some(pts), key, .. } = event {
                units.push((track, pts, key));
            }
        });
        if self.gate == Gate::Undecided {
            self.decide(&units);
        }
        match self.gate {
            Gate::Open => {
                for (track, pts, _) in units {
                    self.passed(track, pts);
                }
                self.bytes += bytes.len() as u64;
                while !bytes.is_empty() {
                    let piece = bytes.split_to(bytes.len().min(CHUNK_BYTES_MAX));
                    self.pending.push_back(Piece::Data(piece));
                }
            }
            Gate::Undecided if self.held_bytes + bytes.len() <= HELD_BYTES_MAX => {
                self.held_bytes += bytes.len();
                self.held.push(bytes);
            }
            Gate::Undecided | Gate::Shut => self.gate = Gate::Shut,
        }
    }

    /// It ends.
    pub(crate) fn end(&mut self) {
        if self.gate == Gate::Open {
            self.pending.push_back(Piece::End);
        }
        self.held.clear();
        self.held_bytes = 0;
    }

    /// Writes what was taken into the client's channel. What is left when this is dropped is written
    /// the next time.
    pub(crate) async fn flush(
        &mut self,
        writer: &mut ChannelWriter,
        signs: &Signs,
    ) -> Result<(), WriteError> {
        while let Some(piece) = self.pending.front() {
            match piece {
                Piece::Begin(_) => drop(writer.begin_segment()?),
                Piece::End => writer.end_segment(),
                Piece::Data(bytes) => {
                    let bytes = bytes.clone();
                    let _waiting = signs.wait_for_client();
                    writer.write(bytes).await?;
                }
            }
            self.pending.pop_front();
        }
        if self.bytes > 0 {
            signs.given(self.picture);
        }
        Ok(())
    }

    /// Opens or shuts the gate by the first picture of the segment.
    fn decide(&mut self, units: &[(Track, i64, bool)]) {
        let Some(resume) = self.resume else { return };
        let first = units.iter().find(|(track, ..)| track.kind.is_video());
        let Some((_, pts, key)) = first else { return };
        if !key || resume.has_picture(*pts) {
            self.gate = Gate::Shut;
            self.held.clear();
            self.held_bytes = 0;
            return;
        }
        self.gate = Gate::Open;
        self.resume = None;
        self.pending.push_back(Piece::Begin(false));
        for bytes in self.held.drain(..) {
            self.bytes += bytes.len() as u64;
            self.pending.push_back(Piece::Data(bytes));
        }
        self.held_bytes = 0;
    }

    fn passed(&mut self, track: Track, pts: i64) {
        let last = match track.kind {
            Kind::H264 | Kind::H265 | Kind::OtherVideo => {
                self.pictures += 1;
                &mut self.picture
            }
            Kind::Audio => &mut self.audio,
            Kind::Data => return,
        };
        if last.is_none_or(|last| ticks_since(pts, last) > 0) {
            *last = Some(pts);
        }
    }
}
