//! Capabilities on the wire: a number with model IDs as constraints. A live capability
//! `live-video-to-video/ID` is number 35 with model ID `ID`.
//!
//! **Invariant:** what [`offers`] writes, [`offered`] reads back.

use domain::capability::Capability;
use domain::price::UnitPrice;

use super::price::price_for;
use crate::proto::capabilities::capability_constraints::ModelConstraint;
use crate::proto::capabilities::{CapabilityConstraints, Constraints};
use crate::proto::{Capabilities, OrchestratorInfo};

/// Number of the capability that live pipelines have.
pub const LIVE_VIDEO_TO_VIDEO: u32 = 35;
/// Number of the capability to issue tokens and to ask for them back.
pub const AUTH_TOKEN: u32 = 12;

/// A live pipeline as an orchestrator offers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// What it is.
    pub capability: Capability,
    /// Whether a job starts without loading anything first.
    pub warm: bool,
    /// Free slots.
    pub slots_free: u32,
    /// Slots in use.
    pub slots_used: u32,
    /// Price; `None`: none was named.
    pub price: Option<UnitPrice>,
}

/// Why an orchestrator cannot do what is asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Incompatible {
    /// Its version is too old, or unknown.
    #[error("version `{version}` is below `{minimum}`")]
    Version {
        /// What it says.
        version: String,
        /// What is asked.
        minimum: String,
    },
    /// It demands a capability that the asker does not know.
    #[error("capability {capability} is mandatory there")]
    Mandatory {
        /// Number.
        capability: u32,
    },
    /// It lacks a capability.
    #[error("capability {capability} is not there")]
    Lacks {
        /// Number.
        capability: u32,
    },
    /// It lacks a model, or has it cold where warm is asked, or with too old a runner.
    #[error("model `{model}` of capability {capability} is not there {wanted}")]
    Model {
        /// Number.
        capability: u32,
        /// Model ID.
        model: String,
        /// What is wanted of it.
        wanted: String,
    },
}

impl Incompatible {
    /// Returns the class.
    pub const fn class(&self) -> domain::Class {
        domain::Class::NotFound
    }
}

fn bits(numbers: &[u32]) -> Vec<u64> {
    let mut words = Vec::new();
    for number in numbers {
        let word = (number / 64) as usize;
        if words.len() <= word {
            words.resize(word + 1, 0);
        }
        words[word] |= 1 << (number % 64);
    }
    words
}

/// Returns the first number that is set in `wanted` and not in `present`.
fn first_lacking(wanted: &[u64], present: &[u64]) -> Option<u32> {
    wanted.iter().enumerate().find_map(|(index, word)| {
        let lacking = word & !present.get(index).copied().unwrap_or(0);
        let number = u32::try_from(index).ok()?.checked_mul(64)?;
        (lacking != 0).then(|| number.saturating_add(lacking.trailing_zeros()))
    })
}

/// Returns what an orchestrator of software `version` says of its models.
pub fn offers(models: &[Model], version: &str) -> Capabilities {
    let mut live = CapabilityConstraints::default();
    let mut slots = 0u32;
    for model in models {
        let Some(id) = model.capability.live_id() else { continue };
        slots = slots.saturating_add(model.slots_free).saturating_add(model.slots_used);
        let constraint = ModelConstraint {
            warm: model.warm,
            capacity: model.slots_free,
            runner_version: String::new(),
            capacity_in_use: model.slots_used,
        };
        live.models.insert(id.to_owned(), constraint);
    }
    Capabilities {
        bitstring: bits(&[AUTH_TOKEN, LIVE_VIDEO_TO_VIDEO]),
        mandatories: Vec::new(),
        capacities: [(AUTH_TOKEN, 1), (LIVE_VIDEO_TO_VIDEO, slots)].into(),
        version: version.to_owned(),
        constraints: Some(Constraints {
            min_version: String::new(),
            per_capability: [(LIVE_VIDEO_TO_VIDEO, live)].into(),
        }),
    }
}

/// Returns what a gateway sends to ask for one live capability; `None` for a capability of
/// another kind.
pub fn asks(capability: &Capability) -> Option<Capabilities> {
    let id = capability.live_id()?.to_owned();
    let models = [(id, ModelConstraint::default())].into();
    Some(Capabilities {
        bitstring: bits(&[LIVE_VIDEO_TO_VIDEO]),
        capacities: [(LIVE_VIDEO_TO_VIDEO, 1)].into(),
        constraints: Some(Constraints {
            min_version: String::new(),
            per_capability: [(LIVE_VIDEO_TO_VIDEO, CapabilityConstraints { models })].into(),
        }),
        ..Capabilities::default()
    })
}

/// Returns the live model IDs that a gateway asks for; one may be empty, for the default. Some
/// clients send no bits, so the constraints count.
pub fn asked_for(asked: &Capabilities) -> Vec<String> {
    let live = asked.constraints.as_ref().and_then(|c| c.per_capability.get(&LIVE_VIDEO_TO_VIDEO));
    live.map(|live| live.models.keys().cloned().collect()).unwrap_or_default()
}

/// Says whether the capability of this number is asked for at all, by bit, count or constraint.
pub fn is_asked(asked: &Capabilities, number: u32) -> bool {
    let bit =
        asked.bitstring.get((number / 64) as usize).is_some_and(|w| w >> (number % 64) & 1 == 1);
    let constrained =
        asked.constraints.as_ref().is_some_and(|c| c.per_capability.contains_key(&number));
    bit || constrained || asked.capacities.contains_key(&number)
}

