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

impl Weights {
    /// What counts where nothing is configured, as the schema says.
    pub(crate) const DEFAULT: Self = Self {
        price: 400,
        latency: 250,
        load: 150,
        stake: 50,
        reliability: 150,
        band_ppm: 20_000,
        sticky_ppm: 50_000,
    };
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
    /// How many candidates are excluded.
    pub(crate) excluded: u32,
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

/// A candidate as a walk meets it.
#[derive(Debug, Clone, Copy)]
struct Place {
    price_wei: u64,
    index: u32,
}

/// Candidates in a row whose totals count as equal.
#[derive(Debug, Clone, Copy)]
struct Band {
    /// Where it ends in the order; it begins where the one before ends.
    end: u32,
    /// The lowest price in it.
    cheapest_wei: u64,
}

/// The order of one snapshot.
#[derive(Debug)]
pub(crate) struct Ranking {
    price_wei: Vec<u64>,
    full: Vec<bool>,
    scores: Vec<Scores>,
    /// Candidates with room, best band first.
    order: Vec<Place>,
    bands: Vec<Band>,
    /// All candidates, cheapest first.
    cheapest: Vec<Place>,
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
        let band = |place: &Place| scores[place.index as usize].total / weights.band_ppm;
        let places =
            (0..).zip(&columns.price_wei).map(|(index, &price_wei)| Place { price_wei, index });
        let mut cheapest: Vec<Place> = places.collect();
        let mut order = cheapest.clone();
        order.retain(|place| !full[place.index as usize]);
        order.sort_by_key(|place| (std::cmp::Reverse(band(place)), place.index));
        cheapest.sort_by_key(|place| place.price_wei);
        let bands = order.chunk_by(|one, next| band(one) == band(next));
        let bands = bands.scan(0, |end, members| {
            *end += u32::try_from(members.len()).unwrap_or(u32::MAX);
            let cheapest_wei = members.iter().map(|place| place.price_wei).min().unwrap_or(0);
            Some(Band { end: *end, cheapest_wei })
        });
        let bands = bands.collect();
        let sticky_ppm = weights.sticky_ppm;
        let price_wei = columns.price_wei.clone();
        Self { price_wei, full, scores, order, bands, cheapest, sticky_ppm }
    }

    /// Puts the best candidates for `ask` into `found`, as many as it holds, and returns how many.
    pub(crate) fn walk<const MOST: usize>(
        &self,
        ask: &Ask,
        is_excluded: impl Fn(u32) -> bool,
        found: &mut [u32; MOST],
    ) -> Result<usize, Nobody> {
        // Mostly nobody is excluded, and a loop that calls nothing keeps its sums in registers.
        if ask.excluded == 0 {
            return self.walk_asking(ask, |_| false, found);
        }
        self.walk_asking(ask, is_excluded, found)
    }

    #[inline]
    fn walk_asking<const MOST: usize>(
        &self,
        ask: &Ask,
        is_excluded: impl Fn(u32) -> bool,
        found: &mut [u32; MOST],
    ) -> Result<usize, Nobody> {
        let count = self.collect(ask, &is_excluded, found);
        if count == 0 {
            return Err(self.nobody(ask.price_limit, is_excluded));
        }
        let fits = |&index: &u32| {
            self.keeps(index, found[0])
                && self.price_wei(index) <= ask.price_limit
                && !is_excluded(index)
        };
        Ok(match ask.sticky.filter(fits) {
            Some(sticky) => put_first(found, count, sticky),
            None => count,
        })
    }

    /// Puts those that fit into `found` and returns how many.
    #[inline]
    fn collect<const MOST: usize>(
        &self,
        ask: &Ask,
        is_excluded: impl Fn(u32) -> bool,
        found: &mut [u32; MOST],
    ) -> usize {
        // Asking costs more than all the rest: whoever comes after all that are excluded is not.
        let mut unmet = ask.excluded;
        let mut count = 0;
        let mut end = 0;
        let mut salt = ask.seed;
        for band in &self.bands {
            let start = end;
            end = band.end as usize;
            salt = salt.wrapping_add(1);
            if band.cheapest_wei > ask.price_limit {
                continue;
            }
            let mut at = start + turn(salt, end - start);
            for _ in start..end {
                let place = self.order[at];
                at = if at + 1 == end { start } else { at + 1 };
                if place.price_wei > ask.price_limit {
                    continue;
                }
                if unmet > 0 && is_excluded(place.index) {
                    unmet -= 1;
                    continue;
                }
                found[count] = place.index;
                count += 1;
                if count == MOST {
                    return count;
                }
            }
        }
        count
    }

    /// Returns whether a client's last candidate is good enough, beside the best, to be kept.
    fn keeps(&self, sticky: u32, best: u32) -> bool {
        let Some(scores) = self.scores.get(sticky as usize) else { return false };
        !self.full[sticky as usize]
            && scores.total + self.sticky_ppm >= self.scores[best as usize].total
    }

    #[cold]
    fn nobody(&self, price_limit: u64, is_excluded: impl Fn(u32) -> bool) -> Nobody {
        // In this order no more are asked about than are excluded, and one.
        match self.cheapest.iter().find(|place| !is_excluded(place.index)) {
            None => Nobody::Left,
            Some(place) if place.price_wei > price_limit => Nobody::Affordable(place.price_wei),
            Some(_) => Nobody::Free,
        }
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
    scaled(part, PPM, whole)
}

/// Returns `part * scale / whole`, or the greatest number where that is beyond it.
fn scaled(part: u64, scale: u64, whole: u64) -> u64 {
    // Division of 128 bits is a loop in wasm, and nearly always 64 hold the product.
    if let Some(product) = part.checked_mul(scale) {
        return product / whole;
    }
    let wide = u128::from(part) * u128::from(scale) / u128::from(whole);
    u64::try_from(wide).unwrap_or(u64::MAX)
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

/// Moves or puts `index` before the `count` that were found, of which the last one may have to go;
/// returns how many there are then.
fn put_first(found: &mut [u32], count: usize, index: u32) -> usize {
    let was = found[..count].iter().position(|&other| other == index).unwrap_or(count);
    let last = was.min(found.len() - 1);
    found.copy_within(..last, 1);
    found[0] = index;
    count.max(last + 1)
}

/// Spreads a seed over `0..count` (the finisher of SplitMix64, then a multiplication).
#[inline]
fn turn(seed: u64, count: usize) -> usize {
    let mut word = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^= word >> 31;
    // The upper 64 of the product's 96 bits, in halves: wasm has no wider multiplication. Nobody
    // counts more candidates than 32 bits hold.
    let count = count as u64;
    let low = (word & 0xFFFF_FFFF) * count;
    usize::try_from(((word >> 32) * count + (low >> 32)) >> 32).unwrap_or(0)
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
            let steps = scaled(value, 64, middle);
            if value == unknown || steps >= 64 * 20 {
                return 0;
            }
            self.fractions[steps as usize % 64] >> (16 + steps / 64)
        };
        values.iter().map(|&value| score(value)).collect()
    }
}

#[cfg(test)]
#[path = "rank/tests.rs"]
mod tests;
