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
                Self::InvalidConfig { path, message }
            }
            types::SetupError::Missing(name) => Self::Missing(name),
            types::SetupError::Unsupported(what) => Self::Unsupported(what),
            types::SetupError::Internal(text) => Self::Internal(text),
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
