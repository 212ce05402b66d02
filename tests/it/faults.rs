//! What a bad plugin, a lost worker and a slow client may do: end themselves, and nothing else.

use std::fs;
use std::path::Path;
use std::process::{Child, Output};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tests::client::{LiveJob, Paced};
use tests::clips::{self, Clip};
use tests::rig::{self, Rig, Setup};

/// Starts both roles with the conformance guests on offer beside the shipped plugins.
fn rig_with_guests() -> Rig {
    let program = rig::program();
    let target = program.parent().and_then(Path::parent).expect("a program in a profile");
    let guests = target.join("conformance").display().to_string();
    Setup { env: vec![("FRAMEGATE_PLUGINS".to_owned(), guests)], ..Setup::default() }.up()
}

fn start(rig: &Rig, pipeline: &str, input: &Path, output: &Path, more: &[&str]) -> Child {
    let mut command = rig.framegate(&["run", "--json", "--pipeline", pipeline]);
    command.arg(input).arg("-o").arg(output).args(more);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    command.spawn().expect("the program can be run")
}

#[track_caller]
fn document(done: &Output) -> Value {
    let text = String::from_utf8_lossy(&done.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("{error}: `{text}` {}", String::from_utf8_lossy(&done.stderr))
    })
}

#[test]
fn a_bad_guest_ends_its_own_session_with_the_limit_it_hit_and_no_other() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let clip = Clip { frames: 150, ..Clip::default() }.make(folder.path(), "clip.mp4");
    let output = |name: &str| folder.path().join(name);
    let rig = rig_with_guests();
    let honest = start(&rig, "sketch-video", &clip, &output("honest.mp4"), &["--realtime"]);
    rig.wait_for_log("session opened");
    for (guest, kind, words) in [
        ("trap-on-frame", "trap", &["unreachable", "on-frame"][..]),
        ("loop-forever", "time", &["frame_budget limit", "plugin used"]),
        ("grow-memory", "memory", &["memory limit 64 MiB", "plugin asked for 20"]),
    ] {
        let done = start(&rig, guest, &clip, &output("bad.mp4"), &[]);
        let done = done.wait_with_output().expect("a child can be waited for");
        let failure = document(&done);
        assert_eq!(done.status.code(), Some(7), "{guest}: {failure}");
        assert_eq!(failure["error"]["class"], "fault", "{guest}: {failure}");
        assert_eq!(failure["error"]["fault"]["kind"], kind, "{guest}: {failure}");
        assert_eq!(failure["error"]["fault"]["plugin"], guest, "{guest}: {failure}");
        let message = failure["error"]["message"].as_str().unwrap_or_default();
        for word in words {
            assert!(message.contains(word), "{guest}: `{word}` is not in `{message}`");
        }
        assert!(!output("bad.mp4").exists(), "{guest} left a file");
    }
    let done = honest.wait_with_output().expect("a child can be waited for");
    let report = document(&done);
    assert_eq!(report["frames"], serde_json::json!({"in": 150, "out": 150, "dropped": 0}));
}

#[test]
fn roles_and_worker_run_with_6_gb_of_address_space() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let clip = Clip { frames: 50, ..Clip::default() }.make(folder.path(), "clip.mp4");
    let setup = Setup { address_space_kib: Some(6_000_000), ..Setup::default() };
    let rig = setup.up();
    let output = folder.path().join("out.mp4");
    let done = start(&rig, "sketch-video", &clip, &output, &[]);
    let done = done.wait_with_output().expect("a child can be waited for");
    let report = document(&done);
    assert_eq!(report["frames"], serde_json::json!({"in": 50, "out": 50, "dropped": 0}));
    // The policy chose and the pricing rule quoted, in the roles' own engines.
    assert_eq!(report["policy"]["plugin"], "choose-orchestrator", "{report}");
}

/// Returns the process ids of the workers that were started so far.
fn workers(rig: &Rig) -> Vec<i32> {
    let log = rig.log();
    let started = log.lines().filter(|line| line.contains("worker started"));
    let pid = |line: &str| line.split("pid=").nth(1)?.split_whitespace().next()?.parse().ok();
    started.filter_map(pid).collect()
}

