//! What outlives a gateway, and what an orchestrator hears of itself: records on disk, feedback, columns
//! of the operator's own.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Output;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::client::LiveJob;
use tests::clips::{self, Clip};
use tests::market::{Market, Role};
use tests::rig;
use wire::client::{Client, Config};
use wire::header::{MAX_PRICE, REQUEST_ID};
use wire::tls::Pins;

/// Time for a change to be seen.
const SEEN_MAX: Duration = Duration::from_secs(30);

fn ask(role: &Role, arguments: &[&str]) -> Output {
    let mut command = rig::framegate(arguments);
    command.env("FRAMEGATE_DATA", role.data());
    rig::finish(command)
}

#[track_caller]
fn told(role: &Role, arguments: &[&str]) -> Value {
    let done = ask(role, arguments);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).expect("JSON")
}

/// Asks until the answer is as wanted.
#[track_caller]
fn until(what: &str, is: impl Fn(&Value) -> bool, ask: impl Fn() -> Value) -> Value {
    let deadline = Instant::now() + SEEN_MAX;
    loop {
        let answer = ask();
        if is(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: {answer}");
    }
}

/// Calls the admin socket of a role; returns the status line.
fn admin(role: &Role, method: &str, path: &str, body: &str) -> String {
    let socket = role.data().join("gateway/admin.sock");
    let mut stream = UnixStream::connect(socket).expect("the admin side listens");
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer.lines().next().unwrap_or_default().to_owned()
}

async fn look(url: &str, job: &str, token: &str) -> (u16, Value) {
    let client = Client::new(Pins::default(), Config::default());
    let request = Request::get(format!("{url}/v1/jobs/{job}"))
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .body(Bytes::new())
        .expect("a good request");
    let answer = client.exchange(request).await.expect("the gateway answers");
    let (head, body) = answer.into_parts();
    (head.status.as_u16(), serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// Runs a short job; returns it when it is over.
async fn run(gateway: &str, segments: &[Bytes]) -> LiveJob {
    let job = LiveJob::start(gateway, "sketch-video", "{}").await;
    let seen = Mutex::new(Vec::new());
    let ((), _, ended) = tokio::join!(job.publish(segments), job.watch(&seen), job.ended());
    assert_eq!(ended["reason"], "eos", "{ended}");
    job
}

/// Asks for a job at a price that nobody takes, under a request id of our own.
async fn refused(gateway: &str) {
    let client = Client::new(Pins::default(), Config::default());
    let request = Request::post(format!("{gateway}/live-video-to-video"))
        .header("content-type", "application/json")
        .header(MAX_PRICE, 4)
        .header(REQUEST_ID, "too-cheap")
        .body(Bytes::from_static(br#"{"model_id":"sketch-video"}"#))
        .expect("a good request");
    let answer = client.exchange(request).await.expect("the gateway answers");
    assert!(answer.status().as_u16() >= 400, "{}", answer.status());
}

fn served(record: &Value) -> String {
    record["orchestrator"]["uri"].as_str().expect("somebody serves").to_owned()
}

#[test]
fn records_outlive_a_killed_gateway_and_orchestrators_hear_why_they_got_no_work() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let clip = Clip { frames: 25, ..Clip::default() }.make(folder.path(), "clip.mp4");
    let segments = clips::segments(&clip);
    let prices = [5, 7, 9].map(|wei| format!("price_wei = {wei}\npricing = \"\""));
    let own = "max_price_wei = 8\nselection = \"choose-cheapest\"\n\
               selection_config = '{\"column\":\"tax\"}'\n\
               [gateway.discovery]\nfeedback = \"200ms\"\n[custom.colour]\n\"nobody:1\" = 3\n";
    let mut market = Market::up(own, &prices.each_ref().map(String::as_str));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let url = market.gateway.url();
    let three = |all: &Value| all["offerings"].as_array().map(Vec::len) == Some(3);
    until("three offerings", three, || told(&market.gateway, &["orchestrators", "--json"]));
    let first = runtime.block_on(run(&url, &segments));
    let before = runtime.block_on(first.record(&url));
    assert_eq!(served(&before), market.orchestrators[0].url(), "the cheapest");
    let running = runtime.block_on(columns(&market, &url));
    runtime.block_on(refused(&url));
    hears(&market);
    // What is on its way to the disk when the gateway is killed may be lost; this is there.
    let count = |all: &Value| all["records"].as_array().map_or(0, Vec::len) == 3;
    let all = until("three records", count, || told(&market.gateway, &["explain", "--json"]));
    assert_eq!(all["records"][0]["state"], "refused", "{all}");
    market.gateway.kill();
    market.gateway.restart();
    market.gateway.wait();
    let url = market.gateway.url();
    runtime.block_on(async {
        let (name, token) = (&first.answer.job, &first.answer.job_token);
        assert_eq!(look(&url, name, token).await, (200, before.clone()), "as it was");
        assert_eq!(look(&url, name, "another").await.0, 401);
        let (status, lost) = look(&url, &running.answer.job, &running.answer.job_token).await;
        assert_eq!(
            (status, &lost["state"], &lost["reason"]),
            (200, &json!("ended"), &json!("lost"))
        );
        assert_eq!(lost["custom"], json!({ "tax": -3 }), "{lost}");
        assert_eq!(look(&url, "job-99", token).await.0, 404);
        let next = LiveJob::start(&url, "sketch-video", "{}").await;
        assert_eq!(next.answer.job, "job-4", "numbers go on");
    });
    assert_eq!(told(&market.gateway, &["explain", &first.answer.job, "--json"]), before);
    let why = told(&market.gateway, &["explain", "too-cheap", "--json"]);
    let over = |it: &Value| it["price_wei"] == "5" && it["cap_wei"] == "4";
    let reasons = why["passed_over"].as_array().expect("a list");
    assert!(reasons.len() == 3 && reasons.iter().any(over), "{why}");
}

/// A column that the operator feeds makes another one the cheapest, and is recorded with the job.
async fn columns(market: &Market, url: &str) -> LiveJob {
    let dearer = market.orchestrators[1].url();
    let bad = admin(&market.gateway, "PUT", "/v1/custom/TAX", "{}");
    assert!(bad.contains(" 400 "), "{bad}");
    let column = json!({ dearer.clone(): -3 }).to_string();
    let put = admin(&market.gateway, "PUT", "/v1/custom/tax", &column);
    assert!(put.contains(" 204 "), "{put}");
    let job = LiveJob::start(url, "sketch-video", "{}").await;
    let record = job.record(url).await;
    assert_eq!((served(&record), &record["custom"]), (dearer, &json!({ "tax": -3 })), "{record}");
    job
}

/// Each orchestrator says of itself what the gateway counted, and nothing of the others.
fn hears(market: &Market) {
    let over = |why: &Value| {
        let over = &why["reasons"]["price-over-cap"];
        over["count"] == 3 && over["wei_over"] == json!({ "min": "1", "max": "5" })
    };
    let dear = &market.orchestrators[2];
    let why = until("the dear one", over, || told(dear, &["why", "--json"]));
    assert_eq!(
        (&why["orchestrator"], &why["jobs"], &why["served"]),
        (&json!("c"), &json!(3), &json!(0))
    );
    assert_eq!(why["gateways"].as_array().map(Vec::len), Some(1), "{why}");
    let once = |why: &Value| why["served"] == 1 && why["jobs"] == 3;
    until("the first one", once, || told(&market.orchestrators[0], &["why", "--json"]));
    let done = ask(dear, &["why"]);
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(text.starts_with("c was a candidate for 3 jobs and served 0\n"), "{text}");
}
