//! Calls every function that a pricing rule can import and asserts what it is answered.

use framegate_sdk::prelude::*;
use framegate_sdk::pricing::{conditions, meter};

struct Guest;

impl PricingRule for Guest {
    fn describe() -> PluginInfo {
        info!("calls every function of the pricing world", "{}", ["a surcharge"])
    }

    fn prepare(_config: &str) -> Result<Self, SetupError> {
        assert_eq!(scope::capability(), "live-video-to-video/test");
        assert_eq!(scope::sold_by().size, 1_000_000);
        Ok(Self)
    }

    fn quote(&mut self, basis: &Basis, _now: u64) -> Result<Quoted, Refusal> {
        assert_eq!(job_details::customer(), 0);
        assert_eq!((conditions::slots_free(), conditions::slots_total()), (3, 4));
        assert_eq!(conditions::queue_depth(), 5);
        let memory = (conditions::gpu_memory_free_mib(), conditions::gpu_memory_total_mib());
        assert_eq!(memory, (6, 7));
        assert!(conditions::warm());
        assert_eq!((conditions::gas_price(), conditions::rivals()), (8, 9));
        assert_eq!((conditions::rival_lowest(), conditions::rival_median()), (Some(10), Some(11)));
        assert_eq!((conditions::custom("tariff"), conditions::custom("none")), (Some(-12), None));
        Ok(Quoted { price: basis.base + 1, valid_for_us: u32::MAX, reason: 1 })
    }

    fn explain(&mut self, _basis: &Basis, _now: u64) -> Result<Vec<Part>, Refusal> {
        Ok(vec![Part { label: "surcharge".to_owned(), wei: 1 }])
    }

    fn charge(&mut self, agreed: u64, units: u64) -> Result<u64, Refusal> {
        let figures =
            [meter::late_units(), meter::elapsed_ms(), meter::gpu_ms(), meter::units_before()];
        // The host tries a rule with an empty meter when it prepares it.
        assert!(figures == [0; 4] || figures == [1, 2, 3, 4], "{figures:?}");
        assert_eq!(meter::charged_before(), if figures == [0; 4] { 0 } else { 5 });
        agreed.checked_mul(units).ok_or(Refusal::Overflow)
    }
}

export_pricing_rule!(Guest);
