//! Panics at every quote; charges as the host would.

use framegate_sdk::prelude::*;

struct Guest;

impl PricingRule for Guest {
    fn describe() -> PluginInfo {
        info!("panics at every quote")
    }

    fn prepare(_config: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn quote(&mut self, basis: &Basis, _now: u64) -> Result<Quoted, Refusal> {
        panic!("no price for {}", basis.base);
    }

    fn explain(&mut self, _basis: &Basis, _now: u64) -> Result<Vec<Part>, Refusal> {
        Ok(Vec::new())
    }

    fn charge(&mut self, agreed: u64, units: u64) -> Result<u64, Refusal> {
        let wei = (u128::from(agreed) * u128::from(units)).div_ceil(1_000_000);
        u64::try_from(wei).map_err(|_| Refusal::Overflow)
    }
}

export_pricing_rule!(Guest);
