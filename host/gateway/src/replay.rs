//! The input of a job on its way to an orchestrator, with what another orchestrator would need to
//! take the job over: everything from the last key frame that the client was given the picture of.
//!
//! It knows headers of MPEG-TS and no codec. An input that is something else goes through as it is
//! and cannot be replayed.
//!
//! **Invariants:** what is kept is at most [`KEPT_BYTES_MAX`] and one chunk; nothing that was not
//! sent yet is thrown away; a replay begins with the tables and a key frame.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::resume::{CLOCK_HZ, ticks_since};
use wire::trickle::{Ask, Channel, ChannelReader};
use wire::ts::{Event, Scanner};

/// Bytes of input kept for a move: as many as wait in a channel.
pub(crate) const KEPT_BYTES_MAX: u64 = wire::trickle::WINDOW_BYTES as u64;
/// Name under which the gateway reads its own channels.
const READER: &str = "relay";

/// A step of a stream of segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A segment begins. `true`: something before it was lost on the way here.
    Begin(bool),
    /// Bytes of it.
    Data(Bytes),
    /// It ends.
    End,
}

impl Piece {
    fn len(&self) -> u64 {
        match self {
            Self::Data(bytes) => bytes.len() as u64,
            Self::Begin(_) | Self::End => 0,
        }
    }
}

/// A key frame among what is kept.
#[derive(Debug, Clone, Copy)]
struct Key {
    /// Offset in the input of its first byte.
    offset: u64,
    pts: i64,
}

/// The input of a job.
#[derive(Debug)]
pub(crate) struct Replay {
    reader: ChannelReader,
    within: bool,
    kept: VecDeque<Piece>,
    /// Offsets of the first byte kept, of the first one not sent, and of the end.
    first: u64,
    sent: u64,
    end: u64,
    /// Pieces of `kept` that were sent.
    cursor: usize,
    /// What is sent before `kept` in a replay.
    head: VecDeque<Piece>,
    keys: VecDeque<Key>,
    scanner: Scanner,
    segment: Option<Duration>,
}

impl Replay {
    /// Reads `channel` from its beginning.
    pub(crate) fn new(channel: Arc<Channel>) -> Self {
        Self {
            reader: ChannelReader::new(channel, READER, Ask::Seq(0)),
            within: false,
            kept: VecDeque::new(),
            first: 0,
            sent: 0,
            end: 0,
            cursor: 0,
            head: VecDeque::new(),
            keys: VecDeque::new(),
            scanner: Scanner::new(),
            segment: None,
        }
    }

    /// Gives the next piece, `None` at the end of the input. `given` is the time of the last picture
    /// that the client was given. Nothing is lost if this is dropped while it waits, and what it
    /// returned is kept for a replay.
    pub(crate) async fn next(&mut self, given: Option<i64>) -> Option<Piece> {
        if let Some(piece) = self.head.pop_front() {
            return Some(piece);
        }
        if self.cursor == self.kept.len() {
            let piece = self.read().await?;
            self.keep(piece, given);
        }
        let piece = self.kept.get(self.cursor)?.clone();
        self.cursor += 1;
        self.sent += piece.len();
        Some(piece)
    }

    /// Goes back to the last key frame that the client was given the picture of.
    pub(crate) fn rewind(&mut self, given: Option<i64>) {
        self.trim(given);
        let begins_at_key = self.keys.front().is_some_and(|key| key.offset == self.first);
        if self.first > 0
            && !begins_at_key
            && let Some(key) = self.keys.front().copied()
        {
            self.cut(key.offset);
        }
        (self.cursor, self.sent) = (0, self.first);
        self.head.clear();
        if self.first > 0 {
            self.head.push_back(Piece::Begin(false));
            self.head.push_back(Piece::Data(self.scanner.preamble().into()));
        }
    }

    /// Returns the time from one key frame to the next, as it was last.
    pub(crate) const fn segment(&self) -> Option<Duration> {
        self.segment
    }

