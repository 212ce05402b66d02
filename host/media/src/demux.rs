//! Opens inputs and reads their packets, on the source's own clock.
//!
//! Live bytes are opened by their first pictures: nothing waits for a frame rate or a bit rate,
//! and packets read meanwhile are kept. Damage is counted and passed on; what a damaged picture
//! is worth, the decoder says.
//!
//! **Invariant:** every packet that libav yields is returned once, in order.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::adts::Pacer;
use crate::clock::{Clock, FirstTimes};
use crate::error::{LibavError, OpenError, ReadError};
use crate::ffi::input::{Input, StreamFacts};
use crate::ffi::packet::Packet;
use crate::ffi::probe;
use crate::track::{Kind, Track};

/// Bytes that libav may read of live input in search of the tables of MPEG-TS, which come ten
/// times a second: two seconds at 4 Mbit/s. It stops at the tables.
const TABLES_BYTES_MAX: &str = "1000000";
/// Bytes of packets held while waiting for the headers of the video: a GOP of ten seconds at
/// 6 Mbit/s.
const OPEN_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of packets read before an input whose tables show no video is given up: libav may find
/// a stream that the tables do not name.
const NO_VIDEO_BYTES_MAX: usize = 64 * 1024;
/// Read errors in a row after which the rest of an input is given up. Each skips at most 64 KiB.
const ERRORS_IN_A_ROW_MAX: u32 = 64;
/// Bytes of a packet of MPEG-TS.
const TS_PACKET_BYTES: u64 = 188;
/// Containers of pictures and sound. Left out: playlists and manifests, which name further files
/// or hosts, and formats that turn a text into pictures.
const FILE_FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,mpegvideo,flv,avi,\
    asf,ogg,mxf,nut,gxf,ivf,h264,hevc,m4v,rm,wav,mp3,aac,ac3,eac3,flac,yuv4mpegpipe,dv,w64,caf,\
    aiff,au";

/// How the bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// MPEG transport stream: may begin and end anywhere.
    MpegTs,
    /// MP4: needs its index.
    Mp4,
}

impl Container {
    /// Returns libav's name of the format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MpegTs => "mpegts",
            Self::Mp4 => "mp4",
        }
    }
}

/// Counts of one input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadStats {
    /// Packets returned.
    pub packets: u64,
    /// Of these, with bytes missing in or before them.
    pub corrupt: u64,
    /// Runs of bytes that were no packet.
    pub errors: u64,
}

/// What was read of one track.
#[derive(Default)]
struct Seen {
    packets: u64,
    corrupt_last: bool,
    pacer: Pacer,
    first_times: FirstTimes,
}

/// An open input.
pub struct Demuxer {
    input: Input,
    tracks: Vec<Track>,
    wrap_bits: Vec<u32>,
    clock: Clock,
    held: VecDeque<Packet>,
    stats: ReadStats,
    seen: Vec<Seen>,
    container: String,
    file_bytes: Option<u64>,
    failed: bool,
    ended: bool,
}

impl Demuxer {
    /// Opens bytes that arrive in order, and returns once the first video track's size is known
    /// (its first key frame has come). Blocks as `source` does. Fails if the bytes are not
    /// `container`, hold no video, or `source` fails.
    pub fn open(source: Box<dyn Read + Send>, container: Container) -> Result<Self, OpenError> {
        let options = [
            ("probesize", TABLES_BYTES_MAX),
            ("correct_ts_overflow", "0"),
            ("protocol_whitelist", "none"),
        ];
        let input = Input::open_reader(source, container.name(), &options).map_err(
            |(error, cause, bytes)| match cause {
                Some(cause) => OpenError::Source(cause),
                None if bytes == 0 => OpenError::Empty,
                None => not_media(error),
            },
        )?;
        let mut demuxer = Self::new(input, None)?;
        if container == Container::Mp4 {
            demuxer.input.find_stream_info().map_err(not_media)?;
            demuxer.refresh_tracks().map_err(OpenError::Libav)?;
        }
        demuxer.read_headers()?;
        Ok(demuxer)
    }

