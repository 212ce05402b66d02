//! The nouns of the video-compute market and the decisions about them.
//!
//! Nothing here knows a clock, a task, a socket, a file, a GPU or a wire format: callers pass
//! `now`, identities and facts in, and get decisions with their reasons out. That is what lets a
//! test run an hour of a whole market in a second, and replay it.

pub mod class;
pub mod id;
pub mod planes;

pub use class::{Class, chain};
