//! What the admin side may ask of a running gateway.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::breaker::BreakerState;
use domain::id::{JobId, OrchestratorId};
use domain::offering::Offering;
use domain::standing::Wish;

use crate::BuildError;
use crate::book::{AddError, OrchestratorRow};
use crate::choose::{PLUGIN_SLOT, PolicyName};
use crate::config::{Caps, OnFault, OrchestratorConfig};
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

    /// Returns the record of a job (`job-7`) as JSON, as its client reads it.
    pub fn job(&self, name: &str) -> Option<String> {
        self.state.records().json(record::parse(name)?)
    }

    /// Ends a job; `false` if none of that number runs.
    pub fn cancel(&self, id: JobId) -> bool {
        let asked = self.state.records().asked(id);
        asked.map(|asked| asked.cancel.notify_one()).is_some()
    }

    /// Lists the orchestrators in the order of the configuration.
    pub fn orchestrators(&self) -> Vec<OrchestratorRow> {
        self.state.book().rows(now())
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

    /// Returns why an orchestrator did not serve the jobs for which it was a candidate, counted.
    pub fn why(&self, name: &str) -> serde_json::Value {
        self.state.whys().json(name)
    }

    /// Lists what orchestrators offer that may be given work, by capability.
    pub fn offerings(&self) -> Vec<Offering> {
        let all = self.state.book().offerings().into_values().flatten();
        all.map(|row| row.offering).collect()
    }

    /// Returns the policy in use.
    pub fn policy(&self) -> PolicyRow {
        let selection = self.state.config.selection.as_ref();
        PolicyRow {
            plugin_slot: PLUGIN_SLOT,
            active: selection
                .map_or_else(PolicyName::native, |it| PolicyName::from(it.policy.identity())),
            state: selection.map_or(BreakerState::Closed, |it| it.policy.standing().state()),
            on_fault: selection.map(|it| it.on_fault).unwrap_or_default(),
            previous: selection
                .and_then(|it| it.previous.as_ref())
                .map(|previous| PolicyName::from(previous.identity())),
        }
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
