//! Trickle channels: numbered segments of bytes, streamed over HTTP while they are written.
//!
//! A [`Store`] holds the channels of a role; [`server`] answers HTTP for it; [`ChannelWriter`] and
//! [`ChannelReader`] use a channel from the same process; [`Publisher`] and [`Subscriber`] use one
//! on another machine. It knows no media: a segment is bytes.
//!
//! **Invariant:** a channel that is not lossy never throws away a byte that a reader it knows has
//! not taken, unless that reader took none for [`Options::stall`]; that is counted and reported.
//!
//! **Invariant:** the bytes held by a channel are bounded by [`Options::window_bytes`], whatever
//! its publisher and its readers do (see [`Options::window_bytes`] for the exact bound).

mod channel;
mod holes;
mod local;
mod publisher;
mod readers;
mod receive;
pub mod server;
mod state;
mod store;
mod subscriber;

use std::fmt;
use std::time::Duration;

use domain::Class;

pub use channel::{Begun, CHUNK_BYTES_MAX, Channel, Get, SegmentWriter};
pub use local::{ChannelReader, ChannelWriter, Start};
pub use publisher::{ACCEPT_WAIT, PublishError, Publisher, SegmentPost};
pub use store::{Limits, Store, StoreError};
pub use subscriber::{BODY_SILENCE, Patience, SubscribeError, Subscriber};

/// Segments that stay readable after they were read, as the protocol has it.
pub const RING_SEGMENTS: usize = 5;
/// Segments that may wait unread before the next one is left in its socket: one being read, one
/// ready, one being written.
pub const WINDOW_SEGMENTS: usize = 3;
/// Bytes that may wait unread: four seconds of 8 Mb/s video.
pub const WINDOW_BYTES: usize = 4 << 20;
/// Time a reader may take nothing and ask for nothing while data waits.
pub const STALL: Duration = Duration::from_secs(10);
/// Segments begun and not ended in one channel: what is written, its preconnected successor, and
/// as many again of a publisher that reconnects.
pub const OPEN_SEGMENTS_MAX: usize = 8;
/// Time that a number is kept free when a later segment has overtaken it: a connection and a
/// handshake over a bad line.
pub const HOLE_WAIT: Duration = Duration::from_secs(2);
/// Readers of one channel. A live output has a handful; a relay to more belongs in front.
pub const READERS_MAX: usize = 256;
/// Bytes of one segment. A segment may be a whole file, so this is a bound against running
/// away: 16 GiB are four hours at 8 Mb/s. Segments are not held whole.
pub const SEGMENT_BYTES_MAX: u64 = 16 << 30;
/// Greatest segment number: one that every JSON reader holds exactly.
pub const SEQ_MAX: u64 = 1 << 53;
/// Bytes of a channel's name: `manifest-control` and 128 random bits fit three times.
pub const NAME_BYTES_MAX: usize = 128;
/// Time that bytes already under way still count after a channel was closed over their heads.
pub const CLOSE_GRACE: Duration = Duration::from_millis(500);
/// Silence after which nothing more is taken to be under way at a close.
pub const CLOSE_SILENCE: Duration = Duration::from_millis(100);

/// Who may do what with a channel over HTTP. Code may always do both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// Read, write and close.
    #[default]
    Both,
    /// Read only.
    Read,
    /// Write and close only.
    Write,
}

/// How a channel behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Media type, sent with every segment.
    pub content_type: String,
    /// Who may do what over HTTP.
    pub access: Access,
    /// Never make the writer wait: what readers do not fetch in time is lost, and reported.
    pub lossy: bool,
    /// Bytes that may wait unread. The channel holds at most that, one chunk of
    /// [`CHUNK_BYTES_MAX`] beyond it for each segment being written, and again as much
    /// only where an older segment is still open below a full window.
    pub window_bytes: usize,
    /// Segments that may wait unread.
    pub window_segments: usize,
    /// Time after which a reader that takes nothing while data waits is dropped.
    pub stall: Duration,
    /// Bytes of one segment, see [`SEGMENT_BYTES_MAX`].
    pub segment_bytes_max: u64,
}

impl Options {
    /// Returns the options of a lossless channel of the given media type.
    pub fn of_type(content_type: impl Into<String>) -> Self {
        Self {
            content_type: content_type.into(),
            access: Access::Both,
            lossy: false,
            window_bytes: WINDOW_BYTES,
            window_segments: WINDOW_SEGMENTS,
            stall: STALL,
            segment_bytes_max: SEGMENT_BYTES_MAX,
        }
    }
}

