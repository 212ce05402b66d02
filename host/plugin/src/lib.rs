//! Plugins: WebAssembly components that choose, price and process, held inside their limits.
//!
//! This crate confines the component engine. It loads components, hands them what their world
//! says, holds their limits, checks their answers, and turns every call into one of three outcomes:
//! a value, a refusal, or a [`Fault`]. It defines the trait of the host ops ([`PipelineHost`]) and
//! implements none of them; it knows no device, no network and no role.
//!
//! **Invariant:** a store serves one instance and is dropped at the first trap.

mod bindings;
pub mod code;
pub mod digest;
pub mod engine;
pub mod fault;
pub mod fit;
pub mod grants;
pub mod info;
pub mod job;
mod keys;
pub mod kv;
pub mod level;
pub mod limits;
pub mod load;
pub mod manifest;
pub mod pipeline;
pub mod policy;
pub mod snapshot;
mod tick;
mod wasi;

pub use digest::Digest;
pub use engine::{EngineError, PipelineEngine, PolicyEngine};
pub use fault::{Fault, FaultFacts, FaultKind, Identity};
pub use grants::{Allowed, Grant, Grants};
pub use info::{PluginInfo, SetupError};
pub use job::{Excluded, JobFacts, Urgency};
pub use limits::{Limit, LimitHit, Limits};
pub use load::LoadError;
pub use manifest::{AskedLimits, Manifest, World};
pub use pipeline::host::PipelineHost;
pub use policy::pricing::{PreparedPricing, PricingRule};
pub use policy::ready::Ready;
pub use policy::selection::{PreparedSelection, SelectionPolicy};
pub use policy::slot::{Because, PluginSlot, Standing};
pub use snapshot::{Candidate, Scope, Snapshot, unix_ms};