#[test]
fn a_killed_worker_costs_its_job_no_picture_where_nobody_else_could_take_it() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let clip = Clip { frames: 250, ..Clip::default() }.make(folder.path(), "clip.mp4");
    let rig = Rig::up();
    let output = folder.path().join("lost.mp4");
    let running = start(&rig, "sketch-video", &clip, &output, &["--realtime"]);
    rig.wait_for_log("session opened");
    let [worker] = workers(&rig)[..] else { panic!("one worker: {}", rig.log()) };
    let killed = Instant::now();
    let worker = Pid::from_raw(worker).expect("a process id");
    kill_process(worker, Signal::KILL).expect("our own process");
    rig.wait_for_log("worker lost");
    let deadline = killed + Duration::from_secs(1);
    while workers(&rig).len() < 2 {
        assert!(Instant::now() < deadline, "no new worker within a second:\n{}", rig.log());
        std::thread::yield_now();
    }
    let done = running.wait_with_output().expect("a child can be waited for");
    let report = document(&done);
    assert_eq!(done.status.code(), Some(0), "{report}");
    assert_eq!(report["frames"]["out"], 250, "{report}");
    assert_eq!(tests::probe::decoded_frames(&output), 250);
    // No waiting for the new worker here: the next job finds it, or the job waits for it.
    let next = start(&rig, "sketch-video", &clip, &folder.path().join("next.mp4"), &[]);
    let done = next.wait_with_output().expect("a child can be waited for");
    assert_eq!(document(&done)["frames"]["out"], 250, "{}", rig.log());
}

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[test]
fn an_input_that_was_in_work_at_two_faults_of_a_plugin_is_refused_the_third_time() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let clip = Clip::default().make(folder.path(), "clip.mp4");
    let rig = rig_with_guests();
    let run = |pipeline| {
        let child = start(&rig, pipeline, &clip, &folder.path().join("out.mp4"), &[]);
        let done = child.wait_with_output().expect("a child can be waited for");
        (done.status.code(), document(&done))
    };
    for time in 0..2 {
        let (code, failure) = run("trap-on-frame");
        assert_eq!(code, Some(7), "{time}: {failure}");
    }
    let (code, failure) = run("trap-on-frame");
    assert_eq!((code, &failure["error"]["class"]), (Some(3), &Value::from("invalid")), "{failure}");
    let message = failure["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("was in work at 2 faults of `trap-on-frame`"), "{message}");
    let (code, report) = run("pass-frames");
    assert_eq!(code, Some(0), "another pipeline takes it: {report}");
}

#[test]
fn an_input_that_took_two_workers_along_does_not_reach_a_third() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    // One segment, so that whoever takes the job over begins with the same bytes.
    let clip = Clip { frames: 150, gop: 150, audio: false, ..Clip::default() };
    let segments = clips::segments(&clip.make(folder.path(), "clip.mp4"));
    assert_eq!(segments.len(), 1);
    let paced = Paced {
        pieces: 150,
        lasting: Duration::from_secs(6),
        pause_before: None,
        pause: Duration::ZERO,
    };
    let rig = Rig::up();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let (ended, record) = runtime.block_on(async {
        let job = LiveJob::start(&rig.url("gateway"), "sketch-video", "{}").await;
        let seen = Mutex::new(Vec::new());
        let killing = async {
            let mut look = tokio::time::interval(Duration::from_millis(5));
            let deadline = Instant::now() + Duration::from_secs(30);
            for pictures in [10, 30] {
                while seen.lock().expect("nobody panics").len() < pictures {
                    assert!(Instant::now() < deadline, "{}", rig.log());
                    look.tick().await;
                }
                let worker = *workers(&rig).last().expect("a worker runs");
                let worker = Pid::from_raw(worker).expect("a process id");
                kill_process(worker, Signal::KILL).expect("our own process");
            }
        };
        // The rest of the input is not taken once the job is over.
        let (_, _, (), ended) = tokio::join!(
            job.watch(&seen),
            job.publish_paced(&segments, paced),
            killing,
            job.ended()
        );
        (ended, job.record(&rig.url("gateway")).await)
    });
    assert_eq!((&ended["reason"], &ended["error"]["class"]), (&"fault".into(), &"invalid".into()));
    let causes: Vec<&Value> =
        record["swaps"].as_array().expect("a list").iter().map(|swap| &swap["cause"]).collect();
    assert_eq!(causes, ["worker-lost", "worker-lost"], "{record}");
    assert_eq!(workers(&rig).len(), 3, "the third goes on: {}", rig.log());
}

/// Most that the windows of a role's channels, their copies in sockets and the runtime itself may
/// add to it: less than the clip that passes through.
const GROWTH_KIB_MAX: u64 = 22 << 10;

#[test]
fn an_unpaced_publisher_and_a_slow_reader_lose_nothing_and_fill_no_memory() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    // Noise makes the input large; a pale drawing of it makes an output that takes 10 s and more
    // to read.
    let noise = Clip { size: (640, 360), frames: 250, noisy: true, ..Clip::default() };
    let segments = clips::segments(&noise.make(folder.path(), "noise.mp4"));
    let bytes: usize = segments.iter().map(Bytes::len).sum();
    assert!(bytes > 24 << 20, "{bytes} bytes fit into the windows on the way");
    let rig = Rig::up();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let before = ["gateway", "orchestrator"].map(|role| resident_kib(rig.pid(role)));
    let params = r#"{"strength":0,"shade":30}"#;
    let (output, missing, ended) = runtime.block_on(async {
        let job = LiveJob::start(&rig.url("gateway"), "sketch-video", params).await;
        let ((), (output, missing), ended) =
            tokio::join!(job.publish(&segments), job.read(200_000), job.ended());
        (output, missing, ended)
    });
    let after = ["gateway", "orchestrator"].map(|role| resident_kib(rig.pid(role)));
    assert!(output.len() > 1 << 20, "{} bytes are read in a moment", output.len());
    assert_eq!(missing, 0);
    assert_eq!(ended["reason"], "eos", "{ended}");
    let all = serde_json::json!({"in": 250, "out": 250, "dropped": 0});
    assert_eq!(ended["frames"], all, "{ended}");
    let drawn = folder.path().join("out.ts");
    fs::write(&drawn, &output).expect("the folder can be written to");
    assert_eq!(tests::probe::decoded_frames(&drawn), 250);
    for (before, after) in before.into_iter().zip(after) {
        let grown = after.saturating_sub(before);
        assert!(grown < GROWTH_KIB_MAX, "a role grew by {grown} KiB for {bytes} bytes");
    }
}
