//! Quotes and charges: the operator's pricing rule (a component) where there is one, the host's
//! own arithmetic where there is none or it fails.
//!
//! **Invariant:** a rule that faults never stops a sale: the base price is quoted, the host's own
//! rule charges, and both are announced.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::capability::Capability;
use domain::event::{Event, Sink};
use domain::price::{Lot, Price, charge};
use plugin::policy::pricing::{Basis, Conditions, Meter, PreparedPricing, PricingRule, Side};
use plugin::policy::ready::Ready;
use plugin::{Fault, JobFacts, Scope, SetupError, Snapshot, Urgency, unix_ms};

/// Name of the plugin slot that the rule fills.
const PLUGIN_SLOT: &str = "pricing/ask";
/// One million: shares are in millionths.
const PPM: u64 = 1_000_000;

/// Why a pricing rule cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PricerError {
    /// It refused its configuration.
    #[error("preparing pricing rule `{plugin}` for `{capability}`")]
    Setup {
        /// The rule.
        plugin: String,
        /// For what.
        capability: String,
        /// Why.
        #[source]
        source: SetupError,
    },
    /// It faulted.
    #[error("preparing the pricing rule")]
    Fault(#[from] Fault),
}

impl PricerError {
    /// Returns the class of the error.
    pub fn class(&self) -> domain::Class {
        match self {
            Self::Setup { source, .. } => source.class(),
            Self::Fault(fault) => fault.class(),
        }
    }
}

/// What a quote may depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation {
    /// Free slots of the device.
    pub(crate) slots_free: u32,
    /// All slots of the device.
    pub(crate) slots_total: u32,
}

/// What was used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Units of live video.
    pub(crate) units: u64,
    /// Wall-clock time.
    pub(crate) elapsed: Duration,
}

/// Works out quotes and charges.
#[derive(Default)]
pub struct Pricer {
    rules: BTreeMap<Capability, Ready<PreparedPricing>>,
    job: Arc<JobFacts>,
}

impl std::fmt::Debug for Pricer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.rules.keys()).finish()
    }
}

impl Pricer {
    /// Makes one that quotes base prices and charges by the host's own rule.
    pub fn native() -> Self {
        Self::default()
    }

    /// Prepares `rule` with a JSON `config` for each of `capabilities`. Takes milliseconds each:
    /// belongs on a blocking thread.
    pub fn with_rule(
        rule: &PricingRule,
        config: &str,
        capabilities: &[Capability],
    ) -> Result<Self, PricerError> {
        let mut rules = BTreeMap::new();
        for capability in capabilities {
            let scope = Scope::new(capability.as_str(), Lot::live(), 1, unix_ms());
            let mut snapshot = Snapshot::empty();
            snapshot.scope = scope;
            let ready =
                rule.ready(Arc::new(snapshot), config)?.map_err(|source| PricerError::Setup {
                    plugin: rule.identity().plugin.clone(),
                    capability: capability.to_string(),
                    source,
                })?;
            rules.insert(capability.clone(), ready);
        }
        Ok(Self { rules, job: Arc::default() })
    }

    /// Returns what one lot of `capability` costs now in wei, or `None` if the rule refuses.
    pub(crate) fn quote(
        &self,
        capability: &Capability,
        base_wei: u64,
        situation: Situation,
        sink: &dyn Sink,
    ) -> Option<u64> {
        let Some(rule) = self.rules.get(capability) else { return Some(base_wei) };
        let basis = Basis {
            side: Side::Ask,
            urgency: Urgency::Live,
            tier: 0,
            base_wei,
            units: 0,
            load_ppm: load_ppm(situation),
            overhead_ppm: 0,
        };
        let conditions = Arc::new(Conditions {
            slots_free: situation.slots_free,
            slots_total: situation.slots_total,
            warm: true,
            ..Conditions::default()
        });
        match rule.with(|rule| rule.quote(&self.job, &basis, &conditions, unix_ms())) {
            Ok(Ok(quoted)) => Some(quoted.price_wei),
            Ok(Err(refusal)) => {
                tracing::debug!(%capability, %refusal, "pricing rule named no price");
                None
            }
            Err(fault) => {
                fell_back(&fault, sink);
                Some(base_wei)
            }
        }
    }

    /// Returns what `usage` comes to at the agreed price, in wei.
    pub(crate) fn charge(
        &self,
        capability: &Capability,
        price_wei: u64,
        usage: Usage,
        sink: &dyn Sink,
    ) -> u64 {
        let meter = Meter {
            elapsed_ms: u64::try_from(usage.elapsed.as_millis()).unwrap_or(u64::MAX),
            ..Meter::default()
        };
        if let Some(rule) = self.rules.get(capability) {
            match rule.with(|rule| rule.charge(&self.job, price_wei, usage.units, meter)) {
                Ok(Ok(wei)) => return wei,
                Ok(Err(refusal)) => {
                    tracing::warn!(%capability, %refusal, "pricing rule did not charge");
                }
                Err(fault) => fell_back(&fault, sink),
            }
        }
        let agreed = Price { wei: price_wei, lot: Lot::live() };
        // Beyond 18 ETH for one session the sum is cut to what the wire can carry.
        charge(&agreed, usage.units).unwrap_or(u64::MAX)
    }
}

/// Sessions of one device cost about the same, so the share of slots in use stands for the share
/// of device time.
fn load_ppm(situation: Situation) -> u32 {
    let total = u64::from(situation.slots_total.max(1));
    let used = total.saturating_sub(u64::from(situation.slots_free));
    u32::try_from(used * PPM / total).unwrap_or(u32::MAX)
}

fn fell_back(fault: &Fault, sink: &dyn Sink) {
    sink.emit(fault.event());
    sink.emit(Event::FellBack { plugin_slot: PLUGIN_SLOT, detail: fault.to_string() });
}
