//! What a hostile pipeline costs its neighbours: guest time of eight honest sessions with one beside
//! them that does every harm it can, over the same without it.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::line::Line;
use super::pair::{PAIRS_MIN, measure};
use super::{Skipped, env, machine, place};
use crate::clips::Clip;
use crate::rig::{Setup, framegate};

/// Honest sessions.
const HONEST: usize = 8;
/// Pictures a second, and of one session.
const RATE: u32 = 15;
const FRAMES: u32 = 90;
/// Harms that the hostile pipeline knows by number.
const HARMS: usize = 10;
/// The ratio that is wanted at most.
const GOAL: f64 = 1.05;

/// Measures.
pub(super) fn run() -> Result<Vec<Line>, Skipped> {
    let folder = TempDir::new().map_err(Skipped::of)?;
    let clip = |frames, name| {
        let clip = Clip { frames, rate: RATE, gop: RATE, audio: false, ..Clip::default() };
        clip.make(folder.path(), name)
    };
    let (honest, hostile) = (clip(FRAMES, "honest.mp4"), clip(RATE, "hostile.mp4"));
    let plugins = ["do-harm", "sketch-video"].map(place::guest);
    let folders: Vec<PathBuf> = plugins.into_iter().collect::<Result<_, _>>()?;
    let above = folders.iter().filter_map(|it| it.parent()).map(|it| it.display().to_string());
    let setup = Setup {
        orchestrator: format!("slots = {}", 2 * HONEST),
        rest: format!(
            "[orchestrator.pipelines.do-harm]\non_failure = \"passthrough\"\n\
             [orchestrator.pipelines.sketch-video]\n[orchestrator.encoder]\n\
             preset = \"ultrafast\"\nthreads = 1\n[plugins]\nfolders = {:?}",
            above.collect::<Vec<_>>()
        ),
        ..Setup::default()
    };
    let rig = setup.up();
    let idle = machine::idle();
    let pairs = measure(
        PAIRS_MIN,
        || {
            let honest = || guest_p99(rig.data(), &honest, folder.path());
            beside_harm(rig.data(), &hostile, folder.path(), honest)
        },
        || guest_p99(rig.data(), &honest, folder.path()),
    )?;
    let env = env(json!({
        "honest": format!("{HONEST} sessions of `sketch-video`, 320x180 at {RATE} a second, {FRAMES} pictures"),
        "hostile": format!("`do-harm`, its {HARMS} harms one after the other for as long as they run"),
        "figure": "mean of the sessions' `guest_us.p99`",
        "config": setup.config(),
    }));
    Ok(vec![Line::of_pairs("isolation.guest_p99", "us", &pairs, idle, env).with_goal(GOAL)])
}

/// Runs the honest sessions at once, by the roles of `data`, and returns the mean of their 99th percentiles of guest time.
fn guest_p99(data: &Path, clip: &Path, folder: &Path) -> Result<f64, Skipped> {
    let start = |at: usize| {
        let output = folder.join(format!("honest-{at}.mp4"));
        session(data, &["--realtime", "--pipeline", "sketch-video"], clip, &output)
    };
    let sessions: Vec<Child> = (0..HONEST).map(start).collect::<Result<_, _>>()?;
    let mut all = Vec::new();
    for session in sessions {
        let report = report(session)?;
        let whole = json!({ "in": FRAMES, "out": FRAMES, "dropped": 0 });
        let p99 = report["guest_us"]["p99"].as_f64().filter(|_| report["frames"] == whole);
        all.push(p99.ok_or_else(|| Skipped(format!("an honest session ended in {report}")))?);
    }
    Ok(all.iter().sum::<f64>() / all.len() as f64)
}

/// Runs `what` while one hostile session follows the other.
fn beside_harm(
    data: &Path,
    clip: &Path,
    folder: &Path,
    what: impl FnOnce() -> Result<f64, Skipped>,
) -> Result<f64, Skipped> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let harm = scope.spawn(|| {
            for harm in (0..HARMS).cycle() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let params = json!({ "harm": harm }).to_string();
                let arguments = ["--pipeline", "do-harm", "--params", &params];
                report(session(data, &arguments, clip, &folder.join("harm.mp4"))?)?;
            }
            Ok::<(), Skipped>(())
        });
        let figure = what();
        over.store(true, Ordering::Relaxed);
        harm.join().map_err(|_| Skipped("the hostile sessions broke off".to_owned()))??;
        figure
    })
}

fn session(data: &Path, arguments: &[&str], clip: &Path, output: &Path) -> Result<Child, Skipped> {
    let mut command = framegate(&["run", "--json"]);
    command.env("FRAMEGATE_DATA", data).args(arguments).arg(clip).arg("-o").arg(output);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().map_err(Skipped::of)
}

fn report(child: Child) -> Result<Value, Skipped> {
    let done = child.wait_with_output().map_err(Skipped::of)?;
    serde_json::from_slice(&done.stdout).map_err(Skipped::of)
}
