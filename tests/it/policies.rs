//! The shipped selection policies in the real engine: the chances of the network's own rule, and
//! who gets how much of the load.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::price::Lot;
use plugin::policy::selection::Decline;
use plugin::{Candidate, JobFacts, Limits, PolicyEngine, Scope, SelectionPolicy, Snapshot};
use tests::rig;

/// Jobs of a load.
const JOBS: u64 = 1000;

fn folder(plugin: &str) -> PathBuf {
    let program = rig::program();
    let target = program.parent().and_then(Path::parent).expect("a program in a profile");
    target.join("plugins").join(plugin)
}

fn load(engine: &PolicyEngine, plugin: &str) -> SelectionPolicy {
    SelectionPolicy::load_folder(engine, &folder(plugin), Limits::policy()).expect("it loads")
}

fn snapshot(rows: &[Candidate]) -> Arc<Snapshot> {
    let scope = Scope::new("live-video-to-video/sketch-video", Lot::live(), 1, 1_700_000_000_000);
    Arc::new(Snapshot::new(scope, rows).expect("they fit"))
}

fn row(index: u64) -> Candidate {
    Candidate {
        price_wei: 1000,
        rtt_us: 20_000,
        slots_free: 10,
        slots_total: 10,
        ..Candidate::unknown(&format!("o{index}"), "https://host")
    }
}

/// Returns how many of the jobs each candidate is named first for.
fn shares(plugin: &str, rows: &[Candidate], config: &str, jobs: u64) -> Vec<u64> {
    let engine = PolicyEngine::new().expect("an engine can be made");
    let policy = load(&engine, plugin);
    let mut prepared = policy.prepare(snapshot(rows), config).expect("no fault").expect("accepted");
    let mut counts = vec![0; rows.len()];
    let job = Arc::new(JobFacts::default());
    for number in 0..jobs {
        let seed = number.wrapping_mul(0xd134_2543_de82_ef95);
        let list = prepared.pick(&job, 1, seed).expect("no fault").expect("somebody");
        counts[list.indices()[0] as usize] += 1;
    }
    counts
}

#[test]
fn ten_equals_share_a_thousand_jobs_and_the_busiest_gets_a_fifth_at_most() {
    let rows: Vec<_> = (0..10).map(row).collect();
    for plugin in ["choose-orchestrator", "choose-cheapest", "choose-in-band"] {
        let counts = shares(plugin, &rows, "", JOBS);
        assert!(counts.iter().all(|count| *count <= JOBS / 5), "{plugin}: {counts:?}");
    }
}

#[test]
fn the_cheapest_gets_all_and_a_band_gets_no_one_beyond_it() {
    let rows: Vec<_> = (0..5)
        .map(|index| Candidate {
            price_wei: 1000 - index * 10,
            rtt_us: 1000 + u32::try_from(index).expect("few") * 15_000,
            ..row(index)
        })
        .collect();
    assert_eq!(shares("choose-cheapest", &rows, "", 100), [0, 0, 0, 0, 100]);
    let counts = shares("choose-in-band", &rows, r#"{"band_us":20000}"#, JOBS);
    assert_eq!((counts[2], counts[3], counts[4]), (0, 0, 0), "{counts:?}");
    assert!((400..600).contains(&counts[0]), "{counts:?}");
    let engine = PolicyEngine::new().expect("an engine can be made");
    let policy = load(&engine, "choose-cheapest");
    let mut prepared = policy.prepare(snapshot(&rows), "").expect("no fault").expect("accepted");
    let poor = Arc::new(JobFacts { price_limit_wei: 959, ..JobFacts::default() });
    assert_eq!(prepared.pick(&poor, 1, 1).expect("no fault"), Err(Decline::TooExpensive(960)));
}

/// Upper bound of chi-square that chance exceeds once in a thousand (Wilson and Hilferty).
fn limit(freedom: f64) -> f64 {
    let part = 2.0 / (9.0 * freedom);
    freedom * (1.0 - part + 3.0902 * part.sqrt()).powi(3)
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "counts of draws")]
fn a_hundred_thousand_seeded_draws_match_the_networks_own_rule() {
    const DRAWS: u64 = 100_000;
    let prices = [300, 100, 200, 900, 100, 50, 400, 150, 250, 350];
    let stakes = [5, 0, 10, 20, 30, 1, 7, 0, 15, 12];
    let rows: Vec<_> = (0..10)
        .zip(prices.into_iter().zip(stakes))
        .map(|(index, (price_wei, stake_gwei))| Candidate { price_wei, stake_gwei, ..row(index) })
        .collect();
    let config =
        r#"{"price_ppm":300000,"stake_ppm":400000,"random_ppm":300000,"price_factor_wei":150}"#;
    let counts = shares("choose-like-livepeer", &rows, config, DRAWS);
    // The rule as it is written down: Wp e^(-p/f) / Σ + Ws s / Σ + Wr / n.
    let term = |price: u64| (-(price as f64) / 150.0).exp();
    let all_prices: f64 = prices.into_iter().map(term).sum();
    let all_stakes = stakes.into_iter().sum::<u64>() as f64;
    let mut square = 0.0;
    for ((count, price), stake) in counts.iter().zip(prices).zip(stakes) {
        let chance = 0.3 * term(price) / all_prices + 0.4 * stake as f64 / all_stakes + 0.03;
        let wanted = chance * DRAWS as f64;
        square += (*count as f64 - wanted).powi(2) / wanted;
    }
    assert!(square < limit(9.0), "chi-square {square}: {counts:?}");
    // The same seeds give the same draws.
    assert_eq!(
        shares("choose-like-livepeer", &rows, config, 200),
        shares("choose-like-livepeer", &rows, config, 200)
    );
}
