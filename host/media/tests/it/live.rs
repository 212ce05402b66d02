//! Live bytes: what comes out before the input ends, and what a damaged input gives.

use std::fs;
use std::sync::Arc;

use media::{
    Container, DecodeConfig, Decoder, Demuxer, EncodeConfig, EncodeError, Encoder, Key, Picture,
};

use crate::clips::{self, Steps};

/// Decodes everything; returns the pictures, the demuxer and the decoder.
fn decode(bytes: Vec<u8>, threads: u32) -> (Vec<Picture>, Demuxer, Decoder) {
    let source = Box::new(Steps::new(bytes, 10_000));
    let mut demuxer = Demuxer::open(source, Container::MpegTs).unwrap();
    let video = demuxer.video().unwrap().clone();
    let mut decoder = Decoder::open(&video, DecodeConfig { threads }).unwrap();
    let mut pictures = Vec::new();
    loop {
        let packet = demuxer.next_packet().unwrap();
        match &packet {
            Some(packet) if packet.track() == video.index => decoder.send(packet).unwrap(),
            Some(_) => continue,
            None => decoder.finish().unwrap(),
        }
        while let Some(picture) = decoder.next_picture().unwrap() {
            pictures.push(picture);
        }
        if packet.is_none() {
            return (pictures, demuxer, decoder);
        }
    }
}

#[test]
fn the_first_frame_leaves_soon_after_it_came() {
    let dir = tempfile::tempdir().unwrap();
    let clip = clips::make_av(dir.path(), "one.ts", "-c:v libx264 -g 9999 -b:v 3M -c:a aac");
    let bytes = fs::read(&clip).unwrap();
    let total = bytes.len();
    let source = Steps::new(bytes, 188);
    let given = Arc::clone(&source.given);
    let mut demuxer = Demuxer::open(Box::new(source), Container::MpegTs).unwrap();
    let video = demuxer.video().unwrap().clone();
    assert_eq!(video.size, Some((320, 180)));
    let opened_after = *given.lock().unwrap();
    let mut decoder = Decoder::open(&video, DecodeConfig { threads: 1 }).unwrap();
    let picture = loop {
        let packet = demuxer.next_packet().unwrap().unwrap();
        if packet.track() == video.index {
            decoder.send(&packet).unwrap();
        }
        if let Some(picture) = decoder.next_picture().unwrap() {
            break picture;
        }
    };
    let planes = picture.planes();
    let config = EncodeConfig::live(planes.width, planes.height, planes.format, video.time_base);
    let mut encoder = Encoder::open(config).unwrap();
    encoder.send(&picture, picture.pts().unwrap(), picture.duration(), Key::Free).unwrap();
    assert!(encoder.next_packet().unwrap().unwrap().is_key());
    let sent_after = *given.lock().unwrap();
    assert!(opened_after < total / 8 && sent_after < total / 4, "{sent_after} of {total} bytes");
}

#[test]
fn a_stream_cut_anywhere_gives_every_decodable_frame_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let clip = clips::make_av(dir.path(), "cut.ts", "-c:v libx264 -bf 2 -b:v 2M -c:a aac");
    let bytes = fs::read(&clip).unwrap();
    // Within a packet, and between two packets of one picture.
    for cut in [bytes.len() / 2 / 188 * 188 + 100, bytes.len() / 3 / 188 * 188] {
        let path = dir.path().join("part.ts");
        fs::write(&path, &bytes[..cut]).unwrap();
        for threads in [1, 4] {
            let (pictures, demuxer, decoder) = decode(bytes[..cut].to_vec(), threads);
            assert_eq!(pictures.len(), clips::frames(&path));
            assert!(demuxer.truncated() || decoder.stats().damaged_at_end(), "{cut}, {threads}");
        }
    }
    let (pictures, demuxer, decoder) = decode(bytes, 2);
    assert_eq!(pictures.len(), 60);
    assert!(!demuxer.truncated() && !decoder.stats().damaged_at_end());
}

