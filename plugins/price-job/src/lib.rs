//! Prices work: the configured price plus a surcharge that grows with load, inside a bound.
//!
//! On the bidding side the configured cap is the answer. Knows no market: rivals and gas do not
//! enter.
//!
//! **Invariant:** the base and the parts of `explain` add up to exactly the price of `quote`, and
//! more units never cost less.

use framegate_sdk::prelude::*;

const PPM: u64 = 1_000_000;
const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "surcharge_max_ppm": {"type": "integer", "minimum": 0, "maximum": 9000000, "default": 500000,
      "description": "Surcharge at full load, in millionths of the base price"},
    "load_from_ppm": {"type": "integer", "minimum": 0, "maximum": 999999, "default": 500000,
      "description": "Load up to which there is no surcharge, in millionths"},
    "valid_ms": {"type": "integer", "minimum": 0, "maximum": 60000, "default": 5000,
      "description": "Milliseconds for which a price may be used again"}
  }
}"#;
/// Number of the reason that a price with a surcharge carries.
const REASON_LOAD: u32 = 1;

struct Prices {
    surcharge_max_ppm: u64,
    load_from_ppm: u64,
    valid_us: u32,
    lot_size: u64,
}

impl Prices {
    fn parse(config: &str, lot_size: u64) -> Result<Self, SetupError> {
        let mut document = Document::parse(config)?;
        let surcharge = document.integer("surcharge_max_ppm", 500_000, 0..=9_000_000)?;
        let from = document.integer("load_from_ppm", 500_000, 0..=999_999)?;
        let valid_ms = document.integer("valid_ms", 5_000, 0..=60_000)?;
        document.finish()?;
        Ok(Self {
            surcharge_max_ppm: surcharge.unsigned_abs(),
            load_from_ppm: from.unsigned_abs(),
            valid_us: u32::try_from(valid_ms * 1_000).unwrap_or(u32::MAX),
            lot_size: lot_size.max(1),
        })
    }

    /// Returns what load adds to `base` wei: rising in a straight line from `load_from_ppm` to
    /// `surcharge_max_ppm` of the base at full load, rounded up.
    fn surcharge(&self, basis: &Basis) -> Result<u64, Refusal> {
        let load = u64::from(basis.load_ppm).min(PPM);
        let above = load.saturating_sub(self.load_from_ppm);
        if basis.side == Side::Bid || above == 0 {
            return Ok(0);
        }
        let ppm = self.surcharge_max_ppm * above / (PPM - self.load_from_ppm);
        let wei = (u128::from(basis.base) * u128::from(ppm)).div_ceil(u128::from(PPM));
        // A part of a bill is a signed number, so half of the range is the most that adds up.
        i64::try_from(wei).map(i64::unsigned_abs).map_err(|_| Refusal::Overflow)
    }

    fn price(&self, basis: &Basis) -> Result<(u64, u64), Refusal> {
        let surcharge = self.surcharge(basis)?;
        let price = basis.base.checked_add(surcharge).ok_or(Refusal::Overflow)?;
        Ok((price, surcharge))
    }
}

impl PricingRule for Prices {
    fn describe() -> PluginInfo {
        info!("the configured price, and more under load", SCHEMA, ["load surcharge"])
    }

    fn prepare(config: &str) -> Result<Self, SetupError> {
        Self::parse(config, scope::sold_by().size)
    }

    fn quote(&mut self, basis: &Basis, _now: u64) -> Result<Quoted, Refusal> {
        let (price, surcharge) = self.price(basis)?;
        let reason = if surcharge > 0 { REASON_LOAD } else { 0 };
        Ok(Quoted { price, valid_for_us: self.valid_us, reason })
    }

    fn explain(&mut self, basis: &Basis, _now: u64) -> Result<Vec<Part>, Refusal> {
        let (_, surcharge) = self.price(basis)?;
        let wei = i64::try_from(surcharge).map_err(|_| Refusal::Overflow)?;
        Ok(if wei == 0 { Vec::new() } else { vec![Part { label: "load".to_owned(), wei }] })
    }

    fn charge(&mut self, agreed: u64, units: u64) -> Result<u64, Refusal> {
        let wei = (u128::from(agreed) * u128::from(units)).div_ceil(u128::from(self.lot_size));
        u64::try_from(wei).map_err(|_| Refusal::Overflow)
    }
}

export_pricing_rule!(Prices);

#[cfg(test)]
mod tests {
    use super::*;

    fn basis(side: Side, base: u64, load_ppm: u32) -> Basis {
        let urgency = framegate_sdk::Urgency::Live;
        Basis { side, urgency, tier: 0, base, units: 0, load_ppm, overhead_ppm: 0 }
    }

    #[test]
    fn load_adds_up_to_half_and_parts_make_the_price() {
        let mut rule = Prices::parse("", 1_000_000).unwrap();
        for (load, price) in [(0, 101), (500_000, 101), (750_000, 127), (1_000_000, 152)] {
            let asked = basis(Side::Ask, 101, load);
            let quoted = rule.quote(&asked, 0).unwrap();
            assert_eq!(quoted.price, price, "at load {load}");
            let parts: i64 = rule.explain(&asked, 0).unwrap().iter().map(|part| part.wei).sum();
            assert_eq!(asked.base.checked_add_signed(parts), Some(price));
        }
        assert_eq!(rule.quote(&basis(Side::Bid, 101, 1_000_000), 0).unwrap().price, 101);
        assert!(rule.quote(&basis(Side::Ask, u64::MAX, 1_000_000), 0).is_err());
    }

    #[test]
    fn a_charge_rounds_up_never_falls_and_refuses_what_leaves_its_range() {
        let mut rule = Prices::parse("", 1_000_000).unwrap();
        assert_eq!(rule.charge(3, 27_648_000).unwrap(), 83);
        let mut last = 0;
        for units in 0..5_000_u64 {
            let wei = rule.charge(7, units * 997).unwrap();
            assert!(wei >= last);
            last = wei;
        }
        assert!(rule.charge(u64::MAX, u64::MAX).is_err());
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        assert!(Prices::parse(r#"{"surcharge":1}"#, 1).is_err());
        assert!(Prices::parse(r#"{"load_from_ppm":1000000}"#, 1).is_err());
    }
}
