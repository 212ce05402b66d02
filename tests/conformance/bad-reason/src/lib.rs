//! Prices with a reason that has no text.

use framegate_sdk::prelude::*;

struct Guest;

impl PricingRule for Guest {
    fn describe() -> PluginInfo {
        info!("prices with a reason that has no text")
    }

    fn prepare(_config: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn quote(&mut self, basis: &Basis, _now: u64) -> Result<Quoted, Refusal> {
        Ok(Quoted { price: basis.base, valid_for_us: 0, reason: 7 })
    }

    fn explain(&mut self, _basis: &Basis, _now: u64) -> Result<Vec<Part>, Refusal> {
        Ok(Vec::new())
    }

    fn charge(&mut self, agreed: u64, units: u64) -> Result<u64, Refusal> {
        agreed.checked_mul(units).ok_or(Refusal::Overflow)
    }
}

export_pricing_rule!(Guest);
