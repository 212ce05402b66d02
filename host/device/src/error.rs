//! What goes wrong with devices: opening one, and working on one. Each error states a fact with its
//! operands and has a class; what to do about it is decided elsewhere.

use domain::Class;
use domain::planes::{Owner, PixelFormat};

use crate::simd::SimdLevel;

/// Why a device could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The name is none that exists.
    #[error("no device is called `{name}` (`auto`, `cpu`, `cpu-0`, `cuda`, `cuda-0` and so on)")]
    UnknownName {
        /// What was asked for.
        name: String,
    },
    /// The machine has no CUDA driver.
    #[error("opening `{name}`: no CUDA driver, `libcuda.so.1` was not found (tried {tried})")]
    NoDriver {
        /// What was asked for.
        name: String,
        /// Library names that were tried.
        tried: String,
    },
    /// The driver is there and too old, or not whole.
    #[error("opening `{name}`: `libcuda.so.1` is there, but has no function `{function}`")]
    OldDriver {
        /// What was asked for.
        name: String,
        /// The function that is missing.
        function: &'static str,
    },
    /// The driver is there and has no such card.
    #[error("opening `{name}`: `libcuda.so.1` is there, but has no such card: {fact}")]
    NoCard {
        /// What was asked for.
        name: String,
        /// What the driver said.
        fact: String,
    },
    /// The driver is there and does not give the card.
    #[error("opening `{name}`: `libcuda.so.1` is there, but {attempt} failed: {fact}")]
    Driver {
        /// What was asked for.
        name: String,
        /// What was attempted.
        attempt: &'static str,
        /// What the driver said.
        fact: String,
    },
    /// A dispatch level was asked for that the CPU lacks.
    #[error("this CPU lacks `{level}` (it has up to `{best}`)")]
    NoSuchLevel {
        /// What was asked for.
        level: SimdLevel,
        /// The highest level it has.
        best: SimdLevel,
    },
    /// The threads of the CPU backend could not be started.
    #[error("starting thread {index} of {threads} for `cpu-0`")]
    Threads {
        /// Which one failed, from 1.
        index: usize,
        /// How many were asked for.
        threads: usize,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl OpenError {
    /// Returns the class of the error.
    pub const fn class(&self) -> Class {
        match self {
            Self::UnknownName { .. } | Self::NoSuchLevel { .. } => Class::Invalid,
            Self::NoDriver { .. }
            | Self::OldDriver { .. }
            | Self::NoCard { .. }
            | Self::Driver { .. } => Class::Unavailable,
            Self::Threads { .. } => Class::Exhausted,
        }
    }
}

/// Why a stream could not do something with pictures.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// A stream's memory is used up.
    #[error(
        "`stream.memory-bytes` of `{device}` is used up ({used} of {limit} bytes, {asked} more asked)"
    )]
    Exhausted {
        /// Whose memory.
        device: String,
        /// The limit in bytes.
        limit: usize,
        /// Bytes in use.
        used: usize,
        /// Bytes that were asked for on top.
        asked: usize,
    },
    /// The device itself has no memory left.
    #[error("`{device}` has no {asked} bytes of memory left")]
    OutOfMemory {
        /// Which device.
        device: String,
        /// Bytes that were asked for.
        asked: usize,
    },
    /// An op got the wrong number of pictures.
    #[error("`{op}` takes {expected} pictures, not {given}")]
    PictureCount {
        /// The op.
        op: &'static str,
        /// What it takes.
        expected: usize,
        /// What it got.
        given: usize,
    },
    /// Pictures that must be alike are not.
    #[error("`{op}` of `{first}` and `{second}`: {what} must be equal")]
    Unlike {
        /// The op.
        op: &'static str,
        /// What differs.
        what: &'static str,
        /// Format and size of the first picture.
        first: String,
        /// Format and size of the second picture.
        second: String,
    },
    /// A format that an op does not take.
    #[error("`{op}` takes no `{}`", .given.name())]
    Format {
        /// The op.
        op: &'static str,
        /// What it was given.
        given: PixelFormat,
    },
    /// A number of ops outside what a graph has.
    #[error("a graph of more than {limit} ops")]
    GraphFull {
        /// The most it has.
        limit: usize,
    },
    /// A size outside what a picture may have.
    #[error("a picture of `{width}x{height}` (1 to {max} pixels a side)")]
    Size {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// The most of either.
        max: u32,
    },
    /// An argument outside what an op takes.
    #[error("`{op}`: {what} is `{given}` ({range})")]
    Argument {
        /// The op.
        op: &'static str,
        /// Which argument.
        what: &'static str,
        /// What it was.
        given: String,
        /// What it may be.
        range: &'static str,
    },
    /// A picture lies in memory that the stream's device cannot work on.
    #[error("`{device}` cannot work on a picture in `{}`", memory_name(.given))]
    Elsewhere {
        /// The stream's device.
        device: String,
        /// Where the picture lies.
        given: Owner,
    },
    /// A picture made by another stream.
    #[error("a picture of another stream")]
    OtherStream,
    /// Planes that do not describe a picture.
    #[error("plane {plane} of a `{format}` picture has pitch {pitch} (row of {row} bytes) at {address:#x}", format = .format.name())]
    Plane {
        /// Layout.
        format: PixelFormat,
        /// Which plane.
        plane: usize,
        /// Bytes from row to row.
        pitch: usize,
        /// Bytes in a row.
        row: usize,
        /// Where it lies.
        address: u64,
    },
    /// Pixels were asked for that are not in host memory, or not yet.
    #[error("the pixels of this picture are not in host memory yet")]
    NotReady,
    /// A call of the device's driver failed.
    #[error("{attempt} on `{device}` failed: {fact}")]
    Driver {
        /// Which device.
        device: String,
        /// What was attempted.
        attempt: &'static str,
        /// What the driver said.
        fact: String,
    },
}

impl DeviceError {
    /// Returns the class of the error.
    pub const fn class(&self) -> Class {
        match self {
            Self::Exhausted { .. } | Self::OutOfMemory { .. } | Self::GraphFull { .. } => {
                Class::Exhausted
            }
            Self::PictureCount { .. }
            | Self::Unlike { .. }
            | Self::Format { .. }
            | Self::Size { .. }
            | Self::Argument { .. }
            | Self::Elsewhere { .. }
            | Self::OtherStream
            | Self::Plane { .. } => Class::Invalid,
            Self::NotReady => Class::Conflict,
            Self::Driver { .. } => Class::Unavailable,
        }
    }
}

fn memory_name(owner: &Owner) -> String {
    match owner {
        Owner::Host => "host memory".to_owned(),
        Owner::Cuda(ordinal) => format!("the memory of cuda-{ordinal}"),
    }
}
