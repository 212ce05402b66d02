//! `[log]`: what is written to standard error, and how.

use serde::{Deserialize, Serialize};

use super::section::section;

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

section! {
    /// What is written to standard error.
    Log {
        /// Level (`error`, `warn`, `info`, `debug`, `trace`), or levels by module such as
        /// `"info,gateway=debug"`.
        level: String = "info".to_owned();
        /// `"text"` or `"json"`, one object a line.
        format: Format = Format::Text;
    }
}
