//! Chooses at random among the orchestrators whose latency is within a band of the best.
//!
//! **Invariant:** `pick` and `explain` walk the same order, so they cannot disagree.

use framegate_sdk::prelude::*;
use framegate_sdk::selection::shortlist;

const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "band_us": {"type": "integer", "minimum": 0, "maximum": 60000000, "default": 20000,
      "description": "Microseconds above the best latency that count as equal"}
  }
}"#;
/// Names in a shortlist; the contract's number.
const SHORTLIST: usize = 4;
/// Lines of an explanation; the contract's bound.
const LINES_MAX: usize = 100;
/// Latency that is not known, as columns have it.
const UNKNOWN: u32 = u32::MAX;

struct InBand {
    price_wei: Vec<u64>,
    slots_free: Vec<u32>,
    latency_us: Vec<u32>,
    /// Candidates, quickest first.
    order: Vec<u32>,
    band_us: u32,
}

impl InBand {
    fn new(
        price_wei: Vec<u64>,
        slots_free: Vec<u32>,
        measured: &[u32],
        rtt: &[u32],
        band_us: u32,
    ) -> Self {
        let pick = |(measured, rtt): (&u32, &u32)| match *measured {
            UNKNOWN => *rtt,
            known => known,
        };
        let latency_us: Vec<u32> = measured.iter().zip(rtt).map(pick).collect();
        let count = u32::try_from(price_wei.len()).unwrap_or(u32::MAX);
        let mut order: Vec<u32> = (0..count).collect();
        order.sort_by_key(|&index| (latency_us[index as usize], index));
        Self { price_wei, slots_free, latency_us, order, band_us }
    }

    /// Returns at most `most` candidates: those in the band in the order of the draw, then the rest.
    fn walk(
        &self,
        price_limit: u64,
        seed: u64,
        excluded: impl Fn(u32) -> bool,
        most: usize,
    ) -> Result<Vec<u32>, Decline> {
        let allowed: Vec<u32> =
            self.order.iter().copied().filter(|index| !excluded(*index)).collect();
        let price = |index: u32| self.price_wei[index as usize];
        let affordable: Vec<u32> =
            allowed.iter().copied().filter(|index| price(*index) <= price_limit).collect();
        let free = |index: &u32| self.slots_free[*index as usize] > 0;
        let mut found: Vec<u32> = affordable.iter().copied().filter(free).collect();
        let Some(best) = found.first().map(|index| self.latency(*index)) else {
            return Err(match allowed.iter().map(|index| price(*index)).min() {
                None => Decline::NoneLeft,
                Some(cheapest) if affordable.is_empty() => Decline::TooExpensive(cheapest),
                Some(_) => Decline::NoCapacity,
            });
        };
        let limit = best.saturating_add(self.band_us);
        let band = found.partition_point(|index| self.latency(*index) <= limit);
        let mut draw = Draw(seed);
        for place in 0..band.min(most) {
            let chosen = place + draw.below(band - place);
            found.swap(place, chosen);
        }
        found.truncate(most);
        Ok(found)
    }

    fn latency(&self, index: u32) -> u32 {
        self.latency_us[index as usize]
    }

    fn of(&self, job: &Job, seed: u64, most: usize) -> Result<Vec<u32>, Decline> {
        let any = job.excluded > 0;
        self.walk(job.price_limit, seed, |index| any && job_details::is_excluded(index), most)
    }
}

/// Numbers from a seed (SplitMix64).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Draws from 0 to `count`, exclusive; 0 of nothing.
    fn below(&mut self, count: usize) -> usize {
        let wide = u128::from(self.next()) * count as u128;
        usize::try_from(wide >> 64).unwrap_or(0)
    }
}

impl SelectionPolicy for InBand {
    fn describe() -> PluginInfo {
        info!("random inside a latency band", SCHEMA)
    }

    fn prepare(config: &str) -> Result<Self, SetupError> {
        let mut document = Document::parse(config)?;
        let band = document.integer("band_us", 20_000, 0..=60_000_000)?;
        document.finish()?;
        Ok(Self::new(
            candidates::price_wei(),
            candidates::slots_free(),
            &candidates::latency_p50_us(),
            &candidates::rtt_us(),
            u32::try_from(band).unwrap_or(u32::MAX),
        ))
    }

    fn pick(&mut self, job: &Job, _now: u64, seed: u64) -> Result<Shortlist, Decline> {
        shortlist(&self.of(job, seed, SHORTLIST)?).ok_or(Decline::NoneLeft)
    }

    fn explain(&mut self, job: &Job, _now: u64, seed: u64) -> Result<Vec<Scored>, Decline> {
        let line = |index: u32| Scored {
            candidate: index,
            score: -f64::from(self.latency(index)),
            parts: vec![("latency_us".to_owned(), self.latency(index).to_string())],
            left_out: None,
        };
        Ok(self.of(job, seed, LINES_MAX)?.into_iter().map(line).collect())
    }
}

export_selection_policy!(InBand);

#[cfg(test)]
#[test]
fn a_band_shares_the_load_and_the_rest_are_there_to_fall_back_on() {
    let rtt = [900, 100, 110, 119, 121, UNKNOWN];
    let policy = InBand::new(vec![5; 6], vec![1; 6], &[UNKNOWN; 6], &rtt, 20);
    let mut counts = [0; 6];
    for seed in 0..3000 {
        let found = policy.walk(5, seed, |_| false, 4).ok().unwrap();
        counts[found[0] as usize] += 1;
        assert_eq!((found.len(), found[3]), (4, 4), "the quickest outside the band comes next");
    }
    assert!(counts[1..4].iter().all(|count| (900..1100).contains(count)), "{counts:?}");
    assert_eq!((counts[0], counts[4], counts[5]), (0, 0, 0));
    assert!(matches!(policy.walk(4, 0, |_| false, 4), Err(Decline::TooExpensive(5))));
}
