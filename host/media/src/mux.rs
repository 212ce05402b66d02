//! Writes packets into a container, each at once and with its own timestamps.
//!
//! It does not interleave: the caller's order is the file's. MPEG-TS repeats its tables before
//! every key frame of the first video track, so whatever begins there can be decoded alone. A
//! file appears under its name only when it is whole.
//!
//! **Invariant:** timestamps are the packets', to the tick of the container, unless a packet's
//! decode time does not follow the one before; then it is moved to the next tick and counted.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::demux::Container;
use crate::error::{LibavError, MuxError};
use crate::ffi::io::Sink;
use crate::ffi::output::Output;
use crate::ffi::packet::Packet;
use crate::track::{Kind, Rational, Track};

/// Codecs that MPEG-TS has stream types for and that libav carries both ways.
const TS_CODECS: [&str; 10] =
    ["h264", "hevc", "mpeg2video", "mpeg1video", "aac", "mp3", "mp2", "ac3", "eac3", "opus"];
/// Coarsest movie clock of an MP4 (ticks a second): FFmpeg's own default.
const MOVIE_TICKS_MIN: i64 = 1000;
/// Finest one: libav takes a positive `int`. Lengths beyond 32 bits are written with 64.
const MOVIE_TICKS_MAX: i64 = i32::MAX as i64;

/// An open output.
pub struct Muxer {
    output: Output,
    container: Container,
    tracks: Vec<OutTrack>,
    file: Option<Unfinished>,
    repaired: u64,
}

struct OutTrack {
    time_base: Rational,
    last_dts: Option<i64>,
    tables_at_keys: bool,
}

/// A file that is removed unless it is moved into place.
struct Unfinished {
    path: PathBuf,
    target: PathBuf,
    kept: bool,
}

impl Muxer {
    /// Opens a muxer that hands its bytes to `sink`, those of MPEG-TS with each packet.
    /// `tracks[n]` is written by `write(n, …)`. Fails if the container cannot carry a track, or `sink` fails.
    pub fn open(
        sink: Box<dyn Write + Send>,
        container: Container,
        tracks: &[&Track],
    ) -> Result<Self, MuxError> {
        Self::begin(Sink::Stream(sink), container, tracks, None)
    }

    /// Opens a muxer that writes beside `path` and moves the file there when it is finished; an
    /// older file is replaced then. Fails as [`Muxer::open`], or if the folder takes no file.
    pub fn create_file(
        path: &Path,
        container: Container,
        tracks: &[&Track],
    ) -> Result<Self, MuxError> {
        OutputFile::create(path)?.muxer(container, tracks)
    }

    fn begin(
        sink: Sink,
        container: Container,
        tracks: &[&Track],
        file: Option<Unfinished>,
    ) -> Result<Self, MuxError> {
        let name = container.name();
        let failed = |source| MuxError::Libav { container: name, source };
        let mut output = Output::new(sink, name).map_err(failed)?;
        if container == Container::MpegTs {
            output.write_through();
        }
        let mut video_seen = false;
        let mut out_tracks = Vec::new();
        for track in tracks {
            check_codec(track, container)?;
            output
                .add_stream(&track.parameters, track.time_base, track.frame_rate)
                .map_err(failed)?;
            let first_video = track.kind == Kind::Video && !video_seen;
            video_seen |= first_video;
            out_tracks.push(OutTrack {
                time_base: track.time_base,
                last_dts: None,
                tables_at_keys: first_video && container == Container::MpegTs,
            });
        }
        let mut this = Self { output, container, tracks: out_tracks, file, repaired: 0 };
        let begun = match container {
            Container::MpegTs => this.output.begin(&[
                ("mpegts_copyts", "1"),
                // One audio frame a PES packet: none waits for others, each has its own time.
                ("pes_payload_size", "0"),
                // A picture of known length is whole to its reader with its last byte, and not
                // only with the first of the next; and a cut one is known as such.
                ("omit_video_pes_length", "0"),
            ]),
            Container::Mp4 => {
                let ticks = movie_ticks(tracks).to_string();
                this.output.begin(&[("movie_timescale", &ticks), ("use_editlist", "1")])
            }
        };
        begun.map_err(|error| this.error(error))?;
        for (index, track) in this.tracks.iter_mut().enumerate() {
            track.time_base = this.output.time_base(index);
        }
        Ok(this)
    }

