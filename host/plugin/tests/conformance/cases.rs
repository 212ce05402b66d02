//! The cases: each guest's call ends in what its `case.toml` says.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::price::Lot;
use plugin::pipeline::Answer;
use plugin::{
    Candidate, Fault, JobFacts, Limits, Manifest, PipelineEngine, PolicyEngine, PricingRule, Scope,
    SelectionPolicy, Snapshot, World,
};

use crate::build;
use crate::clip::{self, Clip};

/// What a case ended in.
#[derive(Default)]
struct Ended {
    refused: Option<String>,
    fault: Option<Fault>,
    answers: Vec<String>,
    emitted_us: Vec<i64>,
    log: Vec<String>,
}

/// A snapshot of three candidates at 10, 20 and 30 wei.
fn snapshot() -> Arc<Snapshot> {
    let row = |price_wei: u64| Candidate { price_wei, ..Candidate::unknown("0x1", "https://one") };
    let scope = Scope::new("live-video-to-video/test", Lot::live(), 1, 1_700_000_000_000);
    Arc::new(Snapshot::new(scope, &[row(10), row(20), row(30)]).expect("three fit"))
}

fn pipeline(name: &str) -> Ended {
    let engine = PipelineEngine::new().expect("the engine works here");
    let pipeline = match engine.load(&build::guest(name)) {
        Ok(pipeline) => pipeline,
        Err(error) => return Ended { refused: Some(error.to_string()), ..Ended::default() },
    };
    let made = pipeline.instantiate(Box::new(Clip::new()), Duration::from_secs(1));
    let mut instance = made.expect("the guest instantiates");
    let mut answers = Vec::new();
    let mut run = || -> Result<(), Fault> {
        instance.start("")?.expect("the guest accepts the session");
        for sequence in 0..6 {
            answers.push(match clip::frame(&mut instance, sequence)? {
                Ok(Answer::Pass) => "pass".to_owned(),
                Ok(Answer::Drop) => "drop".to_owned(),
                Ok(Answer::Repeat) => "repeat".to_owned(),
                Ok(Answer::Emit(_)) => "emit".to_owned(),
                Err(error) => error.to_string(),
            });
        }
        instance.stop(plugin::pipeline::StopReason::Finished)
    };
    let fault = run().err();
    let clip = instance.host_mut::<Clip>().expect("the host outlives a fault");
    let (emitted_us, log) = (clip.emitted_us.clone(), clip.log.clone());
    Ended { refused: None, fault, answers, emitted_us, log }
}

fn selection(name: &str) -> Ended {
    let engine = PolicyEngine::new().expect("the engine works here");
    let policy = SelectionPolicy::load_folder(&engine, &build::guest(name), Limits::policy());
    let prepared = policy.expect("the guest loads").prepare(snapshot(), "");
    let mut prepared = match prepared {
        Ok(prepared) => prepared.expect("no refusal"),
        Err(fault) => return Ended { fault: Some(fault), ..Ended::default() },
    };
    let answer = prepared.pick(&Arc::new(JobFacts::default()), 1, 1);
    let mut answers = Vec::new();
    if let Ok(Ok(list)) = &answer {
        answers = list.indices().iter().map(ToString::to_string).collect();
    }
    Ended { fault: answer.err(), answers, ..Ended::default() }
}

fn pricing(name: &str) -> Ended {
    let engine = PolicyEngine::new().expect("the engine works here");
    let rule = PricingRule::load_folder(&engine, &build::guest(name), Limits::policy());
    let prepared = rule.expect("the guest loads").prepare(snapshot(), "");
    Ended { fault: prepared.err(), ..Ended::default() }
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
    for name in &guests {
        let text = std::fs::read_to_string(folder.join(name).join("case.toml"));
        let case: toml::Table = text.expect("a case").parse().expect("a case is TOML");
        let ended = match Manifest::read(&build::guest(name)).expect("a manifest").world {
            World::Pipeline => pipeline(name),
            World::SelectionPolicy => selection(name),
            World::PricingRule => pricing(name),
        };
        check(name, &case, &ended);
    }
}
