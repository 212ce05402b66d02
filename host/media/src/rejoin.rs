//! Writes what came back for a file as an MP4 with the file's own times.
//!
//! The video is whatever the answer holds; audio is written with the parameters of the file it
//! came from, since MPEG-TS does not carry all of them.
//!
//! **Invariant:** a packet that left at a time of the file comes back at that time, and nothing
//! stands under the output's name before it is whole.

use std::io::Read;
use std::path::Path;

use domain::Class;

use crate::demux::{Container, Demuxer};
use crate::error::{MuxError, OpenError, ReadError};
use crate::ffi::packet::Packet;
use crate::mux::OutputFile;
use crate::segment::Plan;
use crate::track::{Kind, Track};

/// A failure to write what came back.
#[derive(Debug, thiserror::Error)]
pub enum RejoinError {
    /// The answer is not what a job returns.
    #[error("opening the answer")]
    Open(#[source] OpenError),
    /// The answer broke off.
    #[error("reading the answer")]
    Read(#[source] ReadError),
    /// The output cannot be written.
    #[error("writing the answer")]
    Mux(#[source] MuxError),
}

impl RejoinError {
    /// Returns who has to act.
    pub fn class(&self) -> Class {
        match self {
            Self::Open(error) => error.class(),
            Self::Read(error) => error.class(),
            Self::Mux(error) => error.class(),
        }
    }
}

/// What came back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rejoined {
    /// Video frames written.
    pub frames: u64,
    /// Audio packets written.
    pub audio_packets: u64,
    /// Bytes of the answer.
    pub bytes: u64,
    /// Packets whose decode time did not follow the one before.
    pub repaired: u64,
    /// Whether the answer stops before its end.
    pub truncated: bool,
}

/// An output whose place is taken.
pub struct Rejoin {
    file: OutputFile,
    plan: Plan,
}

impl Rejoin {
    /// Takes the place for `path` before anything is sent. Fails if its folder is missing or
    /// takes no file.
    pub fn create(path: &Path, plan: Plan) -> Result<Self, RejoinError> {
        Ok(Self { file: OutputFile::create(path).map_err(RejoinError::Mux)?, plan })
    }

    /// Reads the answer to its end and writes it; `progress` sees each packet's counts. Blocks as
    /// `answer` does, so it belongs on a thread of its own. On failure no file is left.
    pub fn run(
        self,
        answer: Box<dyn Read + Send>,
        progress: &mut dyn FnMut(&Rejoined),
    ) -> Result<Rejoined, RejoinError> {
        let mut demuxer = Demuxer::open(answer, Container::MpegTs).map_err(RejoinError::Open)?;
        let (tracks, places) = self.pair(demuxer.tracks());
        let wanted: Vec<&Track> = tracks.iter().collect();
        let mut muxer = self.file.muxer(Container::Mp4, &wanted).map_err(RejoinError::Mux)?;
        let mut done = Rejoined::default();
        let mut last_video = None;
        while let Some(mut packet) = demuxer.next_packet().map_err(RejoinError::Read)? {
            let Some(Some(place)) = places.get(packet.track()).copied() else { continue };
            self.plan.restore(place, &mut packet);
            if place == 0 {
                fill_duration(&mut packet, &mut last_video);
            }
            muxer.write(place, &packet).map_err(RejoinError::Mux)?;
            done.frames += u64::from(place == 0);
            done.audio_packets += u64::from(place != 0);
            done.bytes = demuxer.bytes_read();
            progress(&done);
        }
        done.repaired = muxer.repaired();
        done.truncated = demuxer.truncated();
        done.bytes = demuxer.bytes_read();
        muxer.finish().map_err(RejoinError::Mux)?;
        Ok(done)
    }

    /// Pairs the answer's tracks with the file's: the video, and each audio by its number.
    /// Returns the output's tracks and where each track of the answer goes.
    fn pair(&self, answer: &[Track]) -> (Vec<Track>, Vec<Option<usize>>) {
        let mut tracks = self.plan.tracks.clone();
        let mut next_audio = 1;
        let mut video_seen = false;
        let mut places = Vec::new();
        for track in answer {
            places.push(match track.kind {
                Kind::Video if !video_seen => {
                    video_seen = true;
                    tracks[0] = Track {
                        time_base: self.plan.tracks[0].time_base,
                        frame_rate: self.plan.tracks[0].frame_rate,
                        ..track.clone()
                    };
                    Some(0)
                }
                Kind::Audio if next_audio < tracks.len() => {
                    next_audio += 1;
                    Some(next_audio - 1)
                }
                Kind::Video | Kind::Audio | Kind::Other => None,
            });
        }
        (tracks, places)
    }
}

/// Gives a frame without duration that of the one before: the last of a file has no successor to
/// tell.
fn fill_duration(packet: &mut Packet, last: &mut Option<i64>) {
    let Some(dts) = packet.dts().or(packet.pts()) else { return };
    let step = last.map_or(0, |last| dts - last);
    if packet.duration() <= 0 && step > 0 {
        packet.set_times(packet.pts(), packet.dts(), step);
    }
    *last = Some(dts);
}
