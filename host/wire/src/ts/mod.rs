//! A scanner of MPEG-TS headers: which tracks there are, when each picture is shown, where decoding
//! can begin, what was lost. It finds places to cut and positions to resume from; it decodes
//! nothing and keeps no payload.
//!
//! **Invariant:** memory is bounded whatever the input: one packet, two sections, and a few bytes
//! for each of at most [`TRACKS_MAX`] tracks.
//! **Invariant:** events come in the order of the input and do not depend on how it was cut into
//! pieces.

mod pes;
mod section;

use domain::resume::ticks_since;
use pes::{Head, StartCodes};
use section::{Section, Tables};

/// Bytes of a packet.
pub const PACKET_BYTES: usize = 188;
/// Tracks of a programme that are followed.
pub const TRACKS_MAX: usize = 32;
pub use domain::resume::CLOCK_HZ;

/// Packets of one table that are kept: a section of 1,024 bytes fits in six.
const TABLE_PACKETS_MAX: usize = 6;
const SYNC: u8 = 0x47;

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// H.264.
    H264,
    /// H.265.
    H265,
    /// Video of another codec, whose key frames only the packet headers tell.
    OtherVideo,
    /// Sound.
    Audio,
    /// Anything else.
    Data,
}

impl Kind {
    /// Says whether it is a picture.
    pub const fn is_video(self) -> bool {
        matches!(self, Self::H264 | Self::H265 | Self::OtherVideo)
    }

    const fn of(stream_type: u8) -> Self {
        match stream_type {
            0x1b => Self::H264,
            0x24 => Self::H265,
            0x01 | 0x02 | 0x10 | 0x33 | 0x42 | 0xd1 | 0xea => Self::OtherVideo,
            0x03 | 0x04 | 0x0f | 0x11 | 0x1c | 0x81 | 0x84 | 0x87 => Self::Audio,
            _ => Self::Data,
        }
    }
}

/// One track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Track {
    /// Packet id.
    pub pid: u16,
    /// What it carries.
    pub kind: Kind,
}

/// Something in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The table of tracks came for the first time, or changed; see [`Scanner::tracks`].
    Tracks,
    /// A picture or a block of sound begins.
    Unit {
        /// Its track.
        track: Track,
        /// Offset in the input of its first packet.
        offset: u64,
        /// Presentation time in ticks of [`CLOCK_HZ`], unwrapped.
        pts: Option<i64>,
        /// Decoding time in the same ticks; the presentation time where the input names none.
        dts: Option<i64>,
        /// Decoding can begin here.
        key: bool,
    },
    /// Packets of a track are missing before this one.
    Lost {
        /// Packet id.
        pid: u16,
        /// Offset in the input of the packet after the hole.
        offset: u64,
    },
}

#[derive(Debug)]
struct Following {
    track: Track,
    counter: Option<u8>,
    pending: Option<Pending>,
    codes: StartCodes,
}

/// A unit of which it is not known yet whether it is a key frame.
#[derive(Debug, Clone, Copy)]
struct Pending {
    offset: u64,
    pts: Option<i64>,
    dts: Option<i64>,
}

/// Counts of what was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Damage {
    /// Bytes outside packets.
    pub bytes_skipped: u64,
    /// Holes in the numbering of packets.
    pub holes: u64,
    /// Packets marked as damaged by the transport.
    pub packets_damaged: u64,
    /// Bytes of an unfinished packet at the end.
    pub bytes_left: usize,
}

/// Reads a transport stream in pieces of any size.
#[derive(Debug, Default)]
pub struct Scanner {
    /// Bytes of the packet begun.
    packet: Vec<u8>,
    /// Offset in the input of the next byte fed.
    fed: u64,
    synced: bool,
    tables: Tables,
    tracks: Vec<Track>,
    following: Vec<Following>,
    clock: Option<i64>,
    damage: Damage,
    /// The last packets of the two tables.
    preamble: Preamble,
}

/// The last packets that carried the tables, as they came.
#[derive(Debug, Default)]
struct Preamble {
    pat: Vec<u8>,
    pmt: Vec<u8>,
}

impl Preamble {
    fn keep(&mut self, pid: u16, starts: bool, packet: &[u8]) {
        let kept = if pid == section::PAT_PID { &mut self.pat } else { &mut self.pmt };
        if starts {
            kept.clear();
        }
        if kept.len() < TABLE_PACKETS_MAX * PACKET_BYTES {
            kept.extend_from_slice(packet);
        }
    }
}

impl Scanner {
    /// Makes a scanner at the beginning of an input.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the tracks of the first programme.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// Returns the packets of the tables as they came last: what has to stand before a picture for a
    /// decoder that begins there. Empty while there was none.
    pub fn preamble(&self) -> Vec<u8> {
        [self.preamble.pat.as_slice(), self.preamble.pmt.as_slice()].concat()
    }

    /// Returns what was wrong so far.
    pub fn damage(&self) -> Damage {
        Damage { bytes_left: self.packet.len(), ..self.damage }
    }

    /// Reads a piece, and hands on what is in it. A unit is handed on once its first slice tells
    /// whether it is a key frame, at the latest when the next one of its track begins.
    pub fn feed(&mut self, mut bytes: &[u8], mut on_event: impl FnMut(Event)) {
        while !bytes.is_empty() {
            if self.packet.is_empty() && bytes[0] != SYNC {
                let skipped = bytes.iter().position(|b| *b == SYNC).unwrap_or(bytes.len());
                self.damage.bytes_skipped += skipped as u64;
                self.fed += skipped as u64;
                self.synced = false;
                bytes = &bytes[skipped..];
                continue;
            }
            // A packet out of step is only believed when the next one begins where it should.
            let wanted = if self.synced { PACKET_BYTES } else { PACKET_BYTES + 1 };
            let taken = bytes.len().min(wanted - self.packet.len());
            self.packet.extend_from_slice(&bytes[..taken]);
            self.fed += taken as u64;
            bytes = &bytes[taken..];
            if self.packet.len() == wanted {
                self.complete(&mut on_event);
            }
        }
    }

