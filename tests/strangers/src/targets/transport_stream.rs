//! Any bytes as MPEG-TS: the scanner says the same however they are cut into pieces.

use wire::ts::{PACKET_BYTES, Scanner};

use crate::Target;

/// MPEG-TS. The first byte says how long the pieces are.
pub const TARGET: Target = Target { name: "transport_stream", feed, seeds };

/// Packet id of the table of tracks in the seeds, and of the first track.
const TABLE: u16 = 0x100;
const TRACK: u16 = 0x101;

fn scan<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, String) {
    let mut scanner = Scanner::new();
    let mut events = Vec::new();
    pieces.for_each(|piece| scanner.feed(piece, |event| events.push(format!("{event:?}"))));
    scanner.finish(|event| events.push(format!("{event:?}")));
    (events, format!("{:?} {:?}", scanner.tracks(), scanner.damage()))
}

fn feed(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let whole = scan(std::iter::once(bytes));
    let cut = scan(bytes.chunks(usize::from(*piece) + 1));
    assert_eq!(whole, cut, "pieces of {}", usize::from(*piece) + 1);
}

/// Makes a packet that `payload` begins in and the rest of which is stuffing.
fn packet(pid: u16, counter: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = pid.to_be_bytes();
    let mut packet = vec![0x47, 0x40 | high, low, 0x30 | counter];
    let stuffing = PACKET_BYTES - 5 - payload.len();
    packet.push(u8::try_from(stuffing).expect("a packet is short"));
    packet.extend((0..stuffing).map(|at| if at == 0 { 0 } else { 0xff }));
    packet.extend_from_slice(payload);
    packet
}

/// Makes a section of a table: its number, what is in it, and a checksum that nobody reads.
fn section(table: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len() + 9).expect("a section of a seed is short");
    let mut section = vec![0, table, 0xb0, length, 0, 1, 0xc1, 0, 0];
    section.extend_from_slice(body);
    section.extend([0; 4]);
    section
}

/// Makes a stream of one track: both tables, then units that begin with `head`.
fn stream(kind: u8, head: &[u8]) -> Vec<u8> {
    let [high, low] = TABLE.to_be_bytes();
    let mut stream = packet(0, 0, &section(0, &[0, 1, 0xe0 | high, low]));
    let [high, low] = TRACK.to_be_bytes();
    let tracks = [0xe0 | high, low, 0xf0, 0, kind, 0xe0 | high, low, 0xf0, 0];
    stream.extend(packet(TABLE, 0, &section(2, &tracks)));
    for counter in 0..3 {
        let mut unit = vec![0, 0, 1, 0xe0, 0, 0, 0x80, 0xc0, 10];
        unit.extend([0x31, 0, 1, counter << 1 | 1, 1, 0x11, 0, 1, counter << 1 | 1, 1]);
        unit.extend_from_slice(head);
        stream.extend(packet(TRACK, counter, &unit));
    }
    stream
}

fn seeds() -> Vec<Vec<u8>> {
    let h264 = stream(0x1b, &[0, 0, 0, 1, 0x65, 0x88]);
    let h265 = stream(0x24, &[0, 0, 1, 0x26, 1, 0x80]);
    let sound = stream(0x0f, &[0xff, 0xf1, 0x50]);
    let lost = [&h264[..PACKET_BYTES * 3], &h264[PACKET_BYTES * 4..]].concat();
    let shifted = [&b"no packet"[..], &h264].concat();
    let of_pieces = |(piece, stream): (u8, Vec<u8>)| [&[piece][..], &stream].concat();
    let all = [(0, h264), (187, h265), (6, sound), (99, lost), (255, shifted)];
    all.into_iter().map(of_pieces).collect()
}
