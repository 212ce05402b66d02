//! What became of each job: from its start, and for an hour after its end, in memory; what outlives
//! that is [`crate::archive`]'s. Also where the limits on jobs are held, since it is what knows them
//! all.
//!
//! **Invariants:** a running job's record is never forgotten, and there are never more running than
//! the limits say; at most [`RECORDS_MAX`] records are kept in all.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::Class;
use domain::id::{JobId, OrchestratorId};
use domain::price::{LIVE_LOT, LIVE_UNIT, UnitPrice};
use domain::select::{PassedOver, Reason};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::Notify;
use wire::error;

use crate::archive::Kept;
use crate::choose::PolicyName;
use crate::custom::Column;

/// Time that the record of an ended job is kept.
pub(crate) const KEPT: Duration = Duration::from_secs(3600);
/// Records kept at once: at about 2 KiB each, 20 MiB.
pub(crate) const RECORDS_MAX: usize = 10_000;

/// A job that is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LimitError {
    /// The gateway has as many as it takes.
    #[error("{limit} jobs run already, which is the limit")]
    Jobs {
        /// The limit.
        limit: usize,
    },
    /// The client has as many as one may.
    #[error("{limit} jobs of this client run already, which is the limit for one")]
    Client {
        /// The limit.
        limit: usize,
    },
}

impl LimitError {
    /// Returns the class.
    pub(crate) const fn class(&self) -> Class {
        Class::Exhausted
    }
}

/// Where a job is, as records say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// An orchestrator is being found.
    Starting,
    /// Media flows.
    Running,
    /// No more input is taken; the rest is on its way out.
    Draining,
    /// Over.
    Ended,
    /// Nobody served it.
    Refused,
}

/// Who serves a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Serving {
    /// Its id.
    pub(crate) id: String,
    /// Its address.
    pub(crate) uri: String,
}

/// The agreed price of one lot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct AgreedPrice {
    /// Wei, as a decimal string.
    pub(crate) wei: String,
    /// Units in a lot.
    pub(crate) per_units: u64,
    /// The unit.
    pub(crate) unit: &'static str,
}

impl AgreedPrice {
    /// Makes the price of a lot of live video; an orchestrator that named none is free.
    pub(crate) fn live(price: Option<UnitPrice>) -> Self {
        let wei = price.map_or(0, |price| price.for_lot(LIVE_LOT));
        Self { wei: wei.to_string(), per_units: LIVE_LOT, unit: LIVE_UNIT }
    }
}

/// How a job moved from one orchestrator to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Swap {
    /// Who lost it.
    pub(crate) from: String,
    /// Who took it over.
    pub(crate) to: String,
    /// How it was lost: a word of [`domain::job::Loss`].
    pub(crate) cause: &'static str,
    /// For people.
    pub(crate) detail: String,
    /// From noticing the loss to the answer of who took it over, in milliseconds.
    pub(crate) took_ms: u64,
    /// Time of the last picture that the client had, in ticks of 1/90,000 s.
    pub(crate) resume_pts: Option<i64>,
    /// Whether the new one goes on with the very next picture; else pictures up to its next key frame
    /// are missing.
    pub(crate) exact: bool,
}

/// What others may ask of a job.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// The client wants it to end.
    pub(crate) end: Notify,
    /// The operator wants it to end.
    pub(crate) cancel: Notify,
}

/// What is known of a job that runs.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    pub(crate) serving: Serving,
    pub(crate) policy: PolicyName,
    pub(crate) passed_over: Vec<error::Reason>,
    pub(crate) price: AgreedPrice,
    /// What the operator's own columns say of who serves.
    pub(crate) custom: Column,
}

/// A job, for lists.
#[derive(Debug, Clone)]
pub struct JobRow {
    /// Its number.
    pub id: JobId,
    /// Where it is.
    pub state: JobState,
    /// What it is.
    pub capability: String,
    /// Id that goes through the logs of both roles.
    pub request: String,
    /// Who serves it.
    pub orchestrator: Option<OrchestratorId>,
    /// Why it ended; empty if it has not.
    pub reason: String,
    /// Time since it was asked for.
    pub age: Duration,
}

#[derive(Debug)]
struct Record {
    client: IpAddr,
    capability: String,
    request: String,
    token: String,
    state: JobState,
    bound: Option<Bound>,
    swaps: Vec<Swap>,
    /// Why nobody served it.
    refused: Vec<error::Reason>,
    /// The last event, without its type.
    ended: Map<String, Value>,
    asked_at: Instant,
    asked_unix_ms: u64,
    ended_at: Option<Instant>,
    asked: Arc<Asked>,
}

