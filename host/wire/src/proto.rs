//! The generated types of Livepeer's `net` package, and the client and server of its service
//! `net.Orchestrator`. Only translation in [`crate::livepeer`] and the two ends of the service
//! read them; nothing decides by them.
//!
//! **Invariant:** field numbers and names are the network's; a test pins the wire bytes.

#![allow(missing_docs, reason = "generated; the fields are described in proto/lp_rpc.proto")]
#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    reason = "generated code follows its generator"
)]

tonic::include_proto!("net");
