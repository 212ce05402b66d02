//! Watching a session's input: which of its segments were in work when it ended by a fault, and
//! whether the next one is known for that.
//!
//! A segment is told by the digest of its first picture's first bytes: whoever sends it again sends
//! the same, whatever tables it writes before them, and it is known before the rest of it has come.
//! Which ones were in work follows from how far the worker
//! had read, as far as it said so.
//!
//! **Invariant:** where no segment is poisonous to the pipeline, nothing is held back.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use domain::poison::{Poisonous, SegmentDigest, Suspects};
use plugin::Digest;
use wire::ts::{Event, Scanner};

use crate::admit::lock;

/// Bytes at the beginning of a segment that are looked at to tell it: the tables of its tracks and
/// the start of its first picture with its time, which are there at once however slow the rest comes.
const HEAD_BYTES: usize = 4 << 10;
/// Bytes from its first picture on by which it is told. What comes before them is not its own: a
/// gateway that sends it to another orchestrator writes its own tables there.
const TOLD_BY_BYTES: usize = 2 << 10;
/// Segments that are remembered while a session runs: more than the bytes in question ever hold of
/// segments that are worth the name.
const SEGMENTS_MAX: usize = 64;
/// Bytes that the worker's demuxer has read and its pipeline may not have seen yet.
const READ_AHEAD: u64 = 64 << 10;
/// Bytes that a worker may have read and not said so: it tells in steps.
pub(crate) const UNTOLD: u64 = 256 << 10;

struct Segment {
    /// Offset in the session's input at which it begins.
    at: u64,
    digest: SegmentDigest,
}

/// The input of one session.
pub(crate) struct Watch {
    pipeline: String,
    suspects: Arc<Mutex<Suspects>>,
    /// Bytes passed on so far.
    passed: u64,
    segments: VecDeque<Segment>,
    /// The beginning of a segment that is not known yet.
    head: Option<Vec<u8>>,
    /// What waits until it is known.
    held: Vec<Bytes>,
    holds: bool,
}

impl Watch {
    /// Begins to watch the input of `pipeline`.
    pub(crate) fn new(pipeline: &str, suspects: Arc<Mutex<Suspects>>) -> Self {
        Self {
            pipeline: pipeline.to_owned(),
            suspects,
            passed: 0,
            segments: VecDeque::new(),
            head: None,
            held: Vec::new(),
            holds: false,
        }
    }

    /// Notes that a segment begins.
    pub(crate) fn begin(&mut self) {
        self.head = Some(Vec::with_capacity(HEAD_BYTES));
        self.holds = lock(&self.suspects).any(&self.pipeline, Instant::now());
    }

    /// Looks at bytes of the segment and returns what may go on; an error if it is poisonous.
    pub(crate) fn look(&mut self, bytes: Bytes) -> Result<Vec<Bytes>, Poisonous> {
        let Some(head) = &mut self.head else { return Ok(self.pass(vec![bytes])) };
        let wanted = (HEAD_BYTES - head.len()).min(bytes.len());
        head.extend_from_slice(&bytes[..wanted]);
        let whole = head.len() == HEAD_BYTES;
        self.held.push(bytes);
        if whole {
            self.know()?;
        } else if self.holds {
            return Ok(Vec::new());
        }
        let held = std::mem::take(&mut self.held);
        Ok(self.pass(held))
    }

    /// Notes that the segment ends and returns what was held back of it.
    pub(crate) fn end(&mut self) -> Result<Vec<Bytes>, Poisonous> {
        self.know()?;
        let held = std::mem::take(&mut self.held);
        Ok(self.pass(held))
    }

    /// Blames the segments that were in work when the session ended: those of which the worker may
    /// have read bytes from `low` to `high`, and the one before, whose last pictures it may still
    /// have held.
    pub(crate) fn blame(&self, low: u64, high: u64) {
        let low = low.saturating_sub(READ_AHEAD);
        let begun = self.segments.iter().filter(|segment| segment.at < high.max(1));
        let begun: Vec<&Segment> = begun.collect();
        let first = begun.iter().rposition(|segment| segment.at <= low).unwrap_or(0);
        // Equal segments are one: this is one fault, however often it was sent.
        let blamed: BTreeSet<SegmentDigest> =
            begun[first.saturating_sub(1)..].iter().map(|segment| segment.digest).collect();
        let mut suspects = lock(&self.suspects);
        for digest in blamed {
            suspects.note(&self.pipeline, digest, Instant::now());
        }
    }

    /// Returns the bytes passed on so far.
    pub(crate) const fn passed(&self) -> u64 {
        self.passed
    }

    fn pass(&mut self, pieces: Vec<Bytes>) -> Vec<Bytes> {
        self.passed += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        pieces
    }

    fn know(&mut self) -> Result<(), Poisonous> {
        let Some(head) = self.head.take() else { return Ok(()) };
        let digest = Digest::of(told_by(&head)).0;
        lock(&self.suspects).check(&self.pipeline, digest, Instant::now())?;
        if self.segments.len() == SEGMENTS_MAX {
            self.segments.pop_front();
        }
        // What is held back has not been passed on, so the segment begins here; without holding
        // back, the head itself has gone on already.
        let held: usize = self.held.iter().map(Bytes::len).sum();
        let gone = head.len().saturating_sub(held) as u64;
        self.segments.push_back(Segment { at: self.passed - gone, digest });
        Ok(())
    }
}

