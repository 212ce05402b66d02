//! Decode, encode and mux: as many frames out as in, at the same times.

use std::fs;

use crate::clips::{self, Steps};

#[track_caller]
fn check(name: &str, args: &str, low_latency: bool) {
    let dir = tempfile::tempdir().unwrap();
    let clip = clips::make_av(dir.path(), name, args);
    let source = Steps::new(fs::read(&clip).unwrap(), 4096);
    let result = clips::transcode(Box::new(source), 2, low_latency);
    assert!(!result.truncated && !result.damaged_at_end);
    let out = dir.path().join("out.ts");
    fs::write(&out, &result.bytes).unwrap();
    assert_eq!(clips::frames(&out), clips::frames(&clip));
    clips::same(&clips::pts(&out, "v"), &clips::pts(&clip, "v"));
    let audio = |path| clips::packets(path, "a", "pts,dts,size,data_hash");
    clips::same(&audio(&out), &audio(&clip));
    assert!(result.pts.is_sorted());
}

#[test]
fn frames_with_b_pictures_keep_their_number_and_times() {
    check("b.ts", "-c:v libx264 -bf 3 -g 30 -c:a aac", true);
    check(
        "b.ts",
        "-c:v libx264 -bf 16 -b_strategy 0 -refs 16 -x264-params b-pyramid=strict",
        false,
    );
}

#[test]
fn a_rate_of_29_97_and_a_late_start_keep_their_times() {
    check("late.ts", "-r 30000/1001 -c:v libx264 -c:a aac -output_ts_offset 77777.7", true);
}

#[test]
fn a_variable_rate_keeps_its_times() {
    let filter = "-vf select='not(eq(mod(n,7),3))*not(eq(mod(n,11),5))' -vsync vfr";
    check("vfr.ts", &format!("{filter} -c:v libx264 -bf 2 -c:a mp2"), false);
}

#[test]
fn pictures_of_mpeg_2_and_hevc_keep_their_times() {
    check("m2.ts", "-c:v mpeg2video -bf 2 -b:v 2M -c:a ac3", true);
    check("h5.ts", "-c:v libx265 -preset ultrafast -x265-params log-level=none -c:a libopus", true);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let clip = clips::make_av(dir.path(), "same.ts", "-c:v libx264 -bf 3 -g 30 -c:a aac");
    let bytes = fs::read(&clip).unwrap();
    let run = |threads, step| {
        clips::transcode(Box::new(Steps::new(bytes.clone(), step)), threads, true).bytes
    };
    assert!(run(2, 1000) == run(2, 65_536));
}
