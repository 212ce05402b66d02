//! Bindings of the three worlds, generated from `wit/`. Types that worlds share are generated once.
//! Nothing of this leaves the crate. What policies import may trap: their host functions use fuel.

pub(crate) mod selection {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "framegate:plugin/selection-policy",
        imports: { default: trappable },
    });
}

pub(crate) mod pricing {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "framegate:plugin/pricing-rule",
        imports: { default: trappable },
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
        world: "framegate:plugin/pipeline",
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
