//! The targets, one module each: what is promised, and inputs to begin with.

pub mod answers;
pub mod cache;
pub mod component;
pub mod config;
pub mod frames;
pub mod manifest;
pub mod messages;
pub mod ops;
pub mod prices;
pub mod transport_stream;
pub mod trickle;
