//! The market under a lossy network, many times over.
//!
//! `SEED=n` runs one seed alone, `SEEDS=n` that many; `tests/seeds.txt` holds those that once failed.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::num::NonZero;
use std::sync::Mutex;
use std::thread;

use tests::sim::{self, Flaw, Summary, Violation};

/// Seeds that each run of the tests tries.
const SEEDS: u64 = 200;

fn number(key: &str) -> Option<u64> {
    let text = env::var(key).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{key}={text} is no number")))
}

fn seeds() -> Vec<u64> {
    match (number("SEED"), number("SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, count) => (1..=count.unwrap_or(SEEDS)).collect(),
    }
}

/// Runs every seed, on all processors, and fails with the first in order that broke a promise.
#[track_caller]
fn hold(seeds: &[u64]) -> Vec<Summary> {
    let queue = Mutex::new(seeds.iter());
    let results = Mutex::new(Vec::new());
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some(seed) = queue.lock().expect("no market panics").next() else { return };
                    let result = sim::run(*seed, Flaw::None);
                    results.lock().expect("no market panics").push((*seed, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no market panics");
    results.sort_by_key(|(seed, _)| *seed);
    let broken: Vec<&Violation> = results.iter().filter_map(|(_, r)| r.as_ref().err()).collect();
    let list: String = broken.iter().take(10).map(|violation| format!("\n{violation}")).collect();
    assert!(broken.is_empty(), "{} of {} seeds broke a promise:{list}", broken.len(), seeds.len());
    results.into_iter().filter_map(|(_, result)| result.ok()).collect()
}

#[test]
fn every_market_keeps_its_promises() {
    let seeds = seeds();
    let summaries = hold(&seeds);
    let steps: u64 = summaries.iter().map(|summary| summary.steps).sum();
    let sessions: u64 = summaries.iter().map(|summary| summary.sessions).sum();
    let outcomes: BTreeSet<String> = summaries.into_iter().flat_map(|s| s.outcomes).collect();
    tests::note(&format!("{} markets, {steps} events, {sessions} sessions", seeds.len()));
    if seeds.len() < 100 {
        return;
    }
    // What never happens is not tested.
    let must = [
        "ended: client-gone",
        "ended: eos",
        "ended: fault",
        "ended: lost",
        "forgotten",
        "left",
        "refused: denied",
        "refused: no-capability",
        "refused: no-slot",
        "refused: out-scored",
        "refused: price-over-cap",
        "refused: unreachable",
        "unanswered",
    ];
    // Of many thousand markets a few end in something rarer besides.
    let never: Vec<_> = must.into_iter().filter(|outcome| !outcomes.contains(*outcome)).collect();
    assert!(never.is_empty(), "{never:?} did not happen, but {outcomes:?}");
}

#[test]
fn seeds_that_failed_once_hold() {
    let text = fs::read_to_string(tests::root().join("tests/seeds.txt")).expect("it is there");
    let rows = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let seeds: Vec<u64> = rows
        .map(|row| {
            let (seed, why) = row.split_once(' ').expect("a seed and why");
            assert!(!why.trim().is_empty(), "`{row}` does not say why");
            seed.parse().expect("a seed is a number")
        })
        .collect();
    hold(&seeds);
}

#[test]
fn the_same_seed_is_the_same_market() {
    let mut traces = BTreeSet::new();
    for seed in 1..=10 {
        let first = sim::run(seed, Flaw::None).unwrap();
        assert_eq!(Ok(&first), sim::run(seed, Flaw::None).as_ref());
        traces.insert(first.trace);
    }
    assert_eq!(traces.len(), 10, "different seeds are different markets");
}

#[test]
fn a_party_that_breaks_a_promise_is_caught() {
    for (flaw, rule) in Flaw::ALL {
        let mut broken = (1..=50).filter_map(|seed| sim::run(seed, flaw).err());
        assert!(broken.any(|violation| violation.rule == rule), "{flaw:?} goes unnoticed");
    }
}
