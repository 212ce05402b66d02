//! The policy that is measured where a policy's own work is not to count: `pick-first`, with one
//! candidate to choose.

use std::path::PathBuf;
use std::sync::Arc;

use domain::price::Lot;
use plugin::{Candidate, JobFacts, Limits, PolicyEngine, Scope, SelectionPolicy, Snapshot};

use super::{Skipped, place};

/// Where it stands, as lines name it.
pub(super) const GUEST: &str = "tests/conformance/pick-first";

/// It, loaded, and what it is asked about.
pub(super) struct First {
    pub(super) folder: PathBuf,
    pub(super) engine: PolicyEngine,
    pub(super) policy: SelectionPolicy,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) facts: Arc<JobFacts>,
}

impl First {
    /// Loads it into an engine of its own.
    pub(super) fn load(limits: Limits) -> Result<Self, Skipped> {
        let folder = place::guest("pick-first")?;
        let engine = PolicyEngine::new().map_err(Skipped::of)?;
        let policy = SelectionPolicy::load_folder(&engine, &folder, limits).map_err(Skipped::of)?;
        let scope = Scope::new("live-video-to-video/bench", Lot::live(), 1, 0);
        let candidate = Candidate { price_wei: 1, ..Candidate::unknown("a", "https://a:8935") };
        let snapshot = Arc::new(Snapshot::new(scope, &[candidate]).map_err(Skipped::of)?);
        Ok(Self { folder, engine, policy, snapshot, facts: Arc::new(JobFacts::default()) })
    }
}
