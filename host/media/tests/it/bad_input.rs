//! Inputs and settings that are not what they should be: each has its own clear error.

use std::any::Any;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::planes::{Owner, PixelFormat, Plane, Planes};
use domain::{Class, chain};
use media::{
    Container, Demuxer, EncodeConfig, Encoder, Key, Muxer, OpenError, OutputFile, Picture,
    Rational, Rejoin, Segmenter,
};

use crate::clips::{self, Steps};

#[track_caller]
fn check(path: &Path, class: Class, text: &str) {
    let live = Box::new(Steps::new(fs::read(path).unwrap(), 1000));
    let results = [Demuxer::open_file(path), Demuxer::open(live, Container::MpegTs)];
    for (way, result) in results.into_iter().enumerate() {
        let Err(error) = result else { panic!("{text}: opened, way {way}") };
        assert_eq!((error.class(), error.to_string().as_str()), (class, text), "way {way}");
    }
}

#[test]
fn what_is_not_a_video_says_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("notes.txt");
    fs::write(&text, "This is no video at all.\n".repeat(9000)).unwrap();
    check(&text, Class::Invalid, "the input is not media");
    fs::write(&text, "G").unwrap();
    check(&text, Class::Invalid, "the input is not media");
    fs::write(&text, "").unwrap();
    check(&text, Class::Invalid, "the input is empty");
    let audio = clips::make(dir.path(), "a.ts", &format!("-f lavfi -i {} -c:a aac", clips::TONE));
    check(&audio, Class::Invalid, "the input has no video track (`aac`)");
    let list = dir.path().join("list.m3u8");
    fs::write(&list, "#EXTM3U\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n").unwrap();
    check(&list, Class::Invalid, "the input is not media");
}

#[test]
fn tables_without_pictures_are_not_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let clip = clips::make_av(dir.path(), "a.ts", "-c:v libx264 -c:a aac");
    let bytes = fs::read(clip).unwrap();
    // Only tables; tables and half a picture; tables and sound.
    let mut sound = bytes.clone();
    let is_video = |packet: &[u8]| u16::from_be_bytes([packet[1] & 0x1f, packet[2]]) == 256;
    sound = sound.chunks(188).filter(|packet| !is_video(packet)).flatten().copied().collect();
    for part in [&bytes[..188 * 3], &sound[..]] {
        let error = Demuxer::open(Box::new(Steps::new(part.to_vec(), 500)), Container::MpegTs);
        let Err(error) = error else { panic!("opened") };
        assert!(matches!(error, OpenError::NoVideoPackets { .. }), "{}", chain(&error));
        assert_eq!(error.class(), Class::Invalid);
    }
    let short = Box::new(Steps::new(bytes[..3760].to_vec(), 500));
    let mut demuxer = Demuxer::open(short, Container::MpegTs).unwrap();
    while demuxer.next_packet().unwrap().is_some() {}
}

#[test]
fn a_reader_that_fails_is_named_as_the_cause() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::ConnectionReset, "the line went dead"))
        }
    }
    let Err(error) = Demuxer::open(Box::new(Broken), Container::MpegTs) else { panic!("opened") };
    assert_eq!(error.class(), Class::Unavailable);
    assert_eq!(chain(&error), "reading the input: the line went dead");
}

#[test]
fn a_codec_that_the_container_cannot_carry_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let clip = clips::make_av(dir.path(), "v.mkv", "-c:v libx264 -c:a libvorbis");
    let Err(error) = Segmenter::open(&clip, Duration::ZERO) else { panic!("opened") };
    let text = "cutting the input into segments: `mpegts` carries no audio in codec `vorbis`";
    assert_eq!((error.class(), chain(&error).as_str()), (Class::Invalid, text));
}

#[test]
fn an_output_that_is_not_finished_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let clip = clips::make_av(dir.path(), "v.mp4", "-c:v libx264 -c:a aac");
    let out = dir.path().join("out.mp4");
    fs::write(&out, "an older file").unwrap();
    let demuxer = Demuxer::open_file(&clip).unwrap();
    let tracks: Vec<_> = demuxer.tracks().iter().collect();
    drop(Muxer::create_file(&out, Container::Mp4, &tracks).unwrap());
    let segmenter = Segmenter::open(&clip, Duration::ZERO).unwrap();
    let rejoin = Rejoin::create(&out, segmenter.plan().clone()).unwrap();
    assert!(rejoin.run(Box::new(io::empty()), &mut |_| {}).is_err());
    assert_eq!(fs::read_to_string(&out).unwrap(), "an older file");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    let Err(error) = OutputFile::create(&dir.path().join("no/such/folder.mp4")) else {
        panic!("created")
    };
    assert_eq!(error.class(), Class::NotFound);
}

#[test]
fn an_encoder_names_the_setting_it_does_not_take() {
    let config = |width, format| EncodeConfig::live(width, 180, format, Rational::MPEG_TS);
    let check = |config: EncodeConfig, text: &str| {
        let Err(error) = Encoder::open(config) else { panic!("opened") };
        assert_eq!((error.class(), chain(&error).as_str()), (Class::Invalid, text));
    };
    check(
        config(319, PixelFormat::Yuv420p),
        "encoder `libx264` takes no picture of 319x180 in `yuv420p`",
    );
    check(config(320, PixelFormat::Rgba), "encoder `libx264` takes no `rgba`");
    let none = EncodeConfig { codec: "libx999".into(), ..config(320, PixelFormat::Nv12) };
    check(none, "no encoder named `libx999`");
}

#[test]
fn a_borrowed_picture_is_encoded_without_a_copy_and_let_go() {
    let (width, height) = (64_usize, 48_usize);
    let memory: Arc<Vec<u8>> = Arc::new(vec![128; width * height * 3 / 2]);
    let address = memory.as_ptr() as u64;
    let planes = Planes {
        format: PixelFormat::Nv12,
        width: 64,
        height: 48,
        owner: Owner::Host,
        planes: [
            Plane { address, pitch: width },
            Plane { address: address + (width * height) as u64, pitch: width },
            Plane { address: 0, pitch: 0 },
        ],
    };
    let config = EncodeConfig::live(64, 48, PixelFormat::Nv12, Rational::MPEG_TS);
    let mut encoder = Encoder::open(config).unwrap();
    for pts in 0..3 {
        let keep: Arc<dyn Any + Send + Sync> = Arc::clone(&memory) as _;
        // SAFETY: the planes lie in `memory`, which nobody writes to.
        let picture = unsafe { Picture::borrow(planes, keep) }.unwrap();
        encoder.send(&picture, pts * 3000, 3000, Key::Forced).unwrap();
        let packet = encoder.next_packet().unwrap().unwrap();
        assert_eq!(
            (packet.pts(), packet.duration(), packet.is_key()),
            (Some(pts * 3000), 3000, true)
        );
    }
    drop(encoder);
    assert_eq!(Arc::strong_count(&memory), 1);
}
