//! Draws an orchestrator by Livepeer's own rule: shares by price, by stake, and in equal parts.
//!
//! The chances are in [`chance`]; this file reads the columns and speaks the contract.

mod chance;

use chance::{Chances, Columns, Weights};
use framegate_sdk::prelude::*;
use framegate_sdk::selection::shortlist;

const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "price_ppm": {"type": "integer", "minimum": 0, "maximum": 1000000, "default": 0},
    "stake_ppm": {"type": "integer", "minimum": 0, "maximum": 1000000, "default": 700000},
    "random_ppm": {"type": "integer", "minimum": 0, "maximum": 1000000, "default": 300000},
    "price_factor_wei": {"type": "integer", "minimum": 1, "default": 100000000,
      "description": "Wei a lot by which the chance falls to a third"},
    "min_score_ppm": {"type": "integer", "minimum": 0, "maximum": 1000000, "default": 0},
    "ignore_price_limit": {"type": "integer", "minimum": 0, "maximum": 1, "default": 0,
      "description": "1: a limit that leaves nobody is dropped"}
  }
}"#;
/// Names in a shortlist; the contract's number.
const SHORTLIST: usize = 4;
/// Lines of an explanation; the contract's bound.
const LINES_MAX: usize = 100;

struct LikeLivepeer {
    chances: Chances,
}

fn weights(config: &str) -> Result<Weights, SetupError> {
    let mut document = Document::parse(config)?;
    let mut read = |key: &str, default: i64, most: i64| {
        document.integer(key, default, 0..=most).map(i64::unsigned_abs)
    };
    let weights = Weights {
        price: read("price_ppm", 0, 1_000_000)?,
        stake: read("stake_ppm", 700_000, 1_000_000)?,
        random: read("random_ppm", 300_000, 1_000_000)?,
        factor_wei: read("price_factor_wei", 100_000_000, i64::MAX)?.max(1),
        min_score: read("min_score_ppm", 0, 1_000_000)?,
        ignore_limit: read("ignore_price_limit", 0, 1)? == 1,
    };
    document.finish()?;
    if weights.price + weights.stake + weights.random != 1_000_000 {
        return Err(SetupError::InvalidConfig(framegate_sdk::ConfigError {
            path: "/price_ppm".to_owned(),
            message: "the three shares do not add up to 1000000".to_owned(),
        }));
    }
    Ok(weights)
}

impl LikeLivepeer {
    fn of(&mut self, job: &Job, seed: u64, most: usize) -> Result<Vec<u32>, Decline> {
        let any = job.excluded > 0;
        let excluded = |index| any && job_details::is_excluded(index);
        self.chances.draw(job.price_limit, seed, excluded, most).map_err(|nobody| match nobody {
            chance::Nobody::Left => Decline::NoneLeft,
            chance::Nobody::Affordable(cheapest) => Decline::TooExpensive(cheapest),
            chance::Nobody::Free => Decline::NoCapacity,
        })
    }
}

impl SelectionPolicy for LikeLivepeer {
    fn describe() -> PluginInfo {
        info!("Livepeer's own rule, drawn from a seed", SCHEMA)
    }

    fn prepare(config: &str) -> Result<Self, SetupError> {
        let columns = Columns {
            price_wei: candidates::price_wei(),
            stake_gwei: candidates::stake_gwei(),
            score_ppm: candidates::perf_score_ppm(),
            slots_free: candidates::slots_free(),
        };
        Ok(Self { chances: Chances::new(columns, weights(config)?) })
    }

    fn pick(&mut self, job: &Job, _now: u64, seed: u64) -> Result<Shortlist, Decline> {
        shortlist(&self.of(job, seed, SHORTLIST)?).ok_or(Decline::NoneLeft)
    }

    fn explain(&mut self, job: &Job, _now: u64, seed: u64) -> Result<Vec<Scored>, Decline> {
        let drawn = self.of(job, seed, LINES_MAX)?;
        let line = |index: u32| {
            let parts = self.chances.parts(index, job.price_limit);
            Scored {
                candidate: index,
                score: parts.iter().map(|(_, ppm)| *ppm as f64 / 1e6).sum(),
                parts: parts.map(|(name, ppm)| (name.to_owned(), format!("{ppm} ppm"))).to_vec(),
                left_out: None,
            }
        };
        Ok(drawn.into_iter().map(line).collect())
    }
}

export_selection_policy!(LikeLivepeer);
