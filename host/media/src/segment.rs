//! Cuts a file into segments of MPEG-TS at the key frames of its video, without decoding.
//!
//! It reads one packet at a time and gives its bytes at once, so memory does not grow with the
//! file, nor with the distance between key frames. All times are shifted by one constant, so that
//! none is negative; [`Plan`] remembers it for the way back ([`crate::Rejoin`]).
//!
//! **Invariant:** every video and audio packet of the chosen tracks is in exactly one part, in the
//! order of the file, and each segment but the first begins with tables and a key frame.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::Class;

use crate::demux::{Container, Demuxer};
use crate::error::{MuxError, OpenError, ReadError};
use crate::ffi::packet::Packet;
use crate::mux::{Muxer, check_codec};
use crate::track::{Kind, Rational, Track};

/// Where the first packet of a file is put on the clock of MPEG-TS, in ticks: ten seconds. Tracks
/// of one file begin closer together than that, and an encoder with B-frames decodes earlier.
const START_TICKS: i64 = 900_000;
/// Audio tracks carried, at most: as many as broadcast uses for languages.
const AUDIO_TRACKS_MAX: usize = 16;

/// A failure to cut a file.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The file cannot be opened as media.
    #[error("opening the input")]
    Open(#[source] OpenError),
    /// The file cannot be read on.
    #[error("reading the input")]
    Read(#[source] ReadError),
    /// A track cannot be carried.
    #[error("cutting the input into segments")]
    Mux(#[source] MuxError),
    /// There are tracks, and no packets.
    #[error("the input has no packets")]
    NoPackets,
}

impl SegmentError {
    /// Returns who has to act.
    pub fn class(&self) -> Class {
        match self {
            Self::Open(error) => error.class(),
            Self::Read(error) => error.class(),
            Self::Mux(error) => error.class(),
            Self::NoPackets => Class::Invalid,
        }
    }
}

/// What is known of a file before it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Length, where the container tells.
    pub duration: Option<Duration>,
    /// Frames of the video, counted by the container or estimated from its rate.
    pub frames_expected: Option<u64>,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Width and height of the video in pixels.
    pub size: Option<(u32, u32)>,
    /// Tracks that are sent: the video and its audio.
    pub tracks: usize,
    /// Codecs of tracks that are not sent: subtitles, data, covers, further videos.
    pub left_out: Vec<String>,
}

/// The tracks that are sent and the shift of their clock: what the way back needs.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The video, then the audio tracks, as the file has them.
    pub(crate) tracks: Vec<Track>,
    shift: i64,
}

impl Plan {
    /// Moves a packet's times from the file's clock to that of MPEG-TS.
    fn shift(&self, packet: &mut Packet) {
        let base = packet.time_base();
        let there = |ticks| base.rescale(ticks, Rational::MPEG_TS) + self.shift;
        let (pts, dts) = (packet.pts().map(there), packet.dts().map(there));
        let duration = base.rescale(packet.duration(), Rational::MPEG_TS);
        packet.set_times(pts, dts, duration);
        packet.set_time_base(Rational::MPEG_TS);
    }

    /// Moves a packet's times back to the clock of the file's `track`.
    pub(crate) fn restore(&self, track: usize, packet: &mut Packet) {
        let base = self.tracks[track].time_base;
        let from = packet.time_base();
        let back = |ticks| {
            let ticks = from.rescale(ticks, Rational::MPEG_TS);
            Rational::MPEG_TS.rescale(ticks - self.shift, base)
        };
        let (pts, dts) = (packet.pts().map(back), packet.dts().map(back));
        packet.set_times(pts, dts, from.rescale(packet.duration(), base));
        packet.set_time_base(base);
    }
}

/// Bytes of a segment, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which segment, from zero; a new number says that the one before is whole.
    pub segment: u64,
    /// Whole TS packets.
    pub bytes: Vec<u8>,
    /// Video frames in these bytes: one or none.
    pub frames: u64,
    /// Media time from the first packet to this one: when to send it in real time.
    pub at: Duration,
}

/// A file being cut.
pub struct Segmenter {
    demuxer: Demuxer,
    muxer: Option<Muxer>,
    made: Made,
    plan: Plan,
    facts: Facts,
    /// Track of the output by track of the input.
    places: Vec<Option<usize>>,
    next: Option<Packet>,
    segment: u64,
    segment_start: Option<i64>,
    segment_min: i64,
    repaired: u64,
}