    async fn read(&mut self) -> Option<Piece> {
        if !self.within {
            let start = self.reader.next_segment().await?;
            self.within = true;
            return Some(Piece::Begin(start.missing.is_some() || start.offset > 0));
        }
        let chunk = self.reader.chunk().await;
        self.within = chunk.is_some();
        Some(chunk.map_or(Piece::End, Piece::Data))
    }

    fn keep(&mut self, piece: Piece, given: Option<i64>) {
        if let Piece::Data(bytes) = &piece {
            let keys = &mut self.keys;
            let segment = &mut self.segment;
            self.scanner.feed(bytes, |event| {
                let Event::Unit { track, offset, pts: Some(pts), key: true, .. } = event else {
                    return;
                };
                if !track.kind.is_video() {
                    return;
                }
                let ticks = keys.back().map(|last| ticks_since(pts, last.pts));
                if let Some(ticks @ 1..) = ticks {
                    let us = ticks.saturating_mul(1_000_000) / CLOCK_HZ;
                    *segment = u64::try_from(us).ok().map(Duration::from_micros);
                }
                keys.push_back(Key { offset, pts });
            });
        }
        self.end += piece.len();
        self.kept.push_back(piece);
        self.trim(given);
        while self.end - self.first > KEPT_BYTES_MAX {
            let next = self.keys.iter().find(|key| key.offset > self.first);
            let to = next.map_or(self.sent, |key| key.offset.min(self.sent));
            if to == self.first {
                break;
            }
            self.cut(to);
        }
    }

    /// Throws away what nobody would need who takes over from the picture at `given`.
    fn trim(&mut self, given: Option<i64>) {
        let Some(given) = given else { return };
        let had = |key: &&Key| key.offset <= self.sent && ticks_since(key.pts, given) <= 0;
        if let Some(key) = self.keys.iter().rev().find(had).copied() {
            self.cut(key.offset);
        }
    }

