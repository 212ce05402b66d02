//! The segments of one channel and the rules of writing: numbering, room, what is kept. It reads
//! no clock and wakes nobody; [`super::channel`] does. Readers' places are in [`super::readers`].
//!
//! **Invariant:** `buffered` is the sum of the bytes of all kept chunks, and segments are in
//! ascending order of their numbers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::readers::{Place, Reader};
use super::{OPEN_SEGMENTS_MAX, Options, RING_SEGMENTS, WriteError};

/// How far a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// A writer is there, no byte yet: the segment does not count as begun.
    Waiting,
    /// Bytes came and may come.
    Open,
    /// Complete.
    Ended,
}

/// One segment.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) seq: u64,
    pub(super) phase: Phase,
    pub(super) chunks: VecDeque<Bytes>,
    /// Number within the segment of the first chunk kept.
    pub(super) first_chunk: u64,
    /// Offset of the first byte kept.
    pub(super) start: u64,
    /// Bytes received.
    pub(super) end: u64,
    pub(super) writers: usize,
    pub(super) written_at: Instant,
}

/// Counters that only grow.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counters {
    pub(super) bytes: u64,
    pub(super) segments: u64,
    pub(super) segments_cut: u64,
    pub(super) reads: u64,
    pub(super) gaps: u64,
    pub(super) buffered_peak: usize,
}

/// A channel without its lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) name: Arc<str>,
    pub(super) options: Arc<Options>,
    pub(super) segments: VecDeque<Segment>,
    pub(super) next_write: u64,
    pub(super) readers: Vec<Reader>,
    pub(super) next_id: u64,
    pub(super) buffered: usize,
    pub(super) closed_at: Option<Instant>,
    pub(super) touched_at: Instant,
    pub(super) written_at: Instant,
    pub(super) counters: Counters,
}

impl State {
    /// Makes an empty channel whose opening is held for the first reader.
    pub(super) fn new(name: Arc<str>, options: Arc<Options>, now: Instant) -> Self {
        Self {
            name,
            options,
            segments: VecDeque::new(),
            next_write: 0,
            readers: vec![Reader::opening(now)],
            next_id: 1,
            buffered: 0,
            closed_at: None,
            touched_at: now,
            written_at: now,
            counters: Counters::default(),
        }
    }

