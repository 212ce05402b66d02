//! Limits that one call alone does not show: each has a guest, holds again for the next call, and
//! keeps what a guest returns from filling the host's memory.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::price::Lot;
use plugin::limits::names;
use plugin::{
    Candidate, FaultKind, JobFacts, Limit, Limits, PipelineEngine, PolicyEngine, Scope,
    SelectionPolicy, Snapshot,
};

use crate::build;
use crate::clip::{self, Clip};

/// More than any frame takes.
const SECOND: Duration = Duration::from_secs(1);
/// Most that a refused answer of 400 MiB may add to this process: the limit of 4 MiB, and what the
/// other tests that run beside this one hold.
const GROWTH_KIB_MAX: u64 = 150 << 10;

fn market() -> Arc<Snapshot> {
    let row = Candidate { price_wei: 1, ..Candidate::unknown("0x1", "https://one") };
    let scope = Scope::new("live-video-to-video/test", Lot::live(), 1, 0);
    Arc::new(Snapshot::new(scope, &[row]).expect("one fits"))
}

fn policy(engine: &PolicyEngine, name: &str) -> SelectionPolicy {
    SelectionPolicy::load_folder(engine, &build::guest(name), Limits::policy()).expect("it loads")
}

#[test]
fn every_limit_has_a_guest_that_runs_into_it() {
    let folder = build::root().join("tests/conformance");
    let cases = folder.read_dir().expect("the folder of the guests").flatten();
    let covered: BTreeSet<String> = cases
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("case.toml")).ok())
        .filter_map(|text| Some(text.parse::<toml::Table>().ok()?.get("limit")?.as_str()?.into()))
        .collect();
    let all: BTreeSet<String> = names().map(str::to_owned).collect();
    let missing: Vec<_> = all.difference(&covered).collect();
    assert!(missing.is_empty(), "limits without a guest: {missing:?}");
    let unknown: Vec<_> = covered.iter().filter(|name| !names().any(|it| it == *name)).collect();
    assert!(unknown.is_empty(), "guests of limits that are none: {unknown:?}");
}

#[test]
fn fuel_is_the_same_for_every_call_and_used_up_at_the_same_place() {
    let engine = PolicyEngine::new().unwrap();
    for guest in ["loop-pick", "ask-forever"] {
        let policy = policy(&engine, guest);
        let (snapshot, job) = (market(), Arc::new(JobFacts::default()));
        let mut shown = BTreeSet::new();
        for _ in 0..3 {
            let mut prepared = policy.prepare(Arc::clone(&snapshot), "").unwrap().unwrap();
            let fault = prepared.pick(&job, 1, 1).unwrap_err();
            assert_eq!(fault.kind, FaultKind::Fuel);
            shown.insert(fault.to_string());
        }
        assert_eq!(shown.len(), 1, "{shown:?}");
    }
    // A call that ends in time leaves the next one all of its fuel.
    let mut prepared = policy(&engine, "pick-first").prepare(market(), "").unwrap().unwrap();
    for seed in 0..100_000 {
        prepared.pick(&Arc::default(), 1, seed).unwrap().unwrap();
    }
}

