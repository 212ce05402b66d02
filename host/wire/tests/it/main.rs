//! The protocols over real loopback sockets, each edge case that a peer or a user met as a claim.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod front;
mod grpc;
mod overlap;
mod relay;
mod rig;
mod tls;
mod trickle;
mod ts;
