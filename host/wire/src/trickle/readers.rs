//! The places of a channel's readers: who they are, what they wait for, who is dropped. Clients
//! need not name themselves, so this guesses which requests belong together.
//!
//! **Invariant:** a reader's place never moves past a byte that it neither took nor gave up, so
//! the slowest place bounds what may be thrown away.

use std::time::Instant;

use bytes::Bytes;

use super::state::{Phase, State};
use super::{Ask, Missing, READERS_MAX, ReadError};

/// A position in a channel. Ordered: the smallest is the furthest behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) seq: u64,
    pub(super) offset: u64,
}

/// What a reader counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Nobody yet: holds the opening of the channel for whoever comes first.
    Opening,
    /// Holds its place.
    Holding,
    /// Fell behind and holds nothing; remembered so that its gap can be told when it returns.
    Dropped,
}

/// One open request.
#[derive(Debug, Clone, Copy)]
pub(super) struct GetPlace {
    id: u64,
    at: Place,
    /// Number within the segment of the next chunk.
    chunk: u64,
}

/// Requests that follow one another.
#[derive(Debug)]
pub(super) struct Reader {
    id: u64,
    name: Option<Box<str>>,
    standing: Standing,
    pub(super) gets: Vec<GetPlace>,
    /// Segment it will ask for when no request is open.
    next: u64,
    /// Whether its last request was closed before the end of its segment.
    closed_early: bool,
    /// Last time it took or asked for something, or something came for it.
    pub(super) active: Instant,
    lost_from: Option<u64>,
}

/// A request that was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) reader: u64,
    pub(super) get: u64,
    pub(super) seq: u64,
    pub(super) missing: Option<Missing>,
}

/// What a request finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Took {
    /// Bytes, never empty.
    Chunk(Bytes),
    /// The end of the segment.
    End,
    /// Nothing yet.
    Wait,
}

impl Reader {
    pub(super) fn opening(now: Instant) -> Self {
        Self { standing: Standing::Opening, ..Self::new(0, None, 0, now) }
    }

    fn new(id: u64, name: Option<&str>, next: u64, now: Instant) -> Self {
        Self {
            id,
            name: name.map(Into::into),
            standing: Standing::Holding,
            gets: Vec::new(),
            next,
            closed_early: false,
            active: now,
            lost_from: None,
        }
    }

    pub(super) fn is_opening(&self) -> bool {
        self.standing == Standing::Opening
    }

    pub(super) fn was_dropped(&self) -> bool {
        self.standing == Standing::Dropped
    }

    fn place(&self) -> Place {
        let lowest = self.gets.iter().map(|get| get.at).min();
        lowest.unwrap_or(Place { seq: self.next, offset: 0 })
    }
}

impl State {
    /// Returns the place of the reader furthest behind; `None` if nobody holds one, or nobody
    /// may.
    pub(super) fn slowest(&self) -> Option<Place> {
        if self.options.lossy {
            return None;
        }
        self.readers.iter().filter(|r| !r.was_dropped()).map(Reader::place).min()
    }

    /// Says whether bytes, or an end, wait at the reader's place.
    fn waits_for(&self, reader: &Reader) -> bool {
        let place = reader.place();
        match self.find(place.seq) {
            Some(segment) => segment.end > place.offset || segment.phase == Phase::Ended,
            None => self.segments.iter().any(|s| s.seq > place.seq && s.phase != Phase::Waiting),
        }
    }

    /// Notes that a byte came at `at`: readers that had caught up have been idle for no fault of
    /// theirs.
    pub(super) fn data_came(&mut self, at: Place, now: Instant) {
        let begins = at.offset == 0;
        for index in 0..self.readers.len() {
            let place = self.readers[index].place();
            let skipped = begins && place.seq < at.seq && self.find(place.seq).is_none();
            if place == at || skipped {
                self.readers[index].active = now;
            }
        }
    }

    /// Notes the end of segment `seq`, for readers that had taken all of it.
    pub(super) fn segment_ended(&mut self, seq: u64, now: Instant) {
        let Some(end) = self.find(seq).map(|segment| segment.end) else { return };
        for reader in &mut self.readers {
            if reader.place() == (Place { seq, offset: end }) {
                reader.active = now;
            }
        }
    }

