//! `policy.livepeer.N`: a whole pick of `choose-like-livepeer` over N candidates, over the same rule
//! worked out anew for each pick, as the network's gateways do it, natively.
//!
//! The plugin draws a shortlist of four where the rule draws one; that is not taken off.

use std::hint::black_box;
use std::sync::Arc;

use domain::price::Lot;
use plugin::{Candidate, JobFacts, Limits, PolicyEngine, Scope, SelectionPolicy, Snapshot};
use serde_json::json;

use super::pair::{least, measure};
use super::{Line, Skipped, clock, env, machine, place};
use crate::rng::Rng;

const SIZES: [u32; 3] = [10, 100, 1_000];
/// Picks of a block: a few milliseconds at a thousand candidates.
const PICKS: u32 = 512;
/// Blocks of which the least counts.
const BLOCKS: usize = 7;
/// Pairs.
const PAIRS: usize = 25;
/// Weights of price, stake and chance: all three, so that each is worked out.
const WEIGHTS: [f64; 3] = [0.3, 0.5, 0.2];
/// Price at which a price term is 1/e.
const FACTOR_WEI: f64 = 1000.0;
const GOAL: f64 = 0.10;

/// Measures each size.
pub(super) fn run() -> Result<Vec<Line>, Skipped> {
    let engine = PolicyEngine::new().map_err(Skipped::of)?;
    let folder = place::guest("choose-like-livepeer")?;
    let policy = SelectionPolicy::load_folder(&engine, &folder, Limits::policy());
    let policy = policy.map_err(Skipped::of)?;
    let ppm = |weight: f64| (weight * 1e6).round();
    let config = format!(
        r#"{{"price_ppm":{},"stake_ppm":{},"random_ppm":{},"price_factor_wei":{FACTOR_WEI}}}"#,
        ppm(WEIGHTS[0]),
        ppm(WEIGHTS[1]),
        ppm(WEIGHTS[2])
    );
    let one = |size: u32| {
        let market = market(size);
        let scope = Scope::new("live-video-to-video/bench", Lot::live(), 1, 0);
        let snapshot = Snapshot::new(scope, &market).map_err(Skipped::of)?;
        let ready = policy.ready(Arc::new(snapshot), &config).map_err(Skipped::of)?;
        let ready = ready.map_err(Skipped::of)?;
        let job = Arc::new(JobFacts {
            units: 27_648_000,
            price_limit_wei: u64::MAX - 1,
            ..JobFacts::default()
        });
        let ours = || {
            each(|seed| {
                let answer = ready.with(|policy| policy.pick(&job, 0, seed));
                answer.is_ok_and(|answer| answer.is_ok())
            })
        };
        let base = || each(|seed| black_box(draw(&market, seed)).is_some());
        let idle = machine::idle();
        let pairs =
            measure(PAIRS, || Ok(least(BLOCKS, ours)), || Ok::<_, Skipped>(least(BLOCKS, base)))?;
        let env = env(json!({
            "engine": engine.describe(),
            "ours": "Ready::with, PreparedSelection::pick of choose-like-livepeer",
            "base": "the rule in this program: e^(-price/f), stake and 1/n summed for each pick",
            "config": config,
            "clock": "thread processor time, least of 7 blocks of 512 picks",
        }));
        let id = format!("policy.livepeer.{size}");
        let line = Line::of_pairs(&id, "ns", &pairs, idle, env);
        Ok(if size == 1_000 { line.with_goal(GOAL) } else { line })
    };
    SIZES.into_iter().map(one).collect()
}

fn market(size: u32) -> Vec<Candidate> {
    let mut rng = Rng::new(u64::from(size));
    let one = |index: u32| Candidate {
        price_wei: rng.between(500, 5_000),
        stake_gwei: rng.between(1, 1_000_000),
        slots_free: 1,
        ..Candidate::unknown(&format!("o{index}"), "https://127.0.0.1:8935")
    };
    (0..size).map(one).collect()
}

/// Draws by the rule, from a point that `seed` says.
#[inline(never)]
fn draw(market: &[Candidate], seed: u64) -> Option<usize> {
    #[expect(clippy::cast_precision_loss, reason = "the rule itself counts in floats")]
    let float = |number: u64| number as f64;
    let price = |it: &Candidate| (-float(it.price_wei) / FACTOR_WEI).exp();
    let prices: f64 = market.iter().map(price).sum();
    let stakes: f64 = market.iter().map(|it| float(it.stake_gwei)).sum();
    let equal = 1.0 / float(market.len() as u64);
    let point = Rng::new(seed).bits() >> 11;
    let point = float(point) / float(1 << 53);
    let mut sum = 0.0;
    let wins = |it: &Candidate| {
        sum += WEIGHTS[0] * price(it) / prices
            + WEIGHTS[1] * float(it.stake_gwei) / stakes
            + WEIGHTS[2] * equal;
        sum >= point
    };
    market.iter().position(wins).or(Some(0))
}

/// Picks with different seeds and returns the processor time of each pick in nanoseconds.
fn each(mut pick: impl FnMut(u64) -> bool) -> f64 {
    let start = clock::thread_cpu();
    let right = (0..PICKS).filter(|seed| pick(u64::from(*seed))).count();
    let took = clock::thread_cpu() - start;
    assert_eq!(right, PICKS as usize, "a pick faulted");
    took.as_secs_f64() * 1e9 / f64::from(PICKS)
}
