//! `policy.pick.N`: what `choose-orchestrator` does in a `pick` over N candidates, over the same
//! Rust compiled natively.
//!
//! The call itself (some 0.2 µs, whatever the guest does, and ten times what there is to do) is
//! `policy.call`'s to judge. Here a `pick` of a guest that only answers is measured beside it and
//! taken off; `policy.pick.N.whole` is with it.

use std::hint::black_box;
use std::sync::Arc;

use domain::price::Lot;
use plugin::{
    Candidate, JobFacts, Limits, PolicyEngine, PreparedSelection, Ready, Scope, SelectionPolicy,
    Snapshot,
};
use serde_json::{Value, json};

use super::pair::{Pairs, least, measure};
use super::{Line, Skipped, clock, env, machine, place};
use crate::rng::Rng;

/// The guest's own source.
#[path = "../../../plugins/choose-orchestrator/src/rank.rs"]
#[expect(dead_code, reason = "the plugin explains as well")]
mod rank;

use rank::{Ask, Columns, Nobody, Ranking, Weights};

const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];
/// Different jobs, asked for in turn.
const JOBS: u64 = 128;
/// Rounds over all jobs in a block: some 2 ms.
const ROUNDS: u32 = 64;
/// Blocks of which the least counts.
const BLOCKS: usize = 9;
/// Pairs: some 60 ms each.
const PAIRS: usize = 25;
/// Names in a shortlist.
const SHORTLIST: usize = 4;
const GOAL: f64 = 2.0;

/// Measures each size.
pub(super) fn run() -> Result<Vec<Line>, Skipped> {
    let engine = PolicyEngine::new().map_err(Skipped::of)?;
    let mut lines = Vec::new();
    for size in SIZES {
        lines.extend(measure_size(&engine, size)?);
    }
    Ok(lines)
}

fn measure_size(engine: &PolicyEngine, size: usize) -> Result<[Line; 3], Skipped> {
    let market = market(size);
    let guest = ready(engine, "choose-orchestrator", &market)?;
    let nothing = ready(engine, "pick-four", &market)?;
    let sides = Sides { guest, nothing, native: Native::new(&market) };
    let idle = machine::idle();
    let id = format!("policy.pick.{size}");
    let call = "Ready::with, PreparedSelection::pick";
    let less = "the same call of tests/conformance/pick-four, which looks at nothing, taken off";
    let both = format!("{call}; {less}");
    let (whole, work) = sides.measure(&jobs(&market, Tried::Never))?;
    let (_, again) = sides.measure(&jobs(&market, Tried::Once))?;
    let asked = format!("{both}; the best candidate is excluded, which costs host calls");
    Ok([
        Line::of_pairs(&id, "ns", &work, idle, facts(engine, &both)).with_goal(GOAL),
        Line::of_pairs(&format!("{id}.retry"), "ns", &again, idle, facts(engine, &asked)),
        Line::of_pairs(&format!("{id}.whole"), "ns", &whole, idle, facts(engine, call)),
    ])
}

/// Whether the jobs of a market were tried before.
#[derive(Clone, Copy)]
enum Tried {
    Never,
    Once,
}

/// What is measured, what is taken off and what it is held against.
struct Sides {
    guest: Ready<PreparedSelection>,
    nothing: Ready<PreparedSelection>,
    native: Native,
}

impl Sides {
    /// Measures whole picks, and picks less the call of a guest that does nothing.
    fn measure(&self, jobs: &[Arc<JobFacts>]) -> Result<(Pairs, Pairs), Skipped> {
        agree(&self.guest, &self.native, jobs)?;
        let easy: Vec<_> = jobs.iter().map(|_| Arc::new(JobFacts::default())).collect();
        let call = |ready: &Ready<PreparedSelection>, jobs: &[Arc<JobFacts>]| {
            nanoseconds_each(jobs, |job, seed| {
                ready.with(|policy| policy.pick(job, 0, seed)).is_ok_and(|answer| answer.is_ok())
            })
        };
        let mut empty = Vec::new();
        let ours = || {
            // In turn, so that a busy moment of the machine meets both.
            let both = (0..BLOCKS).map(|_| (call(&self.nothing, &easy), call(&self.guest, jobs)));
            let least = |(a, b): (f64, f64), (c, d): (f64, f64)| (a.min(c), b.min(d));
            let (nothing, guest) = both.fold((f64::INFINITY, f64::INFINITY), least);
            empty.push(nothing);
            Ok::<f64, Skipped>(guest)
        };
        let native =
            || nanoseconds_each(jobs, |job, seed| black_box(self.native.pick(job, seed)).is_ok());
        let whole = measure(PAIRS, ours, || Ok(least(BLOCKS, native)))?;
        // The first round warms up, here as it does there.
        let work = whole.ours.iter().zip(&empty[1..]).map(|(whole, empty)| whole - empty);
        let work = Pairs { ours: work.collect(), base: whole.base.clone() };
        Ok((whole, work))
    }
}

fn facts(engine: &PolicyEngine, ours: &str) -> Value {
    env(json!({
        "engine": engine.describe(),
        "ours": ours,
        "base": "plugins/choose-orchestrator/src/rank.rs in this program, called directly",
        "clock": "thread processor time, least of 9 blocks of 8,192 picks",
    }))
}

