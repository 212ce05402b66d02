//! Write a Framegate plugin in Rust.
//!
//! Implement one of the three traits and export it:
//!
//! * [`SelectionPolicy`](selection::SelectionPolicy) with [`export_selection_policy!`]: which
//!   orchestrator gets a job;
//! * [`PricingRule`](pricing::PricingRule) with [`export_pricing_rule!`]: what work costs;
//! * [`Pipeline`](pipeline::Pipeline) with [`export_pipeline!`]: what becomes of each frame.
//!
//! A pipeline may leave out what [`granted`] has: grants, which its manifest has to ask for, and the
//! optional exports [`Carry`](granted::Carry) and [`Sound`](granted::Sound).
//!
//! Build with `cargo build --target wasm32-wasip2`; the crate is a `cdylib`. The crate knows no
//! host: natively it compiles, so that a plugin's arithmetic can be tested, but no host function
//! answers.
//!
//! **Invariant:** a component imports only the functions that its code calls.

#[doc(hidden)]
pub mod bindings;
pub mod config;
pub mod granted;
pub mod pipeline;
pub mod pricing;
pub mod recording;
pub mod selection;

pub use bindings::selection::framegate::common::types::{
    ConfigError, ErrorClass, PluginInfo, SetupError, Urgency,
};

/// What most plugins need.
pub mod prelude {
    pub use crate::config::Document;
    pub use crate::granted::{Carry, Sound, audio, data, kv};
    pub use crate::pipeline::{
        Axis, Color, Frame, FrameError, FrameTiming, Lut, Metric, Output, Pipeline, Reading, Rect,
        Sampling, StopReason, log, session,
    };
    pub use crate::pricing::{Basis, Part, PricingRule, Quoted, Refusal, Side};
    pub use crate::recording::{Graph, Recording};
    pub use crate::selection::{
        Decline, Job, Scored, SelectionPolicy, Shortlist, candidates, job_details, scope,
    };
    pub use crate::{
        ErrorClass, PluginInfo, SetupError, export_pipeline, export_pricing_rule,
        export_selection_policy, info,
    };
}

/// Returns what a plugin says of itself: a line for listings, the JSON Schema of its configuration
/// and the texts of its own reasons, of which number 1 is the first.
///
/// `name` and `version` come from the manifest of the plugin's crate; use [`info!`].
pub fn plugin_info(
    name: &str,
    version: &str,
    summary: &str,
    schema: Option<&str>,
    reasons: &[&str],
) -> PluginInfo {
    let mut texts = vec![String::new()];
    texts.extend(reasons.iter().map(|text| (*text).to_owned()));
    PluginInfo {
        name: name.to_owned(),
        version: version.to_owned(),
        summary: summary.to_owned(),
        config_schema: schema.map(str::to_owned),
        reasons: texts,
    }
}

/// `info!("what it does")`, `info!("what it does", SCHEMA)` or `info!("…", SCHEMA, ["reason 1"])`:
/// a [`PluginInfo`] with name and version of the calling crate.
#[macro_export]
macro_rules! info {
    ($summary:expr) => {
        $crate::plugin_info(
            env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), $summary, None, &[],
        )
    };
    ($summary:expr, $schema:expr) => { $crate::info!($summary, $schema, []) };
    ($summary:expr, $schema:expr, [$($reason:expr),*]) => {
        $crate::plugin_info(
            env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), $summary, Some($schema),
            &[$($reason),*],
        )
    };
}
