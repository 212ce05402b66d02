//! Where a session's media goes: the parent, within its credit, cut into segments at key frames.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use worker::CHUNK_BYTES_MAX;
use worker::child::{Credit, Outgoing};
use worker::message::FromWorker;

/// Sends what a muxer writes. Clones write to the same session.
#[derive(Debug, Clone)]
pub(crate) struct MediaSink {
    session: u64,
    outgoing: Outgoing,
    credit: Arc<Credit>,
}

impl MediaSink {
    /// Creates the sink of `session`.
    pub(crate) const fn new(session: u64, outgoing: Outgoing, credit: Arc<Credit>) -> Self {
        Self { session, outgoing, credit }
    }

    /// Says that what is written next begins with a key frame.
    pub(crate) fn begin_segment(&self) -> io::Result<()> {
        self.outgoing.send(FromWorker::Segment(self.session))
    }
}

impl Write for MediaSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.chunks(CHUNK_BYTES_MAX) {
            if !self.credit.take(piece.len()) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let piece = Bytes::from(BytesMut::from(piece));
            self.outgoing.send(FromWorker::Output(self.session, piece))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
