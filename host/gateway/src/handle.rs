//! What the admin side may ask of a running gateway.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use domain::breaker::BreakerState;
use domain::id::JobId;
use domain::offering::Offering;

use crate::book::OrchestratorRow;
use crate::choose::{PLUGIN_SLOT, PolicyName};
use crate::config::OnFault;
use crate::record::{self, JobRow};
use crate::state::{State, now};

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
        self.state.book().rows()
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