    /// Writes the next packet of track `track`. Times are converted from the packet's own base.
    pub fn write(&mut self, track: usize, packet: &Packet) -> Result<(), MuxError> {
        let tracks = self.tracks.len();
        let out = self.tracks.get_mut(track).ok_or(MuxError::NoTrack { track, tracks })?;
        let (from, to) = (packet.time_base(), out.time_base);
        let scale = |ticks: i64| if from.is_positive() { from.rescale(ticks, to) } else { ticks };
        let (pts, dts) = match (packet.pts(), packet.dts()) {
            (Some(pts), Some(dts)) => (scale(pts), scale(dts)),
            (Some(time), None) | (None, Some(time)) => (scale(time), scale(time)),
            (None, None) => return Err(MuxError::NoTimestamp { track }),
        };
        let after = out.last_dts.map_or(i64::MIN, |last| last + 1);
        let moved_dts = dts.min(pts).max(after);
        let moved_pts = pts.max(moved_dts);
        self.repaired += u64::from((moved_pts, moved_dts) != (pts, dts));
        out.last_dts = Some(moved_dts);
        let tables = out.tables_at_keys && packet.is_key();
        let mut copy = packet.duplicate().map_err(|source| self.error(source))?;
        copy.set_track(track);
        copy.set_times(Some(moved_pts), Some(moved_dts), scale(packet.duration()));
        copy.set_time_base(to);
        if tables {
            self.output
                .set_option("mpegts_flags", "+resend_headers")
                .map_err(|source| self.error(source))?;
        }
        self.output.write(&mut copy).map_err(|source| self.error(source))
    }

    /// Hands every byte of the packets written so far to the sink, and tells of its errors. In
    /// MPEG-TS a segment may be cut between any two packets; it starts well at a key frame.
    pub fn flush(&mut self) -> Result<(), MuxError> {
        self.output.flush().map_err(|source| self.error(source))
    }

    /// Returns how many packets' times had to be moved.
    pub fn repaired(&self) -> u64 {
        self.repaired
    }

    /// Returns the bytes handed to the sink so far.
    pub fn bytes(&self) -> u64 {
        self.output.bytes()
    }

    /// Ends the output; a file gets its name now, after its bytes are on the disk.
    pub fn finish(mut self) -> Result<(), MuxError> {
        self.output.end().map_err(|source| self.error(source))?;
        self.output.sync().map_err(MuxError::Sink)?;
        match self.file.as_mut() {
            Some(file) => file.keep(),
            None => Ok(()),
        }
    }

    fn error(&mut self, source: LibavError) -> MuxError {
        match self.output.take_error() {
            Some(error) => MuxError::Sink(error),
            None => MuxError::Libav { container: self.container.name(), source },
        }
    }
}

/// A place for a file, taken before its tracks are known.
pub struct OutputFile {
    file: File,
    unfinished: Unfinished,
}

impl OutputFile {
    /// Makes the temporary file beside `path`. Fails if the folder is missing or takes no file.
    pub fn create(path: &Path) -> Result<Self, MuxError> {
        let failed = |source| MuxError::File { path: path.to_owned(), source };
        let name = path.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
        if path.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.part", std::process::id()));
        let temporary = path.with_file_name(hidden);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&temporary)
            .map_err(failed)?;
        let unfinished = Unfinished { path: temporary, target: path.to_owned(), kept: false };
        Ok(Self { file, unfinished })
    }

    /// Begins the file. Fails if the container cannot carry a track.
    pub fn muxer(self, container: Container, tracks: &[&Track]) -> Result<Muxer, MuxError> {
        Muxer::begin(Sink::File(self.file), container, tracks, Some(self.unfinished))
    }
}

impl Unfinished {
    fn keep(&mut self) -> Result<(), MuxError> {
        fs::rename(&self.path, &self.target)
            .map_err(|source| MuxError::File { path: self.target.clone(), source })?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.kept {
            // Nobody is left to tell; a file that stays has a name that says what it is.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Fails if `container` cannot carry `track`, or its header needs what is not known yet.
pub(crate) fn check_codec(track: &Track, container: Container) -> Result<(), MuxError> {
    let kind = track.kind.name();
    let codec = track.codec.clone();
    if track.kind == Kind::Other
        || container == Container::MpegTs && !TS_CODECS.contains(&codec.as_str())
    {
        return Err(MuxError::Codec { container: container.name(), kind, codec });
    }
    let missing = match track.kind {
        Kind::Video if track.size.is_none() => "size",
        Kind::Audio if track.sample_rate() == 0 => "sample rate",
        Kind::Video | Kind::Audio | Kind::Other => return Ok(()),
    };
    if container == Container::Mp4 {
        return Err(MuxError::Incomplete { kind, codec, missing });
    }
    Ok(())
}

/// Returns ticks a second in which the start of every track is exact, as far as fits: edit lists
/// count in the clock of the movie.
fn movie_ticks(tracks: &[&Track]) -> i64 {
    let mut ticks = MOVIE_TICKS_MIN;
    for track in tracks {
        let den = i64::from(track.time_base.den.max(1));
        let common = ticks / gcd(ticks, den) * den;
        if common <= MOVIE_TICKS_MAX {
            ticks = common;
        }
    }
    ticks
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
