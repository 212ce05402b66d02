//! Choosing an orchestrator: what the host itself knows about a choice, whoever makes it.
//!
//! A policy (a component) ranks candidates. This module says which of them the host would accept,
//! chooses natively where the policy faults or declines wrongly, and works out why each of the
//! others was passed over, as data.

use std::fmt;

use crate::id::OrchestratorId;
use crate::offering::Offering;
use crate::price::LIVE_LOT;

/// Orchestrators tried for one job before it is refused; as many as a policy's shortlist names.
pub const TRIES_MAX: usize = 4;

/// The word for an orchestrator that is left alone for a while after failing.
pub const SUSPENDED: &str = "suspended";

/// Why an orchestrator does not serve a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It does not offer the capability.
    NoCapability,
    /// It asks more than the job may cost.
    PriceOverCap {
        /// Its price for one lot in wei; `None`: it named none.
        price_wei: Option<u64>,
        /// The most that may be paid for one lot in wei.
        cap_wei: u64,
    },
    /// Every slot is taken.
    NoSlot,
    /// It cannot be reached, or did not answer in time.
    Unreachable {
        /// What was tried and how it failed.
        detail: String,
    },
    /// It refused the job.
    Refused {
        /// Its own words.
        detail: String,
    },
    /// The operator gives it no work, or it is left alone for a while after failing.
    Withheld {
        /// `draining`, `blocked` or `suspended`.
        standing: &'static str,
        /// For people.
        detail: String,
    },
    /// Another one was ranked higher.
    OutScored {
        /// Its price for one lot in wei, where it named one.
        price_wei: Option<u64>,
    },
}

impl Reason {
    /// Returns the word used in `passed_over` and `reasons`.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::NoCapability => "no-capability",
            Self::PriceOverCap { .. } => "price-over-cap",
            Self::NoSlot => "no-slot",
            Self::Unreachable { .. } => "unreachable",
            Self::Refused { .. } => "denied",
            Self::Withheld { standing, .. } => standing,
            Self::OutScored { .. } => "out-scored",
        }
    }

    /// Position in the order in which one class speaks for several orchestrators.
    const fn precedence(&self) -> usize {
        match self {
            Self::PriceOverCap { .. } => 0,
            Self::NoSlot => 1,
            Self::NoCapability => 2,
            Self::Unreachable { .. } => 3,
            Self::Refused { .. } => 4,
            Self::Withheld { .. } => 5,
            Self::OutScored { .. } => 6,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCapability => f.write_str("does not offer the capability"),
            Self::PriceOverCap { price_wei: Some(price), cap_wei } => {
                write!(f, "asks {price} wei a lot, over the cap of {cap_wei}")
            }
            Self::PriceOverCap { price_wei: None, cap_wei } => {
                write!(f, "names no price, and the cap is {cap_wei} wei a lot")
            }
            Self::NoSlot => f.write_str("has no free slot"),
            Self::Unreachable { detail } => write!(f, "cannot be reached: {detail}"),
            Self::Refused { detail } => write!(f, "refused: {detail}"),
            Self::Withheld { standing, detail } if detail.is_empty() => write!(f, "is {standing}"),
            Self::Withheld { standing, detail } => write!(f, "is {standing}: {detail}"),
            Self::OutScored { .. } => f.write_str("was ranked lower"),
        }
    }
}

/// One orchestrator and why it does not serve the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// Who.
    pub orchestrator: OrchestratorId,
    /// Why.
    pub reason: Reason,
}

/// Returns why the host refuses `offering` for a job that may cost `cap_wei` a lot of live video,
/// or `None` if it may serve it.
pub fn objection(offering: &Offering, cap_wei: u64) -> Option<Reason> {
    let price_wei = offering.price.map(|price| price.for_lot(LIVE_LOT));
    // One that names no price is taken only where nothing limits it.
    if price_wei.unwrap_or(u64::MAX) > cap_wei {
        return Some(Reason::PriceOverCap { price_wei, cap_wei });
    }
    (offering.slots_free == Some(0)).then_some(Reason::NoSlot)
}

