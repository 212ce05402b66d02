//! Ranking the candidates for one job: by the versions of the policy where there is one, natively
//! where there is none or where none answers. What the host itself objects to, `domain::job`
//! refuses afterwards.
//!
//! **Invariant:** a fault of the policy is told once, counted, and never the client's problem
//! unless the operator wants it so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::breaker::OnFault;
use domain::event::Sink;
use domain::offering::Offering;
use domain::price::{LIVE_LOT, LIVE_UNITS_PER_SECOND};
use domain::select::{self, Reason};
use plugin::policy::audit::{Choice, Question};
use plugin::policy::selection::{Decline, Scored};
use plugin::policy::slot::Answered;
use plugin::{Because, Identity, JobFacts, unix_ms};
use serde::Serialize;

use crate::audit::Auditor;
use crate::config::CustomerConfig;
use crate::customers;
use crate::market::Market;
use crate::state::now;

/// Name under which the host's own rule stands in records.
const NATIVE: &str = "native";

/// Who chose, for records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyName {
    /// Plugin's id; `native` for the host's own rule.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// Digest of its component; empty for the host's own rule.
    pub digest: String,
    /// Who should have chosen, where it was not this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<InsteadOf>,
}

/// The active version of a plugin slot that did not choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InsteadOf {
    /// Plugin's id.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// `fault`, `open`, `quarantined` or `not-prepared`.
    pub class: &'static str,
    /// Why, for people.
    pub why: String,
}

impl PolicyName {
    /// Names the host's own rule.
    pub(crate) fn native() -> Self {
        Self {
            plugin: NATIVE.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            digest: String::new(),
            instead_of: None,
        }
    }

    fn instead_of(self, active: &Identity, because: &Because) -> Self {
        let instead_of = InsteadOf {
            plugin: active.plugin.clone(),
            version: active.version.clone(),
            class: because.class(),
            why: because.why(),
        };
        Self { instead_of: Some(instead_of), ..self }
    }
}

impl From<&Identity> for PolicyName {
    fn from(who: &Identity) -> Self {
        Self {
            plugin: who.plugin.clone(),
            version: who.version.clone(),
            digest: who.digest.to_string(),
            instead_of: None,
        }
    }
}

/// What was counted of choices.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) picks: AtomicU64,
    pub(crate) fell_back: AtomicU64,
    pub(crate) audits: AtomicU64,
}

/// A ranking of candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ranked {
    /// Who made it.
    pub(crate) policy: PolicyName,
    /// Candidates by index, best first.
    pub(crate) order: Vec<usize>,
    /// Why the policy chooses nobody, if it does not.
    pub(crate) declined: Option<Decline>,
}

/// The policy did not answer, and the operator wants no job served without it.
#[derive(Debug, thiserror::Error)]
#[error("the selection policy did not choose: {0}")]
pub(crate) struct NoPolicy(Because);

/// What a choice is made for.
pub(crate) struct Wish<'a> {
    /// Opaque id of the job.
    pub(crate) id: String,
    /// The most that a lot may cost, in wei.
    pub(crate) cap_wei: u64,
    /// Whose job it is: its place in `customers`.
    pub(crate) customer: Option<usize>,
    /// Everybody who is known.
    pub(crate) customers: &'a [CustomerConfig],
    /// Time left for finding an orchestrator.
    pub(crate) time_left: Duration,
    /// Takes events.
    pub(crate) sink: &'a dyn Sink,
    /// Counts.
    pub(crate) counted: &'a Counted,
    /// Asks again what is to be asked twice.
    pub(crate) auditor: &'a Auditor,
}

impl Wish<'_> {
    fn whose(&self) -> Option<&CustomerConfig> {
        self.customer.and_then(|at| self.customers.get(at))
    }

    /// Returns the tier of the job's customer, empty without one.
    fn tier(&self) -> &str {
        self.whose().map_or("", |customer| &customer.tier)
    }
}

/// Ranks `offerings`, which are the candidates of `market` with their figures of this moment.
pub(crate) fn rank(
    market: &Arc<Market>,
    offerings: &[Offering],
    wish: &Wish<'_>,
) -> Result<Ranked, NoPolicy> {
    wish.counted.picks.fetch_add(1, Ordering::Relaxed);
    let Some(ranker) = market.ranker(wish.tier()) else {
        return Ok(native(offerings, wish, PolicyName::native()));
    };
    let question = Question {
        job: Arc::new(facts(offerings, wish)),
        now_unix_ms: unix_ms(),
        seed: u64::from_le_bytes(wire::header::random_bytes()),
    };
    let active = &ranker.active;
    let answered = ranker.slot.ask(now(), wish.sink, |policy| question.ask(policy));
    if !matches!(&answered, Ok(answered) if answered.instead.is_none()) {
        wish.counted.fell_back.fetch_add(1, Ordering::Relaxed);
        wish.auditor.shadow(market, ranker, &question);
    }
    match answered {
        Ok(Answered { value, version, instead }) => {
            wish.auditor.look(market, version.standing(), &question, &value);
            let policy = PolicyName::from(version.standing().identity());
            let policy = match instead {
                Some(because) => policy.instead_of(active, &because),
                None => policy,
            };
            Ok(ranked(policy, value))
        }
        Err(because) if ranker.on_fault == OnFault::Refuse => {
            wish.sink.emit(because.event(ranker.slot.name(), "nobody"));
            Err(NoPolicy(because))
        }
        Err(because) => {
            wish.sink.emit(because.event(ranker.slot.name(), NATIVE));
            Ok(native(offerings, wish, PolicyName::native().instead_of(active, &because)))
        }
    }
}

