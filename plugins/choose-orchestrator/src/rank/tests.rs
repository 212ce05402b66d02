//! What the order promises, and that it is the order of the rule written out plainly.

use super::*;

const MOST: usize = 4;

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
    let ask = Ask { excluded: u32::try_from(excluded.len()).unwrap(), ..ask };
    let mut found = [0; MOST];
    let count = ranking.walk(&ask, |index| excluded.contains(&index), &mut found)?;
    Ok(found[..count].to_vec())
}

const ANY: Ask = Ask { price_limit: u64::MAX, sticky: None, seed: 1, excluded: 0 };

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
    let ranking = Ranking::new(&columns(&[30, 10, u64::MAX, 20]), Weights::DEFAULT);
    assert_eq!(walk(&ranking, ANY, &[]).unwrap(), [1, 3, 0, 2]);
}

#[test]
fn what_is_full_excluded_or_too_dear_is_left_out_with_the_right_reason() {
    let mut columns = columns(&[10, 20, 30]);
    columns.slots_free[0] = 0;
    let ranking = Ranking::new(&columns, Weights::DEFAULT);
    let limit = |price_limit| Ask { price_limit, ..ANY };
    assert_eq!(walk(&ranking, limit(25), &[]).unwrap(), [1]);
    assert_eq!(walk(&ranking, limit(25), &[1]), Err(Nobody::Free));
    assert_eq!(walk(&ranking, limit(5), &[]), Err(Nobody::Affordable(10)));
    assert_eq!(walk(&ranking, limit(25), &[0, 1, 2]), Err(Nobody::Left));
}

#[test]
fn equals_share_the_load_and_equal_seeds_agree() {
    let ranking = Ranking::new(&columns(&[10; 8]), Weights::DEFAULT);
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
    let ranking = Ranking::new(&columns(&[10, 10, 90]), Weights::DEFAULT);
    for sticky in [0, 1] {
        let ask = Ask { sticky: Some(sticky), ..ANY };
        assert_eq!(walk(&ranking, ask, &[]).unwrap()[0], sticky);
    }
    let ask = Ask { sticky: Some(2), ..ANY };
    assert_ne!(walk(&ranking, ask, &[]).unwrap()[0], 2);
    let ask = Ask { sticky: Some(99), ..ANY };
    assert_eq!(walk(&ranking, ask, &[]).unwrap().len(), 3);
}

/// The rule as it is meant, with nothing worked out before or left out.
fn plainly(
    columns: &Columns,
    weights: &Weights,
    ask: &Ask,
    excluded: &[u32],
) -> Result<Vec<u32>, Nobody> {
    let count = u32::try_from(columns.price_wei.len()).unwrap();
    let left = |index: &u32| !excluded.contains(index);
    let price = |index: u32| columns.price_wei[index as usize];
    let room = |index: &u32| columns.slots_free[*index as usize] > 0;
    let fits = |index: &u32| price(*index) <= ask.price_limit && left(index) && room(index);
    let totals = totals_plainly(columns, weights);
    let total = |index: u32| totals[index as usize];
    let band = |index: u32| total(index) / weights.band_ppm;

    let mut bands: Vec<u64> = (0..count).filter(room).map(band).collect();
    bands.sort_unstable_by_key(|&band| std::cmp::Reverse(band));
    bands.dedup();
    let mut found = Vec::new();
    for (number, salt) in bands.iter().zip(1_u64..) {
        let mut members: Vec<u32> =
            (0..count).filter(room).filter(|index| band(*index) == *number).collect();
        let turn = turn_plainly(ask.seed.wrapping_add(salt), members.len());
        members.rotate_left(turn);
        found.extend(members.into_iter().filter(fits));
    }
    found.truncate(MOST);
    let Some(&best) = found.first() else {
        let cheapest = (0..count).filter(left).map(price).min();
        return Err(match cheapest {
            None => Nobody::Left,
            Some(cheapest) if cheapest > ask.price_limit => Nobody::Affordable(cheapest),
            Some(_) => Nobody::Free,
        });
    };
    let kept = |index: &u32| total(*index) + weights.sticky_ppm >= total(best);
    if let Some(sticky) = ask.sticky.filter(|index| *index < count && fits(index) && kept(index)) {
        found.retain(|&index| index != sticky);
        found.insert(0, sticky);
        found.truncate(MOST);
    }
    Ok(found)
}

fn turn_plainly(seed: u64, count: usize) -> usize {
    let mut word = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^= word >> 31;
    usize::try_from((u128::from(word) * count as u128) >> 64).unwrap()
}

