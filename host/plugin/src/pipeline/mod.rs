//! Pipelines: one component instance for one session, called once a frame.

pub mod host;
