//! Pipelines that fault in sessions that are to go on, and what their neighbours notice of it.

use std::path::Path;
use std::process::{Child, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::clips::Clip;
use tests::rig::{self, Rig, Setup};

/// Starts both roles with the conformance guests as well, which `pipelines` puts on offer.
fn rig(pipelines: &str, orchestrator: &str) -> Rig {
    let program = rig::program();
    let target = program.parent().and_then(Path::parent).expect("a program in a profile");
    let guests = target.join("conformance").display().to_string();
    Setup {
        orchestrator: orchestrator.to_owned(),
        rest: pipelines.to_owned(),
        env: vec![("FRAMEGATE_PLUGINS".to_owned(), guests)],
        ..Setup::default()
    }
    .up()
}

fn start(rig: &Rig, pipeline: &str, params: &str, input: &Path, output: &Path) -> Child {
    let mut command = rig.framegate(&["run", "--json", "--realtime", "--pipeline", pipeline]);
    command.arg("--params").arg(params).arg(input).arg("-o").arg(output);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the program can be run")
}

#[track_caller]
fn report(child: Child) -> Value {
    let done: Output = child.wait_with_output().expect("a child can be waited for");
    let text = String::from_utf8_lossy(&done.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("{error}: `{text}` {}", String::from_utf8_lossy(&done.stderr))
    })
}

/// Returns the value of a metric of the orchestrator, named with its labels; 0 if it is not there.
fn metric(rig: &Rig, name: &str) -> u64 {
    let (_, text) = rig::get(rig.address("orchestrator", "admin"), "/metrics").expect("metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

const MODES: &str = r#"
[orchestrator.pipelines.trap-between]
on_failure = "passthrough"
[orchestrator.pipelines.trap-on-frame]
on_failure = "previous-version"
previous = "pass-frames"
[orchestrator.pipelines.pass-frames]
"#;

#[test]
fn each_fail_mode_of_a_pipeline_serves_its_session_as_it_says() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let clip = Clip { frames: 100, ..Clip::default() }.make(folder.path(), "clip.mp4");
    let rig = rig(MODES, "");
    let all = [
        // One bad picture: a fresh instance takes those after it.
        ("trap-between", r#"{"first": 10, "last": 10}"#, json!(["pipeline-restarted"])),
        // All of them from the tenth on: after three restarts they pass.
        (
            "trap-between",
            r#"{"first": 10, "last": 100000}"#,
            json!(["pipeline-restarted", "pipeline-passed-through"]),
        ),
        ("trap-on-frame", "{}", json!(["pipeline-restarted", "pipeline-previous-version"])),
    ];
    let sessions = all.into_iter().enumerate().map(|(at, (pipeline, params, warnings))| {
        let output = folder.path().join(format!("{at}.mp4"));
        (start(&rig, pipeline, params, &clip, &output), warnings)
    });
    for (session, warnings) in sessions.collect::<Vec<_>>() {
        let report = report(session);
        assert_eq!(report["frames"], json!({"in": 100, "out": 100, "dropped": 0}), "{report}");
        assert_eq!(report["warnings"], warnings, "{report}");
    }
    assert_eq!(metric(&rig, r#"framegate_plugin_faults_total{kind="trap"}"#), 1 + 4 + 4);
    for (by, count) in [("restart", 1 + 3 + 3), ("passthrough", 1), ("previous-version", 1)] {
        let name = format!(r#"framegate_pipelines_replaced_total{{by="{by}"}}"#);
        assert_eq!(metric(&rig, &name), count, "{by}");
    }
    let log = rig.log();
    let told = log.lines().filter(|line| line.contains("plugin faulted")).count();
    assert_eq!(told, 2, "each distinct fault once a minute:\n{log}");
}

/// Harms that `do-harm` knows.
const HARMS: usize = 10;

#[test]
fn a_pipeline_that_does_every_harm_costs_eight_honest_sessions_no_frame() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let clip = |frames, name| {
        Clip { frames, rate: 15, gop: 15, audio: false, ..Clip::default() }
            .make(folder.path(), name)
    };
    let (honest, hostile) = (clip(90, "honest.mp4"), clip(15, "hostile.mp4"));
    let pipelines = "[orchestrator.pipelines.do-harm]\non_failure = \"passthrough\"\n\
        [orchestrator.pipelines.sketch-video]\n[orchestrator.encoder]\npreset = \"ultrafast\"\n\
        threads = 1\n";
    let rig = rig(pipelines, "slots = 16\nthreads = 2");
    let output = |name: &str| folder.path().join(name);
    let honest: Vec<Child> = (0..8)
        .map(|at| start(&rig, "sketch-video", "{}", &honest, &output(&format!("{at}.mp4"))))
        .collect();
    for harm in 0..HARMS {
        let params = json!({ "harm": harm }).to_string();
        let report = report(start(&rig, "do-harm", &params, &hostile, &output("harm.mp4")));
        assert_eq!(report["frames"], json!({"in": 15, "out": 15, "dropped": 0}), "{report}");
        assert_eq!(report["warnings"], json!(["pipeline-restarted"]), "{harm}: {report}");
    }
    for session in honest {
        let report = report(session);
        assert_eq!(report["frames"], json!({"in": 90, "out": 90, "dropped": 0}), "{report}");
        assert_eq!(report["warnings"], json!([]), "{report}");
    }
}
