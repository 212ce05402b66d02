//! Orchestrators that differ: one lies about its slots, one stalls, one changes its certificate. Each
//! is told apart, and the others serve.

use std::fs;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::client::{LiveJob, Paced};
use tests::clips::{self, Clip};
use tests::market::{self, Market, Role};
use tests::peer::{Fault, Peer};
use tests::{note, rig};
use tokio::runtime::Runtime;
use wire::client::{Client, Config};
use wire::header::MAX_PRICE;
use wire::offerings::{Document, Entry};
use wire::tls::{Fingerprint, Identity, Pins};

const PIPELINE: &str = "sketch-video";
/// The orchestrators `a` to `e`: each at its own price, with its own slots, region and speed.
const FIVE: [&str; 5] = [
    "price_wei = 5\npricing = \"\"\nslots = 2\nregion = \"eu-west\"",
    "price_wei = 7\npricing = \"\"\nslots = 4\nregion = \"us-east\"",
    "price_wei = 9\npricing = \"\"\nslots = 4\nregion = \"ap-south\"",
    "price_wei = 6\npricing = \"\"\nslots = 2\nsimd = \"scalar\"",
    "price_wei = 8\npricing = \"\"\nslots = 2\nregion = \"eu-west\"",
];
/// Price of the one whose word is not good: below the cap that is below everybody else.
const LIAR_WEI: u64 = 3;
const GATEWAY: &str = "max_price_wei = 20\nselection = \"choose-cheapest\"\n\
                       [gateway.discovery]\ninterval = \"200ms\"\n";
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

