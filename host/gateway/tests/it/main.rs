//! A gateway on a loopback port in front of orchestrators made of `wire`'s own server parts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod edge;
mod ends;
mod offers;
mod relay;
mod rig;
