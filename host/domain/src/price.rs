//! Prices: exact integers in named units, never floats.
//!
//! Work is sold in lots (a million `lv2v-pixel-second`s, one `frame`, …) and a price is whole wei
//! for one lot, so that two prices of one capability compare with `<`. Foreign prices are rational
//! (wei for so many units) and are rounded up to a lot, so that a cap is never passed unseen.

use std::fmt;

/// Livepeer's unit of live video: one second counts as a 1280x720 picture 30 times.
pub const LIVE_UNIT: &str = "lv2v-pixel-second";
/// Units in one second of live video: 1280 x 720 x 30.
pub const LIVE_UNITS_PER_SECOND: u64 = 27_648_000;
/// Live video is sold in lots of so many units, so that a price of a few wei a lot can be named
/// without fractions.
pub const LIVE_LOT: u64 = 1_000_000;

/// How work is counted and sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lot {
    /// Name of the unit, such as [`LIVE_UNIT`].
    pub unit: String,
    /// Units in a lot; at least 1.
    pub size: u64,
}

impl Lot {
    /// Returns the lot that live video is sold by.
    pub fn live() -> Self {
        Self { unit: LIVE_UNIT.to_owned(), size: LIVE_LOT }
    }
}

/// A price: whole wei for one lot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// Wei for one lot. 0: free.
    pub wei: u64,
    /// The lot.
    pub lot: Lot,
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} wei for {} {}", self.wei, self.lot.size, self.lot.unit)
    }
}

/// A price as the wire has it: `wei` for `units` units, an exact fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitPrice {
    /// Wei.
    pub wei: u64,
    /// Units that they buy; at least 1.
    pub units: u64,
}

impl UnitPrice {
    /// Makes a unit price; `None` if it is for no units at all.
    pub const fn new(wei: u64, units: u64) -> Option<Self> {
        if units == 0 { None } else { Some(Self { wei, units }) }
    }

    /// Returns the price of a lot of `lot_size` units, rounded up to whole wei and cut at the
    /// greatest `u64`.
    pub fn for_lot(self, lot_size: u64) -> u64 {
        let wei = u128::from(self.wei) * u128::from(lot_size);
        u64::try_from(wei.div_ceil(u128::from(self.units))).unwrap_or(u64::MAX)
    }
}

/// The sum left the range of 64-bit wei.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{units} units at {wei} wei for {lot} come to more than {} wei", u64::MAX)]
pub struct Overflow {
    /// Units charged.
    pub units: u64,
    /// Agreed price of a lot.
    pub wei: u64,
    /// Units in a lot.
    pub lot: u64,
}

/// Works out what `units` cost at `agreed`: lots are not rounded, wei are, upwards. This is the
/// host's own rule, used where no pricing rule charges or where it faulted.
pub fn charge(agreed: &Price, units: u64) -> Result<u64, Overflow> {
    let wei = u128::from(agreed.wei) * u128::from(units);
    u64::try_from(wei.div_ceil(u128::from(agreed.lot.size.max(1)))).map_err(|_| Overflow {
        units,
        wei: agreed.wei,
        lot: agreed.lot.size,
    })
}

/// The bound to which a quote was brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The least that may be asked.
    Floor,
    /// The most that may be asked.
    Ceiling,
    /// The greatest change from the quote before.
    Step,
}

impl Bound {
    /// Returns the word used in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Ceiling => "ceiling",
            Self::Step => "step",
        }
    }
}

/// The bounds of quotes for one lot, in wei.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The least that may be asked.
    pub floor_wei: u64,
    /// The most that may be asked; at least the floor.
    pub ceiling_wei: u64,
    /// The greatest change from one quote to the next.
    pub step_wei: u64,
}

impl Bounds {
    /// Returns `quoted_wei` brought back into the bounds, with the last one that changed it.
    /// `last_wei` is the quote before, if there was one.
    pub fn keep(&self, quoted_wei: u64, last_wei: Option<u64>) -> (u64, Option<Bound>) {
        let last = last_wei.unwrap_or(quoted_wei);
        let (low, high) = (last.saturating_sub(self.step_wei), last.saturating_add(self.step_wei));
        let stepped = quoted_wei.clamp(low, high);
        let kept = stepped.max(self.floor_wei).min(self.ceiling_wei);
        let bound = match (kept == stepped, stepped == quoted_wei) {
            (false, _) if kept > stepped => Some(Bound::Floor),
            (false, _) => Some(Bound::Ceiling),
            (true, false) => Some(Bound::Step),
            (true, true) => None,
        };
        (kept, bound)
    }
}

/// Returns the units that `milliseconds` of live video count as.
pub const fn live_units(milliseconds: u64) -> u64 {
    // 27,648,000 a second is exactly 27,648 a millisecond.
    milliseconds.saturating_mul(LIVE_UNITS_PER_SECOND / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_rounds_up_and_refuses_what_leaves_its_range() {
        let price = Price { wei: 3, lot: Lot::live() };
        assert_eq!(charge(&price, 0), Ok(0));
        assert_eq!(charge(&price, 1), Ok(1));
        assert_eq!(charge(&price, live_units(1000)), Ok(83)); // 82.944 wei
        let dear = Price { wei: u64::MAX, lot: Lot { unit: "frame".to_owned(), size: 1 } };
        assert_eq!(charge(&dear, 1), Ok(u64::MAX));
        assert!(charge(&dear, 2).is_err());
    }

    #[test]
    fn a_quote_stays_within_floor_ceiling_and_step() {
        let bounds = Bounds { floor_wei: 10, ceiling_wei: 100, step_wei: 20 };
        let keep = |quoted, last| bounds.keep(quoted, last);
        assert_eq!(keep(50, None), (50, None), "the first quote has none before it");
        assert_eq!(keep(0, None), (10, Some(Bound::Floor)));
        assert_eq!(keep(u64::MAX, None), (100, Some(Bound::Ceiling)));
        assert_eq!(keep(90, Some(50)), (70, Some(Bound::Step)));
        assert_eq!(keep(0, Some(50)), (30, Some(Bound::Step)));
        assert_eq!(keep(u64::MAX, Some(95)), (100, Some(Bound::Ceiling)));
        assert_eq!(keep(0, Some(15)), (10, Some(Bound::Floor)));
        assert_eq!(keep(60, Some(50)), (60, None));
    }

    #[test]
    fn a_foreign_price_is_rounded_up_to_a_lot() {
        let price = UnitPrice::new(1, 3_000_000).expect("units");
        assert_eq!(price.for_lot(LIVE_LOT), 1);
        assert_eq!(UnitPrice::new(u64::MAX, 1).expect("units").for_lot(LIVE_LOT), u64::MAX);
        assert_eq!(UnitPrice::new(5, 0), None);
    }
}
