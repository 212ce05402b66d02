//! The plugins that ship with the program, in the engines that run them.

use std::sync::Arc;
use std::time::Duration;

use domain::price::Lot;
use plugin::pipeline::{Answer, StopReason};
use plugin::policy::pricing::{Basis, Conditions, Meter, Side};
use plugin::policy::selection::Decline;
use plugin::{
    Candidate, JobFacts, Limits, PipelineEngine, PolicyEngine, PricingRule, Scope, SelectionPolicy,
    SetupError, Snapshot, Urgency,
};

use crate::build;
use crate::clip::{self, Clip};

fn market(count: u64) -> Arc<Snapshot> {
    let rows: Vec<_> = (0..count)
        .map(|index| Candidate {
            price_wei: 5 + index * 7919 % 40,
            rtt_us: 500 + u32::try_from(index * 104_729 % 90_000).expect("under 90,000"),
            slots_free: u32::from(index % 5 != 0) * 4,
            ..Candidate::unknown(&format!("0x{index:x}"), "https://host")
        })
        .collect();
    let scope = Scope::new("live-video-to-video/sketch-video", Lot::live(), 1, 1_700_000_000_000);
    Arc::new(Snapshot::new(scope, &rows).expect("they fit"))
}

#[test]
fn a_choice_is_within_the_limit_and_its_explanation_agrees() {
    let engine = PolicyEngine::new().unwrap();
    let folder = build::plugin("choose-orchestrator");
    let policy = SelectionPolicy::load_folder(&engine, &folder, Limits::policy()).unwrap();
    assert!(policy.describe().config_schema.is_some());
    let snapshot = market(1_000);
    let mut prepared = policy.prepare(Arc::clone(&snapshot), "").unwrap().unwrap();
    for seed in 0..200 {
        let excluded = (0..1_000).filter(|index| index % 3 == 0).collect();
        let job = Arc::new(JobFacts { price_limit_wei: 20, excluded, ..JobFacts::default() });
        let list = prepared.pick(&job, 1, seed).unwrap().unwrap();
        assert_eq!(list.indices().len(), 4);
        assert!(list.indices().iter().all(|&index| index % 3 != 0 && index % 5 != 0));
        let lines = prepared.explain(&job, 1, seed).unwrap().unwrap();
        let first: Vec<_> = lines.iter().take(4).map(|line| line.candidate).collect();
        assert_eq!(first, list.indices());
        // A fresh instance gives the same answer.
        let mut fresh = policy.prepare(Arc::clone(&snapshot), "").unwrap().unwrap();
        assert_eq!(fresh.pick(&job, 1, seed).unwrap().unwrap(), list);
    }
    let refused = policy.prepare(snapshot, r#"{"price":-1}"#).unwrap().err().unwrap();
    assert!(matches!(refused, SetupError::InvalidConfig { path, .. } if path == "/price"));
}

#[test]
fn a_policy_declines_with_the_reason_that_holds() {
    let engine = PolicyEngine::new().unwrap();
    let folder = build::plugin("choose-orchestrator");
    let policy = SelectionPolicy::load_folder(&engine, &folder, Limits::policy()).unwrap();
    let mut prepared = policy.prepare(market(10), "").unwrap().unwrap();
    let mut ask = |job: JobFacts| prepared.pick(&Arc::new(job), 1, 1).unwrap().unwrap_err();
    let dear = ask(JobFacts { price_limit_wei: 4, ..JobFacts::default() });
    assert_eq!(dear, Decline::TooExpensive(5));
    let all = (0..10).collect();
    assert_eq!(ask(JobFacts { excluded: all, ..JobFacts::default() }), Decline::NoneLeft);
    let free = (0..10).filter(|index| index % 5 != 0).collect();
    assert_eq!(ask(JobFacts { excluded: free, ..JobFacts::default() }), Decline::NoCapacity);
}

#[test]
fn ten_thousand_candidates_are_chosen_from_within_the_fuel_of_a_pick() {
    let engine = PolicyEngine::new().unwrap();
    let folder = build::plugin("choose-orchestrator");
    let policy = SelectionPolicy::load_folder(&engine, &folder, Limits::policy()).unwrap();
    let mut prepared = policy.prepare(market(10_000), "").unwrap().unwrap();
    // The worst case walks all of them: only the last few are affordable.
    let job = Arc::new(JobFacts { price_limit_wei: 4, ..JobFacts::default() });
    assert_eq!(prepared.pick(&job, 1, 1).unwrap(), Err(Decline::TooExpensive(5)));
}

#[test]
fn a_price_has_parts_that_add_up_and_charges_never_fall() {
    let engine = PolicyEngine::new().unwrap();
    let folder = build::plugin("price-job");
    let rule = PricingRule::load_folder(&engine, &folder, Limits::policy()).unwrap();
    let mut prepared = rule.prepare(market(0), "").unwrap().unwrap();
    let (job, conditions) = (Arc::default(), Arc::new(Conditions::default()));
    let basis = Basis {
        side: Side::Ask,
        urgency: Urgency::Live,
        tier: 0,
        base_wei: 101,
        units: 0,
        load_ppm: 1_000_000,
        overhead_ppm: 0,
    };
    let quoted = prepared.quote(&job, &basis, &conditions, 1).unwrap().unwrap();
    assert_eq!((quoted.price_wei, quoted.reason.as_deref()), (152, Some("load surcharge")));
    let parts = prepared.explain(&job, &basis, &conditions, 1).unwrap().unwrap();
    assert_eq!(parts.iter().map(|part| part.wei).sum::<i64>(), 51);
    let bid = Basis { side: Side::Bid, ..basis };
    assert_eq!(prepared.quote(&job, &bid, &conditions, 1).unwrap().unwrap().price_wei, 101);
    let wei = prepared.charge(&job, 3, 27_648_000, Meter::default()).unwrap().unwrap();
    assert_eq!(wei, 83);
    assert!(prepared.charge(&job, u64::MAX, u64::MAX, Meter::default()).unwrap().is_err());
}

#[test]
fn a_drawing_is_five_ops_and_changes_while_it_runs() {
    let engine = PipelineEngine::new().unwrap();
    let sketch = engine.load(&build::plugin("sketch-video")).unwrap();
    assert_eq!(sketch.describe().unwrap().name, "sketch-video");
    let made = sketch.instantiate(Box::new(Clip::new()), Duration::from_millis(8));
    let mut instance = made.unwrap();
    instance.start("").unwrap().unwrap();
    let ops = |instance: &mut plugin::pipeline::PipelineInstance| {
        std::mem::take(&mut instance.host_mut::<Clip>().unwrap().ops)
    };
    assert!(matches!(clip::frame(&mut instance, 0).unwrap(), Ok(Answer::Emit(_))));
    assert_eq!(ops(&mut instance), ["convert", "convolve", "apply-lut", "mix", "convert"]);
    instance.on_params(r#"{"shade":0}"#).unwrap().unwrap();
    clip::frame(&mut instance, 1).unwrap().unwrap();
    assert_eq!(ops(&mut instance), ["convert", "convolve", "apply-lut", "convert"]);
    instance.on_params(r#"{"shade":30,"color":50}"#).unwrap().unwrap();
    let refused = instance.on_params(r#"{"shade":101}"#).unwrap().unwrap_err();
    assert!(refused.to_string().starts_with("`/shade` is not accepted: "));
    clip::frame(&mut instance, 2).unwrap().unwrap();
    let shaded = ["convert", "convolve", "apply-lut", "mix", "convert", "convert", "mix"];
    assert_eq!(ops(&mut instance), shaded);
    // The table of the look that was replaced has been dropped.
    assert_eq!(instance.host_mut::<Clip>().unwrap().tables.len(), 1);
    instance.stop(StopReason::Finished).unwrap();
}

#[test]
fn a_thousand_frames_leave_memory_as_it_was() {
    let engine = PipelineEngine::new().unwrap();
    let sketch = engine.load(&build::plugin("sketch-video")).unwrap();
    let made = sketch.instantiate(Box::new(Clip::new()), Duration::from_millis(8));
    let mut instance = made.unwrap();
    instance.start("").unwrap().unwrap();
    clip::frame(&mut instance, 0).unwrap().unwrap();
    let warm = instance.memory_bytes();
    for sequence in 1..1_000 {
        clip::frame(&mut instance, sequence).unwrap().unwrap();
    }
    assert_eq!(instance.memory_bytes(), warm);
}
