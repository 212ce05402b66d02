//! What one plugin does is nobody else's trouble, and a wrong component is refused by name.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::price::Lot;
use plugin::pipeline::{Answer, Pipeline};
use plugin::{
    Allowed, Candidate, FaultKind, JobFacts, Limit, Limits, LoadError, Manifest, PipelineEngine,
    PolicyEngine, Scope, SelectionPolicy, Snapshot,
};

use crate::build;
use crate::clip::{self, Clip};

const BUDGET: Duration = Duration::from_millis(8);

#[test]
fn a_loop_ends_its_own_session_and_the_others_run_on() {
    let engine = PipelineEngine::new().unwrap();
    let hostile = engine.load(&build::guest("loop-forever")).unwrap();
    let honest = engine.load(&build::guest("pass-frames")).unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut instance = honest.instantiate(Box::new(Clip::new()), BUDGET).unwrap();
            instance.start("").unwrap().unwrap();
            for sequence in 0..2_000 {
                assert_eq!(clip::frame(&mut instance, sequence).unwrap(), Ok(Answer::Pass));
            }
        });
        let mut instance = hostile.instantiate(Box::new(Clip::new()), BUDGET).unwrap();
        instance.start("").unwrap().unwrap();
        clip::frame(&mut instance, 0).unwrap().unwrap();
        let fault = clip::frame(&mut instance, 2).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Time);
        assert_eq!(fault.class(), domain::Class::PluginFault);
        // The store is gone, the session's host is not.
        assert_eq!(clip::frame(&mut instance, 3).unwrap_err().kind, FaultKind::Host);
        assert_eq!(instance.memory_bytes(), 0);
        assert_eq!(instance.host_mut::<Clip>().unwrap().callbacks, 3);
        other.join().unwrap();
    });
}

#[test]
fn time_in_host_functions_is_not_the_guests() {
    let engine = PipelineEngine::new().unwrap();
    let sketch = engine.load(&build::plugin("sketch-video")).unwrap();
    // Five ops of 10 ms each: the host works for six times the guest's budget.
    let mut clip = Clip::new();
    clip.op_time = 10 * BUDGET / 8;
    let mut instance = sketch.instantiate(Box::new(clip), BUDGET).unwrap();
    instance.start("").unwrap().unwrap();
    let begun = Instant::now();
    clip::frame(&mut instance, 0).unwrap().unwrap();
    let in_host = begun.elapsed().saturating_sub(instance.guest_time());
    assert!(in_host >= 5 * BUDGET, "{in_host:?}");
}

#[test]
fn a_plugin_may_ask_for_less_memory_than_the_operator_allows() {
    let engine = PipelineEngine::new().unwrap();
    let folder = build::guest("pass-frames");
    let mut manifest = Manifest::read(&folder).unwrap();
    manifest.limits.insert(Limit::Memory, 64 * 1024);
    let bytes = plugin::load::read(&manifest).unwrap();
    let error = Pipeline::load(&engine, &manifest, &bytes, Limits::pipeline(), &Allowed::default());
    let error = error.err().unwrap();
    let text = error.to_string();
    assert!(text.starts_with("`pass-frames` can never run here: it needs "), "{text}");
    assert!(
        text.ends_with(" MiB, limit 64 KiB, setting `plugins.limits.pass-frames.memory`"),
        "{text}"
    );
    assert_eq!(error.class(), domain::Class::Invalid);
}

#[test]
fn a_component_of_another_world_is_refused_with_everything_that_does_not_fit() {
    let engine = PolicyEngine::new().unwrap();
    let folder = build::plugin("price-job");
    let error = SelectionPolicy::load_folder(&engine, &folder, Limits::policy()).err().unwrap();
    assert_eq!(error.to_string(), "`price-job` is a `pricing-rule`, not a `selection-policy`");
    let mut lying = Manifest::read(&build::plugin("sketch-video")).unwrap();
    lying.world = plugin::World::SelectionPolicy;
    let bytes = plugin::load::read(&lying).unwrap();
    let error = SelectionPolicy::load(&engine, &lying, &bytes, Limits::policy()).err().unwrap();
    let text = error.to_string();
    assert!(text.contains("imports `framegate:media/ops@0.1.0`, which the world does not have"));
    assert!(
        text.contains("does not export `framegate:policy/selection@0.1.0` (it is a `pipeline`)")
    );
    assert_eq!(error.class(), domain::Class::Invalid);
    let text = "(component";
    let error = SelectionPolicy::load(
        &engine,
        &Manifest { world: plugin::World::SelectionPolicy, ..lying },
        text.as_bytes(),
        Limits::policy(),
    );
    assert!(matches!(error, Err(LoadError::Compile { .. })));
}

#[test]
fn a_plugin_that_calls_itself_otherwise_is_refused() {
    let engine = PipelineEngine::new().unwrap();
    let mut manifest = Manifest::read(&build::guest("pass-frames")).unwrap();
    let bytes = plugin::load::read(&manifest).unwrap();
    manifest.version = "0.2.0".to_owned();
    let error = Pipeline::load(&engine, &manifest, &bytes, Limits::pipeline(), &Allowed::default());
    let error = error.err().unwrap();
    assert_eq!(error.to_string(), "`pass-frames` 0.2.0 calls itself `pass-frames` 0.1.0");
}

#[test]
fn a_ready_set_serves_many_threads_and_replaces_what_faults() {
    let engine = PolicyEngine::new().unwrap();
    let row = Candidate { price_wei: 1, ..Candidate::unknown("0x1", "https://one") };
    let scope = Scope::new("live-video-to-video/test", Lot::live(), 1, 0);
    let snapshot = Arc::new(Snapshot::new(scope, &[row]).unwrap());
    let job = Arc::new(JobFacts::default());
    for (guest, faults) in [("pick-first", false), ("trap-pick", true)] {
        let folder = build::guest(guest);
        let policy = SelectionPolicy::load_folder(&engine, &folder, Limits::policy()).unwrap();
        let ready = policy.ready(Arc::clone(&snapshot), "").unwrap().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for seed in 0..200 {
                        let answer = ready.with(|instance| instance.pick(&job, 1, seed));
                        assert_eq!(answer.is_err(), faults);
                    }
                });
            }
        });
    }
}
