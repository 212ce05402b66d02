//! A channel with its lock: what waits, is woken and times out. The rules are in
//! [`super::state`]; this decides only who waits for whom.
//!
//! **Invariant:** no task belongs to a channel: a reader is polled by its connection, and a writer
//! that has no room drops stalled readers itself.
//! **Invariant:** wakers are called without the lock held.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use tokio::time::timeout_at;

use super::readers::Took;
use super::state::{Phase, State};
use super::{Ask, Missing, Options, ReadError, Stats, WriteError};

/// Bytes appended at once; longer ones are cut, so that the window is kept within one chunk.
pub const CHUNK_BYTES_MAX: usize = 256 << 10;
/// Chunks below this are copied into memory of their own: a slice of a few bytes would keep a
/// whole read buffer alive.
const COPY_BELOW: usize = 4 << 10;

/// Returns the time, which tests can pause.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// One trickle channel.
#[derive(Debug)]
pub struct Channel {
    name: Arc<str>,
    options: Arc<Options>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    /// Requests that wait for bytes, by the request's number.
    reads: Vec<(u64, Waker)>,
    /// Writers that wait for room or for the end of their segment, by the writer's number.
    writes: Vec<(u64, Waker)>,
}

fn register(wakers: &mut Vec<(u64, Waker)>, key: u64, cx: &Context<'_>) {
    match wakers.iter_mut().find(|(known, _)| *known == key) {
        Some((_, waker)) => waker.clone_from(cx.waker()),
        None => wakers.push((key, cx.waker().clone())),
    }
}

fn wake(wakers: Vec<(u64, Waker)>) {
    for (_, waker) in wakers {
        waker.wake();
    }
}

impl Channel {
    pub(super) fn new(name: &str, options: Options) -> Arc<Self> {
        let (name, options): (Arc<str>, Arc<Options>) = (name.into(), options.into());
        let state = State::new(Arc::clone(&name), Arc::clone(&options), now());
        let inner = Mutex::new(Inner { state, reads: Vec::new(), writes: Vec::new() });
        Arc::new(Self { name, options, inner })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while the lock was held is a fault of ours in one channel; the numbers in it are
        // still sums that were updated together.
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Reads the state.
    pub(super) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock().state)
    }

    /// Changes the state and wakes everybody: for what is rare.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut inner = self.lock();
        let result = change(&mut inner.state);
        let (reads, writes) = (std::mem::take(&mut inner.reads), std::mem::take(&mut inner.writes));
        drop(inner);
        wake(reads);
        wake(writes);
        result
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns how it behaves.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Returns the number of the next segment to be written.
    pub fn next_write(&self) -> u64 {
        self.read(|state| state.next_write)
    }

    /// Returns what happened so far.
    pub fn stats(&self) -> Stats {
        self.read(|state| Stats {
            bytes: state.counters.bytes,
            segments: state.counters.segments,
            segments_cut: state.counters.segments_cut,
            gaps: state.counters.gaps,
            readers: state
                .readers
                .iter()
                .filter(|reader| !reader.is_opening() && !reader.was_dropped())
                .count(),
            buffered_bytes: state.buffered,
            buffered_bytes_peak: state.counters.buffered_peak,
            open_writes: state.segments.iter().filter(|s| s.is_being_written()).count(),
            open_reads: state.readers.iter().map(|reader| reader.gets.len()).sum(),
            reads: state.counters.reads,
            written_at: state.written_at,
            closed: state.closed_at.is_some(),
        })
    }

    /// Closes the channel: readers get what was written and then the end, writers are refused.
    pub fn close(&self) {
        self.change(|state| state.close(now()));
    }

    /// Says whether the channel is closed.
    pub fn is_closed(&self) -> bool {
        self.read(|state| state.closed_at.is_some())
    }

    /// Waits until the channel is closed.
    pub async fn closed(&self) {
        let key = self.lock().state.fresh_id();
        poll_fn(|cx| {
            let mut inner = self.lock();
            if inner.state.closed_at.is_some() {
                return Poll::Ready(());
            }
            register(&mut inner.writes, key, cx);
            Poll::Pending
        })
        .await;
    }

    /// Ends segment `seq` for everybody; says whether it was there.
    pub(super) fn end_segment(&self, seq: u64) -> bool {
        self.change(|state| {
            let there = state.find(seq).is_some();
            state.finish(seq, now());
            there
        })
    }

    /// Lets a writer begin segment `at`, or the next one; readers see it with its first byte. With
    /// `reset` every segment below it ends.
    pub fn begin(
        self: &Arc<Self>,
        at: Option<u64>,
        reset: bool,
    ) -> Result<SegmentWriter, WriteError> {
        let (seq, key) =
            self.change(|state| state.begin(at, reset, now()).map(|seq| (seq, state.fresh_id())))?;
        Ok(SegmentWriter { channel: Arc::clone(self), seq, key, ended: false })
    }

    /// Opens a request for a segment by the reader `name`, or an unnamed one.
    pub fn open(self: &Arc<Self>, ask: Ask, name: Option<&str>) -> Result<Get, ReadError> {
        let opened = self.lock().state.open(ask, name, now())?;
        Ok(Get {
            channel: Arc::clone(self),
            reader: opened.reader,
            id: opened.get,
            seq: opened.seq,
            missing: opened.missing,
            done: false,
        })
    }

    fn append(&self, seq: u64, chunk: Bytes) -> Result<(), WriteError> {
        let mut inner = self.lock();
        let result = inner.state.append(seq, chunk, now());
        let reads = std::mem::take(&mut inner.reads);
        drop(inner);
        wake(reads);
        result
    }
}

