//! Ranking the candidates for one job: by the policy where there is one, natively where there is
//! none or where it faults. What the host itself objects to, `domain::job` refuses afterwards.
//!
//! **Invariant:** a fault of the policy is told once, counted, and never the client's problem
//! unless the operator wants it so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::event::{Event, Sink};
use domain::offering::Offering;
use domain::price::LIVE_UNITS_PER_SECOND;
use domain::select::{self, Reason};
use plugin::policy::selection::Decline;
use plugin::{Identity, JobFacts, unix_ms};
use serde::Serialize;

use crate::config::{OnFault, SelectionConfig};
use crate::market::{Broken, Chooser};

/// Name of the plugin slot.
pub(crate) const PLUGIN_SLOT: &str = "selection/default";
/// Name under which the host's own rule stands in records.
const NATIVE: &str = "native";

/// Who chose, for records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyName {
    /// Plugin's id; `native` for the host's own rule.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// Digest of its component; empty for the host's own rule.
    pub digest: String,
}

impl PolicyName {
    /// Names the host's own rule.
    pub(crate) fn native() -> Self {
        Self {
            plugin: NATIVE.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            digest: String::new(),
        }
    }
}

impl From<&Identity> for PolicyName {
    fn from(who: &Identity) -> Self {
        Self {
            plugin: who.plugin.clone(),
            version: who.version.clone(),
            digest: who.digest.to_string(),
        }
    }
}

/// What was counted of choices.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) picks: AtomicU64,
    pub(crate) fell_back: AtomicU64,
}

/// A ranking of candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ranked {
    /// Who made it.
    pub(crate) policy: PolicyName,
    /// Candidates by index, best first.
    pub(crate) order: Vec<usize>,
    /// Why the policy chooses nobody, if it does not.
    pub(crate) declined: Option<Decline>,
}

/// The policy faulted, and the operator wants no job served without it.
#[derive(Debug, thiserror::Error)]
#[error("the selection policy failed: {detail}")]
pub(crate) struct NoPolicy {
    detail: String,
}

/// What a choice is made for.
pub(crate) struct Wish<'a> {
    /// Opaque id of the job.
    pub(crate) id: String,
    /// The most that a lot may cost, in wei.
    pub(crate) cap_wei: u64,
    /// Time left for finding an orchestrator.
    pub(crate) time_left: Duration,
    /// Takes events.
    pub(crate) sink: &'a dyn Sink,
    /// Counts.
    pub(crate) counted: &'a Counted,
}

/// Ranks `offerings`, which are the candidates that `chooser` was prepared for.
pub(crate) fn rank(
    chooser: &Chooser,
    selection: Option<&SelectionConfig>,
    offerings: &[Offering],
    wish: &Wish<'_>,
) -> Result<Ranked, NoPolicy> {
    wish.counted.picks.fetch_add(1, Ordering::Relaxed);
    let native = || Ranked {
        policy: PolicyName::native(),
        order: select::rank(offerings, wish.cap_wei),
        declined: None,
    };
    let detail = match chooser {
        Chooser::Native => return Ok(native()),
        Chooser::Policy(ready) => {
            let job = Arc::new(facts(offerings, wish));
            let seed = u64::from_le_bytes(wire::header::random_bytes());
            match ready.with(|policy| policy.pick(&job, unix_ms(), seed)) {
                Ok(answer) => {
                    let policy = PolicyName::from(ready.identity());
                    return Ok(ranked(policy, answer));
                }
                Err(fault) => {
                    wish.sink.emit(fault.event());
                    fault.to_string()
                }
            }
        }
        // The fault was told when the snapshot was made.
        Chooser::Broken(broken) => broken.text(),
    };
    wish.counted.fell_back.fetch_add(1, Ordering::Relaxed);
    match selection.map(|selection| selection.on_fault).unwrap_or_default() {
        OnFault::Refuse => Err(NoPolicy { detail }),
        OnFault::Native => {
            wish.sink.emit(Event::FellBack { plugin_slot: PLUGIN_SLOT, detail });
            Ok(native())
        }
    }
}

fn ranked(
    policy: PolicyName,
    answer: Result<plugin::policy::selection::Shortlist, Decline>,
) -> Ranked {
    match answer {
        Ok(list) => {
            let order = list.indices().iter().map(|index| *index as usize).collect();
            Ranked { policy, order, declined: None }
        }
        Err(declined) => Ranked { policy, order: Vec::new(), declined: Some(declined) },
    }
}

/// Candidates without room are excluded for the policy; the price it judges itself.
fn facts(offerings: &[Offering], wish: &Wish<'_>) -> JobFacts {
    let full =
        |offering: &Offering| matches!(select::objection(offering, u64::MAX), Some(Reason::NoSlot));
    let indices = (0_u32..).zip(offerings).filter(|(_, offering)| full(offering));
    JobFacts {
        units: LIVE_UNITS_PER_SECOND,
        price_limit_wei: wish.cap_wei,
        time_left_us: u32::try_from(wish.time_left.as_micros()).unwrap_or(u32::MAX),
        excluded: indices.map(|(index, _)| index).collect(),
        id: wish.id.clone(),
        ..JobFacts::default()
    }
}

/// Tells that a snapshot was made without its policy.
pub(crate) fn tell_broken(sink: &dyn Sink, broken: &Broken) {
    match broken {
        Broken::Fault(fault) => sink.emit(fault.event()),
        Broken::Refused(detail) => {
            sink.emit(Event::FellBack { plugin_slot: PLUGIN_SLOT, detail: detail.clone() });
        }
    }
}

#[cfg(test)]
#[test]
fn a_policy_that_cannot_be_asked_is_replaced_or_refuses_as_the_operator_wants() {
    use std::sync::Mutex;
    #[derive(Default)]
    struct Seen(Mutex<Vec<Event>>);
    impl Sink for Seen {
        fn emit(&self, event: Event) {
            self.0.lock().unwrap().push(event);
        }
    }
    let (sink, counted) = (Seen::default(), Counted::default());
    let wish = Wish {
        id: "job-1".to_owned(),
        cap_wei: u64::MAX,
        time_left: Duration::from_secs(1),
        sink: &sink,
        counted: &counted,
    };
    let broken = Chooser::Broken(Broken::Refused("`weights` is not accepted".to_owned()));
    let answer = rank(&broken, None, &[], &wish).unwrap();
    assert_eq!(answer.policy.plugin, "native");
    assert!(matches!(&sink.0.lock().unwrap()[..], [Event::FellBack { .. }]));
    assert_eq!(counted.fell_back.load(Ordering::Relaxed), 1);
}
