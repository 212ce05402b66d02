//! `session.sketch720.cpu`: processor time of the demo pipeline on a real 720p clip, all processes
//! of ours counted, over the `ffmpeg` command that draws the same with its own filters.
//!
//! **Invariant:** the two are compared only if they did the same: the encoder's own note of its
//! settings is the same in both files, and the pictures look the same.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{WaitOptions, set_child_subreaper, wait};
use serde_json::json;
use tempfile::TempDir;

use super::machine::{shown, version};
use super::pair::measure;
use super::{Line, Skipped, clock, env, machine};
use crate::{clips, probe, rig};

/// Pairs: each takes a few seconds of processor time.
const PAIRS: usize = 15;
const GOAL: f64 = 1.0;
/// Structural similarity of the two results. The drawings differ by a level here and there and at
/// the picture's edge; the rest is what the encoder makes of that. Another look has below 0.9.
const SIMILAR_MIN: f64 = 0.95;
/// Time for processes that outlive their parent to end; they end with its sockets.
const ORPHANS_MAX: Duration = Duration::from_secs(10);

/// Parameters of the drawing. At this strength the weights are whole numbers, which is all that
/// ffmpeg 5.1's `convolution` takes: it reads integers, and divides by their sum or by 1.
const PARAMS: &str = r#"{"strength":200}"#;
/// The same look in ffmpeg's filters: a Laplacian of a Gaussian around white and a curve, without
/// colour, over a fifth of the picture's own light and dark.
const LOOK: &str = "split[own][copy];[copy]convolution=0m=0 0 -1 0 0 0 -1 -2 -1 0 -1 -2 16 -2 -1 \
0 -1 -2 -1 0 0 0 -1 0 0:0bias=255,lutyuv=y=max(250-floor(1.2*max(235-val\\,0))\\,0):u=128:v=128\
[lines];[lines][own]blend=c0_opacity=0.8";
/// The encoder as `[orchestrator.encoder]` ships, and a decoder with one thread as a worker has.
const ENCODER: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-tune",
    "zerolatency",
    "-crf",
    "23",
    "-g",
    "60",
    "-bf",
    "0",
    "-forced-idr",
    "1",
    "-threads:v",
    "2",
];

/// Measures a run of each.
pub(super) fn run() -> Result<Vec<Line>, Skipped> {
    let clip = clips::fetched("bigbuckbunny").ok_or_else(|| Skipped("no clip".to_owned()))?;
    let folder = TempDir::new().map_err(|error| Skipped(error.to_string()))?;
    set_child_subreaper(rustix::process::Pid::from_raw(1))
        .map_err(|error| Skipped(format!("adopting orphans: {error}")))?;
    let (drawn, against) = (folder.path().join("ours.mp4"), folder.path().join("base.mp4"));
    let idle = machine::idle();
    let pairs =
        measure(PAIRS, || cpu_seconds(ours(&clip, &drawn)), || cpu_seconds(base(&clip, &against)))?;
    let settings = encoder_note(&drawn)?;
    let theirs = encoder_note(&against)?;
    if settings != theirs {
        return Err(Skipped(format!("encoders differ: `{settings}` and `{theirs}`")));
    }
    let frames = [&drawn, &against].map(|file| probe::decoded_frames(file));
    let similarity = probe::similarity(&drawn, &against);
    if frames[0] != frames[1] || similarity < SIMILAR_MIN {
        let what = format!("the results differ: {frames:?} pictures, similarity {similarity:.4}");
        return Err(Skipped(what));
    }
    let env = env(json!({
        "ours": shown(&ours(&clip, &drawn)),
        "base": shown(&base(&clip, &against)),
        "counted": "user and system time of every process, worker and client, start-up included",
        "encoder": settings,
        "ffmpeg": version("ffmpeg"),
        "frames": frames[0],
        "similarity": similarity,
    }));
    Ok(vec![Line::of_pairs("session.sketch720.cpu", "s", &pairs, idle, env).with_goal(GOAL)])
}

fn ours(clip: &Path, to: &Path) -> Command {
    let mut command = rig::framegate(&["run", "--local", "--pipeline", "sketch-video", "--json"]);
    command.args(["--params", PARAMS]).arg(clip).arg("-o").arg(to);
    command
}

fn base(clip: &Path, to: &Path) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y", "-threads", "1", "-i"]).arg(clip);
    command.args(["-vf", LOOK]).args(ENCODER).args(["-c:a", "copy"]).arg(to);
    command
}

/// Runs a command to its end and returns the processor time of all that it started, in seconds.
fn cpu_seconds(mut command: Command) -> Result<f64, Skipped> {
    let before = clock::children_cpu();
    let done = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Skipped(format!("{command:?}: {error}")))?;
    if !done.status.success() {
        let (said, errors) = (done.stdout, String::from_utf8_lossy(&done.stderr).into_owned());
        let said = String::from_utf8_lossy(&said).into_owned();
        return Err(Skipped(format!("{command:?} ended with {}: {said}{errors}", done.status)));
    }
    adopt_orphans()?;
    Ok((clock::children_cpu() - before).as_secs_f64())
}

/// Waits for processes whose parent did not: their time counts as well.
fn adopt_orphans() -> Result<(), Skipped> {
    let deadline = Instant::now() + ORPHANS_MAX;
    loop {
        match wait(WaitOptions::NOHANG) {
            // No child is left.
            Err(_) => return Ok(()),
            Ok(Some(_)) => {}
            Ok(None) if Instant::now() > deadline => {
                return Err(Skipped(format!("a process still runs after {ORPHANS_MAX:?}")));
            }
            Ok(None) => thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Finds the note that libx264 leaves in the first picture: its version and all its settings.
fn encoder_note(file: &Path) -> Result<String, Skipped> {
    let bytes = fs::read(file).map_err(|error| Skipped(format!("{}: {error}", file.display())))?;
    let none = || Skipped(format!("`{}` has no note of its encoder", file.display()));
    let mark = b"x264 - core ";
    let start = bytes.windows(mark.len()).position(|at| at == mark).ok_or_else(none)?;
    let text = bytes[start..].split(|byte| !(b' '..=b'~').contains(byte)).next();
    text.map(|text| String::from_utf8_lossy(text).into_owned()).ok_or_else(none)
}

#[cfg(test)]
#[test]
fn the_encoders_note_ends_where_its_text_does() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("a.mp4");
    fs::write(&file, b"\0\x05x264 - core 164 - options: crf=23.0\x80\0x264").unwrap();
    assert_eq!(encoder_note(&file).unwrap(), "x264 - core 164 - options: crf=23.0");
    fs::write(&file, b"nothing").unwrap();
    assert!(encoder_note(&file).is_err());
}