/// Which segment is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// The one of this number.
    Seq(u64),
    /// `-1`: the next one to be written.
    Next,
    /// `-2`: the newest one begun.
    Current,
}

impl Ask {
    /// Reads the last part of a segment's path; `None` for any other text or number.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "-1" => Some(Self::Next),
            "-2" => Some(Self::Current),
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok().filter(|seq| *seq <= SEQ_MAX).map(Self::Seq)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seq(seq) => write!(f, "{seq}"),
            Self::Next => f.write_str("-1"),
            Self::Current => f.write_str("-2"),
        }
    }
}

/// Segments that a reader was not given whole: `from` to `to`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// First number.
    pub from: u64,
    /// Last number.
    pub to: u64,
}

impl Missing {
    /// Reads the form `from-to`.
    pub fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once('-')?;
        Some(Self { from: from.parse().ok()?, to: to.parse().ok()? })
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from, self.to)
    }
}

/// Why a channel did not take bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The channel is closed.
    #[error("channel `{channel}` is closed")]
    Closed {
        /// Its name.
        channel: String,
    },
    /// The segment has ended, or a later one has begun without it.
    #[error("segment `{seq}` has ended (the next one is `{latest}`)")]
    Ended {
        /// Its number.
        seq: u64,
        /// Number of the next segment.
        latest: u64,
    },
    /// Too many segments are begun and not ended.
    #[error("{OPEN_SEGMENTS_MAX} segments are open already")]
    TooManyOpen,
    /// The segment is too long.
    #[error("segment `{seq}` is longer than {limit} bytes")]
    TooLong {
        /// Its number.
        seq: u64,
        /// The limit.
        limit: u64,
    },
}

impl WriteError {
    /// Returns the class.
    pub const fn class(&self) -> Class {
        match self {
            Self::Closed { .. } => Class::NotFound,
            Self::Ended { .. } => Class::Conflict,
            Self::TooManyOpen => Class::Exhausted,
            Self::TooLong { .. } => Class::Invalid,
        }
    }
}

/// Why a reader gets no bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No such segment, now or next.
    #[error("segment `{seq}` is not there (the next one is `{latest}`)")]
    Absent {
        /// Number asked for.
        seq: u64,
        /// Number of the next segment.
        latest: u64,
    },
    /// Every segment was read and none will follow.
    #[error("the channel is closed")]
    Closed {
        /// Number asked for.
        seq: u64,
    },
    /// The reader took nothing for [`Options::stall`], or a lossy channel went on without it.
    #[error("the reader fell behind in segment `{seq}`")]
    Behind {
        /// Number of the segment it was in.
        seq: u64,
    },
    /// The channel has [`READERS_MAX`] readers.
    #[error("{READERS_MAX} readers are there already")]
    TooManyReaders,
    /// No byte came for [`server::FIRST_BYTE_WAIT`].
    #[error("no byte of segment `{seq}` came")]
    TimedOut {
        /// Number asked for.
        seq: u64,
        /// Number of the next segment.
        latest: u64,
    },
}

impl ReadError {
    /// Returns the class.
    pub const fn class(&self) -> Class {
        match self {
            Self::Absent { .. } | Self::Closed { .. } => Class::NotFound,
            Self::Behind { .. } | Self::TooManyReaders => Class::Exhausted,
            Self::TimedOut { .. } => Class::TimedOut,
        }
    }
}

/// What happened in a channel so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Bytes written.
    pub bytes: u64,
    /// Segments begun.
    pub segments: u64,
    /// Segments whose publisher vanished before their end.
    pub segments_cut: u64,
    /// Times that a reader lost something.
    pub gaps: u64,
    /// Readers that hold a place.
    pub readers: usize,
    /// Bytes held.
    pub buffered_bytes: usize,
    /// Most bytes held at once.
    pub buffered_bytes_peak: usize,
    /// Segments being written, preconnected ones included.
    pub open_writes: usize,
    /// Segments being read.
    pub open_reads: usize,
    /// Reads of segments begun.
    pub reads: u64,
    /// Time of the last byte written, or of the creation.
    pub written_at: std::time::Instant,
    /// Whether the channel is closed.
    pub closed: bool,
}
