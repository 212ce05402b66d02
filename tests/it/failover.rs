//! A lost worker, a lost orchestrator, a stalled one: the output goes on elsewhere, with the very
//! next picture.

use std::fs;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::client::{Arrival, LiveJob, Paced};
use tests::clips::{self, Clip};
use tests::market::{self, Market};
use tests::{note, probe, rig};

/// Seconds of the live stream; one key frame a second.
const SECONDS: usize = 6;
const RATE: u32 = 25;
/// Pictures that a client has before something is lost: between two key frames.
const BEFORE: usize = 37;
const LIVE: Paced = Paced {
    pieces: RATE as usize,
    lasting: Duration::from_secs(1),
    pause_before: None,
    pause: Duration::ZERO,
};

/// Which harm is done to whoever serves.
#[derive(Debug, Clone, Copy)]
enum Harm {
    KillWorker,
    KillOrchestrator,
    StopWorker,
}

/// What one round came to.
struct Round {
    arrivals: Vec<Arrival>,
    output: Vec<u8>,
    harmed: Instant,
    record: Value,
    events: Vec<Value>,
}

impl Round {
    /// Longest wait for a picture, from the harm on.
    fn gap(&self) -> Duration {
        let after = self.arrivals.iter().map(|it| it.at).filter(|at| *at > self.harmed);
        let mut last = self.harmed;
        let mut longest = Duration::ZERO;
        for at in after {
            longest = longest.max(at - last);
            last = at;
        }
        longest
    }
}

fn stream(folder: &TempDir) -> Vec<Bytes> {
    let frames = RATE * u32::try_from(SECONDS).expect("few");
    let clip = Clip { frames, ..Clip::default() };
    let segments = clips::segments(&clip.make(folder.path(), "clip.mp4"));
    assert_eq!(segments.len(), SECONDS);
    segments
}

/// Rounds of a harm: one or two here, twenty in `./x soak`.
fn rounds(few: usize) -> usize {
    std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(few)
}

/// Returns the bound that is promised, in `./x soak`, which has the machine to itself; beside other
/// tests the processes share two cores with compilers, so there it is only that output goes on.
fn within(promised: Duration) -> Duration {
    if std::env::var_os("ROUNDS").is_some() { promised } else { promised * 10 }
}

async fn until(what: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut look = tokio::time::interval(Duration::from_millis(5));
    while !what() {
        assert!(Instant::now() < deadline, "what had to come did not");
        look.tick().await;
    }
}

/// Streams, harms whoever serves between two key frames, and looks at what the client got.
async fn round(market: &mut Market, segments: &[Bytes], harm: Harm) -> Round {
    let gateway = market.gateway.url();
    let job = LiveJob::start(&gateway, "sketch-video", r#"{"strength":2}"#).await;
    let seen = Mutex::new(Vec::new());
    let count = || seen.lock().expect("nobody panics").len();
    let harming = async {
        until(|| count() >= BEFORE).await;
        let record = job.record(&gateway).await;
        let uri = record["orchestrator"]["uri"].as_str().expect("it runs").to_owned();
        let harmed = Instant::now();
        let serving = market.at(&uri);
        match harm {
            Harm::KillWorker => market::send(serving.worker(), Signal::KILL),
            Harm::KillOrchestrator => serving.kill(),
            Harm::StopWorker => market::send(serving.worker(), Signal::STOP),
        }
        (uri, harmed)
    };
    let (output, taken, events, (uri, harmed)) =
        tokio::join!(job.watch(&seen), job.publish_paced(segments, LIVE), job.events(), harming);
    taken.expect("the gateway takes all of it");
    match harm {
        Harm::KillWorker => {}
        Harm::KillOrchestrator => {
            // Its address is gone for good: a new one would have another port.
        }
        Harm::StopWorker => market::send(market.at(&uri).worker(), Signal::CONT),
    }
    let record = job.record(&gateway).await;
    let arrivals = seen.into_inner().expect("nobody panics");
    Round { arrivals, output, harmed, record, events }
}

/// Checks that every picture came once, in order, and that the books say what happened.
fn check(round: &Round, cause: &str) {
    let pictures = RATE as usize * SECONDS;
    let times: Vec<i64> = round.arrivals.iter().map(|it| it.pts).collect();
    assert!(times.is_sorted_by(|one, next| one < next), "a time goes back: {times:?}");
    assert_eq!(times.len(), pictures, "{}", round.record);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 3600), "{times:?}");
    let swaps = round.record["swaps"].as_array().expect("a list");
    assert_eq!(swaps.len(), 1, "{}", round.record);
    assert_eq!((&swaps[0]["cause"], &swaps[0]["exact"]), (&json!(cause), &json!(true)));
    assert_ne!(swaps[0]["from"], swaps[0]["to"]);
    assert_eq!(round.record["orchestrator"]["id"], swaps[0]["to"]);
    let told: Vec<&Value> = round.events.iter().filter(|it| it["type"] == "swap").collect();
    assert_eq!((told.len(), &told[0]["cause"]), (1, &json!(cause)));
    let ended = round.events.last().expect("a last event");
    assert_eq!((&ended["type"], &ended["reason"]), (&json!("ended"), &json!("eos")), "{ended}");
    assert_eq!(ended["frames"]["out"], json!(pictures), "{ended}");
}