/// Returns the live models in an orchestrator's answer, with their prices. Names that no
/// capability can have are left out.
pub fn offered(info: &OrchestratorInfo) -> Vec<Model> {
    let constraints = info.capabilities.as_ref().and_then(|c| c.constraints.as_ref());
    let Some(live) = constraints.and_then(|c| c.per_capability.get(&LIVE_VIDEO_TO_VIDEO)) else {
        return Vec::new();
    };
    let model = |(id, constraint): (&String, &ModelConstraint)| {
        let capability = Capability::live(id).ok()?;
        Some(Model {
            price: price_for(info, &capability),
            capability,
            warm: constraint.warm,
            slots_free: constraint.capacity,
            slots_used: constraint.capacity_in_use,
        })
    };
    live.models.iter().filter_map(model).collect()
}

/// Judges whether an orchestrator that says `offered` can do what `asked` asks, by the network's
/// rule.
pub fn check_compatible(asked: &Capabilities, offered: &Capabilities) -> Result<(), Incompatible> {
    let wanted = asked.constraints.as_ref();
    let minimum = wanted.map_or("", |c| c.min_version.as_str());
    if !version_reaches(&offered.version, minimum) {
        let (version, minimum) = (offered.version.clone(), minimum.to_owned());
        return Err(Incompatible::Version { version, minimum });
    }
    if let Some(capability) = first_lacking(&offered.mandatories, &asked.bitstring) {
        return Err(Incompatible::Mandatory { capability });
    }
    let there = offered.constraints.as_ref();
    for (capability, models) in wanted.iter().flat_map(|c| &c.per_capability) {
        let Some(there) = there.and_then(|c| c.per_capability.get(capability)) else { continue };
        for (model, wanted) in &models.models {
            let missing = |wanted: String| Incompatible::Model {
                capability: *capability,
                model: model.clone(),
                wanted,
            };
            let found = there.models.get(model).ok_or_else(|| missing("at all".to_owned()))?;
            if wanted.warm && !found.warm {
                return Err(missing("warm".to_owned()));
            }
            if !version_reaches(&found.runner_version, &wanted.runner_version) {
                return Err(missing(format!("at `{}`", wanted.runner_version)));
            }
        }
    }
    match first_lacking(&asked.bitstring, &offered.bitstring) {
        Some(capability) => Err(Incompatible::Lacks { capability }),
        None => Ok(()),
    }
}

/// Compares `major.minor.patch`, without what follows `-`; no minimum is always reached, and an
/// unknown version reaches no minimum.
pub fn version_reaches(version: &str, minimum: &str) -> bool {
    fn numbers(text: &str) -> Option<Vec<u64>> {
        let text = text.trim_start_matches('v');
        let text = text.split(['-', '+']).next().unwrap_or_default();
        let mut numbers: Vec<u64> =
            text.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
        numbers.resize(3, 0);
        Some(numbers)
    }
    if minimum.is_empty() {
        return true;
    }
    match (numbers(version), numbers(minimum)) {
        (Some(version), Some(minimum)) => version >= minimum,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(id: &str, warm: bool) -> Model {
        Model {
            capability: Capability::live(id).unwrap(),
            warm,
            slots_free: 2,
            slots_used: 1,
            price: None,
        }
    }

    #[test]
    fn what_is_offered_is_read_back() {
        let models = vec![model("noop", true), model("sketch-video", false)];
        let capabilities = offers(&models, "0.0.0");
        assert_eq!(capabilities.bitstring, [1 << 35 | 1 << 12]);
        assert_eq!(capabilities.capacities.get(&35), Some(&6));
        let info =
            OrchestratorInfo { capabilities: Some(capabilities), ..OrchestratorInfo::default() };
        assert_eq!(offered(&info), models);
    }

    #[test]
    fn compatible_is_what_the_network_calls_so() {
        let offered = offers(&[model("a", false)], "0.9.1-abc");
        let ask = |id: &str| asks(&Capability::live(id).unwrap()).unwrap();
        let judge = |asked: &Capabilities| match check_compatible(asked, &offered) {
            Ok(()) => "ok".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(asked_for(&ask("a")), ["a"]);
        assert_eq!(judge(&ask("a")), "ok");
        assert_eq!(judge(&ask("b")), "model `b` of capability 35 is not there at all");
        let mut warm = ask("a");
        let constraints = warm.constraints.as_mut().unwrap();
        let live = constraints.per_capability.get_mut(&35).unwrap();
        live.models.get_mut("a").unwrap().warm = true;
        assert_eq!(judge(&warm), "model `a` of capability 35 is not there warm");
        let mut recent = ask("a");
        recent.constraints.as_mut().unwrap().min_version = "0.9.1".to_owned();
        assert_eq!(judge(&recent), "ok");
        recent.constraints.as_mut().unwrap().min_version = "0.10.0".to_owned();
        assert_eq!(judge(&recent), "version `0.9.1-abc` is below `0.10.0`");
        let more = Capabilities { bitstring: bits(&[35, 70]), ..Capabilities::default() };
        assert_eq!(judge(&more), "capability 70 is not there");
        let demanding = Capabilities { mandatories: bits(&[3]), ..offered.clone() };
        assert_eq!(
            check_compatible(&ask("a"), &demanding),
            Err(Incompatible::Mandatory { capability: 3 })
        );
        // The stock Python client names a count and a constraint, and sets no bit.
        let python = Capabilities { bitstring: Vec::new(), ..ask("a") };
        assert!(is_asked(&python, LIVE_VIDEO_TO_VIDEO));
        assert_eq!(judge(&python), "ok");
    }
}
