//! A seeded simulation of the market: clients, gateways and orchestrators as state machines on a
//! virtual clock and a network that loses, doubles, delays and reorders.
//!
//! Every decision in it is made by `domain`; the parties only do what an edge does with it. A
//! [`Rule`] is looked at after each step. One seed is one market, and the same seed is the same
//! market, event for event; no time passes but the processor's.

mod client;
mod gateway;
mod judge;
mod net;
mod orchestrator;
mod world;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

pub use judge::Rule;

/// What is wrong with the parties of a market, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// An orchestrator never gives a slot back.
    LeaksSlot,
    /// An orchestrator's table has one slot more than its device.
    SpareSlot,
    /// An orchestrator now and then closes a session twice.
    ClosesTwice,
    /// An orchestrator rounds what it charges down.
    RoundsDown,
    /// A gateway believes its policy, whatever that costs.
    IgnoresCap,
    /// A gateway waits for the report of an orchestrator for ever.
    WaitsForReport,
    /// A gateway leaves one orchestrator out of those passed over.
    ForgetsOne,
}

impl Flaw {
    /// Every flaw, with the promise that it breaks.
    pub const ALL: [(Self, Rule); 7] = [
        (Self::LeaksSlot, Rule::LeaseBack),
        (Self::SpareSlot, Rule::Slots),
        (Self::ClosesTwice, Rule::ClosesOnce),
        (Self::RoundsDown, Rule::Charge),
        (Self::IgnoresCap, Rule::Cap),
        (Self::WaitsForReport, Rule::JobBound),
        (Self::ForgetsOne, Rule::PassedOver),
    ];
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Seed of the market.
    pub seed: u64,
    /// Time since its beginning.
    pub at: Duration,
    /// The promise.
    pub rule: Rule,
    /// What was seen.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, at, rule, text } = self;
        write!(f, "SEED={seed} broke {rule:?} at {:.3} s: {text}", at.as_secs_f64())
    }
}

/// What a market came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Hash of every event with its time.
    pub trace: u64,
    /// Events.
    pub steps: u64,
    /// Sessions opened.
    pub sessions: u64,
    /// How asks came out, each way once.
    pub outcomes: BTreeSet<String>,
}

/// Runs the market of `seed`, in which parties have `flaw`.
pub fn run(seed: u64, flaw: Flaw) -> Result<Summary, Violation> {
    world::World::new(seed, flaw).run()
}
