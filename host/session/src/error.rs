//! Why a session ends before its input does.

use domain::Class;
use plugin::{Fault, SetupError};
use worker::message::{Failure, FaultFacts};

/// Why a session failed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The input is not what a live pipeline can work on.
    #[error("opening the input")]
    Open(#[source] media::OpenError),
    /// The input cannot be read on.
    #[error("reading the input")]
    Read(#[from] media::ReadError),
    /// The input cannot be decoded.
    #[error("decoding the input")]
    Decode(#[from] media::DecodeError),
    /// Nothing in the input could be decoded.
    #[error("no picture of the input could be decoded ({errors} decoder errors)")]
    NoPicture {
        /// How often the decoder refused.
        errors: u64,
    },
    /// The input changed its size or format on the way.
    #[error("the input changed from {was} to {now}")]
    InputChanged {
        /// As it began.
        was: String,
        /// As it is.
        now: String,
    },
    /// The plugin could not be loaded.
    #[error("loading the plugin in `{folder}`")]
    Load {
        /// Where it is.
        folder: String,
        /// Why not.
        #[source]
        source: plugin::LoadError,
    },
    /// The parent's limits are none. Both are one program, so this is a fault of ours.
    #[error("reading the plugin's limits: {0}")]
    Limits(String),
    /// The plugin refused the session or its parameters.
    #[error("plugin `{plugin}` refused the session")]
    Setup {
        /// Its id.
        plugin: String,
        /// Why.
        #[source]
        source: SetupError,
    },
    /// The plugin faulted.
    #[error("plugin fault")]
    Fault(#[source] Box<Fault>),
    /// The device failed.
    #[error("working on `{device}`")]
    Device {
        /// Its name.
        device: String,
        /// How.
        #[source]
        source: device::DeviceError,
    },
    /// Pictures could not be encoded.
    #[error("encoding the output")]
    Encode(#[from] media::EncodeError),
    /// The output could not be packed.
    #[error("packing the output")]
    Mux(#[from] media::MuxError),
    /// A picture for the encoder did not come back to host memory.
    #[error("a picture for the encoder is not in host memory")]
    NotHost,
    /// A thread of the session is gone without a word.
    #[error("the session's {0} thread panicked")]
    Panicked(&'static str),
    /// The session was aborted, or the parent is gone.
    #[error("the session was aborted")]
    Aborted,
}

impl SessionError {
    /// Returns the class of the error.
    pub fn class(&self) -> Class {
        match self {
            Self::Open(error) => error.class(),
            Self::Read(error) => error.class(),
            Self::Decode(error) => error.class(),
            Self::Encode(error) => error.class(),
            Self::Mux(error) => error.class(),
            Self::NoPicture { .. } | Self::InputChanged { .. } => Class::Invalid,
            Self::Load { source, .. } => source.class(),
            Self::Setup { source, .. } => source.class(),
            Self::Fault(fault) => fault.class(),
            Self::Device { source, .. } => source.class(),
            Self::Limits(_) | Self::Panicked(_) | Self::NotHost => Class::Internal,
            Self::Aborted => Class::Cancelled,
        }
    }

    /// Returns what the parent is told.
    pub fn failure(&self) -> Failure {
        let fault = match self {
            Self::Fault(fault) => Some(facts(fault)),
            _ => None,
        };
        Failure { class: self.class().name().to_owned(), message: domain::chain(self), fault }
    }
}

/// Returns what the parent is told of a fault.
pub(crate) fn facts(fault: &Fault) -> FaultFacts {
    FaultFacts {
        kind: fault.kind.name().to_owned(),
        plugin: fault.plugin.clone(),
        version: fault.version.clone(),
        digest: fault.digest.to_string(),
        call: fault.call.to_owned(),
        at: fault.backtrace.first().cloned().unwrap_or_default(),
    }
}
