//! Selection policies: which orchestrators get a job.
//!
//! Loading and preparing take milliseconds and belong on a blocking thread; a pick takes about a
//! microsecond and runs inline.
//!
//! **Invariant:** a shortlist that leaves here names different candidates of the snapshot, none of
//! them excluded and none above the job's price limit.

use std::path::Path;
use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{HasSelf, InstancePre, Linker};

use crate::bindings::selection::exports::framegate::policy::selection as wit;
use crate::bindings::selection::{SelectionPolicy as Guest, SelectionPolicyPre};
use crate::engine::PolicyEngine;
use crate::fault::{Fault, Identity};
use crate::info::{PluginInfo, SetupError};
use crate::job::JobFacts;
use crate::limits::{Limits, Pace};
use crate::load::{self, LoadError};
use crate::manifest::{Manifest, World};
use crate::policy::code::{self, Code};
use crate::policy::instance::Instance;
use crate::policy::ready::Ready;
use crate::policy::slot::Standing;
use crate::policy::state::PolicyState;
use crate::snapshot::Snapshot;

/// Lines of an explanation; the contract's bound.
const LINES_MAX: usize = 100;

/// The best candidates in order, one to four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortlist {
    indices: [u32; 4],
    count: usize,
}

impl Shortlist {
    /// Returns the candidates by index, best first.
    pub fn indices(&self) -> &[u32] {
        &self.indices[..self.count]
    }
}

/// Why a policy chooses nobody. A refusal, not a fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Decline {
    /// There are no candidates, or all are excluded.
    #[error("no candidate is left")]
    NoneLeft,
    /// All are above the job's price limit.
    #[error("every candidate is above the price limit; the cheapest asks {0} wei a lot")]
    TooExpensive(u64),
    /// None has room.
    #[error("no candidate has room")]
    NoCapacity,
    /// None reaches a floor that the policy sets.
    #[error("no candidate reaches the policy's floor")]
    BelowFloor,
    /// A reason of the policy's own.
    #[error("{text}")]
    Custom {
        /// Its number.
        number: u32,
        /// Its text in `plugin-info.reasons`.
        text: String,
    },
}

/// One line of an explanation.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Candidate by index.
    pub candidate: u32,
    /// More is better; only the order has meaning.
    pub score: f64,
    /// What the score is made of.
    pub parts: Vec<(String, String)>,
    /// Why the policy left the candidate out, if it did.
    pub left_out: Option<String>,
}

/// A loaded selection policy. Cheap to clone.
#[derive(Clone)]
pub struct SelectionPolicy {
    code: Arc<Code<Guest>>,
}

impl code::Guest for Guest {
    const WORLD: World = World::SelectionPolicy;
    type Pre = SelectionPolicyPre<PolicyState>;

    fn add_to_linker(linker: &mut Linker<PolicyState>) -> wasmtime::Result<()> {
        Self::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
    }

    fn pre(linked: InstancePre<PolicyState>) -> wasmtime::Result<Self::Pre> {
        SelectionPolicyPre::new(linked)
    }

    fn instantiate(pre: &Self::Pre, store: &mut Store<PolicyState>) -> wasmtime::Result<Self> {
        pre.instantiate(store)
    }

    fn describe(&self, store: &mut Store<PolicyState>) -> wasmtime::Result<PluginInfo> {
        self.framegate_policy_selection().call_describe(store).map(PluginInfo::from)
    }

    fn prepare(
        &self,
        store: &mut Store<PolicyState>,
        config: &str,
    ) -> wasmtime::Result<Result<(), SetupError>> {
        let prepared = self.framegate_policy_selection().call_prepare(store, config)?;
        Ok(prepared.map_err(SetupError::from))
    }
}

impl SelectionPolicy {
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

    /// Makes an instance for `snapshot`. `config` is JSON, empty if there is none. Takes tens of
    /// microseconds in a compiled guest, milliseconds in an interpreted one.
    pub fn prepare(
        &self,
        snapshot: Arc<Snapshot>,
        config: &str,
    ) -> Result<Result<PreparedSelection, SetupError>, Fault> {
        let prepared = self.code.prepare(Arc::clone(&snapshot), config)?;
        let code = Arc::clone(&self.code);
        Ok(prepared.map(|instance| PreparedSelection { code, snapshot, instance }))
    }

    /// Makes a ready set for `snapshot`, so that any thread may pick.
    pub fn ready(
        &self,
        snapshot: Arc<Snapshot>,
        config: &str,
    ) -> Result<Result<Ready<PreparedSelection>, SetupError>, Fault> {
        let (policy, config) = (self.clone(), config.to_owned());
        Ready::new(self.identity().clone(), move || policy.prepare(Arc::clone(&snapshot), &config))
    }
}

