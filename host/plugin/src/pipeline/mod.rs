//! Pipelines: one component instance for one session, called once a frame on the session's thread.
//!
//! **Invariant:** the host of a session outlives a fault of its component, so that the session can
//! close what it opened.

mod budget;
pub mod host;
mod instance;
mod ops;
mod resources;
mod state;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{HasSelf, Linker};

use crate::bindings::pipeline::{Pipeline as Guest, PipelinePre};
pub use crate::engine::PipelineEngine;
use crate::fault::{Fault, Identity};
use crate::info::PluginInfo;
use crate::limits::{Limit, Limits, Places};
use crate::load::{self, LoadError};
use crate::manifest::{Manifest, World};
use crate::wasi;
use host::PipelineHost;
pub use instance::{Answer, FrameError, FrameTiming, PipelineInstance, StopReason};
use state::PipelineState;

/// A loaded pipeline. Cheap to clone.
#[derive(Clone)]
pub struct Pipeline {
    code: Arc<Code>,
}

struct Code {
    engine: PipelineEngine,
    pre: PipelinePre<PipelineState>,
    who: Arc<Identity>,
    digest: String,
    limits: Limits,
    places: Arc<Places>,
}

impl PipelineEngine {
    /// Loads the plugin in `folder` under the default limits. Takes from 20 ms to seconds.
    pub fn load(&self, folder: &Path) -> Result<Pipeline, LoadError> {
        self.load_within(folder, Limits::pipeline())
    }

    /// Loads the plugin in `folder` under `limits`. Takes from 20 ms to seconds.
    pub fn load_within(&self, folder: &Path, limits: Limits) -> Result<Pipeline, LoadError> {
        let (manifest, bytes) = load::read_folder(folder)?;
        Pipeline::load(self, &manifest, &bytes, limits)
    }
}

impl Pipeline {
    /// Compiles a component, checks that it fits, and describes it. Takes from 20 ms to seconds.
    pub fn load(
        engine: &PipelineEngine,
        manifest: &Manifest,
        bytes: &[u8],
        limits: Limits,
    ) -> Result<Self, LoadError> {
        let (component, who) = load::compile(&engine.engine, manifest, bytes, World::Pipeline)?;
        let linked = linker(engine).and_then(|linker| linker.instantiate_pre(&component));
        let pre = linked.and_then(PipelinePre::new);
        let pre = pre.map_err(|error| load::does_not_fit(&who, World::Pipeline, &error))?;
        let limits = limits.lowered_by(&manifest.limits);
        let code = Code {
            engine: engine.clone(),
            pre,
            digest: who.digest.to_string(),
            who: Arc::new(who),
            limits,
            places: Places::new(&limits),
        };
        let pipeline = Self { code: Arc::new(code) };
        load::check_name(&pipeline.code.who, &pipeline.describe()?)?;
        Ok(pipeline)
    }

    /// Asks an instance of its own what the plugin says of itself.
    pub fn describe(&self) -> Result<PluginInfo, Fault> {
        let budget = self.code.limits.time(Limit::FrameBudget);
        self.instantiate(Box::new(host::Nothing::default()), budget)?.describe()
    }

    /// Makes an instance for one session. `frame_budget` is the guest time of one `on-frame`, where
    /// it is below that of the limits.
    pub fn instantiate(
        &self,
        host: Box<dyn PipelineHost>,
        frame_budget: Duration,
    ) -> Result<PipelineInstance, Fault> {
        let budget_us = u64::try_from(frame_budget.as_micros()).unwrap_or(u64::MAX);
        let Code { engine, pre, who, limits, places, .. } = &*self.code;
        let limits = limits.at_most(Limit::FrameBudget, budget_us);
        PipelineInstance::new(engine, pre, who, (limits, places), host)
    }

    /// Returns the limits that hold for it: the operator's, lowered by what it asks for.
    pub fn limits(&self) -> &Limits {
        &self.code.limits
    }

    /// Returns the plugin's id.
    pub fn id(&self) -> &str {
        &self.code.who.plugin
    }

    /// Returns the digest of the component's bytes, `sha256:` and 64 hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.code.digest
    }

    /// Returns id, version and digest.
    pub fn identity(&self) -> &Identity {
        &self.code.who
    }
}

fn linker(engine: &PipelineEngine) -> wasmtime::Result<Linker<PipelineState>> {
    let mut linker = Linker::new(&engine.engine);
    wasi::add_to_linker(&mut linker)?;
    Guest::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    Ok(linker)
}