fn totals_plainly(columns: &Columns, weights: &Weights) -> Vec<u64> {
    let halved = |values: &[u64]| -> Vec<u128> {
        let fractions = Halves::new().fractions;
        let mut known: Vec<u64> = values.iter().copied().filter(|&v| v != u64::MAX).collect();
        known.sort_unstable();
        let middle = known.get(known.len() / 2).map_or(1, |&middle| middle.max(1));
        let score = |value: u64| {
            let steps = u128::from(value) * 64 / u128::from(middle);
            if value == u64::MAX || steps >= 1280 {
                return 0;
            }
            u128::from(fractions[(steps % 64) as usize] >> (16 + steps / 64))
        };
        values.iter().map(|&value| score(value)).collect()
    };
    let measured = columns.latency_us.iter().any(|&us| us != u32::MAX);
    let latency = if measured { &columns.latency_us } else { &columns.rtt_us };
    let widened = |&us: &u32| if us == u32::MAX { u64::MAX } else { u64::from(us) };
    let latencies = halved(&latency.iter().map(widened).collect::<Vec<_>>());
    let prices = halved(&columns.price_wei);
    let most_stake = columns.stake_gwei.iter().copied().max().unwrap_or(0).max(1);
    let parts = [weights.price, weights.latency, weights.load, weights.stake, weights.reliability];
    let total = |index: usize| {
        let room = u128::from(columns.slots_free[index]);
        let work = u128::from(columns.in_flight[index]) + u128::from(columns.queue_depth[index]);
        let scores = [
            prices[index],
            latencies[index],
            room * 1_000_000 / (room + work).max(1),
            u128::from(columns.stake_gwei[index]) * 1_000_000 / u128::from(most_stake),
            u128::from(columns.success_ppm[index]).min(1_000_000),
        ];
        let sum: u128 =
            scores.iter().zip(parts).map(|(score, part)| score * u128::from(part)).sum();
        u64::try_from(sum / u128::from(parts.iter().sum::<u64>()).max(1)).unwrap()
    };
    (0..columns.price_wei.len()).map(total).collect()
}

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (word ^ (word >> 31)) % end
    }

    /// Returns small numbers mostly, so that there are ties, and now and then the greatest.
    fn any(&mut self, greatest: u64) -> u64 {
        match self.below(10) {
            0 => greatest,
            1 => greatest - self.below(greatest),
            2..5 => self.below(4),
            _ => self.below(3_000),
        }
    }

    fn narrow(&mut self) -> u32 {
        u32::try_from(self.any(u64::from(u32::MAX))).unwrap()
    }

    fn columns(&mut self) -> Columns {
        let count = self.below(40);
        let measured = self.below(2) == 0;
        let mut columns = Columns::default();
        for _ in 0..count {
            columns.price_wei.push(self.any(u64::MAX));
            columns.rtt_us.push(self.narrow());
            columns.latency_us.push(if measured { self.narrow() } else { u32::MAX });
            columns.slots_free.push(if self.below(3) == 0 { 0 } else { self.narrow() });
            columns.in_flight.push(self.narrow());
            columns.queue_depth.push(self.narrow());
            columns.stake_gwei.push(self.any(u64::MAX));
            columns.success_ppm.push(self.narrow());
        }
        columns
    }

    fn weights(&mut self) -> Weights {
        Weights {
            price: self.below(1_001),
            latency: self.below(1_001),
            load: self.below(1_001),
            stake: self.below(2) * self.below(1_001),
            reliability: self.below(1_001),
            band_ppm: [1, 1_000, 20_000, 300_000, 1_000_000][self.below(5) as usize],
            sticky_ppm: self.below(1_000_001),
        }
    }
}

#[test]
fn the_order_is_that_of_the_rule_written_out_plainly() {
    for seed in 0..3_000 {
        let mut rng = Rng(seed);
        let (columns, weights) = (rng.columns(), rng.weights());
        let ranking = Ranking::new(&columns, weights);
        let count = columns.price_wei.len() as u64;
        for _ in 0..10 {
            let excluded: Vec<u32> = match rng.below(4) {
                0 => (0..count).filter(|_| rng.below(2) == 0).map(|i| i as u32).collect(),
                1 => (0..count).map(|index| index as u32).collect(),
                _ => Vec::new(),
            };
            let ask = Ask {
                price_limit: if rng.below(2) == 0 { u64::MAX } else { rng.any(u64::MAX) },
                sticky: (rng.below(2) == 0).then(|| rng.below(count + 2) as u32),
                seed: rng.below(u64::MAX),
                excluded: 0,
            };
            let plain = plainly(&columns, &weights, &ask, &excluded);
            assert_eq!(walk(&ranking, ask, &excluded), plain, "SEED={seed} {ask:?} {excluded:?}");
        }
    }
}
