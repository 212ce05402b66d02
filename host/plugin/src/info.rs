//! What a plugin says of itself and how it refuses a document: plain values of every world.
//!
//! **Invariant:** these are the host's own types; generated ones stay inside the crate.

use std::fmt;

/// What a plugin says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginInfo {
    /// Lower-case words joined by hyphens; equals the manifest's `id`.
    pub name: String,
    /// Semantic version; equals the manifest's.
    pub version: String,
    /// One line for listings.
    pub summary: String,
    /// JSON Schema (draft 2020-12) of its configuration or parameters; `None`: it takes none.
    pub config_schema: Option<String>,
    /// Texts of the plugin's own reasons, by number; entry 0 is empty.
    pub reasons: Vec<String>,
}

/// Why a plugin refuses a configuration, parameters or a session. A refusal, not a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetupError {
    /// The document is wrong at one place.
    InvalidConfig {
        /// JSON Pointer; empty: the whole document.
        path: String,
        /// What is wrong and what would be accepted.
        message: String,
    },
    /// A grant, model, kernel or custom column it cannot do without, by name.
    Missing(String),
    /// This input cannot be served.
    Unsupported(String),
    /// Anything else, for the operator's log.
    Internal(String),
}

impl SetupError {
    /// Returns the class: who has to act.
    pub const fn class(&self) -> domain::Class {
        match self {
            Self::InvalidConfig { .. } | Self::Unsupported(_) => domain::Class::Invalid,
            Self::Missing(_) => domain::Class::Denied,
            Self::Internal(_) => domain::Class::PluginFault,
        }
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidConfig { path, message } if path.is_empty() => {
                write!(f, "the document is not accepted: {message}")
            }
            Self::InvalidConfig { path, message } => {
                write!(f, "`{path}` is not accepted: {message}")
            }
            Self::Missing(name) => write!(f, "`{name}` is missing"),
            Self::Unsupported(what) => write!(f, "the input is not supported: {what}"),
            Self::Internal(text) => write!(f, "the plugin gave up: {text}"),
        }
    }
}

impl std::error::Error for SetupError {}
