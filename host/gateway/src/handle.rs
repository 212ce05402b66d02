//! What the admin side may ask of a running gateway.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::breaker::BreakerState;
use domain::id::{JobId, OrchestratorId};
use domain::offering::Offering;
use domain::standing::Wish;
use plugin::SelectionPolicy;
use wire::feedback::Counts;
use wire::tls::PinError;

use crate::BuildError;
use crate::advise::{self, Advice};
use crate::book::{AddError, OrchestratorRow};
use crate::choose::PolicyName;
use crate::config::{Caps, GENERAL_SLOT, OnFault, OrchestratorConfig, SelectionConfig, Selections};
use crate::custom::{Column, ColumnError, Columns};
use crate::discover::caught_up;
use crate::record::{self, JobRow};
use crate::sources::SourceRow;
use crate::state::{State, now};

/// Time for a change to count: snapshots are made anew in milliseconds.
const SETTLE_MAX: Duration = Duration::from_secs(5);

/// Looks into a running gateway. Clones look into the same one.
#[derive(Clone)]
pub struct GatewayHandle {
    state: Arc<State>,
}

/// The policy in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRow {
    /// Name of the plugin slot.
    pub plugin_slot: &'static str,
    /// Who chooses.
    pub active: PolicyName,
    /// Whether it is asked: `closed`, `open` or `quarantined`, as its breaker is.
    pub state: BreakerState,
    /// What happens when it faults.
    pub on_fault: OnFault,
    /// Who chooses where it does not, if not the native rule.
    pub previous: Option<PolicyName>,
}

impl PolicyRow {
    fn native() -> Self {
        Self {
            plugin_slot: GENERAL_SLOT,
            active: PolicyName::native(),
            state: BreakerState::Closed,
            on_fault: OnFault::default(),
            previous: None,
        }
    }

    fn of(selection: &SelectionConfig) -> Self {
        let name = |policy: &SelectionPolicy| PolicyName::from(policy.identity());
        Self {
            plugin_slot: selection.plugin_slot,
            active: name(&selection.policy),
            state: selection.policy.standing().state(),
            on_fault: selection.on_fault,
            previous: selection.previous.as_ref().map(name),
        }
    }
}

/// What was counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Jobs bound to an orchestrator.
    pub jobs_started: u64,
    /// Jobs refused.
    pub jobs_refused: u64,
    /// Jobs that ran and ended.
    pub jobs_ended: u64,
    /// Rankings made.
    pub picks: u64,
    /// Rankings that the active policy should have made and did not.
    pub fell_back: u64,
    /// Choices that were made twice, and jobs that a policy with an open breaker was asked about.
    pub audits: u64,
}

