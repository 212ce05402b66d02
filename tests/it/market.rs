//! One gateway and several orchestrators: what is published, capped, drained, explained.

use std::collections::BTreeMap;
use std::fs;
use std::process::Output;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::client::LiveJob;
use tests::clips::{self, Clip};
use tests::market::{Market, Role};
use tests::rig;
use wire::client::{Client, Config};
use wire::header::MAX_PRICE;
use wire::tls::Pins;

/// Prices of the orchestrators `a`, `b`, `c`, as they are.
const PRICES: [&str; 3] = [
    "price_wei = 5\npricing = \"\"",
    "price_wei = 7\npricing = \"\"",
    "price_wei = 9\npricing = \"\"",
];

fn ask(market: &Market, arguments: &[&str]) -> Output {
    let mut command = rig::framegate(arguments);
    command.env("FRAMEGATE_DATA", market.gateway.data());
    rig::finish(command)
}

#[track_caller]
fn text(done: &Output) -> String {
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{errors}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

async fn exchange(request: http::request::Builder, body: &str) -> (http::HeaderMap, u16, Value) {
    let client = Client::new(Pins::default(), Config::default());
    let request = request.body(Bytes::copy_from_slice(body.as_bytes())).expect("a good request");
    let answer = client.exchange(request).await.expect("the gateway answers");
    let (head, body) = answer.into_parts();
    (head.headers, head.status.as_u16(), serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// Runs a short job and returns its record.
async fn job(gateway: &str, segments: &[Bytes]) -> Value {
    let job = LiveJob::start(gateway, "sketch-video", "{}").await;
    let seen = Mutex::new(Vec::new());
    let ((), _, ended) = tokio::join!(job.publish(segments), job.watch(&seen), job.ended());
    assert_eq!(ended["reason"], "eos", "{ended}");
    job.record(gateway).await
}

#[test]
fn the_market_is_published_capped_steered_and_explained() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let clip = Clip { frames: 25, ..Clip::default() }.make(folder.path(), "clip.mp4");
    let segments = clips::segments(&clip);
    let market = Market::up("max_price_wei = 8", &PRICES);
    let gateway = market.gateway.url();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let names = market.orchestrators.iter().map(|it| it.url().replace("https://", ""));
    let [a, b, c] = <[String; 3]>::try_from(names.collect::<Vec<_>>()).expect("three");
    runtime.block_on(async {
        published(&gateway, [&a, &b]).await;
        capped(&gateway).await;
    });
    sourced(&market, &runtime);
    let record = runtime.block_on(job(&gateway, &segments));
    let over: Vec<&Value> = record["passed_over"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|it| it["orchestrator"] == json!(c))
        .collect();
    assert_eq!(
        (&over[0]["class"], &over[0]["price_wei"], &over[0]["cap_wei"]),
        (&json!("price-over-cap"), &json!("9"), &json!("8"))
    );
    // Whoever served is drained: the next job goes to the other one.
    let served = record["orchestrator"]["id"].as_str().expect("it was served").to_owned();
    let other = if served == a { &b } else { &a };
    text(&ask(&market, &["orchestrators", "drain", &served]));
    let next = runtime.block_on(job(&gateway, &segments));
    assert_eq!(next["orchestrator"]["id"], json!(other), "{next}");
    let listed = text(&ask(&market, &["orchestrators", "--json"]));
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let row = |name: &str| {
        let mut rows = listed["orchestrators"].as_array().expect("a list").iter();
        rows.find(|row| row["orchestrator"] == json!(name)).cloned().expect("it is known")
    };
    assert_eq!(
        (&row(&served)["standing"], &row(other)["standing"]),
        (&json!("draining"), &json!("active"))
    );
    assert!(row(other)["start_us"]["p50"].as_u64().is_some_and(|us| us > 0), "{listed}");
    text(&ask(&market, &["orchestrators", "block", other]));
    text(&ask(&market, &["orchestrators", "use", &served]));
    let third = runtime.block_on(job(&gateway, &segments));
    assert_eq!(third["orchestrator"]["id"], json!(served), "{third}");
    explained(&market, &served, &c);
    let unknown = ask(&market, &["orchestrators", "drain", "nobody"]);
    assert!(!unknown.status.success());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("nobody"));
}

async fn published(gateway: &str, [a, b]: [&str; 2]) {
    let url = format!("{gateway}/v1/offerings");
    let deadline = Instant::now() + Duration::from_secs(30);
    let (headers, document) = loop {
        let (headers, status, document) = exchange(Request::get(&url), "").await;
        assert_eq!((status, &document["format"]), (200, &json!(1)));
        // The first round of questions may still be under way.
        if document["offerings"].as_array().is_some_and(|all| all.len() == 3) {
            break (headers, document);
        }
        assert!(Instant::now() < deadline, "{document}");
    };
    let offerings = document["offerings"].as_array().expect("a list");
    let of = |name: &str| {
        offerings.iter().find(|it| it["orchestrator"] == json!(name)).expect("it is there")
    };
    let price = &of(b)["price"];
    assert_eq!((&price["wei"], &price["per_units"]), (&json!("7"), &json!(1_000_000)));
    assert_eq!(of(a)["availability_ppm"], 1_000_000);
    assert_eq!(of(a)["standing"], "active");
    let tag = headers["etag"].to_str().expect("text").to_owned();
    let again = Request::get(&url).header("if-none-match", &tag);
    let (_, status, _) = exchange(again, "").await;
    assert!([200, 304].contains(&status), "{status}");
    let (_, status, listing) =
        exchange(Request::get(format!("{gateway}/getNetworkCapabilities")), "").await;
    assert_eq!((status, listing["orchestrators"].as_array().map(Vec::len)), (200, Some(3)));
}

/// A gateway that is configured with nobody finds who is in a file and who another gateway offers,
/// and keeps what a source said when it fails.
fn sourced(market: &Market, runtime: &tokio::runtime::Runtime) {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let file = folder.path().join("orchestrators.txt");
    let own = market.orchestrators[0].url();
    fs::write(&file, format!("# ours\n{own}\n")).expect("the folder can be written to");
    let (file, url) = (file.display(), market.gateway.url());
    let config = format!(
        "[gateway]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nblocklist = [\"{}\"]\n\
         [gateway.discovery]\ninterval = \"200ms\"\nfile = \"{file}\"\ngateway = \"{url}\"\n",
        market.orchestrators[2].url()
    );
    let mut other = Role::start("gateway", &config);
    other.wait();
    let offerings = format!("{}/v1/offerings", other.url());
    let named = || {
        let (_, _, document) = runtime.block_on(exchange(Request::get(&offerings), ""));
        let entries = document["offerings"].as_array().cloned().unwrap_or_default();
        let of = |it: &Value| Some((it["uri"].as_str()?.to_owned(), it["standing"].clone()));
        entries.iter().filter_map(of).collect::<BTreeMap<String, Value>>()
    };
    let wanted: BTreeMap<String, Value> = market
        .orchestrators
        .iter()
        .zip(["active", "active", "blocked"])
        .map(|(it, standing)| (it.url(), json!(standing)))
        .collect();
    let deadline = Instant::now() + Duration::from_secs(30);
    while named() != wanted {
        assert!(Instant::now() < deadline, "{:?} in place of {wanted:?}", named());
        std::thread::yield_now();
    }
    fs::remove_file(folder.path().join("orchestrators.txt")).expect("it is there");
    let list = || {
        let mut command = rig::framegate(&["orchestrators", "--json"]);
        command.env("FRAMEGATE_DATA", other.data());
        serde_json::from_str::<Value>(&text(&rig::finish(command))).expect("JSON")
    };
    let stale = |list: &Value| {
        let sources = list["sources"].as_array().cloned().unwrap_or_default();
        sources.iter().any(|it| it["source"] == "file" && it["stale"] == true)
    };
    while !stale(&list()) {
        assert!(Instant::now() < deadline, "{}", list());
    }
    assert_eq!(named().len(), 3, "what a source said last stands");
}

/// Caps below every price refuse, with every number, in the body that clients read.
async fn capped(gateway: &str) {
    let request = Request::post(format!("{gateway}/live-video-to-video"))
        .header("content-type", "application/json")
        .header(MAX_PRICE, 4);
    let (_, status, refusal) = exchange(request, r#"{"model_id":"sketch-video"}"#).await;
    assert!(status >= 400, "{status}");
    let reasons = refusal["error"]["reasons"].as_array().or(refusal["reasons"].as_array());
    let reasons = reasons.unwrap_or_else(|| panic!("reasons: {refusal}"));
    let mut told: Vec<(&str, &str)> = reasons
        .iter()
        .filter_map(|it| Some((it["price_wei"].as_str()?, it["cap_wei"].as_str()?)))
        .collect();
    told.sort_unstable();
    assert_eq!(told, [("5", "4"), ("7", "4"), ("9", "4")], "{refusal}");
}

fn explained(market: &Market, served: &str, dear: &str) {
    // The first number was the refused one's.
    let story = text(&ask(market, &["explain", "job-2"]));
    for line in [
        format!("served by      {served} at https://"),
        format!("  passed over  {dear}: price-over-cap, 9 wei a lot (cap 8)"),
        "ended          eos".to_owned(),
    ] {
        assert!(story.lines().any(|found| found.starts_with(&line)), "{line} in\n{story}");
    }
    let why = text(&ask(market, &["why", dear, "--json"]));
    let why: Value = serde_json::from_str(&why).expect("JSON");
    assert_eq!((&why["jobs"], &why["served"]), (&json!(4), &json!(0)), "{why}");
    let over = &why["reasons"]["price-over-cap"];
    assert_eq!((&over["count"], &over["wei_over"]), (&json!(4), &json!({"min": "1", "max": "5"})));
}
