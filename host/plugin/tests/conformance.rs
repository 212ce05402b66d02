//! Runs every conformance guest and every shipped plugin in the production engines.
//!
//! The guests are built once, by `plugins/build.sh`, into cargo's target folder. A guest says in
//! its `case.toml` what its call must end in; a guest without a case and a case without a guest
//! fail.

#[path = "conformance/build.rs"]
mod build;
#[path = "conformance/cases.rs"]
mod cases;
#[path = "conformance/clip.rs"]
mod clip;
#[path = "conformance/fit.rs"]
mod fit;
#[path = "conformance/functions.rs"]
mod functions;
#[path = "conformance/hostile.rs"]
mod hostile;
#[path = "conformance/languages.rs"]
mod languages;
#[path = "conformance/limits.rs"]
mod limits;
#[path = "conformance/shipped.rs"]
mod shipped;
#[path = "conformance/slot.rs"]
mod slot;
#[path = "conformance/soak.rs"]
mod soak;