/// Returns the bytes of a segment's head by which it is told: from its first picture on, or all of
/// them where none begins early enough.
fn told_by(head: &[u8]) -> &[u8] {
    let mut picture = None;
    let mut note = |event| {
        if let Event::Unit { track, offset, .. } = event
            && track.kind.is_video()
        {
            picture.get_or_insert(offset);
        }
    };
    let mut scanner = Scanner::new();
    scanner.feed(head, &mut note);
    scanner.finish(&mut note);
    let from = picture.and_then(|offset| usize::try_from(offset).ok());
    let own = from.and_then(|from| head.get(from..));
    let whole = own.filter(|own| own.len() >= TOLD_BY_BYTES || head.len() < HEAD_BYTES);
    whole.map_or(head, |own| &own[..own.len().min(TOLD_BY_BYTES)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(filler: u8, len: usize) -> Bytes {
        vec![filler; len].into()
    }

    /// Passes a segment in pieces of `piece` bytes; returns the bytes that went on at each step.
    fn pass(watch: &mut Watch, segment: &Bytes, piece: usize) -> Result<Vec<usize>, Poisonous> {
        let len = |pieces: Vec<Bytes>| pieces.iter().map(Bytes::len).sum();
        watch.begin();
        let mut steps = Vec::new();
        for chunk in segment.chunks(piece) {
            steps.push(len(watch.look(Bytes::copy_from_slice(chunk))?));
        }
        steps.push(len(watch.end()?));
        Ok(steps)
    }

    #[test]
    fn a_segment_that_was_in_work_at_two_faults_is_held_back_and_refused_whatever_its_pieces() {
        let suspects = Arc::default();
        let (good, bad) = (segment(1, 300_000), segment(2, 10_000));
        for piece in [1000, 1316] {
            let mut watch = Watch::new("draw", Arc::clone(&suspects));
            let steps = pass(&mut watch, &good, piece).unwrap();
            assert!(steps[..steps.len() - 1].iter().all(|step| *step > 0), "nothing is held back");
            pass(&mut watch, &good, piece).unwrap();
            pass(&mut watch, &bad, piece).unwrap();
            assert_eq!(watch.passed(), 610_000);
            watch.blame(610_000, 610_000);
        }
        let mut watch = Watch::new("draw", Arc::clone(&suspects));
        let error = pass(&mut watch, &bad, 1316).unwrap_err();
        assert_eq!((error.faults, watch.passed()), (2, 0), "not a byte of it went on");
        let mut watch = Watch::new("draw", Arc::clone(&suspects));
        let steps = pass(&mut watch, &segment(3, 5000), 1000).unwrap();
        assert_eq!(steps, [0, 0, 0, 0, 5000, 0], "held back until it is known");
        let mut watch = Watch::new("blur", suspects);
        assert!(pass(&mut watch, &bad, 1316).is_ok(), "another pipeline may take it");
    }

    #[test]
    fn only_what_was_in_work_is_blamed() {
        let suspects = Arc::default();
        let all: Vec<Bytes> = (1..=9).map(|filler| segment(filler, 100_000)).collect();
        for _ in 0..2 {
            let mut watch = Watch::new("draw", Arc::clone(&suspects));
            all.iter().for_each(|segment| drop(pass(&mut watch, segment, 7000).unwrap()));
            // The worker has read half of the fifth.
            watch.blame(450_000, 450_000);
        }
        let blamed = |bytes: &Bytes| {
            pass(&mut Watch::new("draw", Arc::clone(&suspects)), bytes, 9000).is_err()
        };
        let blamed: Vec<bool> = all.iter().map(blamed).collect();
        let wanted = [false, false, true, true, true, false, false, false, false];
        assert_eq!(blamed, wanted, "the fifth, and what the pipeline may not have had by then");
    }

    /// A packet of `payload` on track `pid`, where a table or a picture begins.
    fn packet(pid: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x47, 0x40 | (pid >> 8) as u8, pid as u8, 0x10];
        packet.extend(payload);
        packet.resize(188, 0xff);
        packet
    }

    #[test]
    fn a_segment_is_the_same_one_whatever_tables_are_written_before_its_first_picture() {
        // One H.264 track, 0x101, with the check sums of both sections.
        let programs = [0, 0, 0xb0, 0x0d, 0, 1, 0xc1, 0, 0, 0, 1, 0xe1, 0, 0xe8, 0xf9, 0x5e, 0x7d];
        let tracks = [
            0, 2, 0xb0, 0x12, 0, 1, 0xc1, 0, 0, 0xe1, 1, 0xf0, 0, 0x1b, 0xe1, 1, 0xf0, 0, 0x4f,
            0xc4, 0x3d, 0x1b,
        ];
        let tables = [packet(0, &programs), packet(0x100, &tracks)].concat();
        let described = packet(0x11, &[0, 0x42, 0xf0, 0x11]);
        let picture = |shade: u8| {
            let head = [0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1, 0, 0, 1, 0x65];
            let mut bytes = packet(0x101, &[&head[..], &[shade; 100]].concat());
            let mut rest = vec![0x47, 1, 1, 0x10];
            rest.resize(188, shade);
            bytes.extend(rest.repeat(25));
            bytes
        };
        let ours = [described, tables.clone(), picture(1)].concat();
        let moved = [tables.clone(), picture(1)].concat();
        let other = [tables, picture(2)].concat();
        assert_eq!(told_by(&ours[..HEAD_BYTES]), told_by(&moved[..HEAD_BYTES]));
        assert_ne!(told_by(&moved[..HEAD_BYTES]), told_by(&other[..HEAD_BYTES]));
        assert_eq!(told_by(&[7; HEAD_BYTES]), [7; HEAD_BYTES], "what is no transport stream");
    }
}
