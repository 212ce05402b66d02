//! `[gateway]` as the role takes it.

use domain::capability::Capability;
use plugin::{Manifest, World};

use super::super::units::Time;
use super::super::{Config, Problem};
use super::{Search, orchestrator_url, within};

/// Most orchestrators that one gateway asks: each costs a connection and a call an interval.
const ORCHESTRATORS_MAX: usize = 1000;
/// Shortest time between two questions to an orchestrator: what a call to the far side of the
/// world takes.
const INTERVAL_MIN: Time = Time(100);
/// Longest: beyond it an offering says nothing about the present.
const INTERVAL_MAX: Time = Time::secs(3600);

/// Everything that a gateway is built from and that the file decides.
#[derive(Debug, Clone)]
pub(crate) struct GatewayPlan {
    /// Selects orchestrators; none: the native rule.
    pub(crate) selection: Option<Manifest>,
}

impl GatewayPlan {
    pub(super) fn new(config: &Config, search: &Search, problems: &mut Vec<Problem>) -> Self {
        let own = &config.gateway;
        let count = own.orchestrators.len();
        within("gateway.orchestrators", count, 0..=ORCHESTRATORS_MAX, problems);
        for (at, uri) in own.orchestrators.iter().enumerate().take(ORCHESTRATORS_MAX) {
            orchestrator_url(&format!("gateway.orchestrators[{at}]"), uri, problems);
        }
        if !own.default_pipeline.is_empty()
            && let Err(error) = Capability::live(&own.default_pipeline)
        {
            problems.push(Problem::new("gateway.default_pipeline", error.to_string()));
        }
        let interval = config.discovery.interval;
        within("gateway.discovery.interval", interval, INTERVAL_MIN..=INTERVAL_MAX, problems);
        let selection = if own.selection.is_empty() {
            None
        } else {
            search.find("gateway.selection", &own.selection, World::SelectionPolicy, problems)
        };
        Self { selection }
    }
}