    /// Throws away what lies before `offset`, which was sent.
    fn cut(&mut self, offset: u64) {
        while self.first < offset {
            let Some(piece) = self.kept.front_mut() else { break };
            let length = piece.len();
            match piece {
                Piece::Data(bytes) if self.first + length > offset => {
                    // In range: it is less than the piece's own length.
                    let part = usize::try_from(offset - self.first).unwrap_or(usize::MAX);
                    *bytes = bytes.split_off(part.min(bytes.len()));
                    self.first = offset;
                }
                Piece::Data(_) | Piece::Begin(_) | Piece::End => {
                    self.first += length;
                    self.kept.pop_front();
                    self.cursor = self.cursor.saturating_sub(1);
                }
            }
        }
        while let (Some(Piece::Begin(_) | Piece::End), 1..) = (self.kept.front(), self.cursor) {
            self.kept.pop_front();
            self.cursor -= 1;
        }
        while self.keys.front().is_some_and(|key| key.offset < self.first) {
            self.keys.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::trickle::{ChannelWriter, Options, Store};

    use super::*;

    /// A transport stream of pictures of 40 ms, each of one packet, a key frame every 25.
    fn stream(pictures: u64) -> Vec<Vec<u8>> {
        let pat = table(0, &[0, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xe1, 0]);
        let pmt = table(
            0x100,
            &[2, 0xb0, 18, 0, 1, 0xc1, 0, 0, 0xe1, 1, 0xf0, 0, 0x1b, 0xe1, 1, 0xf0, 0],
        );
        let picture = |number: u64| {
            let mut packet = vec![0x47, 0x41, 1, 0x10 | (number as u8 & 15), 0, 0, 1, 0xe0, 0, 0];
            let ticks = number * 3600;
            let field = |shift: u64| (ticks >> shift) as u8;
            packet.extend([0x80, 0x80, 5, 0x21 | field(29) & 14, field(22), field(14) | 1]);
            packet.extend([field(7), field(0) << 1 | 1, 0, 0, 1]);
            packet.push(if number.is_multiple_of(25) { 0x65 } else { 0x41 });
            packet.resize(188, 0xff);
            packet
        };
        let mut all = vec![[pat, pmt].concat()];
        all.extend((0..pictures).map(picture));
        all
    }

    fn table(pid: u16, section: &[u8]) -> Vec<u8> {
        let crc = section.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
                if crc >> 31 == 1 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 }
            })
        });
        let mut packet = vec![0x47, 0x40 | (pid >> 8) as u8, pid as u8, 0x10, 0];
        packet.extend_from_slice(section);
        packet.extend(crc.to_be_bytes());
        packet.resize(188, 0xff);
        packet
    }

    /// Sends everything that is there, as one orchestrator would get it.
    async fn send(replay: &mut Replay, pieces: usize, given: Option<i64>) -> Vec<u8> {
        let mut sent = Vec::new();
        for _ in 0..pieces {
            if let Some(Piece::Data(bytes)) = replay.next(given).await {
                sent.extend_from_slice(&bytes);
            }
        }
        sent
    }

    fn pictures(bytes: &[u8]) -> Vec<(i64, bool)> {
        let mut found = Vec::new();
        let mut scanner = Scanner::new();
        let mut note = |event| {
            if let Event::Unit { pts: Some(pts), key, .. } = event {
                found.push((pts / 3600, key));
            }
        };
        scanner.feed(bytes, &mut note);
        scanner.finish(&mut note);
        found
    }

    async fn replay_of(chunks: &[Vec<u8>]) -> Replay {
        let store = Store::new(wire::trickle::Limits::default());
        let options = Options { window_bytes: 64 << 20, ..Options::of_type("video/MP2T") };
        let channel = store.create("in", options).unwrap();
        let replay = Replay::new(Arc::clone(&channel));
        let mut writer = ChannelWriter::new(channel);
        for chunk in chunks {
            writer.write(chunk.clone().into()).await.unwrap();
        }
        writer.close();
        replay
    }

    #[tokio::test]
    async fn a_replay_begins_with_the_tables_and_the_last_key_frame_that_the_client_saw() {
        let mut replay = replay_of(&stream(80)).await;
        let first = send(&mut replay, 79, Some(30 * 3600)).await;
        assert_eq!(pictures(&first).len(), 77, "begin, tables, pictures");
        replay.rewind(Some(60 * 3600));
        let again = send(&mut replay, 200, Some(60 * 3600)).await;
        let numbers = pictures(&again);
        assert_eq!((numbers[0], numbers.len()), ((50, true), 30), "{numbers:?}");
        assert_eq!(replay.segment(), Some(Duration::from_secs(1)));
        assert!(replay.end - replay.first < 60 * 188, "what the client saw is not kept");
    }

    #[tokio::test]
    async fn before_the_client_saw_anything_the_whole_input_is_sent_again() {
        let mut replay = replay_of(&stream(30)).await;
        let first = send(&mut replay, 20, None).await;
        replay.rewind(None);
        let again = send(&mut replay, 200, None).await;
        assert!(again.starts_with(&first));
        assert_eq!(pictures(&again).len(), 30);
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded_whatever_the_input_is() {
        let noise = vec![vec![7; 100_000]; 100];
        let mut replay = replay_of(&noise).await;
        send(&mut replay, 200, None).await;
        assert!(replay.end - replay.first <= KEPT_BYTES_MAX + 200_000);
        // Nobody reads: the last key frames are kept, the oldest go.
        let mut long = replay_of(&stream(40_000)).await;
        send(&mut long, 40_010, Some(0)).await;
        assert!(long.end - long.first <= KEPT_BYTES_MAX);
        long.rewind(Some(0));
        let again = send(&mut long, 40_010, Some(0)).await;
        assert!(pictures(&again)[0].1, "it begins where decoding can");
    }
}