impl Segmenter {
    /// Opens `path` and reads its first packet. A segment ends at the first key frame that lies
    /// at least `segment_min` after its start. Fails as [`Demuxer::open_file`], or if MPEG-TS
    /// cannot carry the codec of the video or of an audio track.
    pub fn open(path: &Path, segment_min: Duration) -> Result<Self, SegmentError> {
        let mut demuxer = Demuxer::open_file(path).map_err(SegmentError::Open)?;
        let (tracks, places, left_out) = choose(demuxer.tracks());
        for track in &tracks {
            check_codec(track, Container::MpegTs).map_err(SegmentError::Mux)?;
        }
        let made = Made::default();
        let wanted: Vec<&Track> = tracks.iter().collect();
        let muxer = Muxer::open(Box::new(made.clone()), Container::MpegTs, &wanted)
            .map_err(SegmentError::Mux)?;
        let next = next_chosen(&mut demuxer, &places)?.ok_or(SegmentError::NoPackets)?;
        let start = next.dts().or(next.pts()).unwrap_or_default();
        let shift = START_TICKS - next.time_base().rescale(start, Rational::MPEG_TS);
        Ok(Self {
            facts: facts(&demuxer, &tracks, left_out),
            plan: Plan { tracks, shift },
            demuxer,
            muxer: Some(muxer),
            made,
            places,
            next: Some(next),
            segment: 0,
            segment_start: None,
            segment_min: i64::try_from(segment_min.as_micros()).unwrap_or(i64::MAX),
            repaired: 0,
        })
    }

    /// Returns what is known of the file.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Returns what [`crate::Rejoin`] needs to undo the way here.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Says, after the last part, whether the file stops before its end.
    pub fn truncated(&self) -> bool {
        self.demuxer.truncated()
    }

    /// Returns how many packets' decode times did not follow the one before and were moved.
    pub fn repaired(&self) -> u64 {
        self.repaired
    }

    /// Returns the bytes of the next packet; nothing after the last.
    pub fn next_part(&mut self) -> Result<Option<Part>, SegmentError> {
        let packet = match self.next.take() {
            Some(packet) => Some(packet),
            None => next_chosen(&mut self.demuxer, &self.places)?,
        };
        let Some(muxer) = &mut self.muxer else { return Ok(None) };
        let Some(mut packet) = packet else {
            self.muxer.take().map_or(Ok(()), Muxer::finish).map_err(SegmentError::Mux)?;
            return Ok(None);
        };
        let place = self.places[packet.track()].expect("only chosen packets are returned");
        self.plan.shift(&mut packet);
        let time = packet.dts().or(packet.pts()).unwrap_or(START_TICKS);
        let at = Rational::MPEG_TS.rescale(time - START_TICKS, Rational::MICROSECONDS).max(0);
        if place == 0 && packet.is_key() {
            match self.segment_start {
                Some(start) if at - start >= self.segment_min => {
                    self.segment += 1;
                    self.segment_start = Some(at);
                }
                Some(_) => {}
                None => self.segment_start = Some(at),
            }
        }
        let mut frames = u64::from(place == 0);
        match muxer.write(place, &packet) {
            // Half a frame, at the end of a cut file: there is nothing to send of it.
            Err(MuxError::Libav { .. }) if packet.is_corrupt() => frames = 0,
            other => other.map_err(SegmentError::Mux)?,
        }
        muxer.flush().map_err(SegmentError::Mux)?;
        self.repaired = muxer.repaired();
        Ok(Some(Part {
            segment: self.segment,
            bytes: self.made.take(),
            frames,
            at: Duration::from_micros(at.unsigned_abs()),
        }))
    }
}

/// The bytes that the muxer made of the last packet.
#[derive(Clone, Default)]
struct Made(Arc<Mutex<Vec<u8>>>);

impl Made {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Made {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Chooses the first video and its audio; returns them, where each input track goes, and the
/// codecs of the rest.
fn choose(all: &[Track]) -> (Vec<Track>, Vec<Option<usize>>, Vec<String>) {
    let mut tracks: Vec<Track> =
        all.iter().filter(|track| track.kind == Kind::Video).take(1).cloned().collect();
    let audio = all.iter().filter(|track| track.kind == Kind::Audio).take(AUDIO_TRACKS_MAX);
    tracks.extend(audio.cloned());
    let place = |track: &Track| tracks.iter().position(|chosen| chosen.index == track.index);
    let places: Vec<_> = all.iter().map(place).collect();
    let left = |(track, place): (&Track, &Option<usize>)| {
        if place.is_none() { Some(track.codec.clone()) } else { None }
    };
    let left_out = all.iter().zip(&places).filter_map(left).collect();
    (tracks, places, left_out)
}

fn next_chosen(
    demuxer: &mut Demuxer,
    places: &[Option<usize>],
) -> Result<Option<Packet>, SegmentError> {
    while let Some(packet) = demuxer.next_packet().map_err(SegmentError::Read)? {
        let chosen = places.get(packet.track()).is_some_and(Option::is_some);
        if chosen && (packet.pts().is_some() || packet.dts().is_some()) {
            return Ok(Some(packet));
        }
    }
    Ok(None)
}

fn facts(demuxer: &Demuxer, tracks: &[Track], left_out: Vec<String>) -> Facts {
    let duration = demuxer.duration_us().map(|us| Duration::from_micros(us.unsigned_abs()));
    let video = tracks.first();
    let counted = video.map(|track| track.packets_expected).filter(|frames| *frames > 0);
    let estimated = || {
        let rate = video?.frame_rate?;
        let seconds = duration?.as_secs_f64();
        Some((seconds * rate.as_f64()).round() as u64)
    };
    Facts {
        duration,
        frames_expected: counted.or_else(estimated),
        bytes: demuxer.file_bytes().unwrap_or_default(),
        size: video.and_then(|track| track.size),
        tracks: tracks.len(),
        left_out,
    }
}
