//! Pipelines: one component instance for one session, called once a frame on the session's thread.
//!
//! **Invariant:** the host of a session outlives a fault of its component, so that the session can
//! close what it opened.

mod bounds;
mod budget;
mod granted;
pub mod host;
mod instance;
mod link;
mod ops;
mod resources;
mod state;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use crate::engine::PipelineEngine;
use crate::fault::{Fault, Identity};
use crate::grants::{Allowed, Grants};
use crate::info::PluginInfo;
use crate::limits::{Limit, Limits, Places};
use crate::load::{self, LoadError};
use crate::manifest::{Manifest, World};
use granted::Opened;
use host::PipelineHost;
pub use instance::{Answer, FrameError, FrameTiming, PipelineInstance, SavedState, StopReason};
use link::Linked;

/// A loaded pipeline. Cheap to clone.
#[derive(Clone)]
pub struct Pipeline {
    code: Arc<Code>,
}

struct Code {
    engine: PipelineEngine,
    linked: Linked,
    who: Arc<Identity>,
    digest: String,
    limits: Limits,
    places: Arc<Places>,
    granted: Grants,
    store: Arc<Opened>,
    layouts: Vec<String>,
}

impl PipelineEngine {
    /// Loads the plugin in `folder` under the default limits, with nothing granted. Takes from 20
    /// ms to seconds.
    pub fn load(&self, folder: &Path) -> Result<Pipeline, LoadError> {
        self.load_with(folder, Limits::pipeline(), &Allowed::default())
    }

    /// Loads the plugin in `folder` under `limits` with what is allowed. Takes from 20 ms to
    /// seconds.
    pub fn load_with(
        &self,
        folder: &Path,
        limits: Limits,
        allowed: &Allowed,
    ) -> Result<Pipeline, LoadError> {
        let (manifest, bytes) = load::read_folder(folder)?;
        Pipeline::load(self, &manifest, &bytes, limits, allowed)
    }
}

impl Pipeline {
    /// Compiles a component, checks that it fits with what is granted, and describes it. Takes from
    /// 20 ms to seconds.
    pub fn load(
        engine: &PipelineEngine,
        manifest: &Manifest,
        bytes: &[u8],
        limits: Limits,
        allowed: &Allowed,
    ) -> Result<Self, LoadError> {
        let world = World::Pipeline;
        let (component, who) =
            load::component(engine.loading(), manifest, bytes, world, &allowed.grants)?;
        let granted = manifest.grants.and(&allowed.grants);
        let linked = Linked::new(engine, &component, &granted);
        let linked = linked.map_err(|error| load::does_not_fit(&who, world, &error))?;
        let store = granted::open_store(&manifest.id, &granted, allowed.stores.as_ref());
        let limits = limits.lowered_by(&manifest.limits);
        let code = Code {
            engine: engine.clone(),
            linked,
            digest: who.digest.to_string(),
            who: Arc::new(who),
            limits,
            places: Places::new(&limits),
            granted,
            store: Arc::new(store),
            layouts: manifest.state_layouts.clone(),
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
        let Code { engine, linked, who, limits, places, store, .. } = &*self.code;
        let limits = limits.at_most(Limit::FrameBudget, budget_us);
        PipelineInstance::new(engine, linked, who, (limits, places), host, store)
    }

    /// Returns the limits that hold for it: the operator's, lowered by what it asks for.
    pub fn limits(&self) -> &Limits {
        &self.code.limits
    }

    /// Returns what both sides grant.
    pub fn granted(&self) -> &Grants {
        &self.code.granted
    }

    /// Returns whether this version reads states of `layout`.
    pub fn reads(&self, layout: &str) -> bool {
        self.code.layouts.iter().any(|known| known == layout)
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
