//! Pricing rules: a price for a job, its parts, and what metered work comes to.
//!
//! **Invariant:** reasons have texts, and the parts of an explanation add up.

use std::path::Path;
use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{HasSelf, InstancePre, Linker};

use crate::bindings::pricing::exports::framegate::policy::pricing as wit;
use crate::bindings::pricing::{PricingRule as Guest, PricingRulePre};
use crate::engine::PolicyEngine;
use crate::fault::{Fault, Identity};
use crate::info::{PluginInfo, SetupError};
use crate::job::{JobFacts, Urgency};
use crate::limits::{Limits, Pace};
use crate::load::{self, LoadError};
use crate::manifest::{Manifest, World};
use crate::policy::code::{self, Code};
use crate::policy::instance::Instance;
use crate::policy::ready::Ready;
use crate::policy::slot::Standing;
use crate::policy::state::PolicyState;
pub use crate::policy::state::{Conditions, Meter};
use crate::snapshot::Snapshot;

/// The longest that a quote may be used again, in microseconds; the contract's bound.
const VALID_FOR_US_MAX: u32 = 60_000_000;
/// Parts of an explained price; a bill has a handful.
const PARTS_MAX: usize = 100;
/// Price at which [`PricingRule::prepare`] tries `charge`: high enough that rounding hides nothing.
const PROBE_WEI: u64 = 1_000_003;
/// Pairs of unit counts in that trial beside the edges of lots: a few for each power of two, within
/// a millisecond.
const PROBES: usize = 128;

/// Who asks for a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// An orchestrator: what it wants.
    Ask,
    /// A gateway: the most it would pay.
    Bid,
}

/// What every quote starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Basis {
    /// Who asks.
    pub side: Side,
    /// Who waits for the job.
    pub urgency: Urgency,
    /// The customer's tier: index into [`crate::snapshot::Scope::tiers`].
    pub tier: u32,
    /// Configured price in wei for one lot.
    pub base_wei: u64,
    /// Work expected in single units; 0: unknown.
    pub units: u64,
    /// Share of device time in use over the last 10 s, in millionths.
    pub load_ppm: u32,
    /// Cost of redeeming a ticket over its face value, in millionths.
    pub overhead_ppm: u32,
}

/// A price and how long it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted {
    /// Wei for one lot.
    pub price_wei: u64,
    /// Microseconds for which it may be used again.
    pub valid_for_us: u32,
    /// Why, where there is something to say.
    pub reason: Option<String>,
}

/// What one cause adds to the base price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// For people.
    pub label: String,
    /// Wei for one lot; below 0 for a discount.
    pub wei: i64,
}

/// Why there is no price. A refusal, not a fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// This work is not for this customer.
    #[error("this work is not offered to this customer")]
    NotOffered,
    /// Not now.
    #[error("busy, to be asked again after {0} ms")]
    Busy(u32),
    /// The sums leave their range.
    #[error("the sums leave their range")]
    Overflow,
    /// A reason of the rule's own.
    #[error("{text}")]
    Custom {
        /// Its number.
        number: u32,
        /// Its text in `plugin-info.reasons`.
        text: String,
    },
}

/// A loaded pricing rule. Cheap to clone.
#[derive(Clone)]
pub struct PricingRule {
    code: Arc<Code<Guest>>,
}

impl code::Guest for Guest {
    const WORLD: World = World::PricingRule;
    type Pre = PricingRulePre<PolicyState>;

    fn add_to_linker(linker: &mut Linker<PolicyState>) -> wasmtime::Result<()> {
        Self::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
    }

    fn pre(linked: InstancePre<PolicyState>) -> wasmtime::Result<Self::Pre> {
        PricingRulePre::new(linked)
    }

    fn instantiate(pre: &Self::Pre, store: &mut Store<PolicyState>) -> wasmtime::Result<Self> {
        pre.instantiate(store)
    }

    fn describe(&self, store: &mut Store<PolicyState>) -> wasmtime::Result<PluginInfo> {
        self.framegate_policy_pricing().call_describe(store).map(PluginInfo::from)
    }

    fn prepare(
        &self,
        store: &mut Store<PolicyState>,
        config: &str,
    ) -> wasmtime::Result<Result<(), SetupError>> {
        let prepared = self.framegate_policy_pricing().call_prepare(store, config)?;
        Ok(prepared.map_err(SetupError::from))
    }
}

