//! The chances of one snapshot as sums, and draws from them.
//!
//! Candidates lie in the order of their prices, so those that a job can afford are the first of them
//! and their sums are prefixes. A share is drawn first, then a place in its sum: together that is a draw
//! by the sum of the shares.
//!
//! **Invariant:** a draw among fewer candidates has exactly the chances of a snapshot without the
//! others: a place that fell on one of them is drawn again within the same share.

/// Columns as the snapshot has them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns {
    pub(crate) price_wei: Vec<u64>,
    pub(crate) stake_gwei: Vec<u64>,
    pub(crate) score_ppm: Vec<u32>,
    pub(crate) slots_free: Vec<u32>,
}

/// Weights of the shares in parts per million, and the rest of the rule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weights {
    pub(crate) price: u64,
    pub(crate) stake: u64,
    pub(crate) random: u64,
    pub(crate) factor_wei: u64,
    pub(crate) min_score: u64,
    pub(crate) ignore_limit: bool,
}

/// Why a draw found nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nobody {
    /// There are no candidates, or all are excluded.
    Left,
    /// All are above the price limit; the cheapest price.
    Affordable(u64),
    /// Those within the limit have no free slot.
    Free,
}

/// A share as prefix sums: place `n` has the sum of the first `n` candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sums(Vec<u64>);

impl Sums {
    fn of(terms: impl Iterator<Item = u64>) -> Self {
        let mut total = 0_u64;
        let sums = terms.map(|term| {
            total = total.saturating_add(term);
            total
        });
        Self(std::iter::once(0).chain(sums.collect::<Vec<_>>()).collect())
    }

    fn up_to(&self, count: usize) -> u64 {
        self.0[count]
    }

    fn term(&self, place: usize) -> u64 {
        self.0[place + 1] - self.0[place]
    }

    /// Returns the candidate in whose part of the sum `point` lies.
    fn find(&self, point: u64, count: usize) -> usize {
        self.0[1..=count].partition_point(|sum| *sum <= point)
    }
}

/// Which share a draw is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    Price,
    Stake,
    Random,
}

/// The chances of one snapshot.
#[derive(Debug)]
pub(crate) struct Chances {
    weights: Weights,
    /// Candidates, cheapest first, and their prices in this order.
    order: Vec<u32>,
    price_wei: Vec<u64>,
    free: Vec<bool>,
    by_price: Sums,
    by_stake: Sums,
    drawn: Vec<usize>,
}

/// Fraction bits of a price term.
const TERM_BITS: u32 = 48;
/// Draws within a share before the rest are looked through one by one.
const TRIES: usize = 64;

impl Chances {
    /// Builds the sums.
    pub(crate) fn new(columns: Columns, weights: Weights) -> Self {
        let count = u32::try_from(columns.price_wei.len()).unwrap_or(u32::MAX);
        let good = |index: &u32| u64::from(columns.score_ppm[*index as usize]) >= weights.min_score;
        let mut order: Vec<u32> = (0..count).filter(good).collect();
        if order.is_empty() {
            order = (0..count).collect();
        }
        order.sort_by_key(|&index| (columns.price_wei[index as usize], index));
        let of = |column: &[u64]| order.iter().map(|&i| column[i as usize]).collect::<Vec<u64>>();
        let price_wei = of(&columns.price_wei);
        let stakes = of(&columns.stake_gwei);
        let free = order.iter().map(|&i| columns.slots_free[i as usize] > 0).collect();
        let by_price = Sums::of(price_wei.iter().map(|price| term(*price, weights.factor_wei)));
        let by_stake = Sums::of(stakes.into_iter());
        Self { weights, order, price_wei, free, by_price, by_stake, drawn: Vec::new() }
    }

    /// Draws at most `most` candidates one after the other, each among those that remain.
    pub(crate) fn draw(
        &mut self,
        price_limit: u64,
        seed: u64,
        excluded: impl Fn(u32) -> bool,
        most: usize,
    ) -> Result<Vec<u32>, Nobody> {
        let mut affordable = self.affordable(price_limit);
        if affordable == 0 && self.weights.ignore_limit {
            affordable = self.order.len();
        }
        let mut drawn = std::mem::take(&mut self.drawn);
        drawn.clear();
        let mut random = Random(seed);
        let mut found = Vec::new();
        while found.len() < most {
            let open = |place: usize| {
                self.free[place] && !drawn.contains(&place) && !excluded(self.order[place])
            };
            let Some(place) = self.one(affordable, &mut random, open) else { break };
            drawn.push(place);
            found.push(self.order[place]);
        }
        self.drawn = drawn;
        if !found.is_empty() {
            return Ok(found);
        }
        let allowed = |place: &usize| !excluded(self.order[*place]);
        match (0..self.order.len()).find(allowed) {
            None => Err(Nobody::Left),
            Some(cheapest) if cheapest >= affordable => {
                Err(Nobody::Affordable(self.price_wei[cheapest]))
            }
            Some(_) => Err(Nobody::Free),
        }
    }

