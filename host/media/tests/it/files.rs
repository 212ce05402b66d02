//! A file, cut into segments, and put together again from what came back.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use media::{Rejoin, Rejoined, Segmenter};

use crate::clips::{self, Steps};

struct Cut {
    segments: Vec<Vec<u8>>,
    frames: u64,
    longest_part: usize,
}

fn cut(segmenter: &mut Segmenter) -> Cut {
    let mut cut = Cut { segments: Vec::new(), frames: 0, longest_part: 0 };
    while let Some(part) = segmenter.next_part().unwrap() {
        assert_eq!(part.bytes.len() % 188, 0);
        if part.segment as usize == cut.segments.len() {
            cut.segments.push(Vec::new());
        }
        cut.frames += part.frames;
        cut.longest_part = cut.longest_part.max(part.bytes.len());
        cut.segments[part.segment as usize].extend(part.bytes);
    }
    cut
}

/// Sends `clip` there and back as it is.
fn round_trip(clip: &Path) -> (PathBuf, Cut, Rejoined) {
    let out = clip.with_file_name("back.mp4");
    let mut segmenter = Segmenter::open(clip, Duration::from_millis(500)).unwrap();
    let rejoin = Rejoin::create(&out, segmenter.plan().clone()).unwrap();
    let cut = cut(&mut segmenter);
    assert_eq!((segmenter.truncated(), segmenter.repaired()), (false, 0));
    let answer = Steps::new(cut.segments.concat(), 3000);
    let mut seen = 0;
    let done = rejoin.run(Box::new(answer), &mut |done| seen = done.frames).unwrap();
    assert_eq!(seen, done.frames);
    assert!(!done.truncated);
    assert_eq!(done.repaired, 0, "{}", clip.display());
    (out, cut, done)
}

#[track_caller]
fn check(name: &str, args: &str) -> (PathBuf, Cut, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let clip = clips::make_av(dir.path(), name, args);
    let (out, cut, done) = round_trip(&clip);
    let count = clips::packets(&clip, "v", "pts").len() as u64;
    assert_eq!((cut.frames, done.frames), (count, count), "{name}");
    clips::same(&clips::pts(&out, "v"), &clips::pts(&clip, "v"));
    let audio = |path| clips::packets(path, "a", "pts_time,dts_time,size,data_hash");
    assert_eq!(done.audio_packets as usize, audio(&clip).len(), "{name}");
    clips::same(&audio(&out), &audio(&clip));
    (out, cut, dir)
}

#[test]
fn a_file_comes_back_with_its_times_and_its_audio_bit_for_bit() {
    check("b.mp4", "-c:v libx264 -bf 3 -g 30 -c:a aac");
    check("ntsc.mp4", "-r 30000/1001 -c:v libx264 -bf 2 -c:a libmp3lame");
    check("late.mp4", "-c:v libx264 -g 15 -c:a aac -ar 44100 -output_ts_offset 3.21");
    check("vfr.mkv", "-vf select='not(eq(mod(n,7),3))' -vsync vfr -c:v libx264 -c:a libopus");
    check("m.mov", "-c:v mpeg2video -bf 2 -c:a ac3 -ar 44100");
}

#[test]
fn each_segment_can_be_decoded_alone() {
    let (_, cut, dir) = check("g.mp4", "-c:v libx264 -bf 3 -g 20 -sc_threshold 0 -c:a aac");
    assert_eq!(cut.segments.len(), 3);
    let mut frames = 0;
    for (index, segment) in cut.segments.iter().enumerate() {
        let path = dir.path().join(format!("{index}.ts"));
        fs::write(&path, segment).unwrap();
        frames += clips::frames(&path);
    }
    assert_eq!(frames, 60);
}

#[test]
fn parts_stay_small_however_far_key_frames_lie_apart() {
    let (_, cut, _dir) = check("one.mp4", "-c:v libx264 -g 9999 -b:v 3M -c:a aac");
    assert_eq!(cut.segments.len(), 1);
    assert!(cut.longest_part < cut.segments[0].len() / 8, "{}", cut.longest_part);
}

#[test]
fn a_transport_stream_comes_back_as_an_mp4() {
    let dir = tempfile::tempdir().unwrap();
    let clip = clips::make_av(dir.path(), "in.ts", "-c:v libx264 -bf 3 -g 30 -c:a aac");
    let (out, _, done) = round_trip(&clip);
    assert_eq!(done.frames, 60);
    clips::same(&clips::pts(&out, "v"), &clips::pts(&clip, "v"));
    assert_eq!(clips::packets(&out, "a", "pts").len(), clips::packets(&clip, "a", "pts").len());
}

#[test]
fn an_mp4_cut_in_the_middle_gives_what_is_there_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let args = "-c:v libx264 -b:v 1M -bf 2 -c:a aac -movflags +faststart";
    let clip = clips::make_av(dir.path(), "whole.mp4", args);
    let bytes = fs::read(&clip).unwrap();
    let path = dir.path().join("cut.mp4");
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let mut segmenter = Segmenter::open(&path, Duration::ZERO).unwrap();
    let cut = cut(&mut segmenter);
    assert!(segmenter.truncated() && cut.frames > 20 && cut.frames < 40, "{}", cut.frames);
    let clip = clips::make_av(dir.path(), "end.mp4", "-c:v libx264 -c:a aac");
    fs::write(&path, &fs::read(clip).unwrap()[..9000]).unwrap();
    let Err(error) = Segmenter::open(&path, Duration::ZERO) else { panic!("opened") };
    let text = "opening the input: the input is an mp4 without a readable index";
    assert_eq!((error.class(), domain::chain(&error).as_str()), (domain::Class::Invalid, text));
}

#[test]
fn an_edit_list_stays_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let clip = clips::make_av(dir.path(), "whole.mp4", "-c:v libx264 -g 60 -bf 2 -c:a aac");
    let args = format!("-ss 0.7 -i {} -c copy", clip.display());
    let cut = clips::make(dir.path(), "edit.mp4", &args);
    let (out, ..) = round_trip(&cut);
    let shown = clips::frames(&cut);
    assert!(shown < 45, "{shown}");
    assert_eq!(clips::frames(&out), shown);
    clips::same(&clips::pts(&out, "v"), &clips::pts(&cut, "v"));
}
