//! Quotes and charges: the operator's pricing rule (a component) where there is one, the host's
//! own arithmetic where there is none or it fails.

use std::time::Duration;

use domain::capability::Capability;
use domain::event::Sink;
use domain::price::{Lot, Price, charge};

/// What a quote may depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation {
    /// Free slots of the device.
    pub(crate) slots_free: u32,
    /// All slots of the device.
    pub(crate) slots_total: u32,
}

/// What was used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Units of live video.
    pub(crate) units: u64,
    /// Wall-clock time.
    pub(crate) elapsed: Duration,
}

/// Works out quotes and charges.
#[derive(Debug, Default)]
pub struct Pricer {}

impl Pricer {
    pub(crate) fn quote(
        &self,
        _capability: &Capability,
        base_wei: u64,
        _situation: Situation,
        _sink: &dyn Sink,
    ) -> Option<u64> {
        Some(base_wei)
    }

    pub(crate) fn charge(
        &self,
        _capability: &Capability,
        price_wei: u64,
        usage: Usage,
        _sink: &dyn Sink,
    ) -> u64 {
        let agreed = Price { wei: price_wei, lot: Lot::live() };
        charge(&agreed, usage.units).unwrap_or(u64::MAX)
    }
}
