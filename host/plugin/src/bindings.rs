//! Bindings of the three worlds, generated from `wit/`. Types that worlds share are generated once.
//! Nothing of this leaves the crate. What policies import may trap: their host functions use fuel.
//!
//! Every call, either way, is a span of level `trace` with the names of interface and function.
//! Nobody listens to it in production; it is how the conformance run knows what was really called.

pub(crate) mod selection {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "framegate:plugin/selection-policy",
        imports: { default: trappable | tracing },
        exports: { default: tracing },
    });
}

pub(crate) mod pricing {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "framegate:plugin/pricing-rule",
        imports: { default: trappable | tracing },
        exports: { default: tracing },
        with: {
            "framegate:common/types@0.1.0": super::selection::framegate::common::types,
            "framegate:policy/scope@0.1.0": super::selection::framegate::policy::scope,
            "framegate:policy/job-details@0.1.0": super::selection::framegate::policy::job_details,
        },
    });
}

pub(crate) mod pipeline {
    wasmtime::component::bindgen!({
        path: "../../wit",
        // Grants and optional exports are linked one by one: see `pipeline::link`.
        world: "framegate:plugin/pipeline-full",
        imports: { default: tracing },
        exports: { default: tracing },
        with: {
            "framegate:common/types@0.1.0": super::selection::framegate::common::types,
        },
    });
}

pub(crate) use selection::framegate::common::types;

use crate::info::{PluginInfo, SetupError};
use crate::job::Urgency;

/// Bytes of a text in a refusal, as of a log message: it goes to logs and to clients.
const REFUSAL_BYTES_MAX: usize = 4096;

impl From<types::PluginInfo> for PluginInfo {
    fn from(info: types::PluginInfo) -> Self {
        Self {
            name: info.name,
            version: info.version,
            summary: info.summary,
            config_schema: info.config_schema,
            reasons: info.reasons,
        }
    }
}

impl From<types::SetupError> for SetupError {
    fn from(error: types::SetupError) -> Self {
        match error {
            types::SetupError::InvalidConfig(types::ConfigError { path, message }) => {
                Self::InvalidConfig { path: cut(path), message: cut(message) }
            }
            types::SetupError::Missing(name) => Self::Missing(cut(name)),
            types::SetupError::Unsupported(what) => Self::Unsupported(cut(what)),
            types::SetupError::Internal(text) => Self::Internal(cut(text)),
        }
    }
}

impl From<Urgency> for types::Urgency {
    fn from(urgency: Urgency) -> Self {
        match urgency {
            Urgency::Live => Self::Live,
            Urgency::Interactive => Self::Interactive,
            Urgency::Batch => Self::Batch,
        }
    }
}

/// Shortens a text that goes to logs and clients.
fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(REFUSAL_BYTES_MAX));
    text
}

#[cfg(test)]
#[test]
fn a_refusal_is_cut_to_what_a_log_line_holds() {
    let refused = SetupError::from(types::SetupError::Internal("\u{e9}".repeat(3_000)));
    let SetupError::Internal(text) = refused else { panic!("{refused:?}") };
    assert_eq!((text.len(), text.chars().count()), (4_096, 2_048));
}
