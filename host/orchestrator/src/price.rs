//! Quotes and charges: the operator's pricing rule (a component) where there is one, the host's own
//! arithmetic where there is none or where no version of it answers.
//!
//! **Invariants:** a rule that faults never stops a charge, and a sale only where the operator wants
//! it so; a quote stays within the operator's bounds, whoever made it; a charge is never more than
//! the agreed price of the lots begun.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use domain::breaker::OnFault;
use domain::capability::Capability;
use domain::event::{Event, Sink};
use domain::price::{Bound, Bounds, Lot, Price, charge};
use plugin::policy::pricing::{Basis, Conditions, Meter, Part, PreparedPricing, PricingRule, Side};
use plugin::{
    Because, Fault, JobFacts, PluginSlot, Scope, SetupError, Snapshot, Standing, Urgency, unix_ms,
};

use crate::admit::lock;

/// Name of the plugin slot that the rule fills.
pub const PLUGIN_SLOT: &str = "pricing/ask";
/// One million: shares are in millionths.
const PPM: u64 = 1_000_000;
/// Least share of the base price that a quote may be unless configured, in percent: a rule that
/// gives work away is more likely wrong than generous.
pub const FLOOR_PERCENT: u32 = 10;
/// Greatest share unless configured: ten times the price is what the shipped rule can be told to
/// ask under full load.
pub const CEILING_PERCENT: u32 = 1000;
/// Greatest change from one quote to the next unless configured, in percent of the base price: a
/// doubling within the seconds between two quotes is the most that a gateway should meet.
pub const STEP_PERCENT: u32 = 100;

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

/// The plugin that prices, and how far it is trusted.
#[derive(Clone)]
pub struct PricingConfig {
    /// The loaded component.
    pub rule: PricingRule,
    /// Its JSON document; empty if there is none.
    pub config: String,
    /// What happens when it faults; a charge is then made by whoever is left.
    pub on_fault: OnFault,
    /// Prices where the rule does not, if there is one; reads the same document.
    pub previous: Option<PricingRule>,
    /// Bounds of a quote in percent of the base price.
    pub bounds: Percents,
}

/// Bounds of a quote in percent of a pipeline's base price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percents {
    /// The least.
    pub floor: u32,
    /// The most.
    pub ceiling: u32,
    /// The greatest change from one quote to the next.
    pub step: u32,
}

impl Default for Percents {
    fn default() -> Self {
        Self { floor: FLOOR_PERCENT, ceiling: CEILING_PERCENT, step: STEP_PERCENT }
    }
}

impl Percents {
    fn of(self, base_wei: u64) -> Bounds {
        let share = |percent: u32| {
            let wei = u128::from(base_wei) * u128::from(percent);
            u64::try_from(wei.div_ceil(100)).unwrap_or(u64::MAX)
        };
        Bounds {
            floor_wei: share(self.floor),
            ceiling_wei: share(self.ceiling),
            step_wei: share(self.step),
        }
    }
}

/// What a quote may depend on.
#[derive(Debug, Clone, Copy)]
pub struct Situation {
    /// Free slots of the device.
    pub slots_free: u32,
    /// All slots of the device.
    pub slots_total: u32,
}

/// What was used.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Units of live video.
    pub units: u64,
    /// Wall-clock time.
    pub elapsed: Duration,
}

/// Works out quotes and charges.
#[derive(Default)]
pub struct Pricer {
    slots: BTreeMap<Capability, PluginSlot<PreparedPricing>>,
    config: Option<PricingConfig>,
    job: Arc<JobFacts>,
    /// The last quote of each capability.
    quoted: Mutex<BTreeMap<Capability, u64>>,
}

impl std::fmt::Debug for Pricer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.slots.keys()).finish()
    }
}

impl Pricer {
    /// Makes one that quotes base prices and charges by the host's own rule.
    pub fn native() -> Self {
        Self::default()
    }

    /// Prepares the rule, and the previous one if there is one, for each of `capabilities`. Takes
    /// milliseconds each: belongs on a blocking thread. Errors: one of them cannot be prepared.
    pub fn with_rule(
        config: PricingConfig,
        capabilities: &[Capability],
        sink: &dyn Sink,
    ) -> Result<Self, PricerError> {
        let mut slots = BTreeMap::new();
        for capability in capabilities {
            let mut slot = PluginSlot::new(PLUGIN_SLOT);
            for rule in std::iter::once(&config.rule).chain(&config.previous) {
                let mut snapshot = Snapshot::empty();
                snapshot.scope = Scope::new(capability.as_str(), Lot::live(), 1, unix_ms());
                let ready = rule.ready(Arc::new(snapshot), &config.config)?;
                let ready = ready.map_err(|source| PricerError::Setup {
                    plugin: rule.identity().plugin.clone(),
                    capability: capability.to_string(),
                    source,
                })?;
                slot.add(rule.standing(), Ok(Ok(ready)), Instant::now(), sink);
            }
            slots.insert(capability.clone(), slot);
        }
        let (job, quoted) = (Arc::default(), Mutex::default());
        Ok(Self { slots, config: Some(config), job, quoted })
    }

    /// Returns the standings of the rule's versions, the active one first.
    pub fn versions(&self) -> impl Iterator<Item = &Arc<Standing>> {
        let config = self.config.iter();
        config
            .flat_map(|config| std::iter::once(&config.rule).chain(&config.previous))
            .map(PricingRule::standing)
    }

