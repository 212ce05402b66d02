//! Scores and order of the candidates of one snapshot, in whole numbers.
//!
//! Every measure becomes a score from 0 to 1,000,000, the weighted mean of which is the total.
//! Totals are cut into bands; inside a band the seed decides who comes first, so that equal
//! orchestrators share the load. Everything is worked out once, so a walk touches little more than
//! the candidates it returns.
//!
//! **Invariant:** a measure that is not known scores 0.

const PPM: u64 = 1_000_000;

/// Columns as the snapshot has them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns {
    pub(crate) price_wei: Vec<u64>,
    pub(crate) rtt_us: Vec<u32>,
    pub(crate) latency_us: Vec<u32>,
    pub(crate) slots_free: Vec<u32>,
    pub(crate) in_flight: Vec<u32>,
    pub(crate) queue_depth: Vec<u32>,
    pub(crate) stake_gwei: Vec<u64>,
    pub(crate) success_ppm: Vec<u32>,
}

/// Weights of the measures, in parts of their sum, and widths in millionths of a score.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weights {
    pub(crate) price: u64,
    pub(crate) latency: u64,
    pub(crate) load: u64,
    pub(crate) stake: u64,
    pub(crate) reliability: u64,
    pub(crate) band_ppm: u64,
    pub(crate) sticky_ppm: u64,
}

/// Scores of one candidate in millionths.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scores {
    price: u64,
    latency: u64,
    load: u64,
    stake: u64,
    reliability: u64,
    pub(crate) total: u64,
}

impl Scores {
    /// Returns what the total is made of.
    pub(crate) fn parts(&self) -> [(&'static str, u64); 5] {
        [
            ("price", self.price),
            ("latency", self.latency),
            ("load", self.load),
            ("stake", self.stake),
            ("reliability", self.reliability),
        ]
    }
}

/// What a walk is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) price_limit: u64,
    pub(crate) sticky: Option<u32>,
    pub(crate) seed: u64,
}

/// Why a walk found nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nobody {
    /// There are no candidates, or all are excluded.
    Left,
    /// All are above the price limit; the cheapest price.
    Affordable(u64),
    /// Those within the limit have no free slot.
    Free,
}

/// The order of one snapshot.
#[derive(Debug)]
pub(crate) struct Ranking {
    price_wei: Vec<u64>,
    full: Vec<bool>,
    scores: Vec<Scores>,
    /// Candidates with room, best band first.
    order: Vec<u32>,
    /// Where each band ends in `order`.
    bands: Vec<u32>,
    sticky_ppm: u64,
}

impl Ranking {
    /// Scores and orders the candidates.
    pub(crate) fn new(columns: &Columns, weights: Weights) -> Self {
        let halves = Halves::new();
        let latency = latencies(columns);
        let prices = halves.scores(&columns.price_wei, u64::MAX);
        let latencies = halves.scores(&latency, u64::MAX);
        let stake_max = columns.stake_gwei.iter().copied().max().unwrap_or(0).max(1);
        let scores: Vec<Scores> = (0..columns.price_wei.len())
            .map(|index| {
                let mut scores = Scores {
                    price: prices[index],
                    latency: latencies[index],
                    load: load(columns, index),
                    stake: share(columns.stake_gwei[index], stake_max),
                    reliability: u64::from(columns.success_ppm[index]).min(PPM),
                    total: 0,
                };
                scores.total = total(&scores, &weights);
                scores
            })
            .collect();
        let full: Vec<bool> = columns.slots_free.iter().map(|&free| free == 0).collect();
        let band = |index: u32| scores[index as usize].total / weights.band_ppm;
        let mut order: Vec<u32> =
            (0..).zip(&full).filter(|(_, full)| !**full).map(|(i, _)| i).collect();
        order.sort_by_key(|&index| (std::cmp::Reverse(band(index)), index));
        let ends = (1..=order.len())
            .filter(|&end| end == order.len() || band(order[end - 1]) != band(order[end]));
        let bands = ends.map(|end| u32::try_from(end).unwrap_or(u32::MAX)).collect();
        let sticky_ppm = weights.sticky_ppm;
        Self { price_wei: columns.price_wei.clone(), full, scores, order, bands, sticky_ppm }
    }