/// An orchestrator that is not taken in.
#[derive(Debug, thiserror::Error)]
pub enum AddRefused {
    /// Its address is none, or would be spoken to in cleartext.
    #[error(transparent)]
    Address(#[from] BuildError),
    /// The book does not take it.
    #[error(transparent)]
    Book(#[from] AddError),
}

impl GatewayHandle {
    pub(crate) const fn new(state: Arc<State>) -> Self {
        Self { state }
    }

    /// Returns whether the gateway takes jobs.
    pub fn ready(&self) -> bool {
        !*self.state.stopping.borrow()
    }

    /// Lists the jobs, those that ended within the hour included, oldest first.
    pub fn jobs(&self) -> Vec<JobRow> {
        self.state.records().rows(now())
    }

    /// Returns the record of a job (`job-7`, or the id of its request) as JSON, as its client reads
    /// it. Blocks on the disk for one that is not in memory.
    pub fn job(&self, name: &str) -> Option<String> {
        let known = record::parse(name).and_then(|id| self.state.records().json(id));
        known.or_else(|| self.state.archive.find(name))
    }

    /// Lists records on disk, newest first: at most `limit` of jobs before the one called `before`, as
    /// JSON, with the count of those that could not be kept. Blocks on the disk.
    pub fn records(&self, before: Option<&str>, limit: usize) -> (Vec<serde_json::Value>, u64) {
        let before = before.and_then(record::parse).map(|id| id.0);
        (self.state.archive.list(before, limit), self.state.archive.dropped())
    }

    /// Ends a job; `false` if none of that number runs.
    pub fn cancel(&self, id: JobId) -> bool {
        let asked = self.state.records().asked(id);
        asked.map(|asked| asked.cancel.notify_one()).is_some()
    }

    /// Lists the orchestrators in the order of the configuration.
    pub fn orchestrators(&self) -> Vec<OrchestratorRow> {
        let mut rows = self.state.book().rows(now());
        let pins = self.state.client.pins();
        for row in &mut rows {
            let Ok(uri) = row.uri.parse() else { continue };
            let (certificate, trust) = pins.at(&uri);
            row.tls = if row.uri.starts_with("https:") { trust.name() } else { "none" };
            row.certificate = certificate.map(|it| it.to_string());
        }
        rows
    }

    /// Forgets the certificate that was seen first of the orchestrator of this name or address, so that
    /// the next one is taken; `false`: there is none. An error if the file of pins cannot be written.
    pub async fn trust_anew(&self, name: &str) -> Result<bool, PinError> {
        let Some(origin) = self.state.book().origin(name) else { return Ok(false) };
        let pins = self.state.client.pins().clone();
        let forgotten = tokio::task::spawn_blocking(move || pins.forget(&origin)).await;
        self.state.nudge.notify_one();
        forgotten.unwrap_or(Ok(false)).map(|_| true)
    }

    /// Takes in an orchestrator and asks it at once.
    pub fn add(&self, orchestrator: OrchestratorConfig) -> Result<OrchestratorId, AddRefused> {
        crate::origin(&orchestrator)?;
        let id = self.state.book().add(orchestrator.name, &orchestrator.uri, "admin")?;
        self.state.nudge.notify_one();
        Ok(id)
    }

    /// Notes what the operator wants of the orchestrator of this name or address; `false`: there is
    /// none. What runs there goes on.
    pub fn wish(&self, name: &str, wish: Wish) -> bool {
        let known = self.state.book().wish(name, wish);
        self.state.changed.notify_one();
        known
    }

    /// Waits until everything that was noted so far counts for jobs, at most [`SETTLE_MAX`].
    pub async fn settled(&self) {
        caught_up(&self.state, now() + SETTLE_MAX).await;
    }

    /// Ends the suspension of an orchestrator; `false`: there is none of this name or address.
    pub fn lift(&self, name: &str) -> bool {
        self.state.book().lift(name)
    }

    /// Forgets an orchestrator; `false`: there is none of this name or address. What runs there goes
    /// on.
    pub fn remove(&self, name: &str) -> bool {
        let known = self.state.book().remove(name);
        self.state.changed.notify_one();
        known
    }

    /// Lists the sources of orchestrators.
    pub fn sources(&self) -> Vec<SourceRow> {
        self.state.sources().values().cloned().collect()
    }

    /// Returns the caps in force.
    pub fn caps(&self) -> Caps {
        Caps::clone(&self.state.caps.load())
    }

    /// Puts other caps in force, for jobs that are asked for from here on.
    pub fn set_caps(&self, caps: Caps) {
        self.state.caps.store(Arc::new(caps));
    }

    /// Returns the columns of the operator's own.
    pub fn columns(&self) -> Columns {
        self.state.custom().clone()
    }

    /// Puts a column in place, for snapshots from here on; [`GatewayHandle::settled`] waits for them.
    pub fn put_column(&self, name: &str, column: Column) -> Result<(), ColumnError> {
        self.state.custom().put(name, column)?;
        self.columns_changed();
        Ok(())
    }

    /// Removes a column; `false`: there is none of this name.
    pub fn remove_column(&self, name: &str) -> bool {
        let known = self.state.custom().remove(name);
        self.columns_changed();
        known
    }

    fn columns_changed(&self) {
        self.state.book().touch();
        self.state.changed.notify_one();
    }

    /// Returns why an orchestrator did not serve the jobs for which it was a candidate, counted.
    pub fn why(&self, name: &str) -> Counts {
        self.state.whys().counts(&OrchestratorId(name.to_owned()))
    }

    /// Says who would be given work now, and why: for the capability called `wanted` (its name, or the
    /// id of a live pipeline), or for every one that is offered. `except`: a URL that is left out.
    pub fn advice(&self, wanted: Option<&str>, except: Option<&str>) -> Vec<Advice> {
        advise::all(&self.state, wanted, except)
    }

    /// Returns free and all slots of the orchestrator at `uri`, as it said last; `None`: it does not
    /// answer, or does not say.
    pub fn slots(&self, uri: &str) -> Option<(u32, u32)> {
        advise::slots(&self.state, uri)
    }

    /// Lists what orchestrators offer that may be given work, by capability.
    pub fn offerings(&self) -> Vec<Offering> {
        let all = self.state.book().offerings().into_values().flatten();
        all.map(|row| row.offering).collect()
    }

    /// Returns the policy of every job that no other is for.
    pub fn policy(&self) -> PolicyRow {
        let general = self.state.config.selections.general.as_ref();
        general.map_or_else(PolicyRow::native, PolicyRow::of)
    }

    /// Returns the policies of tiers and capabilities.
    pub fn other_policies(&self) -> Vec<PolicyRow> {
        let Selections { by_capability, by_tier, .. } = &self.state.config.selections;
        by_capability.values().chain(by_tier.values()).map(PolicyRow::of).collect()
    }

    /// Counts the channels that are kept.
    pub fn channels(&self) -> usize {
        self.state.store.all().len()
    }

    /// Returns what was counted since the start.
    pub fn counters(&self) -> Counters {
        let (jobs, counted) = (&self.state.jobs, &self.state.counted);
        Counters {
            jobs_started: jobs.started.load(Ordering::Relaxed),
            jobs_refused: jobs.refused.load(Ordering::Relaxed),
            jobs_ended: jobs.ended.load(Ordering::Relaxed),
            picks: counted.picks.load(Ordering::Relaxed),
            fell_back: counted.fell_back.load(Ordering::Relaxed),
            audits: counted.audits.load(Ordering::Relaxed),
        }
    }
}
