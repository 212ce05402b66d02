//! The paths through foreign code under valgrind's memcheck: a worker with FFmpeg and the kernels,
//! and a gateway. `./x soak` runs them (`FRAMEGATE_MEMCHECK=1`), since they take minutes.
//!
//! What is not ours to mend is in `tests/memcheck.supp`, each finding with its reason.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use tempfile::TempDir;
use tests::rig::{self, Rig};
use tests::{root, skipped};
use worker::message::{EncodeSpec, GrantSpec, SessionReport, SessionSpec};
use worker::parent::{self, Output, WorkerConfig};
use worker::spawn::Spawner;

/// Memory that a session's pictures may take; a thousand of these.
const SURFACE_BYTES_MAX: u64 = 64 << 20;
/// Variable that names who compiles plugins for `framegate`.
const COMPILER: &str = "FRAMEGATE_COMPILER";
/// What a gateway prints when it can be given jobs.
const READY: &str = "orchestrator became reachable";

/// Says whether memcheck is wanted and there.
fn wanted() -> bool {
    if env::var_os("FRAMEGATE_MEMCHECK").is_none() {
        skipped("memcheck: takes minutes, `./x soak` runs it");
        return false;
    }
    let there = Command::new("valgrind").arg("--version").output().is_ok();
    if !there {
        skipped("memcheck: no valgrind on this machine");
    }
    there
}

/// `framegate` under memcheck.
struct Wrapped {
    program: PathBuf,
    /// Compiles for it: code for the processor that valgrind is, without memcheck, which would take
    /// longer than a compiler may.
    compiler: PathBuf,
    /// Folder of the reports.
    reports: PathBuf,
}

/// Writes programs that run `framegate` under memcheck.
fn under_memcheck(folder: &Path) -> Wrapped {
    let reports = folder.join("reports");
    fs::create_dir(&reports).expect("a folder can be made");
    // Line numbers take longer to read than a worker may take to say hello; names are enough.
    let program = folder.join("stripped");
    let mut strip = Command::new("strip");
    strip.args(["--strip-debug", "-o"]).arg(&program).arg(rig::program());
    assert!(strip.status().is_ok_and(|status| status.success()), "{strip:?} failed");
    let memcheck = format!(
        "--leak-check=no --error-limit=no --num-callers=30 --gen-suppressions=all \
         --suppressions='{}' --log-file='{}/%p'",
        root().join("tests/memcheck.supp").display(),
        reports.display(),
    );
    let wrapper = |name: &str, options: &str| {
        let wrapper = folder.join(name);
        let script =
            format!("#!/bin/sh\nexec valgrind -q {options} '{}' \"$@\"\n", program.display());
        fs::write(&wrapper, script).expect("the folder can be written to");
        let runs = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&wrapper, runs).expect("an own file can be made to run");
        wrapper
    };
    Wrapped {
        program: wrapper("framegate", &memcheck),
        compiler: wrapper("compiler", "--tool=none"),
        reports,
    }
}

/// Fails with whatever memcheck has reported.
#[track_caller]
fn assert_clean(reports: &Path) {
    let files = fs::read_dir(reports).expect("the folder of the reports").flatten();
    let texts: Vec<_> = files.map(|file| fs::read_to_string(file.path())).collect();
    assert!(!texts.is_empty(), "memcheck ran nothing");
    let found: String = texts.into_iter().map(|text| text.expect("a report is text")).collect();
    assert!(found.is_empty(), "memcheck found:\n{found}");
}

/// Makes half a second of pictures and sound.
fn transport_stream(folder: &Path) -> Vec<u8> {
    let path = folder.join("clip.ts");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-f", "lavfi", "-i", "testsrc=size=128x96:rate=10"]);
    ffmpeg.args(["-f", "lavfi", "-i", "sine", "-t", "0.5", "-c:v", "libx264", "-c:a", "aac"]);
    let made = ffmpeg.args(["-f", "mpegts"]).arg(&path).status().expect("ffmpeg runs");
    assert!(made.success(), "ffmpeg makes a clip");
    fs::read(path).expect("the clip can be read")
}

/// Folder of the plugins that are built beside the program.
fn plugins() -> PathBuf {
    let target = rig::program().ancestors().nth(2).expect("a profile lies in the target");
    target.join("plugins")
}

fn sketch() -> SessionSpec {
    SessionSpec {
        id: "memcheck".to_owned(),
        capability: "live-video-to-video/sketch-video".to_owned(),
        plugin: plugins().join("sketch-video"),
        params: String::new(),
        deterministic: true,
        encode: EncodeSpec {
            codec: "libx264".to_owned(),
            preset: "ultrafast".to_owned(),
            quality: 23,
            threads: 1,
            gop_frames_max: 10,
            low_latency: true,
        },
        decode_threads: 1,
        limits: BTreeMap::new(),
        grants: GrantSpec::default(),
        surface_bytes_max: SURFACE_BYTES_MAX,
        on_failure: domain::restart::OnFailure::End,
        previous: None,
        resume: None,
    }
}