    /// Leaves the best candidates for `ask` in `found`, at most `most`.
    pub(crate) fn walk(
        &self,
        ask: &Ask,
        excluded: impl Fn(u32) -> bool,
        most: usize,
        found: &mut Vec<u32>,
    ) -> Result<(), Nobody> {
        found.clear();
        let fits =
            |index: u32| self.price_wei[index as usize] <= ask.price_limit && !excluded(index);
        let mut start = 0;
        for (&end, salt) in self.bands.iter().zip(1_u64..) {
            let band = &self.order[start..end as usize];
            start = end as usize;
            let turn = turn(ask.seed.wrapping_add(salt), band.len());
            let (late, early) = band.split_at(turn);
            for &index in early.iter().chain(late) {
                if fits(index) {
                    found.push(index);
                }
                if found.len() == most {
                    break;
                }
            }
            if found.len() == most {
                break;
            }
        }
        if found.is_empty() {
            return Err(self.nobody(ask.price_limit, excluded));
        }
        if let Some(sticky) = ask.sticky.filter(|&index| self.keeps(index, found[0]) && fits(index))
        {
            put_first(found, sticky, most);
        }
        Ok(())
    }

    /// Returns whether a client's last candidate is good enough, beside the best, to be kept.
    fn keeps(&self, sticky: u32, best: u32) -> bool {
        let Some(scores) = self.scores.get(sticky as usize) else { return false };
        !self.full[sticky as usize]
            && scores.total + self.sticky_ppm >= self.scores[best as usize].total
    }

    fn nobody(&self, price_limit: u64, excluded: impl Fn(u32) -> bool) -> Nobody {
        let left = (0..self.count()).filter(|&index| !excluded(index));
        let Some(cheapest) = left.map(|index| self.price_wei[index as usize]).min() else {
            return Nobody::Left;
        };
        if cheapest > price_limit { Nobody::Affordable(cheapest) } else { Nobody::Free }
    }

    /// Returns how many candidates there are.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.scores.len()).unwrap_or(u32::MAX)
    }

    /// Returns the price of candidate `index`.
    pub(crate) fn price_wei(&self, index: u32) -> u64 {
        self.price_wei[index as usize]
    }

    /// Returns whether candidate `index` has no free slot.
    pub(crate) fn is_full(&self, index: u32) -> bool {
        self.full[index as usize]
    }

    /// Returns the scores of candidate `index`.
    pub(crate) fn scores(&self, index: u32) -> Scores {
        self.scores[index as usize]
    }
}

/// Measured latency where any is known, else the round trip: never a mixture, since the two do not
/// compare.
fn latencies(columns: &Columns) -> Vec<u64> {
    let known = columns.latency_us.iter().any(|&latency| latency != u32::MAX);
    let column = if known { &columns.latency_us } else { &columns.rtt_us };
    column.iter().map(|&us| if us == u32::MAX { u64::MAX } else { u64::from(us) }).collect()
}

/// Room over room and work: half when there is as much work as room.
fn load(columns: &Columns, index: usize) -> u64 {
    let room = u64::from(columns.slots_free[index]);
    let work = u64::from(columns.in_flight[index]) + u64::from(columns.queue_depth[index]);
    share(room, (room + work).max(1))
}

fn share(part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(part) * u128::from(PPM) / u128::from(whole)).unwrap_or(PPM)
}

fn total(scores: &Scores, weights: &Weights) -> u64 {
    let sum = weights.price + weights.latency + weights.load + weights.stake + weights.reliability;
    let weighted = scores.price * weights.price
        + scores.latency * weights.latency
        + scores.load * weights.load
        + scores.stake * weights.stake
        + scores.reliability * weights.reliability;
    weighted / sum.max(1)
}

fn put_first(found: &mut Vec<u32>, index: u32, most: usize) {
    let was = found.iter().position(|&other| other == index);
    let was = was.unwrap_or_else(|| {
        found.push(index);
        found.len() - 1
    });
    found[..=was].rotate_right(1);
    found.truncate(most);
}

/// Spreads a seed over `0..count` (the finisher of SplitMix64, then a multiplication).
fn turn(seed: u64, count: usize) -> usize {
    let mut word = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^= word >> 31;
    let wide = u128::from(word) * count as u128;
    usize::try_from(wide >> 64).unwrap_or(0)
}

/// Powers of one half in steps of a 64th: the table behind scores that fall by half for each
/// middle value above nothing.
struct Halves {
    fractions: [u64; 64],
}

impl Halves {
    fn new() -> Self {
        // 2^32 * 2^(-1/64), to the nearest.
        const STEP: u64 = 4_248_701_965;
        let mut fractions = [PPM << 16; 64];
        for index in 1..64 {
            fractions[index] = (fractions[index - 1] * (STEP >> 8)) >> 24;
        }
        Self { fractions }
    }