/// The right to write one segment. Dropped without [`SegmentWriter::end`], it counts as broken off.
#[derive(Debug)]
pub struct SegmentWriter {
    channel: Arc<Channel>,
    seq: u64,
    key: u64,
    ended: bool,
}

impl SegmentWriter {
    /// Returns the segment's number.
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// Returns the channel.
    pub const fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// Appends bytes, waiting for room first. A wait ends when readers take bytes or are dropped
    /// for having stalled. On a closed channel there is always room; the caller bounds what it
    /// still brings by [`super::CLOSE_GRACE`].
    pub async fn write(&self, mut bytes: Bytes) -> Result<(), WriteError> {
        while !bytes.is_empty() {
            let mut chunk = bytes.split_to(bytes.len().min(CHUNK_BYTES_MAX));
            if chunk.len() < COPY_BELOW {
                chunk = Bytes::copy_from_slice(&chunk);
            }
            self.room().await?;
            self.channel.append(self.seq, chunk)?;
        }
        Ok(())
    }

    async fn room(&self) -> Result<(), WriteError> {
        loop {
            let deadline = {
                let inner = self.channel.lock();
                if inner.state.has_room(self.seq)? {
                    return Ok(());
                }
                let state = &inner.state;
                let deadlines = [state.stall_deadline(), state.hole_deadline()];
                let first = deadlines.into_iter().flatten().min();
                first.unwrap_or_else(|| now() + state.options.stall)
            };
            let wait = poll_fn(|cx| {
                let mut inner = self.channel.lock();
                match inner.state.has_room(self.seq) {
                    Ok(false) => {
                        register(&mut inner.writes, self.key, cx);
                        Poll::Pending
                    }
                    Ok(true) | Err(_) => Poll::Ready(()),
                }
            });
            if timeout_at(deadline.into(), wait).await.is_err() {
                self.channel.change(|state| {
                    let now = now();
                    let lost = state.drop_stalled(now);
                    if lost > 0 {
                        tracing::warn!(
                            channel = &*state.name,
                            readers = lost,
                            "stalled readers dropped"
                        );
                    }
                    state.give_up_holes(now);
                    state.finish_superseded(self.seq, now);
                });
            }
        }
    }

    /// Completes when the channel is closed or the segment was ended by somebody else.
    pub fn poll_stopped(&self, cx: &Context<'_>) -> Poll<()> {
        let mut inner = self.channel.lock();
        let going = inner.state.find(self.seq).is_some_and(|s| s.phase != Phase::Ended);
        if inner.state.closed_at.is_some() || !going {
            return Poll::Ready(());
        }
        register(&mut inner.writes, self.key, cx);
        Poll::Pending
    }

