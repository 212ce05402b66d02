//! Chooses orchestrators by price, latency, load, stake and reliability, with integer weights.
//!
//! The arithmetic is in [`rank`]; this file reads the columns and the job and speaks the contract.
//!
//! **Invariant:** `pick` and `explain` walk the same order, so they cannot disagree.

mod rank;

use std::ops::RangeInclusive;

use framegate_sdk::prelude::*;
use framegate_sdk::selection::shortlist;
use rank::{Ask, Columns, Nobody, Ranking, Weights};

const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "price": {"type": "integer", "minimum": 0, "maximum": 1000, "default": 400},
    "latency": {"type": "integer", "minimum": 0, "maximum": 1000, "default": 250},
    "load": {"type": "integer", "minimum": 0, "maximum": 1000, "default": 150},
    "stake": {"type": "integer", "minimum": 0, "maximum": 1000, "default": 50},
    "reliability": {"type": "integer", "minimum": 0, "maximum": 1000, "default": 150},
    "band_ppm": {"type": "integer", "minimum": 1, "maximum": 1000000, "default": 20000,
      "description": "Scores this close share the load"},
    "sticky_ppm": {"type": "integer", "minimum": 0, "maximum": 1000000, "default": 50000,
      "description": "How much worse the last orchestrator of a client may be and still be kept"}
  }
}"#;
/// Lines of an explanation; the contract's bound.
const LINES_MAX: usize = 100;
/// Names in a shortlist; the contract's number.
const SHORTLIST: usize = 4;

struct Chooser {
    ranking: Ranking,
}

fn weights(config: &str) -> Result<Weights, SetupError> {
    let mut document = Document::parse(config)?;
    let default = Weights::DEFAULT;
    let mut number = |key: &str, default: u64, range: RangeInclusive<i64>| {
        document.integer(key, default.cast_signed(), range).map(i64::unsigned_abs)
    };
    let weights = Weights {
        price: number("price", default.price, 0..=1000)?,
        latency: number("latency", default.latency, 0..=1000)?,
        load: number("load", default.load, 0..=1000)?,
        stake: number("stake", default.stake, 0..=1000)?,
        reliability: number("reliability", default.reliability, 0..=1000)?,
        band_ppm: number("band_ppm", default.band_ppm, 1..=1_000_000)?,
        sticky_ppm: number("sticky_ppm", default.sticky_ppm, 0..=1_000_000)?,
    };
    document.finish()?;
    Ok(weights)
}

fn columns() -> Columns {
    Columns {
        price_wei: candidates::price_wei(),
        rtt_us: candidates::rtt_us(),
        latency_us: candidates::latency_p50_us(),
        slots_free: candidates::slots_free(),
        in_flight: candidates::in_flight(),
        queue_depth: candidates::queue_depth(),
        stake_gwei: candidates::stake_gwei(),
        success_ppm: candidates::success_ppm(),
    }
}

impl Chooser {
    /// Walks the order for `job`, puts the best into `found` and returns how many.
    #[inline]
    fn walk<const MOST: usize>(
        &self,
        job: &Job,
        seed: u64,
        found: &mut [u32; MOST],
    ) -> Result<usize, Decline> {
        let Job { price_limit, sticky, excluded, .. } = *job;
        let ask = Ask { price_limit, sticky, seed, excluded };
        let walked = self.ranking.walk(&ask, job_details::is_excluded, found);
        walked.map_err(|nobody| match nobody {
            Nobody::Left => Decline::NoneLeft,
            Nobody::Affordable(cheapest) => Decline::TooExpensive(cheapest),
            Nobody::Free => Decline::NoCapacity,
        })
    }

    fn scored(&self, index: u32, left_out: Option<&str>) -> Scored {
        let scores = self.ranking.scores(index);
        let parts = scores.parts().map(|(name, ppm)| (name.to_owned(), decimal(ppm)));
        Scored {
            candidate: index,
            score: scores.total as f64 / 1e6,
            parts: parts.to_vec(),
            left_out: left_out.map(str::to_owned),
        }
    }
}

fn decimal(ppm: u64) -> String {
    format!("{}.{:03}", ppm / 1_000_000, ppm % 1_000_000 / 1_000)
}

impl SelectionPolicy for Chooser {
    fn describe() -> PluginInfo {
        info!("price, latency, load, stake and reliability by weight", SCHEMA)
    }

    fn prepare(config: &str) -> Result<Self, SetupError> {
        Ok(Self { ranking: Ranking::new(&columns(), weights(config)?) })
    }

    fn pick(&mut self, job: &Job, _now: u64, seed: u64) -> Result<Shortlist, Decline> {
        let mut found = [0; SHORTLIST];
        let count = self.walk(job, seed, &mut found)?;
        shortlist(&found[..count]).ok_or(Decline::NoneLeft)
    }

    fn explain(&mut self, job: &Job, _now: u64, seed: u64) -> Result<Vec<Scored>, Decline> {
        let mut found = [0; LINES_MAX];
        let count = self.walk(job, seed, &mut found)?;
        let mut lines: Vec<_> =
            found[..count].iter().map(|&index| self.scored(index, None)).collect();
        for index in 0..self.ranking.count() {
            if lines.len() == LINES_MAX {
                break;
            }
            let over = self.ranking.price_wei(index) > job.price_limit;
            let reason = if job.excluded > 0 && job_details::is_excluded(index) {
                "excluded"
            } else if over {
                "over the price limit"
            } else if self.ranking.is_full(index) {
                "no free slot"
            } else {
                continue;
            };
            lines.push(self.scored(index, Some(reason)));
        }
        Ok(lines)
    }
}

export_selection_policy!(Chooser);