    /// Returns the time at which the first reader will have stalled; `None` if none can.
    pub(super) fn stall_deadline(&self) -> Option<Instant> {
        let holding = self.readers.iter().filter(|r| !r.was_dropped() && self.waits_for(r));
        holding.map(|reader| reader.active + self.options.stall).min()
    }

    /// Drops every reader that has stalled, and returns how many lost something.
    pub(super) fn drop_stalled(&mut self, now: Instant) -> usize {
        let stall = self.options.stall;
        let mut lost = 0;
        for index in (0..self.readers.len()).rev() {
            let reader = &self.readers[index];
            if reader.was_dropped() || !self.waits_for(reader) || reader.active + stall > now {
                continue;
            }
            let reader = &mut self.readers[index];
            if !reader.is_opening() {
                lost += 1;
                reader.lost_from = Some(reader.place().seq);
            }
            reader.standing = Standing::Dropped;
            reader.gets.clear();
            if reader.name.is_none() {
                self.readers.swap_remove(index);
            }
        }
        self.counters.gaps += lost as u64;
        self.trim();
        lost
    }

    /// Lets a request in, or says why not.
    pub(super) fn open(
        &mut self,
        ask: Ask,
        name: Option<&str>,
        now: Instant,
    ) -> Result<Opened, ReadError> {
        let latest = self.next_write;
        let seq = match ask {
            Ask::Seq(seq) => seq,
            Ask::Next => latest,
            Ask::Current => latest.saturating_sub(1),
        };
        self.touched_at = now;
        self.check_reachable(seq).inspect_err(|_| self.note_gone(seq, name))?;
        let index = self.join(seq, name, now)?;
        let id = self.fresh_id();
        let (offset, chunk) = self.find(seq).map_or((0, 0), |s| (s.start, s.first_chunk));
        let reader = &mut self.readers[index];
        reader.gets.push(GetPlace { id, at: Place { seq, offset }, chunk });
        self.counters.reads += 1;
        reader.active = now;
        reader.closed_early = false;
        let lost_from = reader.lost_from.take().filter(|from| *from < seq);
        let missing = lost_from.map(|from| Missing { from, to: seq - 1 });
        Ok(Opened { reader: reader.id, get: id, seq, missing })
    }

    /// Notes the loss of a reader whose next segment is not there any more.
    fn note_gone(&mut self, seq: u64, name: Option<&str>) {
        let latest = self.next_write;
        let known = match name {
            Some(name) => self.readers.iter().position(|r| r.name.as_deref() == Some(name)),
            None => self.unnamed_before(seq),
        };
        let Some(reader) = known.map(|index| &mut self.readers[index]) else { return };
        if self.closed_at.is_some()
            || seq >= latest
            || reader.next != seq
            || !reader.gets.is_empty()
        {
            return;
        }
        if reader.lost_from.is_none() {
            reader.lost_from = Some(seq);
            self.counters.gaps += 1;
        }
        // It will ask where it is told to.
        reader.next = latest;
    }

    /// Says whether segment `seq` is there or can come.
    fn check_reachable(&mut self, seq: u64) -> Result<(), ReadError> {
        if self.find(seq).is_some() {
            return Ok(());
        }
        if self.closed_at.is_some() {
            // Who was told the end holds nothing any more.
            self.readers.retain(|r| r.is_opening() || !r.gets.is_empty() || r.next != seq);
            return Err(ReadError::Closed { seq });
        }
        // Segment 1 may be asked for ahead while 0 has not begun, as the protocol has it.
        let next = seq == self.next_write || (seq == 1 && self.next_write == 0);
        if next { Ok(()) } else { Err(ReadError::Absent { seq, latest: self.next_write }) }
    }

    /// Finds the reader that a request for `seq` continues, or adds one; returns its index.
    fn join(&mut self, seq: u64, name: Option<&str>, now: Instant) -> Result<usize, ReadError> {
        let known = match name {
            Some(name) => self.readers.iter().position(|r| r.name.as_deref() == Some(name)),
            None => self.unnamed_before(seq),
        };
        let opening = || self.readers.iter().position(Reader::is_opening);
        let index = match known.or_else(opening) {
            Some(index) => index,
            None => {
                if self.readers.len() >= READERS_MAX {
                    self.drop_stalled(now);
                    self.readers.retain(|reader| !reader.was_dropped());
                }
                if self.readers.len() >= READERS_MAX {
                    return Err(ReadError::TooManyReaders);
                }
                self.readers.push(Reader::new(0, None, seq, now));
                self.readers.len() - 1
            }
        };
        let id = self.fresh_id();
        let reader = &mut self.readers[index];
        if reader.is_opening() || reader.id == 0 {
            *reader = Reader::new(id, name, seq, now);
        }
        reader.standing = Standing::Holding;
        Ok(index)
    }

