//! The same for long: threads that share few instances, instances that come and go, callbacks
//! without end. Nothing grows and no limit is hit.
//!
//! `SOAK=1` runs the full counts, one test at a time, and holds memory to [`GROWTH_MIB_MAX`]; else
//! they are a hundredth, beside other tests, and only a leak of a whole instance would be seen.

use std::sync::Arc;
use std::time::Duration;

use domain::price::Lot;
use plugin::policy::ready::READY_MAX;
use plugin::{
    Candidate, Limit, Limits, PipelineEngine, PolicyEngine, Scope, SelectionPolicy, Snapshot,
};

use crate::build;
use crate::clip::{self, Clip};

/// Growth of this process from when it is warm to the end: the allocator's own wavering.
const GROWTH_MIB_MAX: u64 = 8;
/// The same beside other tests: what all of them hold at once.
const GROWTH_BESIDE_MIB_MAX: u64 = 400;
/// Calls before memory is looked at: every pool place has been used, every thread has its arena.
const WARM: usize = 500;

fn soaking() -> bool {
    std::env::var_os("SOAK").is_some()
}

fn count(full: usize) -> usize {
    if soaking() { full } else { full / 100 }
}

/// Runs `warm`, then `work`, and holds what the process grew by in the latter to the limit.
#[expect(clippy::print_stdout, reason = "the soak states what memory it took")]
fn flat(what: &str, warm: impl FnOnce(), work: impl FnOnce()) {
    build::guest("pick-first");
    warm();
    let before = resident_mib();
    work();
    let grown = resident_mib().saturating_sub(before);
    println!("{what}: {before} MiB warm, grown by {grown} MiB");
    let most = if soaking() { GROWTH_MIB_MAX } else { GROWTH_BESIDE_MIB_MAX };
    assert!(grown <= most, "{what}: {before} MiB after warm-up, grown by {grown} MiB");
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process has a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.expect("a process has a size") >> 10
}

fn market() -> Arc<Snapshot> {
    let rows: Vec<_> = (1..=20)
        .map(|price_wei| Candidate { price_wei, ..Candidate::unknown("0x1", "https://one") })
        .collect();
    let scope = Scope::new("live-video-to-video/test", Lot::live(), 1, 0);
    Arc::new(Snapshot::new(scope, &rows).expect("twenty fit"))
}

#[test]
fn sixty_four_threads_share_one_ready_set() {
    let engine = PolicyEngine::new().unwrap();
    // As few places as there can be callers at once.
    let mut limits = Limits::policy();
    limits.set(Limit::Instances, READY_MAX as u64).unwrap();
    let folder = build::plugin("choose-orchestrator");
    let policy = SelectionPolicy::load_folder(&engine, &folder, limits).unwrap();
    let ready = policy.ready(market(), "").unwrap().unwrap();
    let calls = |each: usize| {
        std::thread::scope(|scope| {
            for thread in 0..READY_MAX {
                let ready = &ready;
                scope.spawn(move || {
                    let job = Arc::default();
                    for call in 0..each {
                        let seed = (thread * each + call) as u64;
                        let picked = ready.with(|instance| instance.pick(&job, 1, seed));
                        picked.expect("no limit is hit").expect("there is a candidate");
                    }
                });
            }
        });
    };
    flat("64 threads x 10,000 calls", || calls(count(WARM * 10)), || calls(count(10_000)));
}

#[test]
fn instances_come_and_go() {
    let engine = PolicyEngine::new().unwrap();
    let folder = build::guest("pick-first");
    let policy = SelectionPolicy::load_folder(&engine, &folder, Limits::policy()).unwrap();
    let frames = PipelineEngine::new().unwrap();
    let pipeline = frames.load(&build::guest("pass-frames")).unwrap();
    let snapshot = market();
    let both = |each: usize| {
        for _ in 0..each {
            let mut prepared = policy.prepare(Arc::clone(&snapshot), "").unwrap().unwrap();
            prepared.pick(&Arc::default(), 1, 1).unwrap().unwrap();
            let made = pipeline.instantiate(Box::new(Clip::new()), Duration::from_secs(1));
            made.unwrap().start("").unwrap().unwrap();
        }
    };
    flat("100,000 instantiations", || both(WARM), || both(count(50_000)));
}

#[test]
fn four_instances_call_the_host_side_by_side() {
    const OPS: usize = 250;
    let engine = PipelineEngine::new().unwrap();
    let pipeline = engine.load(&build::guest("mix-often")).unwrap();
    let frames = |each: usize| {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let host = Box::new(Clip::new());
                    let mut instance =
                        pipeline.instantiate(host, Duration::from_secs(1)).expect("a place");
                    instance.start(&format!("{{\"times\":{OPS}}}")).unwrap().unwrap();
                    for sequence in 0..each as u64 {
                        clip::frame(&mut instance, sequence).unwrap().unwrap();
                        let host = instance.host_mut::<Clip>().expect("the host is a clip");
                        assert_eq!(host.ops.len(), OPS);
                        host.ops.clear();
                    }
                });
            }
        });
    };
    flat("4 instances x 250,000 callbacks", || frames(10), || frames(count(250_000 / OPS)));
}