/// What a policy says of each candidate.
pub(crate) struct Explained {
    /// Who says it.
    pub(crate) policy: PolicyName,
    /// Candidates, best first.
    pub(crate) lines: Vec<Scored>,
    /// Why the policy chooses nobody, if it does not.
    pub(crate) declined: Option<Decline>,
}

/// Has `offerings`, which are the candidates of `market` with their figures of this moment, ranked
/// with grounds. Equal markets, equal answers. Takes as long as preparing.
pub(crate) fn explain(
    market: &Market,
    offerings: &[Offering],
    wish: &Wish<'_>,
) -> Result<Explained, NoPolicy> {
    let Some(ranker) = market.ranker(wish.tier()) else {
        return Ok(natively(offerings, wish, PolicyName::native()));
    };
    let (job, at) = (Arc::new(facts(offerings, wish)), unix_ms());
    match ranker.slot.ask(now(), wish.sink, |policy| policy.explain(&job, at, 0)) {
        Ok(Answered { value, version, instead }) => {
            let policy = PolicyName::from(version.standing().identity());
            let policy = match instead {
                Some(because) => policy.instead_of(&ranker.active, &because),
                None => policy,
            };
            let (lines, declined) = match value {
                Ok(lines) => (lines, None),
                Err(declined) => (Vec::new(), Some(declined)),
            };
            Ok(Explained { policy, lines, declined })
        }
        Err(because) if ranker.on_fault == OnFault::Refuse => {
            wish.sink.emit(because.event(ranker.slot.name(), "nobody"));
            Err(NoPolicy(because))
        }
        Err(because) => {
            wish.sink.emit(because.event(ranker.slot.name(), NATIVE));
            let policy = PolicyName::native().instead_of(&ranker.active, &because);
            Ok(natively(offerings, wish, policy))
        }
    }
}

/// Ranks natively, by price: a score is the price, below 0 so that less is better.
fn natively(offerings: &[Offering], wish: &Wish<'_>, policy: PolicyName) -> Explained {
    let order = select::order(offerings, wish.cap_wei);
    let lines = order.into_iter().filter_map(|at| {
        let price = offerings.get(at)?.price.map_or(0, |price| price.for_lot(LIVE_LOT));
        let parts = vec![("price".to_owned(), format!("{price} wei a lot"))];
        #[expect(clippy::cast_precision_loss, reason = "only the order of scores has meaning")]
        let score = -(price as f64);
        Some(Scored { candidate: u32::try_from(at).ok()?, score, parts, left_out: None })
    });
    Explained { policy, lines: lines.collect(), declined: None }
}

fn native(offerings: &[Offering], wish: &Wish<'_>, policy: PolicyName) -> Ranked {
    Ranked { policy, order: select::rank(offerings, wish.cap_wei), declined: None }
}

fn ranked(policy: PolicyName, choice: Choice) -> Ranked {
    match choice {
        Ok(list) => {
            let order = list.indices().iter().map(|index| *index as usize).collect();
            Ranked { policy, order, declined: None }
        }
        Err(declined) => Ranked { policy, order: Vec::new(), declined: Some(declined) },
    }
}

/// Candidates without room, and suspended ones, are excluded for the policy; the price it judges itself.
fn facts(offerings: &[Offering], wish: &Wish<'_>) -> JobFacts {
    let full = |offering: &Offering| {
        offering.suspended.is_some()
            || matches!(select::objection(offering, u64::MAX), Some(Reason::NoSlot))
    };
    let indices = (0_u32..).zip(offerings).filter(|(_, offering)| full(offering));
    let customer = wish.whose();
    let tiers = customers::tiers(wish.customers);
    let tier = customer.and_then(|of| tiers.iter().position(|tier| *tier == of.tier));
    let index = |at: Option<usize>| at.and_then(|at| u32::try_from(at).ok()).unwrap_or(0);
    JobFacts {
        tier: index(tier),
        customer: index(wish.customer.map(|at| at + 1)),
        customer_id: customer.map(|of| of.name.clone()).unwrap_or_default(),
        units: LIVE_UNITS_PER_SECOND,
        price_limit_wei: wish.cap_wei,
        time_left_us: u32::try_from(wish.time_left.as_micros()).unwrap_or(u32::MAX),
        excluded: indices.map(|(index, _)| index).collect(),
        id: wish.id.clone(),
        ..JobFacts::default()
    }
}
