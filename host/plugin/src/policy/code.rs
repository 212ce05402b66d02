//! A loaded component of a policy world: compiled, linked, described, and ready to be instantiated.
//!
//! What differs between the worlds is behind [`Guest`]; how a component gets here does not.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{Component, InstancePre, Linker};

use crate::engine::PolicyEngine;
use crate::fault::{Fault, Identity};
use crate::grants::Grants;
use crate::info::{PluginInfo, SetupError};
use crate::limits::{Limits, Pace, Places};
use crate::load::{self, LoadError};
use crate::manifest::{Manifest, World};
use crate::policy::instance::Instance;
use crate::policy::slot::Standing;
use crate::policy::state::PolicyState;
use crate::snapshot::Snapshot;
use crate::wasi;

/// The generated bindings of one policy world.
pub(super) trait Guest: Sized {
    /// The world.
    const WORLD: World;
    /// A component that is linked and not instantiated.
    type Pre;

    /// Adds what the world imports.
    fn add_to_linker(linker: &mut Linker<PolicyState>) -> wasmtime::Result<()>;
    /// Finds the exports of a linked component.
    fn pre(linked: InstancePre<PolicyState>) -> wasmtime::Result<Self::Pre>;
    /// Makes an instance.
    fn instantiate(pre: &Self::Pre, store: &mut Store<PolicyState>) -> wasmtime::Result<Self>;
    /// Calls `describe`.
    fn describe(&self, store: &mut Store<PolicyState>) -> wasmtime::Result<PluginInfo>;
    /// Calls `prepare`.
    fn prepare(
        &self,
        store: &mut Store<PolicyState>,
        config: &str,
    ) -> wasmtime::Result<Result<(), SetupError>>;
}

/// A loaded component.
pub(super) struct Code<G: Guest> {
    engine: PolicyEngine,
    pre: G::Pre,
    pub(super) who: Arc<Identity>,
    limits: Limits,
    places: Arc<Places>,
    pub(super) info: PluginInfo,
    /// Whether it is asked; shared by all that is prepared from it.
    pub(super) standing: Arc<Standing>,
}

impl<G: Guest> Code<G> {
    /// Compiles a component, checks that it fits, and describes it.
    pub(super) fn load(
        engine: &PolicyEngine,
        manifest: &Manifest,
        bytes: &[u8],
        limits: Limits,
    ) -> Result<Self, LoadError> {
        let (component, who) =
            load::component(engine.loading(), manifest, bytes, G::WORLD, &Grants::default())?;
        let linked = linker::<G>(engine, &component);
        let linked = linked.and_then(|linker| linker.instantiate_pre(&component));
        let pre = linked.and_then(G::pre);
        let pre = pre.map_err(|error| load::does_not_fit(&who, G::WORLD, &error))?;
        let limits = limits.lowered_by(&manifest.limits);
        let who = Arc::new(who);
        let info = PluginInfo::default();
        let places = Places::new(&limits);
        let standing = Arc::new(Standing::new(Identity::clone(&who)));
        let code = Self { engine: engine.clone(), pre, who, limits, places, info, standing };
        let mut instance = code.instantiate(Arc::new(Snapshot::empty()))?;
        let info =
            instance.call("describe", Pace::Setup, |_| {}, |guest, store| guest.describe(store))?;
        load::check_name(&code.who, &info)?;
        Ok(Self { info, ..code })
    }

    fn instantiate(&self, snapshot: Arc<Snapshot>) -> Result<Instance<G>, Fault> {
        let engine = &self.engine.engine;
        let instantiate = |store: &mut Store<PolicyState>| G::instantiate(&self.pre, store);
        Instance::new(engine, &self.who, (self.limits, &self.places), snapshot, instantiate)
    }

    /// Makes an instance for `snapshot` and has it prepare with `config`.
    pub(super) fn prepare(
        &self,
        snapshot: Arc<Snapshot>,
        config: &str,
    ) -> Result<Result<Instance<G>, SetupError>, Fault> {
        let mut instance = self.instantiate(snapshot)?;
        let prepared = instance.call(
            "prepare",
            Pace::Setup,
            |_| {},
            |guest, store| guest.prepare(store, config),
        )?;
        Ok(prepared.map(|()| instance))
    }
}

fn linker<G: Guest>(
    engine: &PolicyEngine,
    component: &Component,
) -> wasmtime::Result<Linker<PolicyState>> {
    let mut linker = Linker::new(&engine.engine);
    wasi::add_to_linker(&mut linker, component)?;
    G::add_to_linker(&mut linker)?;
    Ok(linker)
}
