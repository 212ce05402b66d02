//! Chooses the cheapest orchestrator that has room, by its price and a column of the operator's own;
//! equals take turns.
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
    /// What counts on top of each price, in wei a lot.
    added_wei: Vec<i64>,
    /// Candidates, cheapest first.
    order: Vec<u32>,
}

impl Cheapest {
    fn new(price_wei: Vec<u64>, slots_free: Vec<u32>, mut added_wei: Vec<i64>) -> Self {
        added_wei.resize(price_wei.len(), 0);
        let count = u32::try_from(price_wei.len()).unwrap_or(u32::MAX);
        let mut order: Vec<u32> = (0..count).collect();
        let cost = |index: u32| cost(price_wei[index as usize], added_wei[index as usize]);
        order.sort_by_key(|&index| (cost(index), index));
        Self { price_wei, slots_free, added_wei, order }
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
        let mut cheapest: Option<u64> = None;
        let mut full = false;
        for equal in self.order.chunk_by(|a, b| self.cost(*a) == self.cost(*b)) {
            // Turned by the seed, a row of equals begins with each of them as often.
            let turn = usize::try_from(seed % equal.len() as u64).unwrap_or(0);
            for &index in equal[turn..].iter().chain(&equal[..turn]) {
                if excluded(index) {
                    continue;
                }
                let least = cheapest.unwrap_or(u64::MAX).min(self.price(index));
                cheapest = Some(least);
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

    fn cost(&self, index: u32) -> i128 {
        cost(self.price(index), self.added_wei[index as usize])
    }

    fn of(&self, job: &Job, seed: u64, most: usize) -> Result<Vec<u32>, Decline> {
        let any = job.excluded > 0;
        self.walk(job.price_limit, seed, |index| any && job_details::is_excluded(index), most)
    }
}

/// Returns what counts: the price of a lot and what the operator adds to it.
fn cost(price_wei: u64, added_wei: i64) -> i128 {
    i128::from(price_wei) + i128::from(added_wei)
}

impl SelectionPolicy for Cheapest {
    fn describe() -> PluginInfo {
        info!("the lowest price wins")
    }

    fn prepare(config: &str) -> Result<Self, SetupError> {
        let mut document = Document::parse(config)?;
        let column = document.text("column")?;
        document.finish()?;
        // One that the operator has not fed yet adds nothing.
        let named = (!column.is_empty()).then(|| candidates::custom(&column)).flatten();
        Ok(Self::new(candidates::price_wei(), candidates::slots_free(), named.unwrap_or_default()))
    }

    fn pick(&mut self, job: &Job, _now: u64, seed: u64) -> Result<Shortlist, Decline> {
        shortlist(&self.of(job, seed, SHORTLIST)?).ok_or(Decline::NoneLeft)
    }

    fn explain(&mut self, job: &Job, _now: u64, seed: u64) -> Result<Vec<Scored>, Decline> {
        let line = |index: u32| Scored {
            candidate: index,
            score: -(self.cost(index) as f64),
            parts: vec![
                ("price".to_owned(), self.price(index).to_string()),
                ("added".to_owned(), self.added_wei[index as usize].to_string()),
            ],
            left_out: None,
        };
        Ok(self.of(job, seed, LINES_MAX)?.into_iter().map(line).collect())
    }
}

export_selection_policy!(Cheapest);

#[cfg(test)]
#[test]
fn the_lowest_price_wins_and_equals_take_turns() {
    let policy = Cheapest::new(vec![7, 5, 5, 9, 4], vec![1, 1, 1, 1, 0], vec![]);
    let walk = |limit, seed| policy.walk(limit, seed, |_| false, 4);
    assert_eq!(walk(u64::MAX, 0).ok(), Some(vec![1, 2, 0, 3]));
    assert_eq!(walk(7, 1).ok(), Some(vec![2, 1, 0]));
    assert!(matches!(walk(4, 0), Err(Decline::NoCapacity)));
    assert!(matches!(walk(3, 0), Err(Decline::TooExpensive(4))));
    assert!(matches!(policy.walk(9, 0, |_| true, 4), Err(Decline::NoneLeft)));
}

#[cfg(test)]
#[test]
fn a_column_counts_with_the_price_and_never_against_the_limit() {
    let policy = Cheapest::new(vec![7, 5, 5], vec![1, 1, 1], vec![-3, 0, 9]);
    let walk = |limit| policy.walk(limit, 0, |_| false, 4);
    assert_eq!(walk(u64::MAX).ok(), Some(vec![0, 1, 2]));
    assert_eq!(walk(6).ok(), Some(vec![1, 2]), "the price alone is limited");
    assert!(matches!(walk(4), Err(Decline::TooExpensive(5))));
}