    /// Opens a local file of any container of pictures. Fails if it cannot be read, is not media
    /// or holds no video.
    pub fn open_file(path: &Path) -> Result<Self, OpenError> {
        let file_error = |source| OpenError::File { path: path.to_owned(), source };
        let file = File::open(path).map_err(file_error)?;
        let metadata = file.metadata().map_err(file_error)?;
        if metadata.is_dir() {
            return Err(file_error(std::io::ErrorKind::IsADirectory.into()));
        }
        if metadata.is_file() && metadata.len() == 0 {
            return Err(OpenError::Empty);
        }
        let options = [
            ("correct_ts_overflow", "0"),
            ("protocol_whitelist", "file"),
            ("format_whitelist", FILE_FORMATS),
        ];
        let mut input = Input::open_file(path, &options)
            .map_err(|error| if is_mp4(file) { OpenError::NoIndex } else { not_media(error) })?;
        input.find_stream_info().map_err(not_media)?;
        let demuxer = Self::new(input, Some(metadata.len()))?;
        if !demuxer.has_video() {
            return Err(OpenError::NoVideo { found: demuxer.found() });
        }
        Ok(demuxer)
    }

    fn new(input: Input, file_bytes: Option<u64>) -> Result<Self, OpenError> {
        let container = input.format();
        let mut demuxer = Self {
            input,
            tracks: Vec::new(),
            wrap_bits: Vec::new(),
            clock: Clock::default(),
            held: VecDeque::new(),
            stats: ReadStats::default(),
            seen: Vec::new(),
            container,
            file_bytes,
            failed: false,
            ended: false,
        };
        demuxer.refresh_tracks().map_err(OpenError::Libav)?;
        Ok(demuxer)
    }

    /// Returns the tracks found so far. More may appear while a live input is read; an index
    /// never changes its track.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// Returns the first video track, which every open input has.
    pub fn video(&self) -> Option<&Track> {
        self.tracks.iter().find(|track| track.kind == Kind::Video)
    }

    /// Returns the length in microseconds, where the container tells.
    pub fn duration_us(&self) -> Option<i64> {
        self.input.duration_us()
    }

    /// Returns the size of the file in bytes; nothing for live input.
    pub fn file_bytes(&self) -> Option<u64> {
        self.file_bytes
    }

    /// Returns the bytes read so far.
    pub fn bytes_read(&self) -> u64 {
        self.input.bytes()
    }

    /// Returns the counts so far.
    pub fn stats(&self) -> ReadStats {
        self.stats
    }

    /// Says, after the last packet, whether the input stops before its end: within a packet of
    /// MPEG-TS, within a picture or audio frame, or short of what its index announces.
    pub fn truncated(&self) -> bool {
        let cut_tail = self.seen.iter().any(|seen| seen.corrupt_last);
        self.failed || cut_tail || self.cut_in_packet() || self.short_of_index()
    }

