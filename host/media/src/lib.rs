//! Media: demux, decode, encode and mux through libav, on the source's own clock.
//!
//! It knows tracks, packets, pictures and timestamps. It knows no job, no thread and no network:
//! bytes come from a reader and go to a writer that the caller owns, and every call blocks on
//! nothing else. libav writes no log and opens no address.
//!
//! **Invariant:** `unsafe` is confined to `ffi`, and timestamps in are timestamps out.

#![deny(unsafe_op_in_unsafe_fn)]

mod adts;
mod clock;
mod decode;
mod demux;
mod encode;
mod error;
mod ffi;
mod mux;
mod rejoin;
mod segment;
mod track;

pub use decode::{DecodeConfig, DecodeStats, Decoder};
pub use demux::{Container, Demuxer, ReadStats};
pub use encode::{EncodeConfig, Encoder, Key, Rate};
pub use error::{DecodeError, EncodeError, LibavError, MuxError, OpenError, ReadError};
pub use ffi::frame::{Color, Picture};
pub use ffi::packet::Packet;
pub use mux::{Muxer, OutputFile};
pub use rejoin::{Rejoin, RejoinError, Rejoined};
pub use segment::{Facts, Part, Plan, SegmentError, Segmenter};
pub use track::{Kind, Rational, Track};

/// A linked libav library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// Its name, such as `libavcodec`.
    pub name: &'static str,
    /// Its version, as `major.minor.micro`.
    pub version: String,
    /// Its licence, such as `GPL version 2 or later`.
    pub license: String,
}

/// Returns the linked libav libraries, as they are at run time.
pub fn libav_versions() -> Vec<Library> {
    let library = |(name, packed, license): (&'static str, u32, String)| Library {
        name,
        version: format!("{}.{}.{}", packed >> 16, packed >> 8 & 0xff, packed & 0xff),
        license,
    };
    ffi::libraries().into_iter().map(library).collect()
}