/// Returns the gateway's row of the orchestrator at `uri`.
fn row(gateway: &Role, uri: &str) -> Value {
    let listed = gateway.ask("GET", "/v1/orchestrators");
    let mut rows = listed["orchestrators"].as_array().into_iter().flatten();
    rows.find(|row| row["uri"] == json!(uri)).cloned().unwrap_or_default()
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

/// Caps below every honest price refuse at once, with every number, in the body that clients of both
/// kinds read.
fn caps_refuse_with_every_number(runtime: &Runtime, market: &Market, liar: &Peer) {
    let begun = Instant::now();
    let (status, refusal) = runtime.block_on(start(&market.gateway.url(), 4));
    assert!(begun.elapsed() < SOON / 4, "{:?}", begun.elapsed());
    assert_eq!((status, &refusal["error"]["class"]), (403, &json!("price-over-cap")), "{refusal}");
    let text = refusal["detail"]["msg"].as_str().unwrap_or_default();
    assert_eq!(refusal["error"]["message"], json!(text));
    let reasons = refusal["reasons"].as_array().expect("a list");
    let mut told: Vec<(&str, &str)> = reasons
        .iter()
        .filter_map(|it| Some((it["price_wei"].as_str()?, it["cap_wei"].as_str()?)))
        .collect();
    told.sort_unstable();
    assert_eq!(told, [("5", "4"), ("6", "4"), ("7", "4"), ("8", "4"), ("9", "4")], "{refusal}");
    // The text names the first few, the reasons everybody.
    for wei in [5, 7, 9] {
        assert!(text.contains(&format!("{wei} wei a lot, over the cap of 4")), "{text}");
    }
    let liar = liar.uri.replace("https://", "");
    let of_liar = reasons.iter().find(|it| it["orchestrator"] == json!(liar));
    assert_eq!(of_liar.map(|it| &it["class"]), Some(&json!("no-slot")), "{refusal}");
}

/// What each says of itself is listed, and what one does not say reads as unknown.
fn what_each_says_of_itself_is_listed(runtime: &Runtime, market: &Market, liar: &Peer) {
    let rows = || market.orchestrators.iter().map(|it| row(&market.gateway, &it.url()));
    until("what each says", || {
        rows().all(|row| row["region"] != "" || row["uri"] == json!(market.orchestrators[3].url()))
    });
    let regions: Vec<Value> = rows().map(|row| row["region"].clone()).collect();
    assert_eq!(regions, ["eu-west", "us-east", "ap-south", "", "eu-west"]);
    assert_eq!(row(&market.gateway, &liar.uri)["region"], "");
    let first = row(&market.gateway, &market.orchestrators[0].url());
    assert_eq!(first["tls"], "trust-on-first-use");
    assert!(first["certificate"].as_str().is_some_and(|text| text.len() == 64), "{first}");
    let client = Client::new(Pins::default(), Config::default());
    let read = |base: &str| {
        let request = Request::get(format!("{base}/v1/offerings")).body(Bytes::new());
        let answer = client.exchange(request.expect("a good request"));
        let answer = runtime.block_on(answer).expect("it answers");
        Document::read(answer.body()).expect("an offerings document")
    };
    let own = read(&market.orchestrators[0].url());
    assert_eq!((own.role.as_str(), own.offerings.len()), ("orchestrator", 1));
    let told = read(&market.gateway.url());
    let of = |uri: &str| told.offerings.iter().find(|it| it.uri == uri).expect("it is there");
    let of_first = of(&market.orchestrators[0].url());
    assert!(!of_first.component.is_empty());
    let columns = |it: &Entry| [&it.component, &it.region, &it.model].map(Clone::clone);
    assert_eq!(columns(of_first), columns(&own.offerings[0]));
    assert_eq!((of(&liar.uri).component.as_str(), of(&liar.uri).deterministic), ("", None));
}

/// Who says that it has slots and refuses answer after answer is left alone, and costs no job.
fn a_liar_about_its_slots_is_left_alone(runtime: &Runtime, market: &Market, liar: &Peer) {
    let gateway = market.gateway.url();
    until("the liar's suspension", || {
        runtime.block_on(async {
            let job = LiveJob::start(&gateway, PIPELINE, "{}").await;
            let record = job.record(&gateway).await;
            assert_ne!(record["orchestrator"]["uri"], json!(liar.uri), "{record}");
            job.cancel(&gateway).await;
        });
        row(&market.gateway, &liar.uri)["standing"] == "suspended"
    });
    assert!(liar.starts() >= 3, "not at the first word: {}", liar.starts());
    let before = liar.starts();
    runtime.block_on(async {
        let job = LiveJob::start(&gateway, PIPELINE, "{}").await;
        job.cancel(&gateway).await;
    });
    assert_eq!(liar.starts(), before, "it was asked again");
}

/// Whose worker stops in the middle of a stream is left for the next, and no picture is lost.
fn a_stall_in_the_middle_moves_the_job(runtime: &Runtime, market: &mut Market, segments: &[Bytes]) {
    let gateway = market.gateway.url();
    let record = runtime.block_on(async {
        let job = LiveJob::start(&gateway, PIPELINE, "{}").await;
        let seen = Mutex::new(Vec::new());
        let paced = Paced {
            pieces: 25,
            lasting: Duration::from_secs(1),
            pause_before: None,
            pause: Duration::ZERO,
        };
        let stopping = async {
            let mut look = tokio::time::interval(Duration::from_millis(5));
            while seen.lock().expect("nobody panics").len() < 30 {
                look.tick().await;
            }
            let record = job.record(&gateway).await;
            let uri = record["orchestrator"]["uri"].as_str().expect("it runs").to_owned();
            let worker = market.at(&uri).worker();
            market::send(worker, Signal::STOP);
            worker
        };
        let (_, taken, worker) =
            tokio::join!(job.watch(&seen), job.publish_paced(segments, paced), stopping);
        market::send(worker, Signal::CONT);
        taken.expect("the gateway takes all of it");
        let arrivals = seen.into_inner().expect("nobody panics");
        assert_eq!(arrivals.len(), segments.len() * 25);
        assert!(arrivals.is_sorted_by(|one, next| one.pts < next.pts), "{arrivals:?}");
        job.record(&gateway).await
    });
    let causes: Vec<&Value> =
        record["swaps"].as_array().expect("a list").iter().map(|it| &it["cause"]).collect();
    assert_eq!(causes, [&json!("stalled")], "{record}");
}

/// A certificate that is not the one seen first is refused with both fingerprints, and the others go on
/// serving.
fn a_changed_certificate_is_refused_with_both_fingerprints(runtime: &Runtime, market: &mut Market) {
    let print = |role: &Role| -> Fingerprint {
        let folder = role.data().join("orchestrator/tls");
        Identity::load_or_make(&folder, "127.0.0.1").expect("it is there").fingerprint()
    };
    let changed = market.orchestrators.last_mut().expect("there are five");
    let (uri, before) = (changed.url(), print(changed));
    fs::remove_dir_all(changed.data().join("orchestrator/tls")).expect("it is there");
    changed.restart();
    changed.wait();
    assert_eq!(changed.url(), uri);
    let after = print(changed);
    assert_ne!(before, after);
    until("the refusal", || {
        let row = row(&market.gateway, &uri);
        let detail = row["detail"].as_str().unwrap_or_default();
        row["reachable"] == false
            && detail.contains(&before.to_string())
            && detail.contains(&after.to_string())
    });
    runtime.block_on(async {
        let job = LiveJob::start(&market.gateway.url(), PIPELINE, "{}").await;
        job.cancel(&market.gateway.url()).await;
    });
    let mut command = rig::framegate(&["orchestrators", "trust", &uri]);
    command.env("FRAMEGATE_DATA", market.gateway.data());
    assert!(rig::finish(command).status.success());
    until("the new trust", || row(&market.gateway, &uri)["reachable"] == true);
    assert_eq!(row(&market.gateway, &uri)["certificate"], json!(after.to_string()));
}

#[test]
fn five_that_differ_serve_what_they_can_and_each_fault_is_told_apart() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let clip = Clip { frames: 100, audio: false, ..Clip::default() };
    let segments = clips::segments(&clip.make(folder.path(), "clip.mp4"));
    let runtime = Runtime::new().expect("a runtime can be made");
    let liar = runtime.block_on(Peer::start(Fault::NoSlots, PIPELINE, LIAR_WEI));
    let mut market = Market::up_with(GATEWAY, &FIVE, &[&liar.uri]);
    until("everybody's answer", || {
        let listed = market.gateway.ask("GET", "/v1/orchestrators");
        listed["offerings"].as_array().is_some_and(|all| all.len() == FIVE.len() + 1)
    });
    what_each_says_of_itself_is_listed(&runtime, &market, &liar);
    caps_refuse_with_every_number(&runtime, &market, &liar);
    a_liar_about_its_slots_is_left_alone(&runtime, &market, &liar);
    a_stall_in_the_middle_moves_the_job(&runtime, &mut market, &segments);
    a_changed_certificate_is_refused_with_both_fingerprints(&runtime, &mut market);
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
