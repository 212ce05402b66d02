//! Offerings: capabilities at a price, with capacity and expiry. An orchestrator advertises them,
//! a gateway collects them into the snapshot that policies see.

use std::time::{Duration, Instant};

use crate::capability::Capability;
use crate::id::OrchestratorId;
use crate::price::UnitPrice;

/// One capability as one orchestrator offers it, with what this gateway measured of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Offering {
    /// Who offers it.
    pub orchestrator: OrchestratorId,
    /// Address jobs are sent to, `https://host:8935`.
    pub uri: String,
    /// What is offered.
    pub capability: Capability,
    /// Advertised price; `None`: it named none.
    pub price: Option<UnitPrice>,
    /// Free slots; `None`: it does not say.
    pub slots_free: Option<u32>,
    /// All slots; `None`: it does not say.
    pub slots_total: Option<u32>,
    /// Whether a job starts without loading anything first.
    pub warm: bool,
    /// Name of its best device; empty: unknown.
    pub hardware: String,
    /// Smoothed round trip in microseconds; `None`: not measured.
    pub rtt_us: Option<u32>,
    /// Jobs of this gateway that run there.
    pub in_flight: u32,
    /// Jobs tried there.
    pub attempts: u32,
    /// Of them, those that succeeded.
    pub successes: u32,
    /// Time of the last failure.
    pub failed_at: Option<Instant>,
    /// How much longer it is left alone after failing, if it is.
    pub suspended: Option<Duration>,
    /// Time until which the offering stands.
    pub expires_at: Instant,
}

impl Offering {
    /// Returns the share of tries that succeeded in millionths, with one success and one failure
    /// added, so that an untried one counts as 500,000.
    pub fn success_ppm(&self) -> u32 {
        let share = (u64::from(self.successes) + 1) * 1_000_000 / (u64::from(self.attempts) + 2);
        u32::try_from(share).unwrap_or(1_000_000)
    }
}
