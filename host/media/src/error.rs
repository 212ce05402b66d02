//! What can go wrong with media: one enum per family of operations.
//!
//! **Invariant:** bad input is `Invalid`, a broken reader or writer is `Unavailable`, and only a
//! fault of this program or of libav itself is `Internal`.

use std::io;
use std::path::PathBuf;

use domain::Class;
use domain::planes::PixelFormat;

pub use crate::ffi::LibavError;
use crate::track::Rational;

/// A failure to open an input.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened.
    #[error("opening `{path}`")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Reading failed before the tracks were known.
    #[error("reading the input")]
    Source(#[source] io::Error),
    /// Not one byte.
    #[error("the input is empty")]
    Empty,
    /// No known container.
    #[error("the input is not media")]
    NotMedia(#[source] LibavError),
    /// An MP4 whose index, which may stand at the end, is missing or broken.
    #[error("the input is an mp4 without a readable index")]
    NoIndex,
    /// A container without pictures.
    #[error("the input has no video track (`{found}`)")]
    NoVideo {
        /// Codecs of the tracks it has, or `no tracks`.
        found: String,
    },
    /// A video track is announced, and nothing of it comes.
    #[error("no video packet in the first {bytes} bytes of packets")]
    NoVideoPackets {
        /// Bytes of other packets read meanwhile.
        bytes: usize,
    },
    /// libav failed for a reason that is not the input's.
    #[error("libav")]
    Libav(#[source] LibavError),
}

impl OpenError {
    /// Returns who has to act.
    pub fn class(&self) -> Class {
        match self {
            Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Class::NotFound
            }
            Self::File { .. }
            | Self::Empty
            | Self::NotMedia(_)
            | Self::NoIndex
            | Self::NoVideo { .. }
            | Self::NoVideoPackets { .. } => Class::Invalid,
            Self::Source(_) => Class::Unavailable,
            Self::Libav(_) => Class::Internal,
        }
    }
}

/// A failure to read on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The reader failed.
    #[error("reading the input")]
    Source(#[source] io::Error),
    /// libav failed for a reason that is not the input's.
    #[error("libav")]
    Libav(#[source] LibavError),
}

impl ReadError {
    /// Returns who has to act.
    pub fn class(&self) -> Class {
        match self {
            Self::Source(_) => Class::Unavailable,
            Self::Libav(_) => Class::Internal,
        }
    }
}

/// A failure to decode. Damaged packets are counted instead.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The linked libav cannot decode it.
    #[error("no decoder for `{codec}`")]
    NoDecoder {
        /// libav's name of the codec.
        codec: String,
    },
    /// The decoder refused its parameters.
    #[error("opening the decoder of `{codec}`")]
    Open {
        /// libav's name of the codec.
        codec: String,
        /// What libav said.
        source: LibavError,
    },
    /// A picture's layout cannot be converted.
    #[error("converting a decoded picture to yuv420p")]
    Convert(#[source] LibavError),
    /// libav failed for a reason that is not the input's.
    #[error("libav")]
    Libav(#[source] LibavError),
}

impl DecodeError {
    /// Returns who has to act.
    pub fn class(&self) -> Class {
        match self {
            Self::NoDecoder { .. } | Self::Open { .. } | Self::Convert(_) => Class::Invalid,
            Self::Libav(_) => Class::Internal,
        }
    }
}

/// A failure to encode.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The linked libav has no encoder of that name.
    #[error("no encoder named `{codec}`")]
    NoEncoder {
        /// The name asked for.
        codec: String,
    },
    /// The encoder does not take the layout.
    #[error("encoder `{codec}` takes no `{format}`")]
    Format {
        /// The encoder.
        codec: String,
        /// libav's name of the layout.
        format: &'static str,
    },
    /// Chroma at half size needs even sides, or the size is zero or beyond libav's range.
    #[error("encoder `{codec}` takes no picture of {width}x{height} in `{format}`")]
    Size {
        /// The encoder.
        codec: String,
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// libav's name of the layout.
        format: &'static str,
    },
    /// The time base has a part that is not above zero.
    #[error("time base `{0}` is not above zero")]
    TimeBase(Rational),
    /// The encoder does not know an option.
    #[error("encoder `{codec}` has no option `{option}`")]
    Option {
        /// The encoder.
        codec: String,
        /// The option.
        option: String,
    },
    /// The encoder refused its configuration.
    #[error("opening encoder `{codec}`")]
    Open {
        /// The encoder.
        codec: String,
        /// What libav said.
        source: LibavError,
    },
    /// A picture of another shape than the encoder was opened for.
    #[error("picture is `{got}`, encoder takes `{want}`", got = Shape(*got), want = Shape(*want))]
    Shape {
        /// The picture's layout, width and height.
        got: (PixelFormat, u32, u32),
        /// The encoder's.
        want: (PixelFormat, u32, u32),
    },
    /// Timestamps have to rise.
    #[error("timestamp `{pts}` does not follow `{last}`")]
    Order {
        /// The picture's.
        pts: i64,
        /// The one before.
        last: i64,
    },
    /// The encoder failed.
    #[error("encoding the picture at `{pts}`")]
    Picture {
        /// The picture's timestamp.
        pts: i64,
        /// What libav said.
        source: LibavError,
    },
    /// A picture came after the end.
    #[error("picture at `{pts}` comes after the end")]
    Finished {
        /// The picture's timestamp.
        pts: i64,
    },
    /// libav failed otherwise.
    #[error("libav")]
    Libav(#[source] LibavError),
}

struct Shape((PixelFormat, u32, u32));

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (format, width, height) = self.0;
        write!(f, "{width}x{height} {}", format.name())
    }
}

impl EncodeError {
    /// Returns who has to act.
    pub fn class(&self) -> Class {
        match self {
            Self::NoEncoder { .. }
            | Self::Format { .. }
            | Self::Size { .. }
            | Self::TimeBase(_)
            | Self::Option { .. }
            | Self::Open { .. }
            | Self::Shape { .. }
            | Self::Order { .. } => Class::Invalid,
            Self::Picture { .. } | Self::Finished { .. } | Self::Libav(_) => Class::Internal,
        }
    }
}

/// A failure to mux.
#[derive(Debug, thiserror::Error)]
pub enum MuxError {
    /// The container cannot carry the codec.
    #[error("`{container}` carries no {kind} in codec `{codec}`")]
    Codec {
        /// The container.
        container: &'static str,
        /// `video` or `audio`.
        kind: &'static str,
        /// libav's name of the codec.
        codec: String,
    },
    /// The container's header needs what the track does not tell.
    #[error("{kind} track in codec `{codec}` has no {missing} yet")]
    Incomplete {
        /// `video` or `audio`.
        kind: &'static str,
        /// libav's name of the codec.
        codec: String,
        /// What is missing.
        missing: &'static str,
    },
    /// A packet for a track that was not announced.
    #[error("no track {track} in the output ({tracks} tracks)")]
    NoTrack {
        /// The track asked for.
        track: usize,
        /// How many there are.
        tracks: usize,
    },
    /// A packet without any timestamp.
    #[error("packet of track {track} has no timestamp")]
    NoTimestamp {
        /// Its track.
        track: usize,
    },
    /// The output file cannot be made or moved into place.
    #[error("writing `{path}`")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The writer failed.
    #[error("writing the output")]
    Sink(#[source] io::Error),
    /// libav failed.
    #[error("muxing `{container}`")]
    Libav {
        /// The container.
        container: &'static str,
        /// What libav said.
        source: LibavError,
    },
}

impl MuxError {
    /// Returns who has to act.
    pub fn class(&self) -> Class {
        match self {
            Self::Codec { .. } | Self::Incomplete { .. } | Self::NoTimestamp { .. } => {
                Class::Invalid
            }
            Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Class::NotFound
            }
            Self::File { .. } | Self::Sink(_) => Class::Unavailable,
            Self::NoTrack { .. } | Self::Libav { .. } => Class::Internal,
        }
    }
}