impl PricingRule {
    /// Compiles a component, checks that it fits, and describes it. Takes from 20 ms to seconds.
    pub fn load(
        engine: &PolicyEngine,
        manifest: &Manifest,
        bytes: &[u8],
        limits: Limits,
    ) -> Result<Self, LoadError> {
        Ok(Self { code: Arc::new(Code::load(engine, manifest, bytes, limits)?) })
    }

    /// Loads the plugin in `folder`.
    pub fn load_folder(
        engine: &PolicyEngine,
        folder: &Path,
        limits: Limits,
    ) -> Result<Self, LoadError> {
        let (manifest, bytes) = load::read_folder(folder)?;
        Self::load(engine, &manifest, &bytes, limits)
    }

    /// Returns what the plugin says of itself.
    pub fn describe(&self) -> &PluginInfo {
        &self.code.info
    }

    /// Returns id, version and digest.
    pub fn identity(&self) -> &Identity {
        &self.code.who
    }

    /// Returns whether this version is asked; one for all clones.
    pub fn standing(&self) -> &Arc<Standing> {
        &self.code.standing
    }

    /// Makes an instance for the scope of `snapshot`, whose candidates a rule does not see, and
    /// tries whether `charge` ever falls as units grow. `config` is JSON, empty if there is none.
    pub fn prepare(
        &self,
        snapshot: Arc<Snapshot>,
        config: &str,
    ) -> Result<Result<PreparedPricing, SetupError>, Fault> {
        let lot = snapshot.scope.lot.size.max(1);
        let instance = match self.code.prepare(snapshot, config)? {
            Ok(instance) => instance,
            Err(refused) => return Ok(Err(refused)),
        };
        let mut rule = PreparedPricing { code: Arc::clone(&self.code), instance };
        rule.probe(lot)?;
        Ok(Ok(rule))
    }

    /// Makes a ready set for `snapshot`, so that any thread may ask.
    pub fn ready(
        &self,
        snapshot: Arc<Snapshot>,
        config: &str,
    ) -> Result<Result<Ready<PreparedPricing>, SetupError>, Fault> {
        let (rule, config) = (self.clone(), config.to_owned());
        Ready::new(self.identity().clone(), move || rule.prepare(Arc::clone(&snapshot), &config))
    }
}

/// A rule prepared for one scope.
pub struct PreparedPricing {
    code: Arc<Code<Guest>>,
    instance: Instance<Guest>,
}

impl PreparedPricing {
    /// Prices a job.
    pub fn quote(
        &mut self,
        job: &Arc<JobFacts>,
        basis: &Basis,
        conditions: &Arc<Conditions>,
        now_unix_ms: u64,
    ) -> Result<Result<Quoted, Refusal>, Fault> {
        let wire = lower(basis);
        let answer =
            self.instance.call("quote", Pace::Hot, enter(job, conditions), |guest, store| {
                guest.framegate_policy_pricing().call_quote(store, wire, now_unix_ms)
            })?;
        let quoted = match answer {
            Ok(quoted) => quoted,
            Err(refusal) => return self.refused("quote", refusal).map(Err),
        };
        let reason = self.reason("quote", quoted.reason)?;
        Ok(Ok(Quoted {
            price_wei: quoted.price,
            valid_for_us: quoted.valid_for_us.min(VALID_FOR_US_MAX),
            reason: (!reason.is_empty()).then_some(reason),
        }))
    }

    /// Returns the parts which with `basis.base_wei` add up to the quote.
    pub fn explain(
        &mut self,
        job: &Arc<JobFacts>,
        basis: &Basis,
        conditions: &Arc<Conditions>,
        now_unix_ms: u64,
    ) -> Result<Result<Vec<Part>, Refusal>, Fault> {
        let wire = lower(basis);
        let answer = self.instance.call(
            "explain",
            Pace::Setup,
            enter(job, conditions),
            |guest, store| guest.framegate_policy_pricing().call_explain(store, wire, now_unix_ms),
        )?;
        let parts = match answer {
            Ok(parts) => parts,
            Err(refusal) => return self.refused("explain", refusal).map(Err),
        };
        let sum =
            parts.iter().fold(i128::from(basis.base_wei), |sum, part| sum + i128::from(part.wei));
        if parts.len() > PARTS_MAX || u64::try_from(sum).is_err() {
            let text = format!("explained a price of {sum} wei in {} parts", parts.len());
            return Err(self.instance.breach("explain", text));
        }
        let parts = parts.into_iter().map(|part| Part { label: part.label, wei: part.wei });
        Ok(Ok(parts.collect()))
    }