    /// Reads the next packet of any track; nothing at the end. Blocks as the source does. A cut
    /// or damaged input ends after its last packet.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, ReadError> {
        let packet = match self.held.pop_front() {
            Some(packet) => Some(packet),
            None => self.read()?,
        };
        if packet.is_some() {
            self.stats.packets += 1;
        }
        Ok(packet)
    }

    fn read(&mut self) -> Result<Option<Packet>, ReadError> {
        let mut errors_in_a_row = 0;
        while !self.ended {
            match self.input.read() {
                Ok(packet) => return self.accept(packet).map(Some).map_err(ReadError::Libav),
                Err(error) => {
                    if let Some(source) = self.input.take_error() {
                        self.ended = true;
                        return Err(ReadError::Source(source));
                    }
                    errors_in_a_row += 1;
                    self.ended = error == LibavError::EOF || errors_in_a_row > ERRORS_IN_A_ROW_MAX;
                    if error != LibavError::EOF {
                        self.stats.errors += 1;
                        self.failed = self.ended;
                    }
                }
            }
        }
        Ok(None)
    }

    fn accept(&mut self, mut packet: Packet) -> Result<Packet, LibavError> {
        let index = packet.track();
        if index >= self.tracks.len() {
            self.refresh_tracks()?;
        }
        let (base, bits) = (packet.time_base(), self.wrap_bits[index]);
        let (pts, dts) = self.clock.unwrap(packet.pts(), packet.dts(), base, bits);
        let seen = &mut self.seen[index];
        let dts = seen.first_times.dts(pts, dts);
        packet.set_times(pts, dts, packet.duration());
        let corrupt = packet.is_corrupt();
        self.stats.corrupt += u64::from(corrupt);
        seen.packets += 1;
        seen.corrupt_last = corrupt;
        let first = seen.packets == 1;
        if first || self.wants_size(index) {
            self.learn(index, &packet)?;
        }
        if self.tracks[index].kind == Kind::Audio
            && bits < 63
            && let Some(frame) = probe::samples(&self.tracks[index].parameters, &packet)?
        {
            let (pts, duration) = self.seen[index].pacer.time(pts, frame, base);
            packet.set_times(pts, dts.or(pts), duration);
        }
        Ok(packet)
    }

    /// Reads ahead to the first headers of the video track.
    fn read_headers(&mut self) -> Result<(), OpenError> {
        let mut bytes = 0;
        while bytes < OPEN_BYTES_MAX {
            if self.video().is_some_and(|track| track.size.is_some()) {
                return Ok(());
            }
            if !self.has_video() && bytes >= NO_VIDEO_BYTES_MAX {
                break;
            }
            match self.read() {
                Ok(Some(packet)) => {
                    bytes += packet.data().len();
                    self.held.push_back(packet);
                }
                Ok(None) => break,
                Err(ReadError::Source(source)) => return Err(OpenError::Source(source)),
                Err(ReadError::Libav(error)) => return Err(OpenError::Libav(error)),
            }
        }
        let Some(video) = self.video() else {
            return Err(if !self.tracks.is_empty() {
                OpenError::NoVideo { found: self.found() }
            } else if self.input.bytes() == 0 {
                OpenError::Empty
            } else {
                OpenError::NotMedia(LibavError::INVALID_DATA)
            });
        };
        if self.seen[video.index].packets == 0 {
            return Err(OpenError::NoVideoPackets { bytes });
        }
        Ok(())
    }

    fn refresh_tracks(&mut self) -> Result<(), LibavError> {
        for index in 0..self.input.streams() {
            let facts = self.input.stream(index)?;
            self.wrap_bits.truncate(index);
            self.wrap_bits.push(facts.wrap_bits);
            if index == self.tracks.len() {
                self.tracks.push(track(index, facts));
                self.seen.push(Seen::default());
            } else if self.seen[index].packets == 0 {
                self.tracks[index] = track(index, facts);
            }
        }
        Ok(())
    }

    /// Completes a track of a container that keeps its parameters in the packets.
    fn learn(&mut self, index: usize, packet: &Packet) -> Result<(), LibavError> {
        let track = &mut self.tracks[index];
        if track.kind == Kind::Other || self.wrap_bits[index] >= 63 {
            return Ok(());
        }
        let mut parameters = track.parameters.duplicate()?;
        probe::learn(&mut parameters, packet)?;
        track.size = parameters.size();
        track.parameters = Arc::new(parameters);
        Ok(())
    }

    fn wants_size(&self, index: usize) -> bool {
        let track = &self.tracks[index];
        track.kind == Kind::Video && track.size.is_none()
    }

    fn has_video(&self) -> bool {
        self.video().is_some()
    }

    fn found(&self) -> String {
        let codecs: Vec<_> = self.tracks.iter().map(|track| track.codec.as_str()).collect();
        if codecs.is_empty() { "no tracks".to_owned() } else { codecs.join(", ") }
    }

    fn cut_in_packet(&self) -> bool {
        let bytes = self.file_bytes.unwrap_or_else(|| self.input.bytes());
        self.container == Container::MpegTs.name() && !bytes.is_multiple_of(TS_PACKET_BYTES)
    }

    fn short_of_index(&self) -> bool {
        let short = |(track, seen): (&Track, &Seen)| seen.packets < track.packets_expected;
        // An edit list may leave packets out of a whole file; only a cut one also ran out of bytes.
        self.input.ran_out() && self.tracks.iter().zip(&self.seen).any(short)
    }
}

/// Says whether `file` begins as an MP4 does, whatever comes later.
fn is_mp4(mut file: File) -> bool {
    let mut start = [0; 8];
    file.read_exact(&mut start).is_ok() && &start[4..] == b"ftyp"
}

fn not_media(error: LibavError) -> OpenError {
    if error == LibavError::NO_MEMORY {
        OpenError::Libav(error)
    } else {
        OpenError::NotMedia(error)
    }
}

fn track(index: usize, facts: StreamFacts) -> Track {
    let kind = if facts.still { Kind::Other } else { facts.parameters.kind() };
    Track {
        index,
        kind,
        codec: facts.parameters.codec_name(),
        time_base: facts.time_base,
        size: facts.parameters.size().filter(|_| kind == Kind::Video),
        frame_rate: facts.frame_rate.filter(|_| kind == Kind::Video),
        packets_expected: facts.frames,
        parameters: Arc::new(facts.parameters),
    }
}