/// Ranks `offerings` natively, as [`order`] does. Returns at most [`TRIES_MAX`] indices.
pub fn rank(offerings: &[Offering], cap_wei: u64) -> Vec<usize> {
    let mut ranked = order(offerings, cap_wei);
    ranked.truncate(TRIES_MAX);
    ranked
}

/// Orders `offerings` natively: acceptable and not suspended ones only, cheapest first, then
/// shortest round trip, then fewest jobs in flight, then by name.
pub fn order(offerings: &[Offering], cap_wei: u64) -> Vec<usize> {
    let mut ranked: Vec<usize> = (0..offerings.len())
        .filter(|&index| offerings[index].suspended.is_none())
        .filter(|&index| objection(&offerings[index], cap_wei).is_none())
        .collect();
    ranked.sort_by_key(|&index| {
        let offering = &offerings[index];
        let price = offering.price.map_or(u64::MAX, |price| price.for_lot(LIVE_LOT));
        let rtt = offering.rtt_us.unwrap_or(u32::MAX);
        (price, rtt, offering.in_flight, &offering.orchestrator)
    });
    ranked
}

/// Says why every offering but `chosen` was passed over.
pub fn passed_over(offerings: &[Offering], chosen: Option<usize>, cap_wei: u64) -> Vec<PassedOver> {
    let others = offerings.iter().enumerate().filter(|(index, _)| Some(*index) != chosen);
    others
        .map(|(_, offering)| PassedOver {
            orchestrator: offering.orchestrator.clone(),
            reason: objection(offering, cap_wei).unwrap_or_else(|| beaten(offering)),
        })
        .collect()
}

/// Says why an acceptable offering was not chosen.
fn beaten(offering: &Offering) -> Reason {
    match offering.suspended {
        Some(left) => Reason::Withheld {
            standing: SUSPENDED,
            detail: format!("it failed, and is left alone for {} s more", left.as_secs()),
        },
        None => {
            Reason::OutScored { price_wei: offering.price.map(|price| price.for_lot(LIVE_LOT)) }
        }
    }
}

/// Returns the reason that speaks for all of `reasons`: the first that occurs of price over cap, no
/// slot, no capability, unreachable.
pub fn speaking(reasons: &[PassedOver]) -> Option<&Reason> {
    reasons.iter().map(|entry| &entry.reason).min_by_key(|reason| reason.precedence())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test starts its own clock")]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::capability::Capability;
    use crate::price::UnitPrice;

    fn offering(name: &str, wei: u64, slots_free: Option<u32>) -> Offering {
        Offering {
            orchestrator: OrchestratorId(name.to_owned()),
            uri: format!("https://{name}:8935"),
            capability: Capability::live("sketch-video").expect("good name"),
            price: UnitPrice::new(wei, LIVE_LOT),
            slots_free,
            slots_total: None,
            warm: true,
            hardware: String::new(),
            rtt_us: Some(100),
            in_flight: 0,
            attempts: 0,
            successes: 0,
            failed_at: None,
            suspended: None,
            expires_at: Instant::now(),
        }
    }

    #[test]
    fn the_cheapest_acceptable_one_is_chosen_and_the_rest_know_why_not() {
        let offers = [
            offering("dear", 9, None),
            offering("full", 3, Some(0)),
            offering("good", 5, Some(2)),
            offering("fine", 6, None),
        ];
        let ranked = rank(&offers, 7);
        assert_eq!(ranked, [2, 3]);
        let others = passed_over(&offers, ranked.first().copied(), 7);
        let reasons: Vec<_> = others.iter().map(|entry| entry.reason.to_string()).collect();
        assert_eq!(
            reasons,
            ["asks 9 wei a lot, over the cap of 7", "has no free slot", "was ranked lower"]
        );
        assert_eq!(speaking(&others).map(Reason::class), Some("price-over-cap"));
    }

    #[test]
    fn an_orchestrator_without_a_price_serves_only_where_nothing_limits_it() {
        let mut unpriced = offering("free", 0, None);
        unpriced.price = None;
        assert_eq!(objection(&unpriced, u64::MAX), None);
        assert!(objection(&unpriced, u64::MAX - 1).is_some());
    }
}
