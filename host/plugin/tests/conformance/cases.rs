//! The cases: each guest's call ends in what its `case.toml` says.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::price::Lot;
use plugin::kv::Stores;
use plugin::pipeline::{Answer, PipelineInstance};
use plugin::policy::pricing::{Basis, Conditions, Meter, Side};
use plugin::{
    Allowed, Candidate, Fault, Grants, JobFacts, Limits, Manifest, PipelineEngine, PolicyEngine,
    PricingRule, Scope, SelectionPolicy, Snapshot, Urgency, World,
};

use crate::build;
use crate::clip::{self, Clip};
use crate::functions::Calls;

/// What a case ended in.
#[derive(Default)]
struct Ended {
    refused: Option<String>,
    fault: Option<Fault>,
    answers: Vec<String>,
    emitted_us: Vec<i64>,
    log: Vec<String>,
    events: Vec<String>,
}

/// A snapshot of three candidates at 10, 20 and 30 wei.
fn snapshot() -> Arc<Snapshot> {
    let row = |price_wei: u64| Candidate { price_wei, ..Candidate::unknown("0x1", "https://one") };
    let scope = Scope::new("live-video-to-video/test", Lot::live(), 1, 1_700_000_000_000);
    Arc::new(Snapshot::new(scope, &[row(10), row(20), row(30)]).expect("three fit"))
}

fn pipeline(name: &str) -> Ended {
    let engine = PipelineEngine::new().expect("the engine works here");
    let folder = tempfile::tempdir().expect("a folder");
    // Everything is allowed; what a manifest does not ask for is not granted for all that.
    let grants =
        Grants { kv_bytes: 1 << 20, data: true, pixels: true, audio: true, ..Grants::default() };
    let allowed = Allowed { grants, stores: Some(Stores::new(folder.path())) };
    let pipeline = match engine.load_with(&build::guest(name), Limits::pipeline(), &allowed) {
        Ok(pipeline) => pipeline,
        Err(error) => return Ended { refused: Some(error.to_string()), ..Ended::default() },
    };
    let made = pipeline.instantiate(Box::new(Clip::new()), Duration::from_secs(1));
    let mut instance = made.expect("the guest instantiates");
    let mut answers = Vec::new();
    let fault = session(&mut instance, &mut answers).err();
    let clip = instance.host_mut::<Clip>().expect("the host outlives a fault");
    let (emitted_us, log, events) =
        (clip.emitted_us.clone(), clip.log.clone(), clip.events.clone());
    Ended { refused: None, fault, answers, emitted_us, log, events }
}

/// Calls everything that a pipeline exports, until it faults.
fn session(instance: &mut PipelineInstance, answers: &mut Vec<String>) -> Result<(), Fault> {
    instance.start("")?.expect("the guest accepts the session");
    if let Some(saved) = instance.save()? {
        let saved = saved.expect("the guest saves its state");
        instance.restore(&saved)?.expect("it exports both").expect("it reads its own state");
    }
    for sequence in 0..6 {
        answers.push(match clip::frame(instance, sequence)? {
            Ok(Answer::Pass) => "pass".to_owned(),
            Ok(Answer::Drop) => "drop".to_owned(),
            Ok(Answer::Repeat) => "repeat".to_owned(),
            Ok(Answer::Emit(_)) => "emit".to_owned(),
            Err(error) => error.to_string(),
        });
    }
    // A guest may refuse parameters; that is no fault.
    let _ = instance.on_params("{}")?;
    instance.on_message("hello")?;
    instance.stop(plugin::pipeline::StopReason::Finished)
}

fn selection(name: &str) -> Ended {
    let engine = PolicyEngine::new().expect("the engine works here");
    let policy = SelectionPolicy::load_folder(&engine, &build::guest(name), Limits::policy());
    let prepared = policy.expect("the guest loads").prepare(snapshot(), "");
    let mut prepared = match prepared {
        Ok(prepared) => prepared.expect("no refusal"),
        Err(fault) => return Ended { fault: Some(fault), ..Ended::default() },
    };
    let job = Arc::new(JobFacts::default());
    let answer = prepared.pick(&job, 1, 1);
    let mut answers = Vec::new();
    if let Ok(Ok(list)) = &answer {
        answers = list.indices().iter().map(ToString::to_string).collect();
    }
    let mut fault = answer.err();
    if fault.is_none() && name.starts_with("call-") {
        fault = prepared.explain(&job, 1, 1).err();
    }
    Ended { fault, answers, ..Ended::default() }
}

fn pricing(name: &str) -> Ended {
    let engine = PolicyEngine::new().expect("the engine works here");
    let rule = PricingRule::load_folder(&engine, &build::guest(name), Limits::policy());
    let rule = rule.expect("the guest loads");
    let fault = price(&rule).err();
    Ended { fault, ..Ended::default() }
}