    /// Hands on what is pending at the end of the input.
    pub fn finish(&mut self, mut on_event: impl FnMut(Event)) {
        if self.packet.len() == PACKET_BYTES {
            // The last packet of an input that never came into step.
            let offset = self.fed - PACKET_BYTES as u64;
            let packet = std::mem::take(&mut self.packet);
            self.read_packet(&packet, offset, &mut on_event);
        }
        for following in &mut self.following {
            following.decide(false, &mut on_event);
        }
    }

    fn complete(&mut self, on_event: &mut impl FnMut(Event)) {
        let mut packet = std::mem::take(&mut self.packet);
        let begun = self.fed - packet.len() as u64;
        if self.synced {
            self.read_packet(&packet, begun, on_event);
            packet.clear();
        } else if packet[PACKET_BYTES] == SYNC {
            self.synced = true;
            self.read_packet(&packet[..PACKET_BYTES], begun, on_event);
            packet.clear();
            packet.push(SYNC);
        } else {
            // Not a packet: look for the next sync byte in what is there.
            let next = packet.iter().skip(1).position(|b| *b == SYNC).map(|at| at + 1);
            let dropped = next.unwrap_or(packet.len());
            self.damage.bytes_skipped += dropped as u64;
            packet.drain(..dropped);
        }
        self.packet = packet;
    }

    fn read_packet(&mut self, packet: &[u8], offset: u64, on_event: &mut impl FnMut(Event)) {
        if packet[1] & 0x80 != 0 {
            self.damage.packets_damaged += 1;
            return;
        }
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let starts = packet[1] & 0x40 != 0;
        let (has_field, has_payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        let field = if has_field { usize::from(packet[4]) } else { 0 };
        let flags = if field > 0 { packet[5] } else { 0 };
        let begin = if has_field { 5 + field } else { 4 };
        if !has_payload || begin >= PACKET_BYTES {
            return;
        }
        let payload = &packet[begin..];
        if let Some(section) = self.tables.feed(pid, starts, payload) {
            self.preamble.keep(pid, starts, packet);
            self.read_section(&section, on_event);
            return;
        }
        let Some(following) = self.following.iter_mut().find(|f| f.track.pid == pid) else {
            return;
        };
        let counter = packet[3] & 0x0f;
        match following.counter.replace(counter) {
            // A packet may be sent twice.
            Some(last) if last == counter && flags & 0x80 == 0 => return,
            Some(last) if (last + 1) & 0x0f != counter && flags & 0x80 == 0 => {
                self.damage.holes += 1;
                on_event(Event::Lost { pid, offset });
            }
            Some(_) | None => {}
        }
        if !starts {
            following.scan(payload, on_event);
            return;
        }
        following.decide(false, on_event);
        let Some(head) = Head::parse(payload) else { return };
        let pts = head.pts.map(|raw| unwrap(raw, &mut self.clock));
        let dts = head.dts.map(|raw| unwrap(raw, &mut self.clock)).or(pts);
        following.pending = Some(Pending { offset, pts, dts });
        following.codes = StartCodes::default();
        if flags & 0x40 != 0 {
            following.decide(true, on_event);
        } else if !following.track.kind.is_video() {
            following.decide(following.track.kind == Kind::Audio, on_event);
        } else {
            following.scan(head.rest, on_event);
        }
    }

    fn read_section(&mut self, section: &Section, on_event: &mut impl FnMut(Event)) {
        let Section::Tracks(found) = section else { return };
        let found: Vec<Track> = found
            .iter()
            .take(TRACKS_MAX)
            .map(|(pid, stream_type)| Track { pid: *pid, kind: Kind::of(*stream_type) })
            .collect();
        if found == self.tracks {
            return;
        }
        for following in &mut self.following {
            following.decide(false, on_event);
        }
        self.following = found.iter().map(|track| Following::new(*track)).collect();
        self.tracks = found;
        on_event(Event::Tracks);
    }
}

impl Following {
    fn new(track: Track) -> Self {
        Self { track, counter: None, pending: None, codes: StartCodes::default() }
    }

    fn scan(&mut self, payload: &[u8], on_event: &mut impl FnMut(Event)) {
        if self.pending.is_none() {
            return;
        }
        if let Some(key) = self.codes.find_slice(self.track.kind, payload) {
            self.decide(key, on_event);
        }
    }

    fn decide(&mut self, key: bool, on_event: &mut impl FnMut(Event)) {
        if let Some(Pending { offset, pts, dts }) = self.pending.take() {
            on_event(Event::Unit { track: self.track, offset, pts, dts, key });
        }
    }
}

/// Continues a 33-bit time past its wraps: the nearest one to the time before, over all tracks.
fn unwrap(raw: i64, clock: &mut Option<i64>) -> i64 {
    let time = match *clock {
        None => raw,
        Some(before) => before + ticks_since(raw, before),
    };
    *clock = Some(time);
    time
}

#[cfg(test)]
#[test]
fn a_clock_goes_on_past_its_wrap_in_both_directions() {
    const WRAP: i64 = 1 << 33;
    let mut clock = None;
    let times: Vec<i64> =
        [WRAP - 10, 5, WRAP - 3, 20].iter().map(|raw| unwrap(*raw, &mut clock)).collect();
    assert_eq!(times, [WRAP - 10, WRAP + 5, WRAP - 3, WRAP + 20]);
}
