//! The head of a packetised unit, and the first slice in it.

use super::Kind;

/// Times of a unit, as the wire has them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) pts: Option<i64>,
    pub(super) dts: Option<i64>,
    /// What follows the head in this packet.
    pub(super) rest: &'a [u8],
}

impl<'a> Head<'a> {
    /// Reads a head; `None` if the bytes are none.
    pub(super) fn parse(payload: &'a [u8]) -> Option<Self> {
        let [0, 0, 1, stream_id, _, _, tail @ ..] = payload else { return None };
        // Padding, private 2 and the maps have no such head.
        if matches!(stream_id, 0xbc | 0xbe | 0xbf | 0xf0..=0xf2 | 0xf8 | 0xff) {
            return Some(Self { pts: None, dts: None, rest: tail });
        }
        let [marks, flags, length, fields @ ..] = tail else { return None };
        if marks & 0xc0 != 0x80 || usize::from(*length) > fields.len() {
            return None;
        }
        let (fields, rest) = fields.split_at(usize::from(*length));
        let pts = (flags & 0x80 != 0).then(|| time(fields.get(..5)?)).flatten();
        let dts = (flags & 0xc0 == 0xc0).then(|| time(fields.get(5..10)?)).flatten();
        Some(Self { pts, dts, rest })
    }
}

fn time(bytes: &[u8]) -> Option<i64> {
    let [a, b, c, d, e] = *bytes else { return None };
    if a & 1 == 0 || c & 1 == 0 || e & 1 == 0 {
        return None;
    }
    let part = |high: u8, low: u8| i64::from(u16::from_be_bytes([high, low]) >> 1);
    Some(i64::from(a >> 1 & 7) << 30 | part(b, c) << 15 | part(d, e))
}

/// Finds start codes in a unit, over the ends of packets.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StartCodes {
    zeros: usize,
    /// The next byte is the first after a start code.
    named: bool,
}

impl StartCodes {
    /// Looks for the first slice; says whether it is one of a picture where decoding can begin.
    pub(super) fn find_slice(&mut self, kind: Kind, bytes: &[u8]) -> Option<bool> {
        for byte in bytes {
            if self.named {
                self.named = false;
                if let Some(key) = slice(kind, *byte) {
                    return Some(key);
                }
            }
            self.named = *byte == 1 && self.zeros >= 2;
            self.zeros = if *byte == 0 { self.zeros + 1 } else { 0 };
        }
        None
    }
}

fn slice(kind: Kind, first: u8) -> Option<bool> {
    match kind {
        Kind::H264 => match first & 0x1f {
            5 => Some(true),
            1..=4 => Some(false),
            _ => None,
        },
        Kind::H265 => match first >> 1 & 0x3f {
            16..=23 => Some(true),
            0..=15 => Some(false),
            _ => None,
        },
        Kind::OtherVideo | Kind::Audio | Kind::Data => None,
    }
}