    /// Finds the unnamed reader that asks for `seq` next: one that finished the segment before
    /// (the one that waits longest), one that asks ahead while it reads that segment, or one that
    /// broke off this very segment and asks again.
    fn unnamed_before(&self, seq: u64) -> Option<usize> {
        let unnamed = || {
            let all = self.readers.iter().enumerate();
            all.filter(|(_, r)| r.name.is_none() && r.standing == Standing::Holding)
        };
        let idle = |r: &Reader| r.gets.is_empty();
        let finished = unnamed().filter(|(_, r)| idle(r) && r.next == seq);
        let ahead =
            || unnamed().find(|(_, r)| r.gets.iter().map(|g| g.at.seq + 1).max() == Some(seq));
        let again = || unnamed().find(|(_, r)| idle(r) && r.closed_early && r.next == seq + 1);
        finished.min_by_key(|(_, r)| r.active).or_else(ahead).or_else(again).map(|(index, _)| index)
    }

    /// Looks at what a request would take.
    pub(super) fn look(&self, reader: u64, get: u64, seq: u64) -> Result<Took, ReadError> {
        let behind = ReadError::Behind { seq };
        let reader = self.readers.iter().find(|r| r.id == reader).ok_or(behind.clone())?;
        let get = reader.gets.iter().find(|g| g.id == get).ok_or(behind.clone())?;
        let Some(segment) = self.find(seq) else {
            return match self.closed_at {
                Some(_) => Err(ReadError::Closed { seq }),
                None if seq >= self.next_write => Ok(Took::Wait),
                None if get.at.offset > 0 => Err(behind),
                None => Err(ReadError::Absent { seq, latest: self.next_write }),
            };
        };
        if get.at.offset < segment.start {
            return Err(behind);
        }
        let index = usize::try_from(get.chunk - segment.first_chunk).unwrap_or(usize::MAX);
        match segment.chunks.get(index) {
            Some(chunk) => Ok(Took::Chunk(chunk.clone())),
            None if segment.phase == Phase::Ended => Ok(Took::End),
            None => Ok(Took::Wait),
        }
    }

    /// Takes what [`State::look`] finds. After the end or an error the request is closed.
    pub(super) fn take(
        &mut self,
        reader: u64,
        get: u64,
        seq: u64,
        now: Instant,
    ) -> Result<Took, ReadError> {
        let took = self.look(reader, get, seq);
        let Some(place) = self.readers.iter_mut().find(|r| r.id == reader) else { return took };
        match &took {
            Ok(Took::Wait) => {}
            Ok(Took::Chunk(chunk)) => {
                place.active = now;
                if let Some(get) = place.gets.iter_mut().find(|g| g.id == get) {
                    get.at.offset += chunk.len() as u64;
                    get.chunk += 1;
                }
                self.trim();
            }
            Ok(Took::End) => self.close_get(reader, get, false, now),
            Err(error) => {
                // A lossy channel went on; the gap is told with the next segment.
                if matches!(error, ReadError::Behind { .. }) && !place.was_dropped() {
                    place.lost_from = Some(place.lost_from.map_or(seq, |from| from.min(seq)));
                    self.counters.gaps += 1;
                }
                self.close_get(reader, get, false, now);
            }
        }
        took
    }

    /// Closes a request; `early`: before its end was taken. Either way its segment is finished,
    /// unless it had not begun.
    pub(super) fn close_get(&mut self, reader: u64, get: u64, early: bool, now: Instant) {
        let next_write = self.next_write;
        let Some(reader) = self.readers.iter_mut().find(|r| r.id == reader) else { return };
        let Some(index) = reader.gets.iter().position(|g| g.id == get) else { return };
        let seq = reader.gets.swap_remove(index).at.seq;
        let begun = seq < next_write;
        reader.next = reader.next.max(seq + u64::from(begun));
        reader.closed_early = early;
        reader.active = now;
        self.touched_at = now;
        self.trim();
    }
}