    /// Returns the wei that `units` single units come to at `agreed_wei` a lot.
    pub fn charge(
        &mut self,
        job: &Arc<JobFacts>,
        agreed_wei: u64,
        units: u64,
        meter: Meter,
    ) -> Result<Result<u64, Refusal>, Fault> {
        let enter = |state: &mut PolicyState| {
            state.job = Some(Arc::clone(job));
            state.meter = meter;
        };
        let answer = self.instance.call("charge", Pace::Hot, enter, |guest, store| {
            guest.framegate_policy_pricing().call_charge(store, agreed_wei, units)
        })?;
        match answer {
            Ok(wei) => Ok(Ok(wei)),
            Err(refusal) => self.refused("charge", refusal).map(Err),
        }
    }

    /// Tries `charge` with rising units, around the edges of lots and at a sample of others that
    /// differs for each component, at several prices. A refusal ends the trial of a price, since
    /// sums may leave their range.
    fn probe(&mut self, lot: u64) -> Result<(), Fault> {
        let job = Arc::new(JobFacts::default());
        let mut seed = seed_of(&self.code.who);
        let mut all: Vec<u64> = [1, 2, 3, 10, 100, 1_000_000]
            .map(|count| lot.saturating_mul(count))
            .iter()
            .flat_map(|&edge| [edge - 1, edge, edge.saturating_add(1)])
            .collect();
        // Sizes of every order, and next to each the one after it.
        for _ in 0..PROBES {
            let units = next(&mut seed) >> (next(&mut seed) % u64::from(u64::BITS));
            all.extend([units, units.saturating_add(1)]);
        }
        all.sort_unstable();
        all.dedup();
        for price_wei in [1, PROBE_WEI, next(&mut seed) >> 24] {
            let mut last = (0, 0);
            for &units in all.iter().filter(|&&units| units > 0) {
                let charged = self.charge(&job, price_wei, units, Meter::default())?;
                let Ok(wei) = charged else { break };
                if wei < last.1 {
                    let text = format!(
                        "at {price_wei} wei a lot more units cost less: {} cost {} wei and {units} \
                         cost {wei}",
                        last.0, last.1
                    );
                    return Err(self.instance.breach("charge", text));
                }
                last = (units, wei);
            }
        }
        Ok(())
    }

    fn reason(&mut self, call: &'static str, number: u32) -> Result<String, Fault> {
        let reasons = &self.code.info.reasons;
        if number == 0 {
            return Ok(String::new());
        }
        let Some(text) = reasons.get(number as usize).cloned() else {
            let text = format!("gave reason {number} of {}", reasons.len());
            return Err(self.instance.breach(call, text));
        };
        Ok(text)
    }

    fn refused(&mut self, call: &'static str, refusal: wit::Refusal) -> Result<Refusal, Fault> {
        Ok(match refusal {
            wit::Refusal::NotOffered => Refusal::NotOffered,
            wit::Refusal::Busy(ms) => Refusal::Busy(ms),
            wit::Refusal::Overflow => Refusal::Overflow,
            wit::Refusal::Custom(number) => {
                Refusal::Custom { number, text: self.reason(call, number)? }
            }
        })
    }

    /// Returns whose instance it is.
    pub fn identity(&self) -> &Identity {
        self.instance.who()
    }
}

/// Begins the sample of a component's trial: equal components are tried equally.
fn seed_of(who: &Identity) -> u64 {
    who.digest.to_string().bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Returns the next number of a sample (xorshift).
fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

fn enter<'a>(
    job: &'a Arc<JobFacts>,
    conditions: &'a Arc<Conditions>,
) -> impl FnOnce(&mut PolicyState) + 'a {
    move |state| {
        state.job = Some(Arc::clone(job));
        state.conditions = Some(Arc::clone(conditions));
    }
}

fn lower(basis: &Basis) -> wit::Basis {
    wit::Basis {
        side: match basis.side {
            Side::Ask => wit::Side::Ask,
            Side::Bid => wit::Side::Bid,
        },
        urgency: basis.urgency.into(),
        tier: basis.tier,
        base: basis.base_wei,
        units: basis.units,
        load_ppm: basis.load_ppm,
        overhead_ppm: basis.overhead_ppm,
    }
}
