//! Who gets a job, and what is said where nobody does.

use std::time::Duration;

use domain::event::Event;
use futures_util::future::join_all;
use gateway::config::{Caps, OrchestratorConfig};
use http::StatusCode;
use serde_json::{Value, json};
use wire::error::{Refusal, Word};

use crate::rig::{Manner, Orch, PIPELINE, Rig, eventually};

/// An address at which nobody listens.
fn nowhere() -> OrchestratorConfig {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    OrchestratorConfig::at(format!("http://{free}"))
}

fn classes(body: &Value) -> Vec<&str> {
    body["reasons"].as_array().unwrap().iter().filter_map(|it| it["class"].as_str()).collect()
}

#[tokio::test]
async fn a_price_over_the_cap_is_refused_with_both_numbers() {
    let dear = Orch::start(Manner { price_wei: 9, ..Manner::default() }).await;
    let dearer = Orch::start(Manner { price_wei: 11, ..Manner::default() }).await;
    let rig = Rig::start(&[&dear, &dearer], |config| config.caps = Caps::of(10)).await;
    let ask = json!({"model_id": PIPELINE});
    let (status, body) = rig.ask(&ask, &[("framegate-max-price", "7")]).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(body["error"]["class"], "price-over-cap");
    assert_eq!(body["detail"]["msg"], body["error"]["message"]);
    let reason = |orch: &Orch, price: &str| {
        json!({"orchestrator": orch.address.to_string(), "class": "price-over-cap",
            "price_wei": price, "cap_wei": "7"})
    };
    assert_eq!(body["reasons"], json!([reason(&dear, "9"), reason(&dearer, "11")]));
    assert!(dear.starts().is_empty() && dearer.starts().is_empty(), "nobody was troubled");
    // Under the operator's own cap one of them serves, and the record says why the other does not.
    let job = rig.begin(json!({})).await;
    let record = job.record().await;
    assert_eq!(record["orchestrator"]["id"], dear.address.to_string());
    let mut over = reason(&dearer, "11");
    over["cap_wei"] = json!("10");
    assert_eq!(record["passed_over"], json!([over]));
}

#[tokio::test]
async fn one_below_the_least_version_is_kept_with_its_reason_and_gets_no_work() {
    let old = Orch::start(Manner::default()).await;
    let rig = Rig::start(&[&old], |config| config.min_version = "99.0.0".to_owned()).await;
    eventually(|| rig.handle.orchestrators()[0].standing() == "incompatible").await;
    let row = &rig.handle.orchestrators()[0];
    assert!(row.reachable && row.detail.contains("is below `99.0.0`"), "{row:?}");
    let (status, body) = rig.ask(&json!({"model_id": PIPELINE}), &[]).await;
    assert_eq!((status, classes(&body)), (StatusCode::BAD_GATEWAY, vec!["incompatible"]), "{body}");
    let text = body["error"]["message"].as_str().unwrap();
    assert!(text.contains("`99.0.0`"), "{text}");
    assert!(old.starts().is_empty());
}

#[tokio::test]
async fn the_next_one_is_tried_where_one_refuses_or_is_gone() {
    let refusal = Refusal::new(Word::Fault, "a trap");
    let first =
        Orch::start(Manner { price_wei: 1, refuses: Some(refusal), ..Manner::default() }).await;
    let second = Orch::start(Manner { price_wei: 2, ..Manner::default() }).await;
    let third = Orch::start(Manner { price_wei: 3, ..Manner::default() }).await;
    let rig = Rig::start(&[&first, &second, &third], |config| {
        config.discovery.interval = Duration::from_secs(60);
    })
    .await;
    eventually(|| rig.handle.offerings().len() == 3).await;
    // It vanishes after it was asked: the snapshot does not know yet.
    second.kill();
    let job = rig.begin(json!({})).await;
    let record = job.record().await;
    assert_eq!(record["orchestrator"]["id"], third.address.to_string());
    let others: Vec<_> = record["passed_over"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&others[0]["class"], &others[1]["class"]),
        (&json!("fault"), &json!("unreachable"))
    );
}

#[tokio::test]
async fn what_is_wrong_with_the_ask_itself_is_told_once_and_tried_nowhere_else() {
    let refusal = Refusal::new(Word::Invalid, "`/strength` is not accepted: below 0");
    let first =
        Orch::start(Manner { price_wei: 1, refuses: Some(refusal), ..Manner::default() }).await;
    let second = Orch::start(Manner::default()).await;
    let rig = Rig::start(&[&first, &second], |_| {}).await;
    eventually(|| rig.handle.offerings().len() == 2).await;
    let ask = json!({"model_id": PIPELINE, "params": {"strength": -1}});
    let (status, body) = rig.ask(&ask, &[]).await;
    assert_eq!((status, &body["error"]["class"]), (StatusCode::BAD_REQUEST, &json!("invalid")));
    assert_eq!(body["error"]["message"], "`/strength` is not accepted: below 0");
    assert!(second.starts().is_empty());
}

#[tokio::test]
async fn each_orchestrator_says_why_it_does_not_serve() {
    let full = Orch::start(Manner { slots: 0, ..Manner::default() }).await;
    let other = Orch::start(Manner { pipelines: vec!["other"], ..Manner::default() }).await;
    let gone = nowhere();
    let all =
        vec![gone.clone(), OrchestratorConfig::at(full.uri()), OrchestratorConfig::at(other.uri())];
    let rig = Rig::of(all, |_| {});
    eventually(|| rig.handle.offerings().len() == 2).await;
    let (status, body) = rig.ask(&json!({"model_id": PIPELINE}), &[]).await;
    assert_eq!(
        (status, &body["error"]["class"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("no-slot"))
    );
    assert_eq!(classes(&body), ["no-slot", "unreachable", "no-capability"]);
    let rig = Rig::of(vec![gone.clone(), OrchestratorConfig::at(other.uri())], |_| {});
    let (status, body) = rig.ask(&json!({"model_id": PIPELINE}), &[]).await;
    assert_eq!((status, &body["error"]["class"]), (StatusCode::NOT_FOUND, &json!("no-capability")));
    let rig = Rig::of(vec![gone], |_| {});
    let (status, body) = rig.ask(&json!({"model_id": PIPELINE}), &[]).await;
    assert_eq!((status, &body["error"]["class"]), (StatusCode::BAD_GATEWAY, &json!("unreachable")));
    assert_eq!(classes(&body), ["unreachable"]);
    let rows = rig.handle.orchestrators();
    assert!(!rows[0].reachable && rows[0].detail.contains("refused"), "{rows:?}");
    let events = rig.seen.0.lock().unwrap();
    let told = |event: &&Event| matches!(event, Event::JobRefused { class: "unreachable", .. });
    assert_eq!(events.iter().filter(told).count(), 1);
}

#[tokio::test]
async fn what_nobody_offers_is_asked_for_once_a_second_however_often_it_is_wanted() {
    let orch = Orch::start(Manner::default()).await;
    let rig = Rig::start(&[&orch], |config| {
        config.discovery.interval = Duration::from_secs(60);
    })
    .await;
    let begun = std::time::Instant::now();
    let ask = json!({"model_id": "nothing"});
    for _ in 0..2 {
        for (status, body) in join_all((0..50).map(|_| rig.ask(&ask, &[]))).await {
            assert_eq!((status, classes(&body)), (StatusCode::NOT_FOUND, vec!["no-capability"]));
        }
    }
    assert!(orch.asked() <= 2 + begun.elapsed().as_secs(), "{} times", orch.asked());
}
