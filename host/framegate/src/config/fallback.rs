//! The words for what happens where a plugin faults.

use domain::breaker;
use domain::restart;
use serde::{Deserialize, Serialize};

/// What happens to a decision for which a policy faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnFault {
    /// The native rule decides.
    Native,
    /// What needed the decision is refused.
    Refuse,
    /// The previous version decides.
    PreviousVersion,
}

impl From<OnFault> for breaker::OnFault {
    fn from(word: OnFault) -> Self {
        match word {
            OnFault::Native => Self::Native,
            OnFault::Refuse => Self::Refuse,
            OnFault::PreviousVersion => Self::PreviousVersion,
        }
    }
}

/// What happens to a session whose pipeline faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnFailure {
    /// It ends.
    End,
    /// Its pictures pass.
    Passthrough,
    /// The previous version takes over.
    PreviousVersion,
}

impl From<OnFailure> for restart::OnFailure {
    fn from(word: OnFailure) -> Self {
        match word {
            OnFailure::End => Self::End,
            OnFailure::Passthrough => Self::Passthrough,
            OnFailure::PreviousVersion => Self::PreviousVersion,
        }
    }
}
