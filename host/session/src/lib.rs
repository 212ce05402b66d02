//! One job's dataflow inside a worker: demux → decode → pipeline component → encode → mux.
//!
//! A session is three threads with bounded queues between them. It knows no HTTP, no price and no
//! other session; the worker's main loop ([`serve`]) opens sessions and passes bytes to them.
//!
//! **Invariants:** a picture in is a picture out unless the component says otherwise, with its
//! timestamp unchanged; a session holds a bounded number of pictures and bytes; whatever fails ends
//! this session with a reason and touches no other.

mod control;
mod encode;
mod error;
mod frames;
mod host;
mod input;
mod meters;
mod output;
mod pixels;
mod process;
mod queue;
pub mod rehearsal;
mod run;
mod serve;
mod stats;

pub use error::SessionError;
pub use serve::{ServeError, ServeOptions, serve};