/// A policy prepared for one snapshot.
pub struct PreparedSelection {
    code: Arc<Code<Guest>>,
    snapshot: Arc<Snapshot>,
    instance: Instance<Guest>,
}

impl PreparedSelection {
    /// Chooses. Equal arguments, equal answers; `seed` is the only source of chance.
    pub fn pick(
        &mut self,
        job: &Arc<JobFacts>,
        now_unix_ms: u64,
        seed: u64,
    ) -> Result<Result<Shortlist, Decline>, Fault> {
        let facts = lower(job);
        let enter = |state: &mut PolicyState| state.job = Some(Arc::clone(job));
        let answer = self.instance.call("pick", Pace::Hot, enter, |guest, store| {
            guest.framegate_policy_selection().call_pick(store, facts, now_unix_ms, seed)
        })?;
        match answer {
            Ok(list) => self.checked(&list, job).map(Ok),
            Err(decline) => self.declined("pick", decline).map(Err),
        }
    }

    /// Returns the same choice with its grounds, best first. Never while a client waits.
    pub fn explain(
        &mut self,
        job: &Arc<JobFacts>,
        now_unix_ms: u64,
        seed: u64,
    ) -> Result<Result<Vec<Scored>, Decline>, Fault> {
        let facts = lower(job);
        let enter = |state: &mut PolicyState| state.job = Some(Arc::clone(job));
        let answer = self.instance.call("explain", Pace::Setup, enter, |guest, store| {
            guest.framegate_policy_selection().call_explain(store, facts, now_unix_ms, seed)
        })?;
        let lines = match answer {
            Ok(lines) => lines,
            Err(decline) => return self.declined("explain", decline).map(Err),
        };
        if lines.len() > LINES_MAX {
            let text = format!("explained in {} lines ({LINES_MAX} is the most)", lines.len());
            return Err(self.instance.breach("explain", text));
        }
        let count = self.snapshot.count();
        if let Some(line) = lines.iter().find(|line| line.candidate >= count) {
            let text = format!("scored candidate {} of {count}", line.candidate);
            return Err(self.instance.breach("explain", text));
        }
        let lines = lines.into_iter().map(|line| Scored {
            candidate: line.candidate,
            score: line.score,
            parts: line.parts,
            left_out: line.left_out,
        });
        Ok(Ok(lines.collect()))
    }

    fn checked(&mut self, list: &wit::Shortlist, job: &JobFacts) -> Result<Shortlist, Fault> {
        let mut shortlist = Shortlist { indices: [0; 4], count: 0 };
        for index in [Some(list.first), list.second, list.third, list.fourth].into_iter().flatten()
        {
            if let Some(text) = self.objection(&shortlist, index, job) {
                return Err(self.instance.breach("pick", text));
            }
            shortlist.indices[shortlist.count] = index;
            shortlist.count += 1;
        }
        Ok(shortlist)
    }

    fn objection(&self, before: &Shortlist, index: u32, job: &JobFacts) -> Option<String> {
        let Some(price_wei) = self.snapshot.price_wei(index) else {
            return Some(format!("chose candidate {index} of {}", self.snapshot.count()));
        };
        if before.indices().contains(&index) {
            return Some(format!("chose candidate {index} twice"));
        }
        if job.excluded.contains(index) {
            return Some(format!("chose candidate {index}, which is excluded"));
        }
        (price_wei > job.price_limit_wei).then(|| {
            let limit = job.price_limit_wei;
            format!("chose candidate {index} at {price_wei} wei a lot, above the limit of {limit}")
        })
    }

    fn declined(&mut self, call: &'static str, decline: wit::Decline) -> Result<Decline, Fault> {
        Ok(match decline {
            wit::Decline::NoneLeft => Decline::NoneLeft,
            wit::Decline::TooExpensive(cheapest) => Decline::TooExpensive(cheapest),
            wit::Decline::NoCapacity => Decline::NoCapacity,
            wit::Decline::BelowFloor => Decline::BelowFloor,
            wit::Decline::Custom(number) => {
                let reasons = &self.code.info.reasons;
                let Some(text) = reasons.get(number as usize).cloned() else {
                    let text = format!("gave reason {number} of {}", reasons.len());
                    return Err(self.instance.breach(call, text));
                };
                Decline::Custom { number, text }
            }
        })
    }

    /// Returns whose instance it is.
    pub fn identity(&self) -> &Identity {
        self.instance.who()
    }
}

fn lower(job: &JobFacts) -> wit::Job {
    wit::Job {
        urgency: job.urgency.into(),
        tier: job.tier,
        region: job.region,
        units: job.units,
        price_limit: job.price_limit_wei,
        time_left_us: job.time_left_us,
        attempt: job.attempt,
        excluded: job.excluded.count(),
        sticky: job.sticky,
    }
}