    /// Returns what the chance of `index` is made of, in parts per million.
    pub(crate) fn parts(&self, index: u32, price_limit: u64) -> [(&'static str, u64); 3] {
        let place = self.order.iter().position(|it| *it == index).unwrap_or(0);
        let count = self.affordable(price_limit).max(1).min(self.order.len());
        let equal = 1_000_000 / u64::try_from(count).unwrap_or(u64::MAX);
        let part = |sums: &Sums| match sums.up_to(count) {
            0 => equal,
            sum => u64::try_from(u128::from(sums.term(place)) * 1_000_000 / u128::from(sum))
                .unwrap_or(0),
        };
        let Weights { price, stake, random, .. } = self.weights;
        [
            ("price", price * part(&self.by_price) / 1_000_000),
            ("stake", stake * part(&self.by_stake) / 1_000_000),
            ("random", random * equal / 1_000_000),
        ]
    }

    fn affordable(&self, price_limit: u64) -> usize {
        self.price_wei.partition_point(|price| *price <= price_limit)
    }

    /// Draws one of the first `count` that are open.
    fn one(
        &self,
        count: usize,
        random: &mut Random,
        open: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        if count == 0 {
            return None;
        }
        let ticket = random.below(1_000_000);
        let Weights { price, stake, .. } = self.weights;
        let share = match ticket {
            ticket if ticket < price => Share::Price,
            ticket if ticket < price + stake => Share::Stake,
            _ => Share::Random,
        };
        for _ in 0..TRIES {
            let place = self.place(share, count, random);
            if open(place) {
                return Some(place);
            }
        }
        // Almost all of the share belongs to those that are left out: look through the rest.
        let term = |place: usize| match share {
            Share::Price => self.by_price.term(place),
            Share::Stake => self.by_stake.term(place),
            Share::Random => 1,
        };
        let rest: Vec<usize> = (0..count).filter(|place| open(*place)).collect();
        let sums = Sums::of(rest.iter().map(|place| term(*place)));
        let last = *rest.last()?;
        match sums.up_to(rest.len()) {
            0 => {
                let at = random.below(u64::try_from(rest.len()).unwrap_or(u64::MAX));
                rest.get(usize::try_from(at).unwrap_or(0)).copied()
            }
            sum => {
                Some(rest.get(sums.find(random.below(sum), rest.len())).copied().unwrap_or(last))
            }
        }
    }

    fn place(&self, share: Share, count: usize, random: &mut Random) -> usize {
        let sums = match share {
            Share::Price => &self.by_price,
            Share::Stake => &self.by_stake,
            Share::Random => return any(count, random),
        };
        match sums.up_to(count) {
            0 => any(count, random),
            sum => sums.find(random.below(sum), count),
        }
    }
}

fn any(count: usize, random: &mut Random) -> usize {
    let at = random.below(u64::try_from(count).unwrap_or(u64::MAX));
    usize::try_from(at).unwrap_or(0)
}

/// Returns e^(−price ÷ factor) with [`TERM_BITS`] bits of fraction. One without a price weighs
/// nothing.
fn term(price_wei: u64, factor_wei: u64) -> u64 {
    if price_wei == u64::MAX {
        return 0;
    }
    // Pure software in a component, so it is the same everywhere; it is rounded once, here.
    let exponent = -(price_wei as f64 / factor_wei as f64);
    (exponent.exp() * (1_u64 << TERM_BITS) as f64) as u64
}

/// Numbers from a seed (SplitMix64).
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Draws from 0 to `count`, exclusive.
    fn below(&mut self, count: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(count);
        u64::try_from(wide >> 64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn market(weights: Weights) -> (Columns, Chances) {
        let columns = Columns {
            price_wei: vec![300, 100, 200, 900, 100, 50, 400, 150, 250, 350],
            stake_gwei: vec![5, 0, 10, 20, 30, 1, 7, 0, 15, 12],
            score_ppm: vec![900_000; 10],
            slots_free: vec![1; 10],
        };
        (columns.clone(), Chances::new(columns, weights))
    }

    const WEIGHTS: Weights = Weights {
        price: 300_000,
        stake: 400_000,
        random: 300_000,
        factor_wei: 150,
        min_score: 0,
        ignore_limit: false,
    };

    /// The rule as it is written down, candidate by candidate.
    fn rule(columns: &Columns, weights: Weights, among: &[usize]) -> Vec<f64> {
        let price = |i: usize| (-(columns.price_wei[i] as f64) / weights.factor_wei as f64).exp();
        let stake = |i: usize| columns.stake_gwei[i] as f64;
        let sum = |of: &dyn Fn(usize) -> f64| among.iter().map(|i| of(*i)).sum::<f64>();
        let (prices, stakes) = (sum(&price), sum(&stake));
        let chance = |i: usize| {
            weights.price as f64 * price(i) / prices
                + weights.stake as f64 * stake(i) / stakes
                + weights.random as f64 / among.len() as f64
        };
        let all = 0..columns.price_wei.len();
        all.map(|i| if among.contains(&i) { chance(i) / 1e6 } else { 0.0 }).collect()
    }

    /// Upper bound of chi-square that chance exceeds once in a thousand, for `freedom` degrees
    /// (Wilson and Hilferty).
    fn limit(freedom: f64) -> f64 {
        let part = 2.0 / (9.0 * freedom);
        freedom * (1.0 - part + 3.0902 * part.sqrt()).powi(3)
    }

    #[track_caller]
    fn holds(chances: &mut Chances, expected: &[f64], price_limit: u64, excluded: &[u32]) {
        const DRAWS: u32 = 100_000;
        let mut counts = vec![0_u32; expected.len()];
        for seed in 0..DRAWS {
            // Seeds are random; here they only have to differ.
            let seed = u64::from(seed).wrapping_mul(0xd134_2543_de82_ef95);
            let drawn = chances.draw(price_limit, seed, |it| excluded.contains(&it), 1).unwrap();
            counts[drawn[0] as usize] += 1;
        }
        let mut square = 0.0;
        let mut freedom = -1.0;
        for (count, chance) in counts.iter().zip(expected) {
            let wanted = chance * f64::from(DRAWS);
            if wanted == 0.0 {
                assert_eq!(*count, 0);
                continue;
            }
            square += (f64::from(*count) - wanted).powi(2) / wanted;
            freedom += 1.0;
        }
        assert!(square < limit(freedom), "{square} for {freedom} degrees: {counts:?}");
    }

    #[test]
    fn a_hundred_thousand_draws_have_the_chances_of_the_rule() {
        let (columns, mut chances) = market(WEIGHTS);
        let all: Vec<usize> = (0..10).collect();
        holds(&mut chances, &rule(&columns, WEIGHTS, &all), u64::MAX, &[]);
        let cheap: Vec<usize> =
            all.iter().copied().filter(|i| columns.price_wei[*i] <= 300).collect();
        holds(&mut chances, &rule(&columns, WEIGHTS, &cheap), 300, &[]);
        let left: Vec<usize> = all.iter().copied().filter(|i| ![4, 3, 2].contains(i)).collect();
        holds(&mut chances, &rule(&columns, WEIGHTS, &left), u64::MAX, &[4, 3, 2]);
    }

    #[test]
    fn a_share_without_a_sum_is_dealt_out_in_equal_parts() {
        let weights = Weights { price: 0, stake: 700_000, random: 300_000, ..WEIGHTS };
        let (columns, _) = market(weights);
        let none = Columns { stake_gwei: vec![0; 10], ..columns };
        holds(&mut Chances::new(none, weights), &[0.1; 10], u64::MAX, &[]);
    }

    #[test]
    fn filters_that_leave_nobody_are_dropped_or_told_as_the_rule_has_it() {
        let (columns, mut chances) = market(WEIGHTS);
        assert_eq!(chances.draw(49, 1, |_| false, 4), Err(Nobody::Affordable(50)));
        assert_eq!(chances.draw(u64::MAX, 1, |_| true, 4), Err(Nobody::Left));
        let weights = Weights { ignore_limit: true, min_score: 950_000, ..WEIGHTS };
        let mut lenient = Chances::new(columns.clone(), weights);
        assert_eq!(lenient.draw(49, 1, |_| false, 4).map(|found| found.len()), Ok(4));
        let full = Columns { slots_free: vec![0; 10], ..columns };
        assert_eq!(Chances::new(full, WEIGHTS).draw(900, 1, |_| false, 4), Err(Nobody::Free));
    }

    #[test]
    fn a_shortlist_names_nobody_twice() {
        let (_, mut chances) = market(WEIGHTS);
        for seed in 0..1000 {
            let mut drawn = chances.draw(u64::MAX, seed, |_| false, 10).unwrap();
            drawn.sort_unstable();
            assert_eq!(drawn, (0..10).collect::<Vec<_>>());
        }
    }
}
