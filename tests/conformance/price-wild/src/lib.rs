//! Quotes a share of the base price that its document names, one while slots are free and one while
//! none is, whatever the operator's bounds; panics where the document says so.

use framegate_sdk::prelude::*;

struct Guest {
    idle_percent: u64,
    busy_percent: u64,
    trap_quote: bool,
    trap_charge: bool,
    charge_percent: u64,
}

impl PricingRule for Guest {
    fn describe() -> PluginInfo {
        info!("quotes whatever its document says")
    }

    fn prepare(config: &str) -> Result<Self, SetupError> {
        let mut document = Document::parse(config)?;
        let mut percent = |key| document.integer(key, 100, 0..=1_000_000);
        let (idle, busy) = (percent("idle_percent")?, percent("busy_percent")?);
        let charge = percent("charge_percent")?;
        let trap_quote = document.flag("trap_quote", false)?;
        let trap_charge = document.flag("trap_charge", false)?;
        document.finish()?;
        Ok(Self {
            idle_percent: idle.unsigned_abs(),
            busy_percent: busy.unsigned_abs(),
            trap_quote,
            trap_charge,
            charge_percent: charge.unsigned_abs(),
        })
    }

    fn quote(&mut self, basis: &Basis, _now: u64) -> Result<Quoted, Refusal> {
        assert!(!self.trap_quote, "no price for {}", basis.base);
        let idle = basis.load_ppm < 1_000_000;
        let percent = if idle { self.idle_percent } else { self.busy_percent };
        Ok(Quoted { price: basis.base * percent / 100, valid_for_us: 0, reason: 0 })
    }

    fn explain(&mut self, _basis: &Basis, _now: u64) -> Result<Vec<Part>, Refusal> {
        Ok(Vec::new())
    }

    fn charge(&mut self, agreed: u64, units: u64) -> Result<u64, Refusal> {
        // The trial at loading is at other prices.
        assert!(!self.trap_charge || agreed != 1000, "no charge for {units} units");
        let wei = u128::from(agreed) * u128::from(units) * u128::from(self.charge_percent);
        u64::try_from(wei.div_ceil(100_000_000)).map_err(|_| Refusal::Overflow)
    }
}

export_pricing_rule!(Guest);
