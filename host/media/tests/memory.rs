//! Memory over many frames. Alone in its process, since it looks at the process.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Cursor;
use std::process::Command;

use media::{Container, DecodeConfig, Decoder, Demuxer, EncodeConfig, Encoder, Key, Muxer};

/// What may be kept of 4,000 pictures of 345,600 bytes: the allocator's slack, not one in a
/// hundred pictures.
const GROWTH_BYTES_MAX: u64 = 8 << 20;

fn resident_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Decodes, encodes and muxes a clip once.
fn pass(bytes: &[u8]) -> u64 {
    let source = Box::new(Cursor::new(bytes.to_vec()));
    let mut demuxer = Demuxer::open(source, Container::MpegTs).unwrap();
    let video = demuxer.video().unwrap().clone();
    let mut decoder = Decoder::open(&video, DecodeConfig { threads: 2 }).unwrap();
    let format = domain::planes::PixelFormat::Yuv420p;
    let mut config = EncodeConfig::live(640, 360, format, video.time_base);
    config.preset = "ultrafast".to_owned();
    let mut encoder = Encoder::open(config).unwrap();
    let track = encoder.track().unwrap();
    let mut muxer = Muxer::open(Box::new(std::io::sink()), Container::MpegTs, &[&track]).unwrap();
    let mut frames = 0;
    loop {
        let packet = demuxer.next_packet().unwrap();
        match &packet {
            Some(packet) => decoder.send(packet).unwrap(),
            None => decoder.finish().unwrap(),
        }
        while let Some(picture) = decoder.next_picture().unwrap() {
            encoder.send(&picture, picture.pts().unwrap(), 1, Key::Free).unwrap();
            while let Some(packet) = encoder.next_packet().unwrap() {
                muxer.write(0, &packet).unwrap();
                frames += 1;
            }
        }
        if packet.is_none() {
            return frames;
        }
    }
}

#[test]
fn memory_is_flat_over_many_frames_and_many_openings() {
    let dir = tempfile::tempdir().unwrap();
    let clip = dir.path().join("clip.ts");
    let args = "-v error -nostdin -f lavfi -i testsrc2=size=640x360:rate=30:duration=2 -c:v \
                libx264 -preset ultrafast -bf 2";
    let made = Command::new("ffmpeg").args(args.split_whitespace()).arg(&clip).status().unwrap();
    assert!(made.success());
    let bytes = fs::read(&clip).unwrap();
    let mut frames = 0;
    for _ in 0..6 {
        frames += pass(&bytes);
    }
    let before = resident_bytes();
    for _ in 0..60 {
        frames += pass(&bytes);
    }
    let growth = resident_bytes().saturating_sub(before);
    assert_eq!(frames, 66 * 60);
    assert!(growth < GROWTH_BYTES_MAX, "{growth} bytes more after {frames} frames");
}
