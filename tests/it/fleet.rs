//! Whoever is lost, client, worker, orchestrator or gateway: the slot is free again.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::client::LiveJob;
use tests::clips::{self, Clip};
use tests::market::{self, Market, Role};
use tests::note;
use tokio::runtime::Runtime;
use wire::client::{Client, Config};
use wire::header::MAX_PRICE;
use wire::tls::Pins;

const PIPELINE: &str = "sketch-video";
/// Longest that anything here may take on a machine that compiles beside it.
const SOON: Duration = Duration::from_secs(60);

/// Waits for what must come.
#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::yield_now();
    }
}

async fn start(gateway: &str, cap_wei: u64) -> (u16, Value) {
    let client = Client::new(Pins::default(), Config::default());
    let request = Request::post(format!("{gateway}/live-video-to-video"))
        .header("content-type", "application/json")
        .header(MAX_PRICE, cap_wei)
        .body(Bytes::from(json!({ "model_id": PIPELINE }).to_string()))
        .expect("a good request");
    let answer = client.exchange(request).await.expect("the gateway answers");
    let body = serde_json::from_slice(answer.body()).unwrap_or_default();
    (answer.status().as_u16(), body)
}

/// Waits until the one slot is free, and returns how long that took.
fn freed(orchestrator: &Role, since: Instant) -> Duration {
    until("the slot", || orchestrator.ask("GET", "/v1/status")["slots_free"] == 1);
    since.elapsed()
}

/// Starts a job that has the slot and media in flight.
async fn occupying(gateway: &str, segments: &[Bytes]) -> (LiveJob, wire::trickle::Publisher) {
    let job = LiveJob::start(gateway, PIPELINE, "{}").await;
    let publisher = job.begin(&segments[..1]).await;
    assert!(job.gives_output().await, "it runs");
    (job, publisher)
}

/// Starts a job and ends it, as soon as the gateway knows of the slot.
fn serves_again(runtime: &Runtime, gateway: &str) {
    until("the next job", || {
        runtime.block_on(async {
            let (status, answer) = start(gateway, 20_000).await;
            let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
            let cancel = Request::delete(format!("{gateway}/v1/jobs/{}", text("job")))
                .header("authorization", format!("Bearer {}", text("job_token")))
                .body(Bytes::new());
            if status == 200 {
                let client = Client::new(Pins::default(), Config::default());
                drop(client.exchange(cancel.expect("a good request")).await);
            }
            status == 200
        })
    });
}

#[test]
fn the_same_slot_is_free_again_whoever_is_lost() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let segments = clips::segments(&Clip::default().make(folder.path(), "clip.mp4"));
    let runtime = Runtime::new().expect("a runtime can be made");
    let config = "[gateway.discovery]\ninterval = \"200ms\"\n";
    let mut market = Market::up(config, &["slots = 1"]);
    let gateway = market.gateway.url();
    let mut took = Vec::new();

    runtime.block_on(async {
        let job = LiveJob::start(&gateway, PIPELINE, "{}").await;
        job.vanish(segments.concat().into()).await;
    });
    took.push(("client gone", freed(&market.orchestrators[0], Instant::now())));
    serves_again(&runtime, &gateway);
    freed(&market.orchestrators[0], Instant::now());

    let (job, publisher) = runtime.block_on(occupying(&gateway, &segments));
    market::send(market.orchestrators[0].worker(), Signal::KILL);
    let killed = Instant::now();
    runtime.block_on(job.cancel(&gateway));
    took.push(("worker killed", freed(&market.orchestrators[0], killed)));
    drop((job, publisher));
    serves_again(&runtime, &gateway);
    freed(&market.orchestrators[0], Instant::now());

    let (job, publisher) = runtime.block_on(occupying(&gateway, &segments));
    market.orchestrators[0].restart();
    market.orchestrators[0].wait();
    took.push(("orchestrator killed", freed(&market.orchestrators[0], Instant::now())));
    drop((job, publisher));
    serves_again(&runtime, &gateway);
    freed(&market.orchestrators[0], Instant::now());

    let (job, publisher) = runtime.block_on(occupying(&gateway, &segments));
    let killed = Instant::now();
    market.gateway.restart();
    took.push(("gateway killed", freed(&market.orchestrators[0], killed)));
    drop((job, publisher));
    market.gateway.wait();
    assert_eq!(market.gateway.url(), gateway);
    serves_again(&runtime, &gateway);
    freed(&market.orchestrators[0], Instant::now());

    note(&format!("free again: {took:?}"));
    // Beside other tests the processes share two cores with compilers.
    let alone = std::env::var_os("ROUNDS").is_some();
    let most = Duration::from_secs(if alone { 1 } else { 10 });
    assert!(took.iter().all(|(_, took)| *took < most), "{took:?}");
}