/// Checks that a decoder sees every picture as well.
fn decode(round: &Round, folder: &TempDir) {
    let path = folder.path().join("out.ts");
    fs::write(&path, &round.output).expect("the folder can be written to");
    assert_eq!(probe::decoded_frames(&path), RATE as usize * SECONDS);
}

/// A client that pauses for 10 s in the middle keeps its orchestrator, and costs it nothing.
async fn pause(market: &Market, segments: &[Bytes]) {
    let gateway = market.gateway.url();
    let job = LiveJob::start(&gateway, "sketch-video", "{}").await;
    let seen = Mutex::new(Vec::new());
    let paced = Paced { pause_before: Some(3), pause: Duration::from_secs(10), ..LIVE };
    let (_, taken, ended) =
        tokio::join!(job.watch(&seen), job.publish_paced(segments, paced), job.ended());
    taken.expect("the gateway takes all of it");
    assert_eq!(ended["frames"]["out"], json!(RATE as usize * SECONDS), "{ended}");
    let record = job.record(&gateway).await;
    assert_eq!(record["swaps"], json!([]), "{record}");
    let mut list = rig::framegate(&["orchestrators", "--json"]);
    list.env("FRAMEGATE_DATA", market.gateway.data());
    let list: Value = serde_json::from_slice(&rig::finish(list).stdout).expect("JSON");
    for row in list["orchestrators"].as_array().expect("a list") {
        assert_eq!((&row["failures_in_a_row"], &row["standing"]), (&json!(0), &json!("active")));
        assert_eq!(row["attempts"], row["successes"], "{row}");
    }
}

fn median(mut gaps: Vec<Duration>) -> Duration {
    gaps.sort();
    gaps[gaps.len() / 2]
}

#[test]
fn output_goes_on_within_a_second_when_the_worker_or_the_orchestrator_is_killed() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let segments = stream(&folder);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let mut gaps = Vec::new();
    for harm in [Harm::KillWorker, Harm::KillOrchestrator] {
        let mut market = Market::up("", &["", "", ""]);
        for turn in 0..rounds(1) {
            if turn > 0 && matches!(harm, Harm::KillOrchestrator) {
                market = Market::up("", &["", "", ""]);
            }
            let round = runtime.block_on(round(&mut market, &segments, harm));
            let cause = match harm {
                Harm::KillOrchestrator => "connection-lost",
                Harm::KillWorker | Harm::StopWorker => "worker-lost",
            };
            check(&round, cause);
            decode(&round, &folder);
            note(&format!("{harm:?}: {:?}", round.gap()));
            gaps.push(round.gap());
        }
    }
    let worst = gaps.iter().max().copied().unwrap_or_default();
    assert!(worst < within(Duration::from_secs(2)), "{gaps:?}");
    assert!(median(gaps.clone()) < within(Duration::from_secs(1)), "{gaps:?}");
}

#[test]
fn a_stalled_worker_is_left_within_three_segment_times_and_a_pausing_client_leaves_nobody() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let segments = stream(&folder);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let mut market = Market::up("", &["", ""]);
    runtime.block_on(pause(&market, &segments));
    for _ in 0..rounds(1) {
        let round = runtime.block_on(round(&mut market, &segments, Harm::StopWorker));
        check(&round, "stalled");
        note(&format!("stall: {:?}", round.gap()));
        assert!(round.gap() < within(Duration::from_secs(3)), "{:?}", round.gap());
    }
}
