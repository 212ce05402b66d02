//! `plugin.idle_kib`: memory that a prepared policy instance holds while it waits, with a thousand
//! of them alive, over what it may hold. What a bare instance of the same component holds is told
//! beside it.
//!
//! **Invariant:** nothing is freed between two readings, so that no reading is of memory used again.

use std::fs;
use std::sync::Arc;

use plugin::{Limit, Limits};
use serde_json::json;

use super::bare::Bare;
use super::first::{First, GUEST};
use super::pair::{PAIRS_MIN, measure};
use super::stats::median;
use super::{Line, Skipped, env, machine};

/// Instances between two readings; a thousand in all, warm-up included.
const BATCH: u64 = 63;
/// What an instance may hold.
const KIB_MAX: f64 = 16.0;

/// Measures it.
pub(super) fn run() -> Result<Vec<Line>, Skipped> {
    let mut limits = Limits::policy();
    limits.set(Limit::Instances, Limit::Instances.cap()).map_err(Skipped)?;
    let First { folder, engine, policy, snapshot, facts } = First::load(limits)?;
    let idle = machine::idle();
    let pre = Bare::policy_pre(&folder)?;
    let (mut live, mut bare, mut bare_kib) = (Vec::new(), Vec::new(), Vec::new());
    let pairs = measure(
        PAIRS_MIN,
        || {
            kib_each(|| {
                let prepared = policy.prepare(Arc::clone(&snapshot), "").map_err(Skipped::of)?;
                let mut prepared = prepared.map_err(Skipped::of)?;
                let picked = prepared.pick(&facts, 0, 1).map_err(Skipped::of)?;
                picked.map_err(|_| Skipped("the guest declined".to_owned()))?;
                live.push(prepared);
                Ok(())
            })
        },
        || {
            bare_kib.push(kib_each(|| {
                bare.push(Bare::of(&pre)?);
                Ok(())
            })?);
            Ok(KIB_MAX)
        },
    )?;
    let env = env(json!({
        "engine": engine.describe(),
        "ours": "resident memory held by prepared instances that have been asked once",
        "base": "the 16 KiB that one may take",
        "bare_kib": median(&bare_kib),
        "live": live.len() + bare.len(),
        "guest": GUEST,
    }));
    Ok(vec![Line::of_pairs("plugin.idle_kib", "KiB", &pairs, idle, env).with_goal(1.0)])
}

/// Makes a batch and returns what this process grew by for each, in KiB.
fn kib_each(mut make: impl FnMut() -> Result<(), Skipped>) -> Result<f64, Skipped> {
    let before = resident_kib()?;
    for _ in 0..BATCH {
        make()?;
    }
    Ok((resident_kib()? - before) / f64::from(u32::try_from(BATCH).unwrap_or(u32::MAX)))
}

/// Returns the memory that this process holds, in KiB.
pub(super) fn resident_kib() -> Result<f64, Skipped> {
    let text = fs::read_to_string("/proc/self/smaps_rollup").map_err(Skipped::of)?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.ok_or_else(|| Skipped("no `Rss` in `smaps_rollup`".to_owned()))
}
