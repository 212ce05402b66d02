//! The nouns of the video-compute market and the decisions about them.
//!
//! Nothing here knows a clock, a task, a socket, a file, a GPU or a wire format: callers pass
//! `now`, identities and facts in, and get decisions with their reasons out. That is what lets a
//! test run an hour of a whole market in a second, and replay it.

pub mod breaker;
pub mod capability;
pub mod class;
pub mod event;
pub mod facts;
pub mod id;
pub mod job;
pub mod lease;
pub mod offering;
pub mod picture;
pub mod planes;
pub mod poison;
pub mod price;
pub mod repeats;
pub mod restart;
pub mod resume;
pub mod sample;
pub mod select;
pub mod session;
pub mod stall;
pub mod standing;

pub use class::{Class, chain};
