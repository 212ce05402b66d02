//! Advice for gateways that choose by themselves: who the policy would give work to now, in order,
//! and why. The same questions are asked of the same orchestrators as for a gateway; there is no
//! front door and no job.
//!
//! **Invariant:** nobody is recommended who could not be given work: out of reach, over the cap,
//! withheld, or left out by the policy. Who is only full is recommended last, since those who ask
//! keep an answer for longer than slots stay taken.

use std::net::SocketAddr;
use std::sync::Arc;

use domain::capability::Capability;
use domain::event::Sink;
use domain::job::ANSWER_MAX;
use domain::offering::Offering;
use domain::price::LIVE_LOT;
use domain::select::{self, PassedOver, Reason};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::choose::{self, Explained, PolicyName, Wish};
use crate::config::Config;
use crate::handle::GatewayHandle;
use crate::market::Market;
use crate::record;
use crate::state::{State, now};
use crate::{BuildError, Parts, audit, discover, sources};

/// An adviser that is ready to run: a gateway's view of the market without its front door.
pub struct Advisor {
    state: Arc<State>,
    audits: mpsc::Receiver<audit::Task>,
    stop: watch::Sender<bool>,
}

/// What a policy says of one capability.
#[derive(Debug, Clone, Serialize)]
pub struct Advice {
    /// The capability.
    pub capability: String,
    /// The most that a lot may cost, in wei.
    pub cap_wei: String,
    /// Who judged; `None`: the policy did not answer, and the operator wants nobody else to.
    pub policy: Option<PolicyName>,
    /// Why nobody was chosen, if nobody was.
    pub declined: Option<String>,
    /// Recommended ones, best first, and then those that are not.
    pub orchestrators: Vec<Advised>,
    /// Those that do not offer the capability, or not now.
    pub absent: Vec<wire::error::Reason>,
}

/// What is said of one orchestrator.
#[derive(Debug, Clone, Serialize)]
pub struct Advised {
    /// Who.
    pub orchestrator: String,
    /// Its address.
    pub uri: String,
    /// More than 1 and at most 2, falling with its place; `None`: it is not recommended.
    pub score: Option<f64>,
    /// What the policy made of it; only the order has meaning.
    pub policy_score: Option<f64>,
    /// What that is made of.
    pub parts: Map<String, Value>,
    /// Why it is not recommended, or only in the last place; empty: nothing is against it.
    pub reason: String,
    /// What it asks for a lot, in wei.
    pub price_wei: Option<String>,
    /// Smoothed round trip in microseconds.
    pub rtt_us: Option<u32>,
    /// Free slots.
    pub slots_free: Option<u32>,
    /// Its best device.
    pub hardware: String,
}

impl Advisor {
    /// Builds an adviser that is reached at `address`. Must be called within a tokio runtime; blocks
    /// on the file of pinned certificates.
    pub fn build(
        config: Config,
        address: SocketAddr,
        sink: Arc<dyn Sink>,
    ) -> Result<(Self, GatewayHandle), BuildError> {
        let config = Config { transcoding: true, records: None, ..config };
        let Parts { state, audits, stop, .. } = Parts::of(config, address, sink)?;
        let handle = GatewayHandle::new(Arc::clone(&state));
        Ok((Self { state, audits, stop }, handle))
    }

    /// Asks orchestrators until `shutdown` completes.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let Self { state, audits, stop } = self;
        let mut background = JoinSet::new();
        background.spawn(discover::run(Arc::clone(&state)));
        background.spawn(sources::run(Arc::clone(&state)));
        background.spawn(audit::run(audits, state));
        shutdown.await;
        stop.send_replace(true);
        background.shutdown().await;
    }
}

/// Says who would be given work now: for one capability, or for each that is offered.
pub(crate) fn all(state: &State, wanted: Option<&str>, except: Option<&str>) -> Vec<Advice> {
    let markets = state.markets.load();
    let is_wanted = |capability: &Capability| {
        let id = capability.live_id().unwrap_or_default();
        wanted.is_none_or(|name| capability.as_str() == name || id == name)
    };
    let found = markets.iter().filter(|(capability, _)| is_wanted(capability));
    found.map(|(capability, market)| of(state, capability, market, except)).collect()
}

/// Returns the slots of the orchestrator at `uri`, of all its live models together.
pub(crate) fn slots(state: &State, uri: &str) -> Option<(u32, u32)> {
    let rows = state.book().offerings();
    let own = rows.iter().filter(|(capability, _)| capability.live_id().is_some());
    let own = own.flat_map(|(_, rows)| rows).filter(|row| row.offering.uri == uri);
    own.filter_map(|row| row.offering.slots_free.zip(row.offering.slots_total))
        .reduce(|(free, total), more| (free.max(more.0), total.max(more.1)))
}

