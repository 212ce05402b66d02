//! Prices on the wire: whole wei for a number of units, as 64-bit signed integers.

use domain::capability::Capability;
use domain::price::UnitPrice;

use super::capability::LIVE_VIDEO_TO_VIDEO;
use crate::proto::{OrchestratorInfo, PriceInfo};

/// Reads a price; `None` if it is for no units, or negative.
pub fn unit_price(price: &PriceInfo) -> Option<UnitPrice> {
    let wei = u64::try_from(price.price_per_unit).ok()?;
    UnitPrice::new(wei, u64::try_from(price.pixels_per_unit).ok()?)
}

/// Writes the price of a live capability, or of everything where `capability` is `None`. Numbers
/// beyond the wire's range are cut to it.
pub fn price_to_wire(price: UnitPrice, capability: Option<&Capability>) -> PriceInfo {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let model = capability.and_then(Capability::live_id);
    PriceInfo {
        price_per_unit: signed(price.wei),
        pixels_per_unit: signed(price.units),
        capability: if model.is_some() { LIVE_VIDEO_TO_VIDEO } else { 0 },
        constraint: model.unwrap_or_default().to_owned(),
    }
}

/// Finds what an orchestrator asks for a live capability: its own price where one is named, else
/// the price for everything that was asked about.
pub fn price_for(info: &OrchestratorInfo, capability: &Capability) -> Option<UnitPrice> {
    let id = capability.live_id()?;
    let own = info
        .capabilities_prices
        .iter()
        .find(|price| price.capability == LIVE_VIDEO_TO_VIDEO && price.constraint == id);
    unit_price(own.or(info.price_info.as_ref())?)
}

#[cfg(test)]
#[test]
fn a_models_own_price_counts_before_the_general_one() {
    let live = |id| Capability::live(id).unwrap();
    let own = UnitPrice::new(7, 1_000_000).unwrap();
    let general = UnitPrice::new(3, 1).unwrap();
    let info = OrchestratorInfo {
        price_info: Some(price_to_wire(general, None)),
        capabilities_prices: vec![price_to_wire(own, Some(&live("a")))],
        ..OrchestratorInfo::default()
    };
    assert_eq!(price_for(&info, &live("a")), Some(own));
    assert_eq!(price_for(&info, &live("b")), Some(general));
    assert_eq!(price_for(&OrchestratorInfo::default(), &live("a")), None);
    let nonsense = PriceInfo { price_per_unit: -1, pixels_per_unit: 1, ..PriceInfo::default() };
    assert_eq!(unit_price(&nonsense), None);
    assert_eq!(unit_price(&PriceInfo::default()), None);
}