#[derive(Serialize)]
struct Form<'a> {
    job: String,
    state: JobState,
    asked_unix_ms: u64,
    capability: &'a str,
    request: &'a str,
    orchestrator: Option<&'a Serving>,
    policy: Option<&'a PolicyName>,
    passed_over: &'a [error::Reason],
    price: Option<&'a AgreedPrice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom: Option<&'a Column>,
    swaps: &'a [Swap],
    #[serde(flatten)]
    ended: &'a Map<String, Value>,
}

/// What a client may read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Looked<T> {
    /// There is no such job.
    Unknown,
    /// The token is not the job's.
    Denied,
    /// Here it is.
    Found(T),
}

/// The records of a gateway.
#[derive(Debug, Default)]
pub(crate) struct Records {
    last: u64,
    jobs: BTreeMap<JobId, Record>,
}

/// A job that was let in.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) id: JobId,
    pub(crate) token: String,
    pub(crate) asked: Arc<Asked>,
}

impl Records {
    /// Lets a job of `client` in, within the limits; `limits` are those of all jobs and of one
    /// client's.
    pub(crate) fn admit(
        &mut self,
        client: IpAddr,
        capability: &str,
        request: &str,
        limits: (usize, usize),
        now: Instant,
    ) -> Result<Admitted, LimitError> {
        let running = self.jobs.values().filter(|record| record.ended_at.is_none());
        let (mut all, mut own) = (0, 0);
        for record in running {
            all += 1;
            own += usize::from(record.client == client);
        }
        if all >= limits.0 {
            return Err(LimitError::Jobs { limit: limits.0 });
        }
        if own >= limits.1 {
            return Err(LimitError::Client { limit: limits.1 });
        }
        self.forget(now);
        self.last += 1;
        let (id, token) = (JobId(self.last), fresh_token());
        let asked = Arc::new(Asked::default());
        let record = Record {
            client,
            capability: capability.to_owned(),
            request: request.to_owned(),
            token: token.clone(),
            state: JobState::Starting,
            bound: None,
            swaps: Vec::new(),
            refused: Vec::new(),
            ended: Map::new(),
            asked_at: now,
            asked_unix_ms: plugin::unix_ms(),
            ended_at: None,
            asked: Arc::clone(&asked),
        };
        self.jobs.insert(id, record);
        Ok(Admitted { id, token, asked })
    }

    /// Forgets what is too old, and the oldest of what is too much.
    pub(crate) fn forget(&mut self, now: Instant) {
        self.jobs.retain(|_, record| record.ended_at.is_none_or(|at| now < at + KEPT));
        while self.jobs.len() >= RECORDS_MAX {
            let oldest = self.jobs.iter().find(|(_, record)| record.ended_at.is_some());
            let Some(id) = oldest.map(|(id, _)| *id) else { break };
            self.jobs.remove(&id);
        }
    }

    /// Goes on with the numbers after `last`, which a gateway before this one gave.
    pub(crate) fn after(last: u64) -> Self {
        Self { last, ..Self::default() }
    }

    /// Forgets a job that never ran.
    pub(crate) fn forget_one(&mut self, id: JobId) {
        self.jobs.remove(&id);
    }

    /// Forgets a job that nobody served, and returns what is to be kept of it.
    pub(crate) fn refuse(&mut self, id: JobId, refusal: &error::Refusal) -> Option<Kept> {
        let record = self.jobs.get_mut(&id)?;
        record.state = JobState::Refused;
        record.refused = refusal.reasons().to_vec();
        record.ended.insert("reason".to_owned(), refusal.word().name().into());
        record.ended.insert("detail".to_owned(), refusal.message().into());
        let kept = self.kept(id);
        self.jobs.remove(&id);
        kept
    }

    /// Returns what is to be kept of a job at this moment.
    pub(crate) fn kept(&self, id: JobId) -> Option<Kept> {
        let json = self.json(id)?;
        let record = self.jobs.get(&id)?;
        Some(Kept {
            number: id.0,
            request: record.request.clone(),
            at_unix_ms: record.asked_unix_ms,
            over: matches!(record.state, JobState::Ended | JobState::Refused),
            token: record.token.clone(),
            record: json,
        })
    }

    /// Notes that a job runs.
    pub(crate) fn bind(&mut self, id: JobId, bound: Bound) {
        if let Some(record) = self.jobs.get_mut(&id) {
            record.bound = Some(bound);
            record.state = JobState::Running;
        }
    }

    /// Notes that a job moved.
    pub(crate) fn moved(&mut self, id: JobId, bound: Bound, swap: Swap) {
        if let Some(record) = self.jobs.get_mut(&id) {
            record.bound = Some(bound);
            record.swaps.push(swap);
        }
    }