/// Returns `size` candidates of all sorts.
fn market(size: usize) -> Vec<Candidate> {
    let mut rng = Rng::new(size as u64);
    let mut number = |from: u32, to: u32| {
        u32::try_from(rng.between(u64::from(from), u64::from(to))).unwrap_or(to)
    };
    let one = |index: usize| {
        let mut candidate = Candidate::unknown(&format!("o{index}"), "https://127.0.0.1:8935");
        candidate.price_wei = u64::from(number(500, 5_000));
        candidate.rtt_us = number(2_000, 200_000);
        candidate.latency_p50_us =
            if number(0, 9) == 0 { u32::MAX } else { number(50_000, 900_000) };
        candidate.slots_free = number(0, 8);
        candidate.in_flight = number(0, 8);
        candidate.queue_depth = number(0, 2);
        candidate.stake_gwei = u64::from(number(1, 1_000_000)) * 1_000_000;
        candidate.success_ppm = number(500_000, 1_000_000);
        candidate
    };
    (0..size).map(one).collect()
}

/// Returns jobs that may pay any price of the market; of those tried before, the best candidate is
/// excluded.
fn jobs(market: &[Candidate], tried: Tried) -> Vec<Arc<JobFacts>> {
    let native = Native::new(market);
    let price_limit_wei = market.iter().map(|row| row.price_wei).max().unwrap_or(u64::MAX);
    let one = |seed: u64| {
        let mut job = JobFacts { units: 27_648_000, price_limit_wei, ..JobFacts::default() };
        if let (Tried::Once, Ok([Some(best), ..])) = (tried, native.pick(&job, seed)) {
            job.excluded.insert(best);
            job.attempt = 1;
        }
        Arc::new(job)
    };
    (0..JOBS).map(one).collect()
}

fn ready(
    engine: &PolicyEngine,
    guest: &str,
    market: &[Candidate],
) -> Result<Ready<PreparedSelection>, Skipped> {
    let folder = place::guest(guest)?;
    let policy = SelectionPolicy::load_folder(engine, &folder, Limits::policy());
    let policy = policy.map_err(Skipped::of)?;
    let scope = Scope::new("live-video-to-video/bench", Lot::live(), 1, 0);
    let snapshot = Snapshot::new(scope, market).map_err(Skipped::of)?;
    let ready = policy.ready(Arc::new(snapshot), "").map_err(Skipped::of)?;
    ready.map_err(Skipped::of)
}

/// The plugin's arithmetic without the plugin.
struct Native {
    ranking: Ranking,
}

/// Names, best first.
type Names = [Option<u32>; SHORTLIST];

impl Native {
    fn new(market: &[Candidate]) -> Self {
        let columns = Columns {
            price_wei: market.iter().map(|row| row.price_wei).collect(),
            rtt_us: market.iter().map(|row| row.rtt_us).collect(),
            latency_us: market.iter().map(|row| row.latency_p50_us).collect(),
            slots_free: market.iter().map(|row| row.slots_free).collect(),
            in_flight: market.iter().map(|row| row.in_flight).collect(),
            queue_depth: market.iter().map(|row| row.queue_depth).collect(),
            stake_gwei: market.iter().map(|row| row.stake_gwei).collect(),
            success_ppm: market.iter().map(|row| row.success_ppm).collect(),
        };
        Self { ranking: Ranking::new(&columns, Weights::DEFAULT) }
    }

    /// Chooses; called, as a plugin would be, and not made part of the loop that measures it.
    #[inline(never)]
    fn pick(&self, job: &JobFacts, seed: u64) -> Result<Names, Nobody> {
        let ask = Ask {
            price_limit: job.price_limit_wei,
            sticky: job.sticky,
            seed,
            excluded: job.excluded.count(),
        };
        let is_excluded = |index| job.excluded.contains(index);
        let mut found = [0; SHORTLIST];
        let count = self.ranking.walk(&ask, is_excluded, &mut found)?;
        Ok(std::array::from_fn(|place| (place < count).then(|| found[place])))
    }
}

/// Asks both for every job: what is compared has to do the same.
fn agree(
    guest: &Ready<PreparedSelection>,
    native: &Native,
    jobs: &[Arc<JobFacts>],
) -> Result<(), Skipped> {
    for (job, seed) in jobs.iter().zip(0..) {
        let answer = guest.with(|policy| policy.pick(job, 0, seed)).map_err(Skipped::of)?;
        let same = match (&answer, native.pick(job, seed)) {
            (Ok(list), Ok(names)) => list.indices().iter().copied().eq(names.into_iter().flatten()),
            _ => false,
        };
        if !same {
            return Err(Skipped(format!("guest and native differ on {job:?}, seed {seed}")));
        }
    }
    Ok(())
}

/// Asks `pick` for every job some times and returns the processor time of each.
fn nanoseconds_each(
    jobs: &[Arc<JobFacts>],
    mut pick: impl FnMut(&Arc<JobFacts>, u64) -> bool,
) -> f64 {
    let start = clock::thread_cpu();
    let mut right = 0;
    for round in 0..ROUNDS {
        let seeds = u64::from(round) << 32..;
        right += jobs.iter().zip(seeds).filter(|(job, seed)| pick(job, *seed)).count();
    }
    let took = clock::thread_cpu() - start;
    let asked = jobs.len() * ROUNDS as usize;
    assert_eq!(right, asked, "a pick faulted");
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let asked = asked as f64;
    took.as_secs_f64() * 1e9 / asked
}
