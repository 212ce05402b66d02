//! The selection policy: a component chooses, and the host holds it to its word.

use std::path::Path;
use std::time::Duration;

use domain::breaker::BreakerState;
use domain::capability::Capability;
use domain::event::Event;
use futures_util::StreamExt;
use futures_util::stream;
use gateway::config::{Caps, Config, CustomerConfig, OnFault, SelectionConfig};
use http::{Method, StatusCode};
use plugin::{Limits, PolicyEngine, SelectionPolicy};
use serde_json::{Value, json};

use crate::build;
use crate::rig::{Manner, Orch, PIPELINE, Rig, eventually};

fn load(folder: &Path) -> SelectionPolicy {
    let engine = PolicyEngine::new().unwrap();
    SelectionPolicy::load_folder(&engine, folder, Limits::policy()).unwrap()
}

fn select(config: &mut Config, folder: &Path, on_fault: OnFault) {
    let selection = SelectionConfig { on_fault, ..SelectionConfig::of(load(folder)) };
    config.selections.general = Some(selection);
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
async fn a_jobs_tier_comes_before_its_capability_and_that_before_the_rest() {
    let orch = Orch::start(Manner { slots: 8, ..Manner::default() }).await;
    let selection = |plugin_slot, folder: &Path| SelectionConfig {
        plugin_slot,
        ..SelectionConfig::of(load(folder))
    };
    for (capability, others) in [("other", "pick-first"), (PIPELINE, "pick-in-turn")] {
        let rig = Rig::start(&[&orch], |config| {
            select(config, &build::guest("pick-first"), OnFault::Native);
            let all = &mut config.selections;
            let in_turn = selection("selection/capability/x", &build::guest("pick-in-turn"));
            all.by_capability.insert(Capability::live(capability).unwrap(), in_turn);
            let cheapest = selection("selection/tier/gold", &build::plugin("choose-cheapest"));
            all.by_tier.insert("gold".to_owned(), cheapest);
            config.customers = vec![CustomerConfig {
                name: "ann".to_owned(),
                // Of `secret`.
                key_sha256: "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
                    .to_owned(),
                tier: "gold".to_owned(),
                budget_wei: None,
                period: Duration::from_secs(60),
            }];
        })
        .await;
        eventually(|| rig.handle.offerings().len() == 1).await;
        for (headers, plugin) in
            [(&[][..], others), (&[("authorization", "Bearer secret")][..], "choose-cheapest")]
        {
            let (status, body) = rig.ask(&json!({"model_id": PIPELINE}), headers).await;
            assert_eq!(status, StatusCode::OK, "{body}");
            assert_eq!(rig.job(body).record().await["policy"]["plugin"], plugin);
        }
        let slots: Vec<_> = rig.handle.other_policies().iter().map(|it| it.plugin_slot).collect();
        assert_eq!(slots, ["selection/capability/x", "selection/tier/gold"]);
    }
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

#[tokio::test]
async fn each_fail_mode_serves_a_job_whose_policy_faults_as_it_says() {
    let (dear, cheap) = two().await;
    for (on_fault, served, by) in
        [(OnFault::Native, &cheap, "native"), (OnFault::PreviousVersion, &dear, "pick-first")]
    {
        let rig = Rig::start(&[&dear, &cheap], |config| {
            select(config, &build::guest("trap-pick"), on_fault);
            let selection = config.selections.general.as_mut().unwrap();
            selection.previous = Some(load(&build::guest("pick-first")));
            selection.previous.take_if(|_| on_fault == OnFault::Native);
        })
        .await;
        let record = record(&rig).await;
        assert_eq!(record["orchestrator"]["id"], served.address.to_string(), "{on_fault:?}");
        assert_eq!(record["policy"]["plugin"], by, "{on_fault:?}");
        let why = json!({"plugin": "trap-pick", "version": "0.1.0", "class": "fault",
            "why": "trap in `pick`"});
        assert_eq!(record["policy"]["instead_of"], why, "{on_fault:?}");
        assert_eq!(rig.handle.counters().fell_back, 1);
        let events = rig.seen.0.lock().unwrap();
        let word = if by == "native" { by } else { "previous-version" };
        let told =
            |event: &&Event| matches!(event, Event::FellBack { served, .. } if *served == word);
        assert_eq!(events.iter().filter(told).count(), 1, "{events:?}");
    }
}

/// Begins a job and ends it; returns the policy of its record.
async fn policy_of_a_job(rig: &Rig) -> Value {
    let job = rig.begin(json!({})).await;
    let mut record = job.record().await;
    let (status, _) = job.ask(Method::DELETE, Some(&job.answer.job_token)).await;
    assert!(status.is_success(), "{status}");
    record["policy"]["job"] = record["job"].take();
    record["policy"].take()
}

#[tokio::test]
async fn a_policy_that_traps_on_one_pick_in_a_thousand_fails_no_job() {
    let roomy = Manner { slots: 256, ..Manner::default() };
    let orch = Orch::start(roomy).await;
    let rig = Rig::start(&[&orch], |config| {
        select(config, &build::guest("trap-seldom"), OnFault::Native);
    })
    .await;
    eventually(|| rig.handle.offerings().len() == 1).await;
    let jobs = stream::iter(0..1024).map(|_| policy_of_a_job(&rig)).buffer_unordered(16);
    let policies: Vec<Value> = jobs.collect().await;
    let native: Vec<&Value> = policies.iter().filter(|it| it["plugin"] == "native").collect();
    assert_eq!(native.len(), 1, "{native:?}");
    assert_eq!(
        (&native[0]["job"], &native[0]["instead_of"]["class"]),
        (&json!("job-1000"), &json!("fault"))
    );
    assert_eq!(policies.iter().filter(|it| it["plugin"] == "trap-seldom").count(), 1023);
    let counters = rig.handle.counters();
    assert_eq!((counters.jobs_refused, counters.picks, counters.fell_back), (0, 1024, 1));
}

#[tokio::test]
async fn a_policy_past_its_budget_is_asked_no_more_and_the_record_says_so() {
    let orch = Orch::start(Manner { slots: 64, ..Manner::default() }).await;
    for (on_fault, by) in [(OnFault::Native, "native"), (OnFault::PreviousVersion, "pick-first")] {
        let rig = Rig::start(&[&orch], |config| {
            select(config, &build::guest("trap-seldom"), on_fault);
            let selection = config.selections.general.as_mut().unwrap();
            selection.config = r#"{"one_in": 2}"#.to_owned();
            if on_fault == OnFault::PreviousVersion {
                // It reads the same document.
                let previous = load(&build::guest("pick-first"));
                selection.previous = Some(previous);
            }
        })
        .await;
        eventually(|| rig.handle.offerings().len() == 1).await;
        for number in 1..=14 {
            let policy = policy_of_a_job(&rig).await;
            assert_eq!(policy["job"], format!("job-{number}"));
            let (plugin, class) = match number {
                1..=9 if number % 2 == 1 => ("trap-seldom", Value::Null),
                2..=10 => (by, json!("fault")),
                _ => (by, json!("open")),
            };
            assert_eq!(
                (&policy["plugin"], &policy["instead_of"]["class"]),
                (&json!(plugin), &class),
                "job {number}"
            );
        }
        let row = rig.handle.policy();
        assert!(matches!(row.state, BreakerState::Open(_)), "{:?}", row.state);
        let events = rig.seen.0.lock().unwrap();
        let opened = |event: &&Event| matches!(event, Event::BreakerChanged { state: "open", .. });
        assert_eq!(events.iter().filter(opened).count(), 1, "{events:?}");
    }
}

#[tokio::test]
async fn a_policy_that_gives_two_answers_to_one_question_is_quarantined() {
    let (dear, cheap) = two().await;
    for (document, difference) in
        [("", "`explain` chose [1]"), (r#"{"explains_otherwise": true}"#, "`explain` chose [1]")]
    {
        let rig = Rig::start(&[&dear, &cheap], |config| {
            select(config, &build::guest("pick-in-turn"), OnFault::Native);
            let selection = config.selections.general.as_mut().unwrap();
            selection.config = document.to_owned();
            selection.audit_one_in = 1;
        })
        .await;
        assert_eq!(record(&rig).await["policy"]["plugin"], "pick-in-turn");
        eventually(|| rig.handle.policy().state == BreakerState::Quarantined).await;
        let record = record(&rig).await;
        assert_eq!(record["policy"]["plugin"], "native");
        assert_eq!(record["policy"]["instead_of"]["class"], "quarantined");
        let events = rig.seen.0.lock().unwrap();
        let told = events.iter().find_map(|event| match event {
            Event::BreakerChanged { state: "quarantined", detail, .. } => Some(detail.clone()),
            _ => None,
        });
        assert!(told.as_ref().is_some_and(|it| it.contains(difference)), "{told:?}");
    }
}

#[tokio::test]
async fn a_policy_that_stands_by_its_choices_is_looked_at_and_left_alone() {
    let orch = Orch::start(Manner { slots: 64, ..Manner::default() }).await;
    let rig = Rig::start(&[&orch], |config| {
        select(config, &build::plugin("choose-orchestrator"), OnFault::Native);
        config.selections.general.as_mut().unwrap().audit_one_in = 1;
    })
    .await;
    eventually(|| rig.handle.offerings().len() == 1).await;
    for _ in 0..8 {
        assert_eq!(policy_of_a_job(&rig).await["plugin"], "choose-orchestrator");
    }
    eventually(|| rig.handle.counters().audits >= 8).await;
    assert_eq!(rig.handle.policy().state, BreakerState::Closed);
}