fn of(state: &State, capability: &Capability, market: &Market, except: Option<&str>) -> Advice {
    let mut rows = market.rows.clone();
    state.book().refresh(&mut rows, now());
    let offerings: Vec<Offering> = rows.iter().map(|row| row.offering.clone()).collect();
    let wish = Wish {
        id: String::new(),
        cap_wei: state.caps.load().wei(capability, "", None),
        customer: None,
        customers: &state.config.customers,
        time_left: ANSWER_MAX,
        sink: &*state.sink,
        counted: &state.counted,
        auditor: &state.auditor,
    };
    let absent: Vec<PassedOver> = state.book().absent(&rows);
    let explained = choose::explain(market, &offerings, &wish);
    let (policy, declined, lines) = match explained {
        Ok(Explained { policy, lines, declined }) => {
            (Some(policy), declined.map(|it| it.to_string()), lines)
        }
        Err(error) => (None, Some(error.to_string()), Vec::new()),
    };
    let answered = policy.is_some();
    let listed = |offering: &Offering| except != Some(offering.uri.as_str());
    let mut orchestrators: Vec<(u8, Advised)> = Vec::new();
    let mut left: Vec<bool> = offerings.iter().map(listed).collect();
    for line in lines {
        let at = line.candidate as usize;
        let Some(offering) = offerings.get(at).filter(|_| left[at]) else { continue };
        left[at] = false;
        let (place, reason) = place(offering, wish.cap_wei, line.left_out.as_deref());
        let parts = line.parts.into_iter().map(|(name, value)| (name, Value::from(value)));
        let advised = Advised {
            policy_score: Some(line.score).filter(|score| score.is_finite()),
            parts: parts.collect(),
            reason,
            ..Advised::of(offering)
        };
        orchestrators.push((place, advised));
    }
    for (offering, _) in offerings.iter().zip(left).filter(|(_, left)| *left) {
        // Only what the host can tell speaks for one of which the policy said nothing.
        let unnamed = if answered { "the policy does not name it" } else { "nobody judged it" };
        let (place, reason) = place(offering, wish.cap_wei, Some(unnamed));
        orchestrators.push((place, Advised { reason, ..Advised::of(offering) }));
    }
    orchestrators.sort_by_key(|(place, _)| *place);
    Advice {
        capability: capability.to_string(),
        cap_wei: wish.cap_wei.to_string(),
        policy,
        declined,
        orchestrators: scored(orchestrators),
        absent: record::reasons(&absent, |_| None),
    }
}

/// Place of one that is recommended, of one that is only full, and of one that is not recommended.
const GOOD: u8 = 0;
const FULL: u8 = 1;
const OUT: u8 = 2;

/// Says where an orchestrator belongs, and why; `left_out` is what the policy has against it.
fn place(offering: &Offering, cap_wei: u64, left_out: Option<&str>) -> (u8, String) {
    if offering.suspended.is_some() {
        return (OUT, format!("is {}", select::SUSPENDED));
    }
    match (select::objection(offering, cap_wei), left_out) {
        (Some(reason @ Reason::NoSlot), _) => (FULL, reason.to_string()),
        (Some(reason), _) => (OUT, reason.to_string()),
        (None, Some(why)) => (OUT, why.to_owned()),
        (None, None) => (GOOD, String::new()),
    }
}

/// Gives those that are recommended a score that falls with their place.
fn scored(orchestrators: Vec<(u8, Advised)>) -> Vec<Advised> {
    let count = orchestrators.iter().filter(|(place, _)| *place != OUT).count();
    let score = |at: usize| {
        let mille = 1000 + (count - at) * 1000 / count;
        f64::from(u32::try_from(mille).unwrap_or(u32::MAX)) / 1000.0
    };
    let all = orchestrators.into_iter().enumerate();
    all.map(|(at, (_, advised))| Advised { score: (at < count).then(|| score(at)), ..advised })
        .collect()
}

impl Advised {
    fn of(offering: &Offering) -> Self {
        Self {
            orchestrator: offering.orchestrator.to_string(),
            uri: offering.uri.clone(),
            score: None,
            policy_score: None,
            parts: Map::new(),
            reason: String::new(),
            price_wei: offering.price.map(|price| price.for_lot(LIVE_LOT).to_string()),
            rtt_us: offering.rtt_us,
            slots_free: offering.slots_free,
            hardware: offering.hardware.clone(),
        }
    }
}
