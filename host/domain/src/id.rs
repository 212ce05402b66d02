//! Identities. Numbers are newtypes that print with their noun (`job-7`); names that outlive a
//! process are strings of their own type.

use std::fmt;

macro_rules! numbered {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "-{}"), self.0)
            }
        }
    )*};
}

numbered! {
    /// A job on the gateway that took it.
    JobId = "job";
    /// A session on the orchestrator that serves it.
    SessionId = "session";
    /// A claim on a slot.
    LeaseId = "lease";
}

/// Name of an orchestrator that outlives restarts: its wallet address in lower case, or the
/// configured name of one without a wallet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrchestratorId(pub String);

impl fmt::Display for OrchestratorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
