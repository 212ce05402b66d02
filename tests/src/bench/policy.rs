//! `policy.call`: a `pick` that chooses candidate 0, through `host/plugin` as a gateway calls it,
//! over the bare typed call of the same component.

use std::path::Path;
use std::sync::Arc;

use plugin::Limits;
use serde_json::{Value, json};

use super::bare::{Bare, Decline, INTERFACE, Job, Shortlist};
use super::first::{First, GUEST};
use super::pair::{least, measure};
use super::{Line, Skipped, clock, env, machine};

/// Calls in a block: some 5 ms.
const CALLS: u32 = 20_000;
/// Blocks of which the least counts.
const BLOCKS: usize = 9;
/// Pairs: a tenth of a second each.
const PAIRS: usize = 25;
const GOAL: f64 = 1.2;

/// Measures the call as a gateway makes it, and on one instance that nobody shares.
pub(super) fn run() -> Result<Vec<Line>, Skipped> {
    let First { folder, engine, policy, snapshot, facts } = First::load(Limits::policy())?;
    let shared = policy.ready(Arc::clone(&snapshot), "").map_err(Skipped::of)?;
    let shared = shared.map_err(Skipped::of)?;
    let mut own = policy.prepare(snapshot, "").map_err(Skipped::of)?.map_err(Skipped::of)?;
    let env = |ours: &str| {
        env(json!({
            "engine": engine.describe(),
            "ours": ours,
            "base": "TypedFunc::call of the same component, same settings, one store, fuel never set",
            "guest": GUEST,
            "clock": "thread processor time, least of 9 blocks of 20,000 calls",
        }))
    };
    let gateway =
        "Ready::with, PreparedSelection::pick: fuel set, answer checked, faults contained";
    let alone = "PreparedSelection::pick: fuel set, answer checked, faults contained";
    Ok(vec![
        against_bare("policy.call", env(gateway), &folder, |i| {
            let picked = shared.with(|policy| policy.pick(&facts, 0, u64::from(i)));
            matches!(picked, Ok(Ok(list)) if list.indices() == [0])
        })?,
        against_bare("policy.call.instance", env(alone), &folder, |i| {
            let picked = own.pick(&facts, 0, u64::from(i));
            matches!(picked, Ok(Ok(list)) if list.indices() == [0])
        })?,
    ])
}

/// Measures `pick`, which says whether the answer was right, against the bare call.
fn against_bare(
    id: &str,
    env: Value,
    folder: &Path,
    mut pick: impl FnMut(u32) -> bool,
) -> Result<Line, Skipped> {
    let idle = machine::idle();
    let mut bare = Bare::policy(folder)?;
    bare.set_up(INTERFACE, "prepare", "")?;
    let call = bare.typed::<(Job, u64, u64), (Result<Shortlist, Decline>,)>(INTERFACE, "pick")?;
    let job = Job::default();
    let ours = || Ok::<f64, Skipped>(least(BLOCKS, || nanoseconds_each(&mut pick)));
    let base = || {
        let block = || {
            nanoseconds_each(|i| {
                let picked = call.call(&mut bare.store, (job, 0, u64::from(i)));
                matches!(picked, Ok((Ok(Shortlist { first: 0, second: None, .. }),)))
            })
        };
        Ok(least(BLOCKS, block))
    };
    let pairs = measure(PAIRS, ours, base)?;
    Ok(Line::of_pairs(id, "ns", &pairs, idle, env).with_goal(GOAL))
}

/// Calls `call` a block's times and returns the processor time of each; every call has to be right.
fn nanoseconds_each(mut call: impl FnMut(u32) -> bool) -> f64 {
    let start = clock::thread_cpu();
    let right = (0..CALLS).filter(|i| call(*i)).count();
    let took = clock::thread_cpu() - start;
    assert_eq!(right, CALLS as usize, "a call gave another answer");
    took.as_secs_f64() * 1e9 / f64::from(CALLS)
}
