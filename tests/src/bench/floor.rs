//! The least latency of a picture that is decoded and encoded: both times, and the one frame after
//! which a reader of a stream knows that a picture is complete.

use std::path::Path;
use std::time::{Duration, Instant};

use media::{DecodeConfig, Decoder, Demuxer, EncodeConfig, Encoder, Key, Kind};

use super::Skipped;
use super::live::FRAME;

/// Threads of an encoder and pictures from key frame to key frame, as `[orchestrator.encoder]`
/// ships; a worker's decoder has one thread.
const ENCODER_THREADS: u32 = 2;
const GOP_FRAMES: u32 = 60;

/// Decodes and encodes a clip; returns the floor of each picture after `warm_up`, in milliseconds.
pub(super) fn measure(clip: &Path, warm_up: usize) -> Result<Vec<f64>, Skipped> {
    let mut demuxer = Demuxer::open_file(clip).map_err(Skipped::of)?;
    let track = demuxer.video().cloned().ok_or_else(|| Skipped("no video".to_owned()))?;
    let mut decoder = Decoder::open(&track, DecodeConfig { threads: 1 }).map_err(Skipped::of)?;
    let mut encoder = None;
    let mut found = Vec::new();
    while let Some(packet) = demuxer.next_packet().map_err(Skipped::of)? {
        if packet.track() != track.index || track.kind != Kind::Video {
            continue;
        }
        let start = Instant::now();
        decoder.send(&packet).map_err(Skipped::of)?;
        let Some(picture) = decoder.next_picture().map_err(Skipped::of)? else { continue };
        let decoded = start.elapsed();
        if encoder.is_none() {
            let planes = picture.planes();
            let live =
                EncodeConfig::live(planes.width, planes.height, planes.format, track.time_base);
            let config = EncodeConfig {
                threads: ENCODER_THREADS,
                gop_max: GOP_FRAMES,
                frame_rate: track.frame_rate,
                ..live
            };
            encoder = Some(Encoder::open(config).map_err(Skipped::of)?);
        }
        let encoder = encoder.as_mut().expect("it was just opened");
        let pts = picture.pts().unwrap_or_default();
        found.push((decoded + encode(encoder, &picture, pts)? + FRAME).as_secs_f64() * 1e3);
    }
    Ok(found.split_off(warm_up.min(found.len())))
}

fn encode(encoder: &mut Encoder, picture: &media::Picture, pts: i64) -> Result<Duration, Skipped> {
    let start = Instant::now();
    encoder.send(picture, pts, 0, Key::Free).map_err(Skipped::of)?;
    while encoder.next_packet().map_err(Skipped::of)?.is_some() {}
    Ok(start.elapsed())
}
