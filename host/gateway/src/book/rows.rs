//! What the book hands out: rows of offerings and of orchestrators, outcomes, changes.

use std::time::{Duration, Instant};

use domain::capability::Capability;
use domain::id::OrchestratorId;
use domain::offering::Offering;
use domain::select::SUSPENDED;
use domain::standing::Wish;
use wire::livepeer::Device;
use wire::proto::AuthToken;

use super::{Said, Seat};

/// One orchestrator's offering with what a start of it needs.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Who.
    pub(crate) seat: Seat,
    /// What.
    pub(crate) offering: Offering,
    /// What ties a start to the price in the offering.
    pub(crate) token: Option<AuthToken>,
    /// The best device behind it.
    pub(crate) device: Option<Device>,
    /// What it says of itself beside the offer.
    pub(crate) said: Said,
    /// What starts of jobs took there: median, and what 99 of 100 stayed within, in microseconds.
    pub(crate) starts_us: (Option<u32>, Option<u32>),
}

/// How a job, or the try to start one, went for the orchestrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It did what was asked of it.
    Served,
    /// It failed.
    Failed,
    /// It had no slot free, whatever it had said.
    Full,
    /// Nothing can be said of it: the client erred, or left.
    Neither,
}

/// An orchestrator, for lists.
#[derive(Debug, Clone)]
pub struct OrchestratorRow {
    /// Who.
    pub id: OrchestratorId,
    /// Its address.
    pub uri: String,
    /// Whether it may be given work.
    pub reachable: bool,
    /// Why the last question to it failed; empty if it did not.
    pub detail: String,
    /// Time of its last answer.
    pub answered_at: Option<Instant>,
    /// Smoothed round trip in microseconds.
    pub rtt_us: Option<u32>,
    /// What it offers.
    pub capabilities: Vec<Capability>,
    /// Jobs of this gateway that run there.
    pub in_flight: u32,
    /// Jobs tried there whose outcome says something about it.
    pub attempts: u32,
    /// Of them, those that succeeded.
    pub successes: u32,
    /// What the operator wants of it.
    pub wish: Wish,
    /// How much longer it is left alone after failing.
    pub suspended: Option<Duration>,
    /// Failures in a row.
    pub failures_in_a_row: u32,
    /// What starts took in the median, and what 95 and 99 of 100 stayed within, in microseconds.
    pub starts_us: [Option<u32>; 3],
    /// Share of the last day's questions that it answered, in parts per million.
    pub availability_ppm: Option<u32>,
    /// Who named it, such as `config`.
    pub source: &'static str,
    /// The orchestrator in whose answer it was found, if it was.
    pub named_by: Option<OrchestratorId>,
    /// Why it cannot be given work, whatever it offers; empty: it can.
    pub unfit: String,
    /// Version that it speaks; empty: not said.
    pub version: String,
    /// Where it says that it is; empty: not said.
    pub region: String,
    /// How its certificate is judged.
    pub tls: &'static str,
    /// The certificate that is taken, if one is known.
    pub certificate: Option<String>,
}

impl OrchestratorRow {
    /// Returns the word for whether it is given work.
    pub const fn standing(&self) -> &'static str {
        match (self.wish, self.suspended) {
            (Wish::Use, _) if !self.unfit.is_empty() => UNFIT,
            (Wish::Use, Some(_)) => SUSPENDED,
            (wish, _) => wish.name(),
        }
    }
}

/// Word of lists for one that cannot be given work whatever it offers.
pub(super) const UNFIT: &str = "incompatible";

/// Most orchestrators that a gateway knows: each costs a connection and a call an interval.
pub const ORCHESTRATORS_MAX: usize = 1000;

/// An orchestrator that is not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// It is known already.
    #[error("`{uri}` is known already, as `{id}`")]
    Known {
        /// Its address.
        uri: String,
        /// Its name.
        id: OrchestratorId,
    },
    /// The name is another one's.
    #[error("`{id}` is the name of `{uri}`")]
    Named {
        /// The name.
        id: OrchestratorId,
        /// Who has it.
        uri: String,
    },
    /// There are too many.
    #[error("{ORCHESTRATORS_MAX} orchestrators are known already, which is the limit")]
    Full,
}

/// Whether an orchestrator's reachability changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) orchestrator: OrchestratorId,
    pub(crate) uri: String,
    pub(crate) reachable: bool,
    pub(crate) detail: String,
}
