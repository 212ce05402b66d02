//! What many jobs at once, late answers and a stalled reader leave behind: nothing.

use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::job::START_MAX;
use http::Request;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::client::LiveJob;
use tests::clips::{self, Clip};
use tests::market::{Market, Role};
use tests::peer::{Fault, Peer};
use tests::{note, rig};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::timeout;
use wire::client::{Client, Config};
use wire::tls::Pins;

const PIPELINE: &str = "sketch-video";
/// Jobs that are started in the same moment.
const FRESH: usize = 200;
/// Longest that anything here may take on a machine that compiles beside it.
const SOON: Duration = Duration::from_secs(60);
/// Most that a role may keep of all this: what its allocator does not give back.
const KEPT_KIB_MAX: u64 = 48 << 10;
/// Tasks that a role may have more than before: connections that clients keep for later.
const KEPT_TASKS_MAX: u64 = 16;

/// Returns a figure for `./x soak`, else one for `./x test`.
fn soaked<T>(soak: T, test: T) -> T {
    if std::env::var_os("ROUNDS").is_some() { soak } else { test }
}

/// Starts a job over a connection of its own; returns the answer.
async fn start(gateway: String) -> (u16, Value) {
    let config = Config { answer: SOON, ..Config::default() };
    let client = Client::new(Pins::default(), config);
    let request = Request::post(format!("{gateway}/live-video-to-video"))
        .header("content-type", "application/json")
        .body(Bytes::from(json!({ "model_id": PIPELINE }).to_string()))
        .expect("a good request");
    let answer = client.exchange(request).await.expect("the gateway answers");
    let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    if answer.status() == 200 {
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        let request = Request::delete(format!("{gateway}/v1/jobs/{}", text("job")))
            .header("authorization", format!("Bearer {}", text("job_token")))
            .body(Bytes::new())
            .expect("a good request");
        drop(client.exchange(request).await.expect("the gateway answers"));
    }
    (answer.status().as_u16(), body)
}

/// Starts `count` jobs at once; returns every status.
fn start_all(runtime: &Runtime, gateway: &str, count: usize) -> Vec<u16> {
    runtime.block_on(async {
        let mut jobs: JoinSet<(u16, Value)> =
            (0..count).map(|_| start(gateway.to_owned())).collect();
        let mut all = Vec::new();
        while let Some(done) = jobs.join_next().await {
            all.push(done.expect("no start panics").0);
        }
        all
    })
}

/// What a role holds.
fn held(role: &Role) -> (u64, Value) {
    let status = role.ask("GET", "/v1/status");
    (status["tasks"].as_u64().unwrap_or(u64::MAX), status)
}

/// Waits until a role holds no more than `before`: no job, no session, no channel, no task.
#[track_caller]
fn settles(role: &Role, before: u64) {
    let deadline = Instant::now() + SOON;
    loop {
        let (tasks, status) = held(role);
        let none = |key: &str| status[key].as_u64().unwrap_or(0) == 0;
        let empty = none("jobs") && none("sessions") && none("channels");
        if empty && tasks <= before + KEPT_TASKS_MAX {
            return;
        }
        assert!(Instant::now() < deadline, "{status}, {before} tasks before");
        std::thread::yield_now();
    }
}

#[test]
fn many_starts_late_answers_and_a_stalled_reader_leave_no_task_channel_or_memory() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let noise = Clip { size: (640, 360), frames: 100, noisy: true, ..Clip::default() };
    let segments = clips::segments(&noise.make(folder.path(), "noise.mp4"));
    let runtime = Runtime::new().expect("a runtime can be made");
    let config = "[gateway.discovery]\ninterval = \"500ms\"\n\
                  [gateway.limits]\njobs = 5000\njobs_per_client = 5000\n";
    let market = Market::up(config, &["pricing = \"\"", "pricing = \"\""]);
    let gateway = market.gateway.url();
    let roles = || std::iter::once(&market.gateway).chain(&market.orchestrators);
    // Once, so that what is made at the first job is there.
    assert_eq!(start_all(&runtime, &gateway, 1), [200]);
    roles().for_each(|role| settles(role, u64::MAX / 2));
    let before: Vec<(u64, u64)> = roles().map(|role| (held(role).0, role.resident_kib())).collect();
    let settled = |what: &str| {
        for (role, (tasks, kib)) in roles().zip(&before) {
            settles(role, *tasks);
            let grown = role.resident_kib().saturating_sub(*kib);
            note(&format!("{what}: {} tasks, {grown} KiB more", held(role).0));
            assert!(grown < KEPT_KIB_MAX, "{what}: a role keeps {grown} KiB");
        }
    };

    let fresh = start_all(&runtime, &gateway, FRESH);
    let served = fresh.iter().filter(|status| **status == 200).count();
    assert!(fresh.iter().all(|status| [200, 503].contains(status)), "{fresh:?}");
    assert!(served >= 8, "{served} of {FRESH}: there are 8 slots");
    settled("fresh jobs");

    let reading = async {
        let job = LiveJob::start(&gateway, PIPELINE, r#"{"strength":0}"#).await;
        let stalled = timeout(soaked(Duration::from_secs(30), Duration::from_secs(3)), async {
            assert!(job.gives_output().await, "it runs");
            std::future::pending::<()>().await;
        });
        let (_, publishing) = tokio::join!(stalled, timeout(SOON / 10, job.publish(&segments)));
        drop(publishing);
        job.cancel(&gateway).await;
    };
    runtime.block_on(reading);
    settled("a stalled reader");

    let late = Fault::Late(START_MAX + Duration::from_secs(1));
    let late = runtime.block_on(Peer::start(late, PIPELINE, 3));
    let steer = |arguments: &[&str]| {
        let mut command = rig::framegate(arguments);
        command.env("FRAMEGATE_DATA", market.gateway.data());
        assert!(rig::finish(command).status.success(), "{arguments:?}");
    };
    for honest in &market.orchestrators {
        steer(&["orchestrators", "drain", &honest.url()]);
    }
    steer(&["orchestrators", "add", &late.uri]);
    let count = soaked(1000, 100);
    let deadline = Instant::now() + SOON;
    while market.gateway.ask("GET", "/v1/orchestrators")["offerings"] == json!([]) {
        assert!(Instant::now() < deadline, "the late one is not known");
    }
    let refused = start_all(&runtime, &gateway, count);
    assert!(refused.iter().all(|status| *status == 502), "{refused:?}");
    assert!(late.starts() >= count as u64, "{} of {count} reached it", late.starts());
    settled("late answers");
}