    /// Notes that a job drains.
    pub(crate) fn drain(&mut self, id: JobId) {
        if let Some(record) = self.jobs.get_mut(&id).filter(|it| it.ended_at.is_none()) {
            record.state = JobState::Draining;
        }
    }

    /// Notes the last event of a job.
    pub(crate) fn end(&mut self, id: JobId, mut ended: Map<String, Value>, now: Instant) {
        let Some(record) = self.jobs.get_mut(&id) else { return };
        // What the record says itself, an event does not say over it.
        let own = [
            "type",
            "job",
            "state",
            "asked_unix_ms",
            "capability",
            "request",
            "orchestrator",
            "policy",
        ];
        for key in own.into_iter().chain(["passed_over", "price", "custom", "swaps"]) {
            ended.remove(key);
        }
        record.ended = ended;
        record.ended_at = Some(now);
        record.state = JobState::Ended;
    }

    /// Returns the record of a job as JSON.
    pub(crate) fn json(&self, id: JobId) -> Option<String> {
        let record = self.jobs.get(&id)?;
        let bound = record.bound.as_ref();
        let form = Form {
            job: id.to_string(),
            state: record.state,
            asked_unix_ms: record.asked_unix_ms,
            capability: &record.capability,
            request: &record.request,
            orchestrator: bound.map(|bound| &bound.serving),
            policy: bound.map(|bound| &bound.policy),
            passed_over: bound.map_or(&record.refused, |bound| &bound.passed_over),
            price: bound.map(|bound| &bound.price),
            custom: bound.map(|bound| &bound.custom).filter(|custom| !custom.is_empty()),
            swaps: &record.swaps,
            ended: &record.ended,
        };
        serde_json::to_string(&form).ok()
    }

    /// Returns what others may ask of a job that has not ended.
    pub(crate) fn asked(&self, id: JobId) -> Option<Arc<Asked>> {
        let record = self.jobs.get(&id).filter(|record| record.ended_at.is_none())?;
        Some(Arc::clone(&record.asked))
    }

    /// Lets whoever presents the token of the job called `name` do `what` with it.
    pub(crate) fn with_token<T>(
        &self,
        name: &str,
        token: Option<&str>,
        what: impl FnOnce(&Self, JobId) -> T,
    ) -> Looked<T> {
        let Some(id) = parse(name) else { return Looked::Unknown };
        match self.jobs.get(&id) {
            None => Looked::Unknown,
            Some(record)
                if token
                    .is_some_and(|given| wire::header::is_same_secret(given, &record.token)) =>
            {
                Looked::Found(what(self, id))
            }
            Some(_) => Looked::Denied,
        }
    }

    /// Lists the jobs, oldest first.
    pub(crate) fn rows(&self, now: Instant) -> Vec<JobRow> {
        let row = |(id, record): (&JobId, &Record)| JobRow {
            id: *id,
            state: record.state,
            capability: record.capability.clone(),
            request: record.request.clone(),
            orchestrator: record.bound.as_ref().map(|it| OrchestratorId(it.serving.id.clone())),
            reason: record.ended.get("reason").and_then(Value::as_str).unwrap_or_default().into(),
            age: now.saturating_duration_since(record.asked_at),
        };
        self.jobs.iter().map(row).collect()
    }
}

/// Reads `job-7`.
pub(crate) fn parse(name: &str) -> Option<JobId> {
    let id = JobId(name.strip_prefix("job-")?.parse().ok()?);
    (id.to_string() == name).then_some(id)
}

fn fresh_token() -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(wire::header::random_bytes::<32>())
}

/// Writes reasons in the form of `passed_over`; `told` gives the word of an orchestrator's own
/// refusal.
pub(crate) fn reasons(
    passed_over: &[PassedOver],
    told: impl Fn(&OrchestratorId) -> Option<error::Word>,
) -> Vec<error::Reason> {
    let reason = |entry: &PassedOver| {
        let (price_wei, cap_wei) = match entry.reason {
            Reason::PriceOverCap { price_wei, cap_wei } => (price_wei, Some(cap_wei)),
            Reason::OutScored { price_wei } => (price_wei, None),
            Reason::NoCapability
            | Reason::NoSlot
            | Reason::Unreachable { .. }
            | Reason::Refused { .. }
            | Reason::Withheld { .. } => (None, None),
        };
        let word = told(&entry.orchestrator)
            .filter(|_| matches!(entry.reason, Reason::Refused { .. }))
            .map_or_else(|| entry.reason.class(), error::Word::name);
        error::Reason {
            orchestrator: entry.orchestrator.to_string(),
            class: word.to_owned(),
            price_wei: price_wei.map(|wei| wei.to_string()),
            cap_wei: cap_wei.map(|wei| wei.to_string()),
        }
    };
    passed_over.iter().map(reason).collect()
}

#[cfg(test)]
mod tests;