/// Calls everything that a pricing rule exports, until it faults.
fn price(rule: &PricingRule) -> Result<(), Fault> {
    let mut rule = rule.prepare(snapshot(), "")?.expect("no refusal");
    let job = Arc::new(JobFacts::default());
    let conditions = Arc::new(Conditions {
        slots_free: 3,
        slots_total: 4,
        queue_depth: 5,
        gpu_memory_free_mib: 6,
        gpu_memory_total_mib: 7,
        warm: true,
        gas_price_wei: 8,
        rivals: 9,
        rival_lowest_wei: Some(10),
        rival_median_wei: Some(11),
        custom: [("tariff".to_owned(), -12)].into(),
    });
    let basis = Basis {
        side: Side::Ask,
        urgency: Urgency::Live,
        tier: 0,
        base_wei: 100,
        units: 0,
        load_ppm: 0,
        overhead_ppm: 0,
    };
    let quoted = rule.quote(&job, &basis, &conditions, 1)?;
    let parts = rule.explain(&job, &basis, &conditions, 1)?;
    if let (Ok(quoted), Ok(parts)) = (quoted, parts) {
        let sum: i64 = parts.iter().map(|part| part.wei).sum();
        assert_eq!(i64::try_from(quoted.price_wei), Ok(100 + sum), "the parts add up");
        assert!(quoted.valid_for_us <= 60_000_000, "{}", quoted.valid_for_us);
    }
    let meter =
        Meter { late_units: 1, elapsed_ms: 2, gpu_ms: 3, units_before: 4, charged_before_wei: 5 };
    rule.charge(&job, 7, 1_000_000, meter).map(drop)
}

fn texts(case: &toml::Table, key: &str) -> Vec<String> {
    let list = case.get(key).and_then(toml::Value::as_array).cloned().unwrap_or_default();
    list.iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

#[track_caller]
fn check(name: &str, case: &toml::Table, ended: &Ended) {
    let text = |key: &str| case.get(key).and_then(toml::Value::as_str);
    if let Some(shown) = &ended.refused {
        assert_eq!(text("outcome"), Some("refused"), "{name}: {shown}");
        for part in texts(case, "text") {
            assert!(shown.contains(&part), "{name}: `{part}` is not in: {shown}");
        }
        return;
    }
    match (&ended.fault, text("outcome")) {
        (None, Some("value")) => {}
        (Some(fault), Some("fault")) => {
            let shown = fault.to_string();
            assert_eq!(Some(fault.kind.name()), text("kind"), "{name}: {shown}");
            assert_eq!(Some(fault.call), text("call"), "{name}: {shown}");
            assert_eq!((fault.plugin.as_str(), fault.version.as_str()), (name, "0.1.0"));
            if let Some(limit) = text("limit") {
                assert_eq!(fault.limit.map(|hit| hit.name), Some(limit), "{name}: {shown}");
            }
            for part in texts(case, "text") {
                assert!(shown.contains(&part), "{name}: `{part}` is not in: {shown}");
            }
        }
        (fault, wanted) => panic!("{name}: {fault:?}, and the case says {wanted:?}"),
    }
    assert_eq!(ended.answers, texts(case, "answers"), "{name}");
    assert_eq!(ended.events, texts(case, "events"), "{name}");
    for part in texts(case, "logged") {
        let told = ended.log.iter().any(|line| line.contains(&part));
        assert!(told, "{name}: `{part}` is not in {} lines of its log", ended.log.len());
    }
    assert!(ended.log.iter().all(|line| line.len() <= 4096), "{name}: a long line in its log");
    let emitted = case.get("emitted_us").and_then(toml::Value::as_array).cloned();
    let emitted: Vec<_> =
        emitted.unwrap_or_default().iter().filter_map(|us| us.as_integer()).collect();
    assert_eq!(ended.emitted_us, emitted, "{name}");
}

#[test]
fn every_guest_ends_as_its_case_says() {
    let folder = build::root().join("tests/conformance");
    let names = |file: &str| -> BTreeSet<String> {
        let entries = folder.read_dir().expect("the folder of the guests").flatten();
        let with = entries.filter(|entry| entry.path().join(file).is_file());
        with.map(|entry| entry.file_name().into_string().expect("a name")).collect()
    };
    let guests = names("Cargo.toml");
    assert_eq!(guests, names("case.toml"), "every guest has a case and every case a guest");
    assert!(guests.len() >= 13, "{guests:?}");
    let calls = Calls::default();
    for name in &guests {
        let text = std::fs::read_to_string(folder.join(name).join("case.toml"));
        let case: toml::Table = text.expect("a case").parse().expect("a case is TOML");
        let ended = match Manifest::read(&build::guest(name)).expect("a manifest").world {
            World::Pipeline => calls.collect(|| pipeline(name)),
            World::SelectionPolicy => calls.collect(|| selection(name)),
            World::PricingRule => calls.collect(|| pricing(name)),
        };
        check(name, &case, &ended);
    }
    calls.check();
}