    /// Ends the segment.
    pub fn end(mut self) {
        self.ended = true;
        self.channel.change(|state| state.end(self.seq, true, now()));
    }
}

impl Drop for SegmentWriter {
    fn drop(&mut self) {
        if !self.ended {
            self.channel.change(|state| state.end(self.seq, false, now()));
        }
    }
}

/// What a segment looks like when its first byte, or its end, is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// Bytes from here to the end, if the end is known.
    pub remaining: Option<u64>,
    /// Bytes at the front that are not kept any more.
    pub offset: u64,
    /// Number of the next segment to be written.
    pub latest: u64,
}

/// An open request for one segment. Dropped, it has finished its segment.
#[derive(Debug)]
pub struct Get {
    channel: Arc<Channel>,
    reader: u64,
    id: u64,
    seq: u64,
    missing: Option<Missing>,
    done: bool,
}

impl Get {
    /// Returns the segment's number.
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// Returns what this reader missed before.
    pub const fn missing(&self) -> Option<Missing> {
        self.missing
    }

    /// Returns the channel.
    pub const fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// Waits until the segment has a byte or has ended; a number that a later segment overtook is
    /// waited for only a while.
    pub async fn begun(&mut self) -> Result<Begun, ReadError> {
        loop {
            let found = poll_fn(|cx| match self.channel.read(|state| state.hole_until(self.seq)) {
                Some(until) => Poll::Ready(Err(until)),
                None => self.poll_begun(cx).map(Ok),
            });
            let until = match found.await {
                Ok(begun) => return begun,
                Err(until) => until,
            };
            if let Ok(begun) = timeout_at(until.into(), poll_fn(|cx| self.poll_begun(cx))).await {
                return begun;
            }
            self.channel.change(|state| state.give_up_holes(now()));
        }
    }

    fn poll_begun(&mut self, cx: &Context<'_>) -> Poll<Result<Begun, ReadError>> {
        let mut inner = self.channel.lock();
        let state = &inner.state;
        match state.look(self.reader, self.id, self.seq) {
            Ok(Took::Wait) => {
                register(&mut inner.reads, self.id, cx);
                Poll::Pending
            }
            Ok(Took::Chunk(_) | Took::End) => Poll::Ready(Ok(begun(state, self.seq))),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Gives the next bytes, `None` at the end of the segment.
    pub fn poll_chunk(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Bytes, ReadError>>> {
        if self.done {
            return Poll::Ready(None);
        }
        let mut inner = self.channel.lock();
        let took = inner.state.take(self.reader, self.id, self.seq, now());
        if matches!(took, Ok(Took::Wait)) {
            register(&mut inner.reads, self.id, cx);
            return Poll::Pending;
        }
        let writes = std::mem::take(&mut inner.writes);
        drop(inner);
        wake(writes);
        match took {
            Ok(Took::Chunk(chunk)) => Poll::Ready(Some(Ok(chunk))),
            Ok(Took::End | Took::Wait) => {
                self.done = true;
                Poll::Ready(None)
            }
            Err(error) => {
                self.done = true;
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    /// Returns the bytes that remain, if the end of the segment is known.
    pub fn remaining(&self) -> Option<u64> {
        self.channel.read(|state| begun(state, self.seq).remaining)
    }
}

fn begun(state: &State, seq: u64) -> Begun {
    let segment = state.find(seq);
    Begun {
        remaining: segment.filter(|s| s.phase == Phase::Ended).map(|s| s.end - s.start),
        offset: segment.map_or(0, |s| s.start),
        latest: state.next_write,
    }
}

impl Drop for Get {
    fn drop(&mut self) {
        let mut inner = self.channel.lock();
        inner.reads.retain(|(id, _)| *id != self.id);
        if self.done {
            return;
        }
        inner.state.close_get(self.reader, self.id, true, now());
        let writes = std::mem::take(&mut inner.writes);
        drop(inner);
        wake(writes);
    }
}
