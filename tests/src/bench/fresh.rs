//! `plugin.fresh`: instantiating, preparing and asking a policy through `host/plugin`, over a bare
//! pre-instantiated instance that is prepared and asked.

use std::sync::Arc;

use plugin::Limits;
use serde_json::json;
use wasmtime::Store;
use wasmtime::component::InstancePre;

use super::bare::{Bare, Decline, INTERFACE, Job, SetupError, Shortlist};
use super::first::{First, GUEST};
use super::pair::{least, measure};
use super::{Line, Skipped, clock, env, machine};

/// Instances in a block, one after the other: some 10 ms.
const INSTANCES: u32 = 500;
const BLOCKS: usize = 9;
const PAIRS: usize = 25;
const GOAL: f64 = 1.2;

/// Measures it.
pub(super) fn run() -> Result<Vec<Line>, Skipped> {
    let First { folder, engine, policy, snapshot, facts } = First::load(Limits::policy())?;
    let idle = machine::idle();
    let pre = Bare::policy_pre(&folder)?;
    let ours = || {
        let Ok(Ok(mut prepared)) = policy.prepare(Arc::clone(&snapshot), "") else { return false };
        matches!(prepared.pick(&facts, 0, 1), Ok(Ok(list)) if list.indices() == [0])
    };
    let pairs = measure(
        PAIRS,
        || Ok::<f64, Skipped>(least(BLOCKS, || microseconds_each(ours))),
        || Ok(least(BLOCKS, || microseconds_each(|| matches!(bare(&pre), Ok(true))))),
    )?;
    let env = env(json!({
        "engine": engine.describe(),
        "ours": "SelectionPolicy::prepare, PreparedSelection::pick, drop",
        "base": "InstancePre::instantiate, typed prepare and pick, drop; same component and settings",
        "guest": GUEST,
        "clock": "thread processor time, least of 9 blocks of 500 instances",
    }));
    Ok(vec![Line::of_pairs("plugin.fresh", "us", &pairs, idle, env).with_goal(GOAL)])
}

fn bare(pre: &InstancePre<()>) -> wasmtime::Result<bool> {
    let mut store = Store::new(pre.engine(), ());
    store.set_fuel(u64::MAX)?;
    let instance = pre.instantiate(&mut store)?;
    let within = instance.get_export_index(&mut store, None, INTERFACE);
    let mut find = |name: &str| instance.get_export_index(&mut store, within.as_ref(), name);
    let (Some(prepare), Some(pick)) = (find("prepare"), find("pick")) else { return Ok(false) };
    let prepare =
        instance.get_typed_func::<(&str,), (Result<(), SetupError>,)>(&mut store, &prepare)?;
    let pick = instance
        .get_typed_func::<(Job, u64, u64), (Result<Shortlist, Decline>,)>(&mut store, &pick)?;
    if !matches!(prepare.call(&mut store, ("",))?, (Ok(()),)) {
        return Ok(false);
    }
    let (picked,) = pick.call(&mut store, (Job::default(), 0, 1))?;
    Ok(matches!(picked, Ok(Shortlist { first: 0, second: None, .. })))
}

/// Makes a block's instances and returns the processor time of each; every one has to answer right.
fn microseconds_each(mut one: impl FnMut() -> bool) -> f64 {
    let start = clock::thread_cpu();
    let right = (0..INSTANCES).filter(|_| one()).count();
    let took = clock::thread_cpu() - start;
    assert_eq!(right, INSTANCES as usize, "an instance gave another answer");
    took.as_secs_f64() * 1e6 / f64::from(INSTANCES)
}
