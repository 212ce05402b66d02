//! Everything that leaves the machine between the two roles and their clients: Livepeer's
//! protobuf and headers, trickle channels, TLS, error bodies. Both roles meet here and nowhere
//! else, and here alone Livepeer's spellings appear; callers get the nouns of `domain`.
//!
//! It decides how things are said, bounded and kept in order on the wire, never what is offered,
//! chosen or charged.

pub mod allow;
pub mod client;
pub mod ended;
pub mod error;
pub mod feedback;
pub mod header;
pub mod livepeer;
pub mod offerings;
pub mod proto;
pub mod serve;
mod shares;
mod stream;
pub mod tls;
pub mod trickle;
pub mod ts;
