//! The selection policy: a component chooses, and the host holds it to its word.

use std::path::Path;

use domain::event::Event;
use gateway::config::{Caps, Config, OnFault, SelectionConfig};
use http::StatusCode;
use plugin::{Limits, PolicyEngine, SelectionPolicy};
use serde_json::{Value, json};

use crate::build;
use crate::rig::{Manner, Orch, PIPELINE, Rig, eventually};

fn select(config: &mut Config, folder: &Path, on_fault: OnFault) {
    let engine = PolicyEngine::new().unwrap();
    let policy = SelectionPolicy::load_folder(&engine, folder, Limits::policy()).unwrap();
    config.selection = Some(SelectionConfig { policy, config: String::new(), on_fault });
}

async fn two() -> (Orch, Orch) {
    let dear = Orch::start(Manner { price_wei: 9, ..Manner::default() }).await;
    let cheap = Orch::start(Manner { price_wei: 2, ..Manner::default() }).await;
    (dear, cheap)
}

async fn record(rig: &Rig) -> Value {
    eventually(|| rig.handle.offerings().len() == 2).await;
    rig.begin(json!({})).await.record().await
}

#[tokio::test]
async fn the_policy_chooses_and_the_record_names_it() {
    let (dear, cheap) = two().await;
    let folder = build::guest("pick-first");
    let rig = Rig::start(&[&dear, &cheap], |it| select(it, &folder, OnFault::Native)).await;
    let record = record(&rig).await;
    assert_eq!(record["orchestrator"]["id"], dear.address.to_string(), "not the native choice");
    assert_eq!(record["policy"]["plugin"], "pick-first");
    let digest = rig.handle.policy().active.digest;
    assert!(digest.len() > 60 && record["policy"]["digest"] == digest);
    let passed_over = json!([{"orchestrator": cheap.address.to_string(), "class": "out-scored",
        "price_wei": "2"}]);
    assert_eq!(record["passed_over"], passed_over);
    assert_eq!((rig.handle.counters().picks, rig.handle.counters().fell_back), (1, 0));
}

#[tokio::test]
async fn the_native_rule_answers_for_a_policy_that_faults_or_breaks_its_contract() {
    let (dear, cheap) = two().await;
    // The last chooses the one above the cap, which the host holds for a breach.
    for (guest, cap, kind) in [
        ("trap-pick", 10, "trap"),
        ("loop-pick", 10, "fuel"),
        ("bad-index", 10, "contract"),
        ("pick-first", 7, "contract"),
    ] {
        let folder = build::guest(guest);
        let rig = Rig::start(&[&dear, &cheap], |config| {
            select(config, &folder, OnFault::Native);
            config.caps = Caps::of(cap);
        })
        .await;
        let record = record(&rig).await;
        assert_eq!(record["orchestrator"]["id"], cheap.address.to_string(), "{guest}");
        assert_eq!(record["policy"]["plugin"], "native", "{guest}");
        assert_eq!(rig.handle.counters().fell_back, 1, "{guest}");
        let events = rig.seen.0.lock().unwrap();
        let faulted = |event: &&Event| {
            matches!(event, Event::PluginFaulted { plugin, kind: found, call: "pick", .. }
                if plugin == guest && *found == kind)
        };
        let fell_back = |event: &&Event| matches!(event, Event::FellBack { .. });
        assert_eq!(events.iter().filter(faulted).count(), 1, "{guest}: {events:?}");
        assert_eq!(events.iter().filter(fell_back).count(), 1, "{guest}: {events:?}");
    }
}

#[tokio::test]
async fn an_operator_may_want_no_job_without_the_policy() {
    let (dear, cheap) = two().await;
    let folder = build::guest("trap-pick");
    let rig = Rig::start(&[&dear, &cheap], |it| select(it, &folder, OnFault::Refuse)).await;
    let (status, body) = rig.ask(&json!({"model_id": PIPELINE}), &[]).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(body["error"], json!({"message": "the plugin failed", "class": "fault"}));
    assert!(dear.starts().is_empty() && cheap.starts().is_empty());
}