#[test]
fn lost_packets_cost_pictures_and_not_the_stream() {
    let dir = tempfile::tempdir().unwrap();
    let clip = clips::make_av(dir.path(), "lost.ts", "-c:v libx264 -g 15 -b:v 2M -c:a aac");
    let mut bytes = fs::read(&clip).unwrap();
    let middle = bytes.len() / 2 / 188 * 188;
    bytes.drain(middle..middle + 188 * 7);
    bytes.splice(middle / 2..middle / 2, b"no packet at all".repeat(40));
    let (pictures, demuxer, decoder) = decode(bytes, 2);
    assert!(pictures.len() >= 50, "{}", pictures.len());
    assert!(demuxer.stats().corrupt > 0);
    assert!(!decoder.stats().damaged_at_end());
}

#[test]
fn a_counter_that_wraps_gives_times_that_rise() {
    let dir = tempfile::tempdir().unwrap();
    // 2^33 ticks are 95,443.7 seconds.
    let args = "-c:v libx264 -bf 3 -c:a aac -output_ts_offset 95441.5";
    let clip = clips::make_av(dir.path(), "wrap.ts", args);
    let (pictures, ..) = decode(fs::read(&clip).unwrap(), 2);
    let times: Vec<_> = pictures.iter().map(|picture| picture.pts().unwrap()).collect();
    assert_eq!(times.len(), 60);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 3000), "{times:?}");
    assert!(times[0] < 1 << 33 && times[59] > 1 << 33, "{times:?}");
    let result = clips::transcode(Box::new(Steps::new(fs::read(&clip).unwrap(), 999)), 1, false);
    let (again, ..) = decode(result.bytes, 1);
    assert_eq!(again.iter().map(|picture| picture.pts().unwrap()).collect::<Vec<_>>(), times);
}

#[test]
fn a_change_of_size_is_seen_and_refused_by_the_encoder() {
    let dir = tempfile::tempdir().unwrap();
    let small = "-f lavfi -i testsrc2=size=320x180:duration=1:rate=30 -c:v libx264";
    let large = "-f lavfi -i testsrc2=size=640x360:duration=1:rate=30 -c:v libx264 -pix_fmt \
                 yuv420p10le -output_ts_offset 1";
    let mut bytes = fs::read(clips::make(dir.path(), "a.ts", small)).unwrap();
    bytes.extend(fs::read(clips::make(dir.path(), "b.ts", large)).unwrap());
    let (pictures, _, decoder) = decode(bytes, 2);
    assert_eq!((pictures.len(), decoder.stats().shape_changes), (60, 1));
    let planes = pictures[0].planes();
    let base = media::Rational::MPEG_TS;
    let config = EncodeConfig::live(planes.width, planes.height, planes.format, base);
    let mut encoder = Encoder::open(config).unwrap();
    encoder.send(&pictures[0], 0, 1, Key::Free).unwrap();
    let refusal = encoder.send(&pictures[59], 1, 1, Key::Free).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "picture is `640x360 yuv420p`, encoder takes `320x180 yuv420p`"
    );
    assert!(matches!(
        encoder.send(&pictures[1], 0, 1, Key::Free),
        Err(EncodeError::Order { pts: 0, last: 0 })
    ));
}

#[test]
fn layouts_that_ops_do_not_know_become_yuv420p_and_keep_their_range() {
    let dir = tempfile::tempdir().unwrap();
    for (format, full) in [("yuv444p", false), ("yuv422p10le", false), ("yuvj420p", true)] {
        let args =
            format!("-f lavfi -i color=c=white:s=322x178:d=0.2 -c:v libx264 -pix_fmt {format}");
        let (pictures, ..) = decode(fs::read(clips::make(dir.path(), "f.ts", &args)).unwrap(), 1);
        let picture = &pictures[0];
        assert_eq!(picture.planes().format, domain::planes::PixelFormat::Yuv420p);
        assert_eq!(picture.color().is_full_range(), full, "{format}");
        assert_eq!((picture.planes().width, picture.planes().height), (322, 178));
    }
}