/// Sends `media` through a worker and returns what it reports. Ends when the worker has.
async fn through_worker(
    wrapped: &Wrapped,
    simd: &str,
    media: Vec<u8>,
    spec: SessionSpec,
) -> SessionReport {
    let config = WorkerConfig {
        program: wrapped.program.clone(),
        device: "cpu-0".to_owned(),
        env: vec![
            ("FRAMEGATE_SIMD".to_owned(), simd.to_owned()),
            (COMPILER.to_owned(), wrapped.compiler.display().to_string()),
        ],
    };
    let spawner = Spawner::new().expect("a thread");
    let (worker, driver, _) = parent::start(&spawner, &config).await.expect("a worker starts");
    let driver = tokio::spawn(async move { driver.run(&Quiet).await });
    let (input, mut outputs) = worker.open(spec).await.expect("the session opens");
    let feed = tokio::spawn(async move {
        for piece in media.chunks(4096) {
            if input.write(bytes::Bytes::copy_from_slice(piece)).await.is_err() {
                return;
            }
        }
        let _ = input.end().await;
    });
    let mut report = None;
    while let Some(output) = outputs.next().await {
        match output {
            Output::Ended(ended) => report = Some(*ended),
            Output::Lost(how) => panic!("the worker was lost: {how}"),
            _ => {}
        }
        if report.is_some() {
            break;
        }
    }
    feed.await.expect("feeding does not panic");
    drop((worker, outputs));
    drop(driver.await.expect("driving does not panic"));
    report.expect("a report")
}

/// What the worker tells of its plugins is not looked at here.
struct Quiet;

impl domain::event::Sink for Quiet {
    fn emit(&self, _event: domain::event::Event) {}
}

#[test]
fn a_worker_touches_only_its_own_memory() {
    if !wanted() {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let wrapped = under_memcheck(folder.path());
    let media = transport_stream(folder.path());
    let flip = |(at, byte): (usize, &u8)| if at % 997 == 996 { byte ^ 0x55 } else { *byte };
    let broken: Vec<u8> = media.iter().enumerate().map(flip).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    // memcheck does not know AVX-512.
    for simd in ["scalar", "avx2"] {
        let spec = sketch();
        let report = runtime.block_on(through_worker(&wrapped, simd, media.clone(), spec.clone()));
        assert!(report.failure.is_none() && report.frames_out > 0, "{simd}: {report:?}");
        runtime.block_on(through_worker(&wrapped, simd, broken.clone(), spec));
    }
    assert_clean(&wrapped.reports);
}

/// Starts a gateway under memcheck that gives its jobs to the orchestrator of `rig`, and returns it
/// when it is ready.
fn gateway_of(rig: &Rig, wrapped: &Wrapped, data: &Path) -> Child {
    let config = data.join("gateway.toml");
    let text = format!(
        "[gateway]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ndrain = \"2s\"\n\
         orchestrators = [\"{}\"]\n",
        rig.url("orchestrator")
    );
    fs::write(&config, text).expect("the folder can be written to");
    let mut gateway = Command::new(&wrapped.program);
    // The stripped program has no plugins beside it.
    gateway.env(COMPILER, &wrapped.compiler).env("FRAMEGATE_PLUGINS", plugins());
    gateway.arg("gateway").arg("-c").arg(&config).arg("--data-dir").arg(data);
    gateway.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut gateway = gateway.spawn().expect("the program can be run");
    let output = gateway.stderr.take().expect("its output is piped");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let mut said = Vec::new();
    let ready = lines.by_ref().inspect(|line| said.push(line.clone())).any(|it| it.contains(READY));
    assert!(ready, "the gateway ended before it was ready:\n{}", said.join("\n"));
    // Whoever writes to a pipe that nobody reads has to wait.
    thread::spawn(move || lines.for_each(drop));
    gateway
}

#[test]
fn a_gateway_touches_only_its_own_memory() {
    if !wanted() {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let wrapped = under_memcheck(folder.path());
    let clip = folder.path().join("clip.ts");
    transport_stream(folder.path());
    let rig = Rig::up();
    let data = folder.path().join("data");
    fs::create_dir(&data).expect("a folder can be made");
    let mut gateway = gateway_of(&rig, &wrapped, &data);
    let sketch = folder.path().join("sketch.mp4");
    let mut run = rig::framegate(&["run", "--pipeline", "sketch-video", "-o"]);
    run.arg(&sketch).arg(&clip).env("FRAMEGATE_DATA", &data);
    let run = rig::finish(run);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    rig::interrupt(&gateway);
    gateway.wait().expect("a child can be waited for");
    assert_clean(&wrapped.reports);
}