#[test]
fn time_is_given_anew_for_every_callback() {
    let engine = PipelineEngine::new().unwrap();
    let slow = engine.load(&build::guest("mix-often")).unwrap();
    let mut instance = slow.instantiate(Box::new(Clip::new()), Duration::from_millis(2)).unwrap();
    instance.start(r#"{"times":100}"#).unwrap().unwrap();
    // Many times the budget in all, each within it.
    let begun = Instant::now();
    for sequence in 0.. {
        clip::frame(&mut instance, sequence).unwrap().unwrap();
        if begun.elapsed() > Duration::from_millis(100) {
            break;
        }
    }
    let hostile = engine.load(&build::guest("loop-forever")).unwrap();
    for _ in 0..2 {
        let made = hostile.instantiate(Box::new(Clip::new()), Duration::from_millis(2));
        let mut instance = made.unwrap();
        instance.start("").unwrap().unwrap();
        clip::frame(&mut instance, 0).unwrap().unwrap();
        assert_eq!(clip::frame(&mut instance, 2).unwrap_err().kind, FaultKind::Time);
    }
}

#[test]
fn eight_guests_that_never_end_are_all_ended() {
    let engine = PipelineEngine::new().unwrap();
    let hostile = engine.load(&build::guest("loop-forever")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut instance = hostile.instantiate(Box::new(Clip::new()), SECOND).unwrap();
                instance.start("").unwrap().unwrap();
                let fault = clip::frame(&mut instance, 2).unwrap_err();
                assert_eq!(fault.kind, FaultKind::Time);
                assert_eq!(fault.limit.unwrap().name, "frame_budget");
            });
        }
    });
}

#[test]
fn places_of_a_version_are_counted_and_given_back() {
    let engine = PipelineEngine::new().unwrap();
    let alone = engine.load(&build::guest("run-alone")).unwrap();
    let first = alone.instantiate(Box::new(Clip::new()), SECOND).unwrap();
    let full = alone.instantiate(Box::new(Clip::new()), SECOND).err().unwrap();
    assert_eq!((full.kind, full.class()), (FaultKind::Full, domain::Class::Exhausted));
    assert_eq!(full.message, "instances limit 1: plugin used 2");
    drop(first);
    assert!(alone.instantiate(Box::new(Clip::new()), SECOND).is_ok());
}

#[test]
fn a_returned_value_that_names_one_block_a_hundred_times_is_not_copied() {
    let engine = PolicyEngine::new().unwrap();
    let mut prepared = policy(&engine, "explain-at-length").prepare(market(), "").unwrap().unwrap();
    let before = most_resident_kib();
    let fault = prepared.explain(&Arc::default(), 1, 1).unwrap_err();
    assert_eq!(fault.message, "setup_copy limit 4 MiB: plugin asked for over 4 MiB");
    let grown = most_resident_kib() - before;
    assert!(grown < GROWTH_KIB_MAX, "{grown} KiB");
}

#[test]
fn a_plugins_limits_can_be_listed_with_name_value_and_unit() {
    let limits = Limits::pipeline();
    let shown: Vec<_> = limits
        .iter()
        .map(|(limit, value)| (limit.name(), limit.amount(value).to_string()))
        .collect();
    assert!(shown.contains(&("memory", "64 MiB".to_owned())), "{shown:?}");
    assert!(shown.contains(&("log_lines", "100 a second".to_owned())), "{shown:?}");
    assert_eq!(Limit::named("log_lines"), Some(Limit::LogLines));
}

/// Set for the copy of this program that runs with little address space.
const LITTLE: &str = "FRAMEGATE_TEST_LITTLE_ADDRESS_SPACE";

#[test]
fn everything_here_works_with_6_gb_of_address_space() {
    if std::env::var_os(LITTLE).is_some() {
        for engine in
            [PolicyEngine::new().unwrap().describe(), PipelineEngine::new().unwrap().describe()]
        {
            assert!(engine.contains("allocation=on-demand"), "{engine}");
        }
        return;
    }
    build::guest("pass-frames");
    let program = std::env::current_exe().expect("a test knows its program");
    let limited = Command::new("sh")
        .args(["-c", "ulimit -v 6000000 && exec \"$0\" \"$@\""])
        .arg(program)
        .args(["--test-threads=2", "cases::", "shipped::", "everything_here_works"])
        .env(LITTLE, "1")
        .output()
        .expect("the tests run again");
    let said = String::from_utf8_lossy(&limited.stdout);
    assert!(limited.status.success(), "{said}{}", String::from_utf8_lossy(&limited.stderr));
}

fn most_resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process has a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let figure = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    figure.expect("a process has a high-water mark")
}
