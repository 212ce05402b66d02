//! Using a channel from the process that holds it: an orchestrator feeds its worker from one and
//! writes results into another without HTTP. Same rules, same back-pressure as over the network.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;

use super::channel::{Channel, Get, SegmentWriter};
use super::{Ask, Missing, ReadError, WriteError};

/// Writes a channel segment by segment. Dropped, it ends the open segment as broken off and leaves
/// the channel open.
#[derive(Debug)]
pub struct ChannelWriter {
    channel: Arc<Channel>,
    open: Option<SegmentWriter>,
}

impl ChannelWriter {
    /// Makes the writer of a channel; a channel should have one.
    pub const fn new(channel: Arc<Channel>) -> Self {
        Self { channel, open: None }
    }

    /// Ends the open segment, if any, and begins the next; returns its number. Readers see it
    /// with its first byte.
    pub fn begin_segment(&mut self) -> Result<u64, WriteError> {
        self.end_segment();
        let writer = self.channel.begin(None, false)?;
        let seq = writer.seq();
        self.open = Some(writer);
        Ok(seq)
    }

    /// Appends bytes to the open segment, beginning one if none is; waits for room.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), WriteError> {
        if self.open.is_none() {
            self.begin_segment()?;
        }
        match &self.open {
            Some(writer) if !self.channel.is_closed() => writer.write(bytes).await,
            Some(_) | None => Err(WriteError::Closed { channel: self.channel.name().to_owned() }),
        }
    }

    /// Ends the open segment, if any.
    pub fn end_segment(&mut self) {
        if let Some(writer) = self.open.take() {
            writer.end();
        }
    }

    /// Writes one whole segment: for messages.
    pub async fn send(&mut self, message: Bytes) -> Result<u64, WriteError> {
        let seq = self.begin_segment()?;
        self.write(message).await?;
        self.end_segment();
        Ok(seq)
    }

    /// Ends the open segment and closes the channel; what was written stays readable for its
    /// readers.
    pub fn close(mut self) {
        self.end_segment();
        self.channel.close();
    }

    /// Returns the channel.
    pub const fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }
}

/// A segment that a [`ChannelReader`] has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Its number.
    pub seq: u64,
    /// What was lost before it, if anything.
    pub missing: Option<Missing>,
    /// Bytes lost at its front: not 0 only for a reader that came late into a long segment.
    pub offset: u64,
}

/// Reads a channel segment by segment, from the oldest one kept.
#[derive(Debug)]
pub struct ChannelReader {
    channel: Arc<Channel>,
    name: String,
    next: Ask,
    get: Option<Get>,
    /// Whether the segment of `get` was handed out.
    begun: bool,
    missing: Option<Missing>,
}

impl ChannelReader {
    /// Makes a reader that begins with segment `from`. It holds its place from now on.
    pub fn new(channel: Arc<Channel>, name: &str, from: Ask) -> Self {
        let mut reader = Self {
            channel,
            name: name.to_owned(),
            next: from,
            get: None,
            begun: false,
            missing: None,
        };
        reader.ask();
        reader
    }

    /// Opens the next request; jumps over what is gone, and notes it.
    fn ask(&mut self) {
        self.begun = false;
        self.get = match self.channel.open(self.next, Some(&self.name)) {
            Err(ReadError::Absent { seq, latest }) => {
                let oldest = self.channel.read(|state| {
                    state.segments.iter().map(|s| s.seq).find(|kept| *kept > seq).unwrap_or(latest)
                });
                if oldest > seq {
                    self.missing = Some(Missing { from: seq, to: oldest - 1 });
                    self.next = Ask::Seq(oldest);
                }
                self.channel.open(self.next, Some(&self.name)).ok()
            }
            other => other.ok(),
        };
    }

    /// Waits for the next segment's first byte, or end; `None` once the channel is closed and
    /// read to its end. What remains of the segment before is given up.
    pub async fn next_segment(&mut self) -> Option<Start> {
        if self.begun {
            self.get = None;
        }
        loop {
            if self.get.is_none() {
                self.ask();
            }
            let get = self.get.as_mut()?;
            self.next = Ask::Seq(get.seq());
            match get.begun().await {
                Ok(begun) => {
                    let (seq, told) = (get.seq(), get.missing());
                    self.next = Ask::Seq(seq + 1);
                    self.begun = true;
                    let missing = told.or(self.missing.take());
                    return Some(Start { seq, missing, offset: begun.offset });
                }
                Err(ReadError::Closed { .. }) => return None,
                Err(_) => self.get = None,
            }
        }
    }

    /// Gives the next bytes of the segment; `None` at its end, or where the reader was dropped
    /// for having stalled: then the next segment tells what is missing.
    pub async fn chunk(&mut self) -> Option<Bytes> {
        let get = self.get.as_mut()?;
        match poll_fn(|cx| get.poll_chunk(cx)).await {
            Some(Ok(chunk)) => Some(chunk),
            Some(Err(_)) | None => {
                self.get = None;
                self.ask();
                None
            }
        }
    }

    /// Gives a whole segment of at most `bytes_max` bytes: for messages. `None` at the end of the
    /// channel; longer ones are cut.
    pub async fn message(&mut self, bytes_max: usize) -> Option<Vec<u8>> {
        self.next_segment().await?;
        let mut message = Vec::new();
        while let Some(chunk) = self.chunk().await {
            let room = bytes_max - message.len();
            message.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
        Some(message)
    }

    /// Returns the channel.
    pub const fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }
}
