//! The closed list of error classes, and the one printer of error chains.
//!
//! A class says who has to act, not what happened: the text of the error says that. HTTP status,
//! exit code and log level are looked up by class, in one table each.

use std::error::Error;
use std::fmt;

/// What kind of failure an error is. Closed: statuses, exit codes and retries depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The input or an argument is wrong; the same call fails again.
    Invalid,
    /// Understood and refused: a rule, a cap or an allow-list says no.
    Denied,
    /// Nothing goes by that name.
    NotFound,
    /// Not in this state, or changed meanwhile.
    Conflict,
    /// A limit, pool or queue is used up.
    Exhausted,
    /// A peer or a device is gone for now.
    Unavailable,
    /// A deadline passed.
    TimedOut,
    /// The caller gave up.
    Cancelled,
    /// A plugin trapped, overran a limit or broke its contract.
    PluginFault,
    /// A fault of this program.
    Internal,
}

impl Class {
    /// Returns the word used in JSON, logs and metric labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Denied => "denied",
            Self::NotFound => "not-found",
            Self::Conflict => "conflict",
            Self::Exhausted => "exhausted",
            Self::Unavailable => "unavailable",
            Self::TimedOut => "timed-out",
            Self::Cancelled => "cancelled",
            Self::PluginFault => "fault",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Formats an error with all its sources as `a: b: c`.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
#[test]
fn a_chain_names_every_cause_once() {
    #[derive(Debug, thiserror::Error)]
    #[error("opening device `cuda-0`")]
    struct Outer(#[source] std::num::ParseIntError);
    let inner = "x".parse::<u32>().unwrap_err();
    assert_eq!(chain(&Outer(inner)), "opening device `cuda-0`: invalid digit found in string");
}