    /// Returns what one lot of `capability` costs now in wei, or `None` if the rule refuses.
    pub fn quote(
        &self,
        capability: &Capability,
        base_wei: u64,
        situation: Situation,
        sink: &dyn Sink,
    ) -> Option<u64> {
        let (Some(slot), Some(config)) = (self.slots.get(capability), &self.config) else {
            return Some(base_wei);
        };
        let (basis, conditions) = basis(base_wei, situation);
        let quote =
            |rule: &mut PreparedPricing| rule.quote(&self.job, &basis, &conditions, unix_ms());
        let now = Instant::now();
        let answered = slot.ask(now, sink, quote);
        slot.shadow(now, sink, quote);
        match answered {
            Ok(answered) => match answered.value {
                Ok(quoted) => {
                    let who = &answered.version.standing().identity().plugin;
                    let bounds = config.bounds.of(base_wei);
                    Some(self.kept(capability, bounds, quoted.price_wei, who, sink))
                }
                Err(refusal) => {
                    tracing::debug!(%capability, %refusal, "pricing rule named no price");
                    None
                }
            },
            Err(because) if config.on_fault == OnFault::Refuse => {
                sink.emit(because.event(PLUGIN_SLOT, "nobody"));
                None
            }
            Err(because) => {
                sink.emit(because.event(PLUGIN_SLOT, "native"));
                lock(&self.quoted).insert(capability.clone(), base_wei);
                Some(base_wei)
            }
        }
    }

    /// Returns what the rule adds to and takes from the base price now, which bounds may still change;
    /// empty: nobody but the host prices. Never while a client waits.
    pub fn explain(
        &self,
        capability: &Capability,
        base_wei: u64,
        situation: Situation,
        sink: &dyn Sink,
    ) -> Result<Vec<Part>, String> {
        let Some(slot) = self.slots.get(capability) else { return Ok(Vec::new()) };
        let (basis, conditions) = basis(base_wei, situation);
        let explained = slot.ask(Instant::now(), sink, |rule: &mut PreparedPricing| {
            rule.explain(&self.job, &basis, &conditions, unix_ms())
        });
        let parts = explained.map_err(|because| because.why())?;
        parts.value.map_err(|refusal| refusal.to_string())
    }

    /// Keeps a quote within its bounds, and says where it was not.
    fn kept(
        &self,
        capability: &Capability,
        bounds: Bounds,
        quoted_wei: u64,
        plugin: &str,
        sink: &dyn Sink,
    ) -> u64 {
        let mut quoted = lock(&self.quoted);
        let (offered_wei, bound) = bounds.keep(quoted_wei, quoted.get(capability).copied());
        quoted.insert(capability.clone(), offered_wei);
        drop(quoted);
        if let Some(bound) = bound {
            sink.emit(corrected(plugin, bound, quoted_wei, offered_wei));
        }
        offered_wei
    }

    /// Returns what `usage` comes to at the agreed price, in wei.
    pub fn charge(
        &self,
        capability: &Capability,
        price_wei: u64,
        usage: Usage,
        sink: &dyn Sink,
    ) -> u64 {
        let agreed = Price { wei: price_wei, lot: Lot::live() };
        // Beyond 18 ETH for one session the sum is cut to what the wire can carry.
        let native = || charge(&agreed, usage.units).unwrap_or(u64::MAX);
        let Some(slot) = self.slots.get(capability) else { return native() };
        let meter = Meter {
            elapsed_ms: u64::try_from(usage.elapsed.as_millis()).unwrap_or(u64::MAX),
            ..Meter::default()
        };
        let charged = slot.ask(Instant::now(), sink, |rule| {
            rule.charge(&self.job, price_wei, usage.units, meter)
        });
        match charged {
            Ok(answered) => match answered.value {
                Ok(wei) => {
                    let lots =
                        usage.units.div_ceil(agreed.lot.size).saturating_mul(agreed.lot.size);
                    let most = charge(&agreed, lots).unwrap_or(u64::MAX);
                    if wei > most {
                        let who = &answered.version.standing().identity().plugin;
                        sink.emit(corrected(who, Bound::Ceiling, wei, most));
                    }
                    wei.min(most)
                }
                Err(refusal) => {
                    tracing::warn!(%capability, %refusal, "pricing rule did not charge");
                    native()
                }
            },
            Err(because) => {
                sink.emit(Because::event(&because, PLUGIN_SLOT, "native"));
                native()
            }
        }
    }
}

fn corrected(plugin: &str, bound: Bound, quoted_wei: u64, offered_wei: u64) -> Event {
    Event::PriceCorrected {
        plugin: plugin.to_owned(),
        bound: bound.name(),
        quoted_wei,
        offered_wei,
    }
}

/// Says what a quote starts from, and how things are.
fn basis(base_wei: u64, situation: Situation) -> (Basis, Arc<Conditions>) {
    let basis = Basis {
        side: Side::Ask,
        urgency: Urgency::Live,
        tier: 0,
        base_wei,
        units: 0,
        load_ppm: load_ppm(situation),
        overhead_ppm: 0,
    };
    let conditions = Conditions {
        slots_free: situation.slots_free,
        slots_total: situation.slots_total,
        warm: true,
        ..Conditions::default()
    };
    (basis, Arc::new(conditions))
}

/// Sessions of one device cost about the same, so the share of slots in use stands for the share
/// of device time.
fn load_ppm(situation: Situation) -> u32 {
    let total = u64::from(situation.slots_total.max(1));
    let used = total.saturating_sub(u64::from(situation.slots_free));
    u32::try_from(used * PPM / total).unwrap_or(u32::MAX)
}
