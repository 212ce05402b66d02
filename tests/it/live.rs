//! A live job through both roles and a worker, and the same session without network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tests::clips::{self, Clip};
use tests::probe;
use tests::rig::{self, Rig};

/// Runs to the end and returns what it came to.
#[track_caller]
fn report(mut command: Command) -> Value {
    command.arg("--json");
    let done = rig::finish(command);
    let errors = String::from_utf8_lossy(&done.stderr);
    let text = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(0), "{text}{errors}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn draw(rig: &Rig, input: &Path, output: &Path) -> Value {
    let mut command = rig.framegate(&["run", "--pipeline", "sketch-video"]);
    command.arg(input).arg("-o").arg(output);
    report(command)
}

fn draw_locally(input: &Path, output: &Path, env: &[(&str, &str)]) -> Value {
    let mut command = rig::framegate(&["run", "--pipeline", "sketch-video", "--local"]);
    command.arg(input).arg("-o").arg(output).envs(env.iter().copied());
    report(command)
}

/// Checks that `drawn` has the pictures' times and the sound of `input`, and looks drawn.
#[track_caller]
fn is_a_drawing_of(drawn: &Path, input: &Path) {
    let (was, is) = (probe::video(input), probe::video(drawn));
    assert_eq!(is.size, was.size);
    assert_eq!(is.times_us.len(), was.times_us.len());
    for (is, was) in is.times_us.iter().zip(&was.times_us) {
        // A tick of MPEG-TS is 11.1 µs; both files round to whole microseconds.
        assert!(is.abs_diff(*was) <= 12, "a picture at {was} µs came out at {is}");
    }
    assert_eq!(probe::audio_packets(drawn), probe::audio_packets(input));
    let (colour, was) = (probe::saturation(drawn), probe::saturation(input));
    assert!(colour < 0.2 * was, "saturation {colour} of {was}");
    let similar = probe::similarity(drawn, input);
    assert!(similar < 0.7, "similarity {similar}");
}

#[test]
fn a_live_job_returns_every_picture_at_its_time_with_its_sound() {
    let Some(original) = clips::fetched("bigbuckbunny") else { return };
    let folder = TempDir::new().expect("a temporary folder can be made");
    let rig = Rig::up();
    let many = clips::with_key_frames(&original, folder.path());
    for (name, input) in [("many.mp4", &many), ("one.mp4", &original)] {
        let drawn = folder.path().join(format!("drawn-{name}"));
        let report = draw(&rig, input, &drawn);
        assert_eq!(report["frames"], serde_json::json!({"in": 132, "out": 132, "dropped": 0}));
        assert_eq!(report["policy"]["plugin"], "choose-orchestrator", "{report}");
        assert_eq!(report["price"]["unit"], "lv2v-pixel-second", "{report}");
        assert_eq!(report["price"]["per_units"], 1_000_000, "{report}");
        assert_eq!(report["amount_wei"], amount(&report, 5280), "{report}");
        assert_eq!(report["warnings"], serde_json::json!([]), "{report}");
        is_a_drawing_of(&drawn, input);
    }
}

/// What `stream_ms` of live video come to at the reported price, worked out by hand.
fn amount(report: &Value, stream_ms: u128) -> String {
    let wei: u128 = report["price"]["wei"].as_str().unwrap_or_default().parse().expect("wei");
    (stream_ms * 27_648 * wei).div_ceil(1_000_000).to_string()
}

#[test]
fn the_same_session_without_network_makes_the_same_pictures() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let clip = Clip::default().make(folder.path(), "clip.mp4");
    let output = |name: &str| folder.path().join(name);
    let alone = draw_locally(&clip, &output("alone.mp4"), &[]);
    assert_eq!(alone["orchestrator"], Value::Null, "{alone}");
    assert_eq!(alone["amount_wei"], "0", "{alone}");
    is_a_drawing_of(&output("alone.mp4"), &clip);
    let rig = Rig::up();
    let relayed = draw(&rig, &clip, &output("relayed.mp4"));
    assert_eq!(relayed["frames_sha256"], alone["frames_sha256"]);
}

#[test]
fn threads_and_instructions_do_not_change_a_bit() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let clip = Clip { frames: 25, ..Clip::default() }.make(folder.path(), "clip.mp4");
    let hash = |env: &[(&str, &str)]| {
        let report = draw_locally(&clip, &folder.path().join("out.mp4"), env);
        report["frames_sha256"].as_str().map(str::to_owned).expect("a hash")
    };
    let usual = hash(&[]);
    assert_eq!(usual.len(), 64);
    assert_eq!(hash(&[("FRAMEGATE_THREADS", "1")]), usual, "one thread");
    assert_eq!(hash(&[("FRAMEGATE_THREADS", "2")]), usual, "two threads");
    assert_eq!(hash(&[("FRAMEGATE_SIMD", "scalar")]), usual, "scalar");
    if fs::read_to_string("/proc/cpuinfo").unwrap_or_default().contains(" avx2 ") {
        assert_eq!(hash(&[("FRAMEGATE_SIMD", "avx2")]), usual, "avx2");
    } else {
        tests::skipped("this processor has no AVX2");
    }
}

#[test]
fn an_interrupted_run_leaves_no_file_and_no_job() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let clip = Clip { frames: 250, ..Clip::default() }.make(folder.path(), "clip.mp4");
    let results = folder.path().join("results");
    fs::create_dir(&results).expect("a folder can be made");
    let output: PathBuf = results.join("result.mp4");
    let rig = Rig::up();
    let mut command = rig.framegate(&["run", "--pipeline", "sketch-video", "--realtime"]);
    command.arg(&clip).arg("-o").arg(&output).stderr(Stdio::null());
    let mut child = command.spawn().expect("it can be run");
    rig.wait_for_log("session opened");
    rig::interrupt(&child);
    let status = child.wait().expect("a child can be waited for");
    assert_eq!(status.code(), Some(1), "{}", rig.log());
    let left: Vec<_> = fs::read_dir(&results).expect("listed").collect();
    assert!(left.is_empty(), "{left:?} is left");
    rig.wait_for_log("session ended");
}
