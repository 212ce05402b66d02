//! The side-car of stock nodes: a plain HTTP client plays their part against the real process, beside
//! real orchestrators.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use tests::client::LiveJob;
use tests::market::{Market, Role};
use wire::client::{Client, Config};
use wire::tls::Pins;

/// Time for a change to be seen: a few rounds of discovery on a machine that compiles beside it.
const SEEN_MAX: Duration = Duration::from_secs(30);
/// A gateway's wallet, as a stock orchestrator spells it, and one that is refused.
const WALLET: &str = "0x5A2c1F9eD1B3d5A7E0c9B1F3A5d7E9c1B3D5f7A9";
const REFUSED: &str = "0x0000000000000000000000000000000000000bad";

async fn call(request: http::request::Builder, body: &str) -> (u16, Value) {
    let client = Client::new(Pins::default(), Config::default());
    let request = request.body(Bytes::copy_from_slice(body.as_bytes())).expect("a good request");
    let answer = client.exchange(request).await.expect("the side-car answers");
    let (head, body) = answer.into_parts();
    (head.status.as_u16(), serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn ask(url: &str, path: &str) -> Value {
    let (status, answer) = call(Request::get(format!("{url}{path}")), "").await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// Asks for a price as a stock orchestrator does for the gateway of this wallet.
async fn price(url: &str, wallet: &str) -> (u16, Value) {
    let request = Request::post(format!("{url}/price")).header("content-type", "application/json");
    call(request, &json!({ "id": wallet }).to_string()).await
}

/// Asks until the answer is as wanted.
async fn until<A: Future<Output = Value>>(wanted: &Value, ask: impl Fn() -> A) {
    let deadline = Instant::now() + SEEN_MAX;
    loop {
        let answer = ask().await;
        if answer == *wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{answer} in place of {wanted}");
    }
}

fn told(wei: u64) -> Value {
    json!({ "priceInfo": { "pricePerUnit": wei, "pixelsPerUnit": 1_000_000 } })
}

fn config(market: &Market) -> String {
    let uris: Vec<String> =
        market.orchestrators.iter().map(|it| format!("\"{}\"", it.url())).collect();
    let node = &uris[0];
    format!(
        "[advise]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nnode = {node}\n\
         refused = [\"{REFUSED}\"]\n\
         [gateway]\norchestrators = [{}]\nmax_price_wei = 8\nselection = \"choose-cheapest\"\n\
         [gateway.discovery]\ninterval = \"200ms\"\n\
         [orchestrator]\nprice_wei = 1000\nprice_step_percent = 1000\n\
         pricing_config = '{{\"load_from_ppm\":0,\"surcharge_max_ppm\":1000000}}'\n",
        uris.join(", ")
    )
}

#[test]
fn stock_nodes_are_told_scores_and_prices_by_our_policies_and_can_ask_why() {
    let prices = [5, 7, 9].map(|wei| format!("price_wei = {wei}\nslots = 2\npricing = \"\""));
    let lines = prices.each_ref().map(String::as_str);
    let mut market = Market::up("selection = \"choose-cheapest\"", &lines);
    let [a, b, c] = [0, 1, 2].map(|at: usize| market.orchestrators[at].url());
    let mut advise = Role::start("advise", &config(&market));
    advise.wait();
    let url = advise.url();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    runtime.block_on(async {
        let listed = "/orchestrators?capability=sketch-video";
        let both = json!([{ "address": a, "score": 2.0 }, { "address": b, "score": 1.5 }]);
        until(&both, || ask(&url, listed)).await;
        let all = ask(&url, "/orchestrators").await;
        assert!(all.as_array().is_some_and(|all| all.iter().all(|it| it["score"].is_f64())));
        assert!(!all.to_string().contains(&c), "over the cap: {all}");
        grounds(&url, [&a, &c]).await;
        // An idle node asks its price, one with a session a part more.
        assert_eq!(price(&url, WALLET).await, (200, told(1000)));
        let _job = LiveJob::start(&market.gateway.url(), "sketch-video", "{}").await;
        until(&told(1500), || async { price(&url, WALLET).await.1 }).await;
        let why = ask(&url, "/v1/explain/price").await;
        assert_eq!(
            (&why["base_wei"], &why["price_wei"], &why["parts"]),
            (&json!("1000"), &json!("1500"), &json!([{ "label": "load", "wei": "500" }]))
        );
        assert_eq!(price(&url, REFUSED).await.0, 403);
        assert_eq!(price(&url, "somebody").await.0, 400);
        let nonsense = Request::post(format!("{url}/price"));
        assert_eq!(call(nonsense, "[]").await.0, 400);
    });
    // One that is gone is not recommended any more.
    market.orchestrators[1].kill();
    let one = json!([{ "address": a, "score": 2.0 }]);
    runtime.block_on(until(&one, || ask(&url, "/orchestrators?capability=sketch-video")));
}

/// Why `good` is listed and `dear` is not, with the numbers and who says so.
async fn grounds(url: &str, [good, dear]: [&str; 2]) {
    let deadline = Instant::now() + SEEN_MAX;
    let advice = loop {
        let advice = ask(url, "/v1/explain/orchestrators?capability=sketch-video").await;
        let advice = advice["advice"][0].clone();
        // The last of them may not have been asked yet.
        if advice["orchestrators"].as_array().map(Vec::len) == Some(3) {
            break advice;
        }
        assert!(Instant::now() < deadline, "{advice}");
    };
    assert_eq!(advice["capability"], "live-video-to-video/sketch-video", "{advice}");
    assert_eq!(advice["policy"]["plugin"], "choose-cheapest", "{advice}");
    let of = |uri: &str| {
        let all = advice["orchestrators"].as_array().expect("a list");
        all.iter().find(|it| it["uri"] == uri).cloned().expect("it is known")
    };
    assert_eq!((&of(good)["score"], &of(good)["reason"]), (&json!(2.0), &json!("")));
    assert!(of(good)["policy_score"].is_f64(), "{advice}");
    let dear = of(dear);
    assert_eq!(
        (&dear["score"], &dear["reason"], &dear["price_wei"]),
        (&Value::Null, &json!("asks 9 wei a lot, over the cap of 8"), &json!("9"))
    );
}