    /// Finds a segment.
    pub(super) fn find(&self, seq: u64) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.seq == seq)
    }

    /// Returns a number that no reader, request or writer has yet.
    pub(super) fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    fn find_mut(&mut self, seq: u64) -> Option<&mut Segment> {
        self.segments.iter_mut().find(|segment| segment.seq == seq)
    }

    /// Lets a writer begin segment `at`, or the next one, and returns its number. With `reset`
    /// every segment below it ends.
    pub(super) fn begin(
        &mut self,
        at: Option<u64>,
        reset: bool,
        now: Instant,
    ) -> Result<u64, WriteError> {
        if self.closed_at.is_some() {
            return Err(WriteError::Closed { channel: self.name.to_string() });
        }
        self.touched_at = now;
        let seq = at.unwrap_or(self.next_write);
        let latest = self.next_write;
        match self.find_mut(seq) {
            Some(segment) if segment.phase == Phase::Ended => {
                return Err(WriteError::Ended { seq, latest });
            }
            Some(segment) => segment.writers += 1,
            None if seq < latest => return Err(WriteError::Ended { seq, latest }),
            None => {
                let open = self.segments.iter().filter(|s| s.is_being_written()).count();
                if open >= OPEN_SEGMENTS_MAX {
                    return Err(WriteError::TooManyOpen);
                }
                self.insert(Segment::waiting(seq, 1, now));
            }
        }
        if reset {
            let below: Vec<u64> =
                self.segments.iter().map(|s| s.seq).take_while(|below| *below < seq).collect();
            for below in below {
                self.finish(below, now);
            }
        }
        Ok(seq)
    }

    /// Says whether segment `seq` may take bytes now.
    pub(super) fn has_room(&self, seq: u64) -> Result<bool, WriteError> {
        match self.find(seq) {
            None if self.closed_at.is_some() => {
                return Err(WriteError::Closed { channel: self.name.to_string() });
            }
            Some(segment) if segment.phase != Phase::Ended => {}
            Some(_) | None => return Err(WriteError::Ended { seq, latest: self.next_write }),
        }
        // What is under way at a close is bounded by the writer, see `CLOSE_GRACE`.
        if self.closed_at.is_some() {
            return Ok(true);
        }
        let Some(low) = self.slowest() else { return Ok(true) };
        if seq < low.seq {
            return Ok(true);
        }
        let unread = |segment: &&Segment| segment.seq >= low.seq && segment.end > 0;
        let before = self.segments.iter().filter(unread).filter(|s| s.seq < seq).count();
        if before >= self.options.window_segments {
            return Ok(false);
        }
        // The oldest open segment is what readers wait for: bytes of later segments must not
        // keep its own out, or neither side could go on.
        let oldest_open =
            self.segments.iter().find(|s| s.seq >= low.seq && s.phase != Phase::Ended);
        let up_to = if oldest_open.is_some_and(|s| s.seq == seq) { seq } else { u64::MAX };
        let waiting: u64 = self
            .segments
            .iter()
            .filter(unread)
            .filter(|s| s.seq <= up_to)
            .map(|s| s.end - if s.seq == low.seq { low.offset.max(s.start) } else { s.start })
            .sum();
        Ok(waiting < self.options.window_bytes as u64)
    }

    /// Appends bytes to segment `seq`; the caller has asked [`State::has_room`].
    pub(super) fn append(
        &mut self,
        seq: u64,
        chunk: Bytes,
        now: Instant,
    ) -> Result<(), WriteError> {
        self.give_up_holes(now);
        let latest = self.next_write;
        let limit = self.options.segment_bytes_max;
        let length = chunk.len();
        let Some(segment) = self.find_mut(seq).filter(|s| s.phase != Phase::Ended) else {
            return Err(WriteError::Ended { seq, latest });
        };
        if segment.end + length as u64 > limit {
            return Err(WriteError::TooLong { seq, limit });
        }
        let before = segment.end;
        segment.end += length as u64;
        segment.written_at = now;
        segment.chunks.push_back(chunk);
        if segment.phase == Phase::Waiting {
            segment.phase = Phase::Open;
            self.has_begun(seq, now);
        }
        self.buffered += length;
        self.counters.bytes += length as u64;
        self.written_at = now;
        self.touched_at = now;
        self.data_came(Place { seq, offset: before }, now);
        self.trim();
        self.counters.buffered_peak = self.counters.buffered_peak.max(self.buffered);
        Ok(())
    }

    /// Ends one writer's part in segment `seq`; `clean`: it said itself that this is the end.
    pub(super) fn end(&mut self, seq: u64, clean: bool, now: Instant) {
        self.touched_at = now;
        let Some(segment) = self.find_mut(seq) else { return };
        segment.writers = segment.writers.saturating_sub(1);
        let last = segment.writers == 0;
        match segment.phase {
            Phase::Ended => {}
            Phase::Waiting | Phase::Open if clean => self.finish(seq, now),
            // A preconnected writer that goes away has begun nothing, and may come again.
            Phase::Waiting if last => {
                segment.written_at = now;
                let next_write = self.next_write;
                self.segments.retain(|s| s.seq != seq || seq < next_write);
            }
            Phase::Open if last => {
                self.counters.segments_cut += 1;
                self.finish(seq, now);
            }
            Phase::Waiting | Phase::Open => {}
        }
        self.segment_ended(seq, now);
        self.trim();
    }

    /// Ends segment `seq` for everybody. An empty one counts as begun.
    pub(super) fn finish(&mut self, seq: u64, now: Instant) {
        let Some(segment) = self.find_mut(seq) else { return };
        if std::mem::replace(&mut segment.phase, Phase::Ended) == Phase::Waiting {
            self.has_begun(seq, now);
        }
        self.segment_ended(seq, now);
    }

    fn has_begun(&mut self, seq: u64, now: Instant) {
        self.counters.segments += 1;
        let expected = self.next_write;
        self.next_write = expected.max(seq + 1);
        self.open_holes(expected, seq, now);
    }

    /// Closes the channel: nothing new begins; what is being written, or is about to be, ends with
    /// its writer.
    pub(super) fn close(&mut self, now: Instant) {
        if self.closed_at.is_none() {
            self.closed_at = Some(now);
            self.touched_at = now;
            self.give_up_all_holes(now);
            if self.segments.iter().all(|segment| segment.phase == Phase::Waiting) {
                self.readers.retain(|reader| !reader.is_opening());
            }
        }
    }

    /// Says whether a segment is being written, a preconnected one included.
    pub(super) fn has_open_segment(&self) -> bool {
        self.segments.iter().any(Segment::is_being_written)
    }

    /// Says whether nobody can want anything of the closed channel any more.
    pub(super) fn is_spent(&self, now: Instant) -> bool {
        let Some(closed_at) = self.closed_at else { return false };
        let stall = self.options.stall;
        !self.has_open_segment()
            && self.readers.iter().all(|reader| {
                reader.gets.is_empty() && reader.active.max(closed_at) + stall <= now
                    || reader.was_dropped()
            })
    }

    /// Throws away what nobody waits for: whole segments beyond the ring, and above the window
    /// the oldest bytes, so that a segment without end stays bounded.
    pub(super) fn trim(&mut self) {
        let low = self.slowest().unwrap_or(Place { seq: u64::MAX, offset: 0 });
        let begun = self.segments.iter().filter(|s| s.phase != Phase::Waiting).count();
        for _ in RING_SEGMENTS..begun {
            match self.segments.front() {
                Some(front) if front.seq < low.seq => self.remove(0),
                Some(_) | None => break,
            }
        }
        while self.buffered > self.options.window_bytes {
            let Some(at) = self.segments.iter().position(|s| !s.chunks.is_empty()) else { break };
            let oldest = &mut self.segments[at];
            let passed = oldest.seq < low.seq;
            if passed && oldest.phase == Phase::Ended {
                self.remove(at);
                continue;
            }
            let length = oldest.chunks.front().map_or(0, Bytes::len);
            let end = oldest.start + length as u64;
            let taken = passed || (oldest.seq == low.seq && end <= low.offset);
            if !taken {
                break;
            }
            oldest.chunks.pop_front();
            oldest.first_chunk += 1;
            oldest.start = end;
            self.buffered -= length;
        }
    }

    /// Puts a segment in its place.
    pub(super) fn insert(&mut self, segment: Segment) {
        let at = self.segments.partition_point(|known| known.seq < segment.seq);
        self.segments.insert(at, segment);
    }

    fn remove(&mut self, at: usize) {
        if let Some(segment) = self.segments.remove(at) {
            self.buffered -= segment.chunks.iter().map(Bytes::len).sum::<usize>();
        }
    }
}

impl Segment {
    pub(super) fn waiting(seq: u64, writers: usize, now: Instant) -> Self {
        Self {
            seq,
            phase: Phase::Waiting,
            chunks: VecDeque::new(),
            first_chunk: 0,
            start: 0,
            end: 0,
            writers,
            written_at: now,
        }
    }

    /// Says whether a writer is there who has not ended it; a hole has none.
    pub(super) fn is_being_written(&self) -> bool {
        self.phase != Phase::Ended && self.writers > 0
    }
}