    /// Returns a score for each value: 1,000,000 for 0, half of it for the middle value, a quarter
    /// for twice that, and 0 for `unknown`.
    fn scores(&self, values: &[u64], unknown: u64) -> Vec<u64> {
        let mut known: Vec<u64> =
            values.iter().copied().filter(|&value| value != unknown).collect();
        known.sort_unstable();
        let middle = known.get(known.len() / 2).copied().unwrap_or(1).max(1);
        let score = |value: u64| {
            let steps = u128::from(value) * 64 / u128::from(middle);
            let steps = usize::try_from(steps).unwrap_or(usize::MAX);
            if value == unknown || steps >= 64 * 20 {
                return 0;
            }
            self.fractions[steps % 64] >> (16 + steps / 64)
        };
        values.iter().map(|&value| score(value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEIGHTS: Weights = Weights {
        price: 400,
        latency: 250,
        load: 150,
        stake: 50,
        reliability: 150,
        band_ppm: 20_000,
        sticky_ppm: 50_000,
    };

    fn columns(prices: &[u64]) -> Columns {
        let count = prices.len();
        Columns {
            price_wei: prices.to_vec(),
            rtt_us: vec![1_000; count],
            latency_us: vec![u32::MAX; count],
            slots_free: vec![1; count],
            in_flight: vec![0; count],
            queue_depth: vec![0; count],
            stake_gwei: vec![0; count],
            success_ppm: vec![500_000; count],
        }
    }

    fn walk(ranking: &Ranking, ask: Ask, excluded: &[u32]) -> Result<Vec<u32>, Nobody> {
        let mut found = Vec::new();
        ranking.walk(&ask, |index| excluded.contains(&index), 4, &mut found)?;
        Ok(found)
    }

    const ANY: Ask = Ask { price_limit: u64::MAX, sticky: None, seed: 1 };

    #[test]
    fn a_score_halves_with_each_middle_value() {
        let scores = Halves::new().scores(&[0, 50, 100, 200, 400, u64::MAX], u64::MAX);
        let exact = [1_000_000, 707_106, 500_000, 250_000, 62_500];
        for (score, exact) in scores.iter().zip(exact) {
            assert!(score.abs_diff(exact) <= 2, "{scores:?}");
        }
        assert_eq!(scores[5], 0);
    }

    #[test]
    fn the_cheaper_comes_first_and_the_unpriced_last() {
        let ranking = Ranking::new(&columns(&[30, 10, u64::MAX, 20]), WEIGHTS);
        assert_eq!(walk(&ranking, ANY, &[]).unwrap(), [1, 3, 0, 2]);
    }

    #[test]
    fn what_is_full_excluded_or_too_dear_is_left_out_with_the_right_reason() {
        let mut columns = columns(&[10, 20, 30]);
        columns.slots_free[0] = 0;
        let ranking = Ranking::new(&columns, WEIGHTS);
        let limit = |price_limit| Ask { price_limit, ..ANY };
        assert_eq!(walk(&ranking, limit(25), &[]).unwrap(), [1]);
        assert_eq!(walk(&ranking, limit(25), &[1]), Err(Nobody::Free));
        assert_eq!(walk(&ranking, limit(5), &[]), Err(Nobody::Affordable(10)));
        assert_eq!(walk(&ranking, limit(25), &[0, 1, 2]), Err(Nobody::Left));
    }

    #[test]
    fn equals_share_the_load_and_equal_seeds_agree() {
        let ranking = Ranking::new(&columns(&[10; 8]), WEIGHTS);
        let mut firsts = [0_u32; 8];
        for seed in 0..8_000 {
            let found = walk(&ranking, Ask { seed, ..ANY }, &[]).unwrap();
            assert_eq!(found, walk(&ranking, Ask { seed, ..ANY }, &[]).unwrap());
            firsts[found[0] as usize] += 1;
        }
        assert!(firsts.iter().all(|&count| (850..1_150).contains(&count)), "{firsts:?}");
    }

    #[test]
    fn a_client_keeps_its_orchestrator_unless_it_has_become_much_worse() {
        let ranking = Ranking::new(&columns(&[10, 10, 90]), WEIGHTS);
        for sticky in [0, 1] {
            let ask = Ask { sticky: Some(sticky), ..ANY };
            assert_eq!(walk(&ranking, ask, &[]).unwrap()[0], sticky);
        }
        let ask = Ask { sticky: Some(2), ..ANY };
        assert_ne!(walk(&ranking, ask, &[]).unwrap()[0], 2);
        let ask = Ask { sticky: Some(99), ..ANY };
        assert_eq!(walk(&ranking, ask, &[]).unwrap().len(), 3);
    }
}
