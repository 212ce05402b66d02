//! The two tables that name the tracks: the association of programmes and the map of the first one.

/// Bytes of a section of these tables, by the standard.
const SECTION_BYTES_MAX: usize = 1024;
/// Packet id of the association of programmes.
pub(super) const PAT_PID: u16 = 0;
const PAT_TABLE: u8 = 0;
const PMT_TABLE: u8 = 2;

/// A table that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// Packet id and stream type of each track.
    Tracks(Vec<(u16, u8)>),
    /// Part of a table, or one without news.
    Nothing,
}

/// The tables being read.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pat: Collector,
    pmt: Collector,
    pmt_pid: Option<u16>,
}

impl Tables {
    /// Takes a packet's payload if its packet id is a table's; `None` if it is not.
    pub(super) fn feed(&mut self, pid: u16, starts: bool, payload: &[u8]) -> Option<Section> {
        if pid == PAT_PID {
            if let Some(section) = self.pat.feed(starts, payload)
                && let Some(found) = first_programme(&section)
                && self.pmt_pid != Some(found)
            {
                self.pmt_pid = Some(found);
                self.pmt = Collector::default();
            }
            return Some(Section::Nothing);
        }
        if self.pmt_pid != Some(pid) {
            return None;
        }
        let tracks = self.pmt.feed(starts, payload).and_then(|section| tracks(&section));
        Some(tracks.map_or(Section::Nothing, Section::Tracks))
    }
}

/// Joins a section that spans packets.
#[derive(Debug, Default)]
struct Collector {
    bytes: Vec<u8>,
    going: bool,
}

impl Collector {
    fn feed(&mut self, starts: bool, payload: &[u8]) -> Option<Vec<u8>> {
        let part = if starts {
            let begin = 1 + usize::from(*payload.first()?);
            self.bytes.clear();
            self.going = true;
            payload.get(begin..)?
        } else if self.going {
            payload
        } else {
            return None;
        };
        let room = SECTION_BYTES_MAX - self.bytes.len();
        self.bytes.extend_from_slice(&part[..part.len().min(room)]);
        let [_, high, low, ..] = *self.bytes.as_slice() else { return None };
        let length = 3 + usize::from(u16::from_be_bytes([high & 0x0f, low]));
        if length > SECTION_BYTES_MAX || self.bytes.len() == SECTION_BYTES_MAX {
            self.going = self.bytes.len() < length && length <= SECTION_BYTES_MAX;
        }
        if self.bytes.len() < length || length > SECTION_BYTES_MAX {
            return None;
        }
        self.going = false;
        self.bytes.truncate(length);
        (crc(&self.bytes) == 0).then(|| std::mem::take(&mut self.bytes))
    }
}

fn first_programme(section: &[u8]) -> Option<u16> {
    let body = section.get(8..section.len().checked_sub(4)?)?;
    if section[0] != PAT_TABLE {
        return None;
    }
    let programme = body.chunks_exact(4).find(|entry| entry[0] != 0 || entry[1] != 0)?;
    Some(u16::from_be_bytes([programme[2] & 0x1f, programme[3]]))
}

fn tracks(section: &[u8]) -> Option<Vec<(u16, u8)>> {
    let end = section.len().checked_sub(4)?;
    if section.len() < 16 || section[0] != PMT_TABLE {
        return None;
    }
    let length = |high: u8, low: u8| usize::from(u16::from_be_bytes([high & 0x0f, low]));
    let mut at = 12 + length(section[10], section[11]);
    let mut found = Vec::new();
    while at + 5 <= end {
        let entry = &section[at..];
        found.push((u16::from_be_bytes([entry[1] & 0x1f, entry[2]]), entry[0]));
        at += 5 + length(entry[3], entry[4]);
    }
    Some(found)
}

/// CRC-32 of MPEG-2: zero over a section that holds its own.
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            if crc >> 31 == 1 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 }
        })
    })
}
