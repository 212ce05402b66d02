//! A gateway on a loopback port in front of orchestrators made of `wire`'s own server parts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

// The guests are built by the one build that the plugin crate's tests use.
#[path = "../../../plugin/tests/conformance/build.rs"]
mod build;
mod edge;
mod ends;
mod offers;
mod policy;
mod relay;
mod rig;
