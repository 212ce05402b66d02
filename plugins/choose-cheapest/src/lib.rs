//! Chooses the cheapest orchestrator that has room; equal prices take turns.
//!
//! **Invariant:** `pick` and `explain` walk the same order, so they cannot disagree.

use framegate_sdk::prelude::*;
use framegate_sdk::selection::shortlist;

/// Names in a shortlist; the contract's number.
const SHORTLIST: usize = 4;
/// Lines of an explanation; the contract's bound.
const LINES_MAX: usize = 100;

struct Cheapest {
    price_wei: Vec<u64>,
    slots_free: Vec<u32>,
    /// Candidates, cheapest first.
    order: Vec<u32>,
}

impl Cheapest {
    fn new(price_wei: Vec<u64>, slots_free: Vec<u32>) -> Self {
        let count = u32::try_from(price_wei.len()).unwrap_or(u32::MAX);
        let mut order: Vec<u32> = (0..count).collect();
        order.sort_by_key(|&index| (price_wei[index as usize], index));
        Self { price_wei, slots_free, order }
    }

    /// Returns at most `most` candidates, best first.
    fn walk(
        &self,
        price_limit: u64,
        seed: u64,
        excluded: impl Fn(u32) -> bool,
        most: usize,
    ) -> Result<Vec<u32>, Decline> {
        let mut found = Vec::new();
        let mut cheapest = None;
        let mut full = false;
        for equal in self.order.chunk_by(|a, b| self.price(*a) == self.price(*b)) {
            // Turned by the seed, a row of equals begins with each of them as often.
            let turn = usize::try_from(seed % equal.len() as u64).unwrap_or(0);
            for &index in equal[turn..].iter().chain(&equal[..turn]) {
                if excluded(index) {
                    continue;
                }
                cheapest.get_or_insert(self.price(index));
                if self.price(index) > price_limit {
                    continue;
                }
                if self.slots_free[index as usize] == 0 {
                    full = true;
                    continue;
                }
                found.push(index);
                if found.len() == most {
                    return Ok(found);
                }
            }
        }
        match (found.is_empty(), cheapest) {
            (false, _) => Ok(found),
            (true, _) if full => Err(Decline::NoCapacity),
            (true, Some(price)) if price > price_limit => Err(Decline::TooExpensive(price)),
            (true, _) => Err(Decline::NoneLeft),
        }
    }

    fn price(&self, index: u32) -> u64 {
        self.price_wei[index as usize]
    }

    fn of(&self, job: &Job, seed: u64, most: usize) -> Result<Vec<u32>, Decline> {
        let any = job.excluded > 0;
        self.walk(job.price_limit, seed, |index| any && job_details::is_excluded(index), most)
    }
}

impl SelectionPolicy for Cheapest {
    fn describe() -> PluginInfo {
        info!("the lowest price wins")
    }

    fn prepare(config: &str) -> Result<Self, SetupError> {
        Document::parse(config)?.finish()?;
        Ok(Self::new(candidates::price_wei(), candidates::slots_free()))
    }

    fn pick(&mut self, job: &Job, _now: u64, seed: u64) -> Result<Shortlist, Decline> {
        shortlist(&self.of(job, seed, SHORTLIST)?).ok_or(Decline::NoneLeft)
    }

    fn explain(&mut self, job: &Job, _now: u64, seed: u64) -> Result<Vec<Scored>, Decline> {
        let line = |index: u32| Scored {
            candidate: index,
            score: -(self.price(index) as f64),
            parts: vec![("price".to_owned(), self.price(index).to_string())],
            left_out: None,
        };
        Ok(self.of(job, seed, LINES_MAX)?.into_iter().map(line).collect())
    }
}

export_selection_policy!(Cheapest);

#[cfg(test)]
#[test]
fn the_lowest_price_wins_and_equals_take_turns() {
    let policy = Cheapest::new(vec![7, 5, 5, 9, 4], vec![1, 1, 1, 1, 0]);
    let walk = |limit, seed| policy.walk(limit, seed, |_| false, 4);
    assert_eq!(walk(u64::MAX, 0).ok(), Some(vec![1, 2, 0, 3]));
    assert_eq!(walk(7, 1).ok(), Some(vec![2, 1, 0]));
    assert!(matches!(walk(4, 0), Err(Decline::NoCapacity)));
    assert!(matches!(walk(3, 0), Err(Decline::TooExpensive(4))));
    assert!(matches!(policy.walk(9, 0, |_| true, 4), Err(Decline::NoneLeft)));
}
