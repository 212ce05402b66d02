//! The component engine without `host/plugin`: what every call through it is held against.
//!
//! **Invariant:** the configuration is the production one, setting for setting, so that the ratio
//! is what our code adds and not what a switch costs.

use std::fs;
use std::path::Path;

use plugin::Manifest;
use wasmtime::component::{
    Component, ComponentType, Instance, InstancePre, Lift, Linker, Lower, TypedFunc, Val,
};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Store,
};

use super::Skipped;

/// What a selection policy exports.
pub(super) const INTERFACE: &str = "framegate:policy/selection@0.1.0";

/// Guest stack, pool sizes and the like: as `plugin::engine` has them.
const STACK_BYTES: usize = 512 << 10;
const MEMORY_BYTES_MAX: usize = 256 << 20;
const INSTANCES: u32 = 1_100;

impl From<wasmtime::Error> for Skipped {
    fn from(error: wasmtime::Error) -> Self {
        Self(format!("bare engine: {error:#}"))
    }
}

/// `keep` bytes of a memory stay resident when its slot is free.
fn common(keep: usize) -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.concurrency_support(false);
    config.wasm_memory64(false);
    config.cranelift_opt_level(OptLevel::Speed);
    config.max_wasm_stack(STACK_BYTES);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(INSTANCES)
        .total_core_instances(INSTANCES * 8)
        .total_memories(INSTANCES * 2)
        .total_tables(INSTANCES * 4)
        .max_memory_size(MEMORY_BYTES_MAX)
        .linear_memory_keep_resident(keep)
        .pagemap_scan(Enabled::Auto);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

fn policy_config() -> Config {
    let mut config = common(1 << 20);
    config.consume_fuel(true);
    config.cranelift_nan_canonicalization(true);
    config.wasm_relaxed_simd(false);
    config
}

fn compile(config: &Config, folder: &Path) -> Result<(Engine, Component), Skipped> {
    let manifest = Manifest::read(folder).map_err(|error| Skipped(error.to_string()))?;
    let bytes = fs::read(&manifest.component).map_err(|error| Skipped(error.to_string()))?;
    let engine = Engine::new(config)?;
    let component = Component::from_binary(&engine, &bytes)?;
    Ok((engine, component))
}

/// Makes an engine as that of policies.
pub(super) fn policy_engine() -> Result<Engine, Skipped> {
    Ok(Engine::new(&policy_config())?)
}

/// A component in a store of its own, with imports that trap unless they were given.
pub(super) struct Bare {
    pub(super) store: Store<()>,
    instance: Instance,
}

impl Bare {
    /// Instantiates the guest in `folder` as a policy: fuel, canonical NaNs.
    pub(super) fn policy(folder: &Path) -> Result<Self, Skipped> {
        Self::new(&policy_config(), folder, |_| Ok(()), |store| store.set_fuel(u64::MAX))
    }

    /// Makes an instance of a policy that was linked before, prepares it and asks it once.
    pub(super) fn of(pre: &InstancePre<()>) -> Result<Self, Skipped> {
        let mut store = Store::new(pre.engine(), ());
        store.set_fuel(u64::MAX)?;
        let instance = pre.instantiate(&mut store)?;
        let mut bare = Self { store, instance };
        bare.set_up(INTERFACE, "prepare", "")?;
        let pick =
            bare.typed::<(Job, u64, u64), (Result<Shortlist, Decline>,)>(INTERFACE, "pick")?;
        pick.call(&mut bare.store, (Job::default(), 0, 1))?
            .0
            .map_err(|_| Skipped("the guest declined".to_owned()))?;
        Ok(bare)
    }

    /// Compiles and links the guest in `folder` as a policy, and instantiates nothing.
    pub(super) fn policy_pre(folder: &Path) -> Result<InstancePre<()>, Skipped> {
        let (engine, component) = compile(&policy_config(), folder)?;
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&component)?;
        Ok(linker.instantiate_pre(&component)?)
    }

    /// Instantiates the guest in `folder` as a pipeline: epochs. `give` adds imports.
    pub(super) fn pipeline(
        folder: &Path,
        give: impl FnOnce(&mut Linker<()>) -> wasmtime::Result<()>,
    ) -> Result<Self, Skipped> {
        let mut config = common(256 << 10);
        config.epoch_interruption(true);
        config.wasm_relaxed_simd(true);
        config.relaxed_simd_deterministic(true);
        Self::new(&config, folder, give, |store| {
            // Nobody ticks here.
            store.set_epoch_deadline(u64::MAX / 2);
            Ok(())
        })
    }

    fn new(
        config: &Config,
        folder: &Path,
        give: impl FnOnce(&mut Linker<()>) -> wasmtime::Result<()>,
        arm: impl FnOnce(&mut Store<()>) -> wasmtime::Result<()>,
    ) -> Result<Self, Skipped> {
        let (engine, component) = compile(config, folder)?;
        let mut linker = Linker::new(&engine);
        linker.allow_shadowing(true);
        linker.define_unknown_imports_as_traps(&component)?;
        give(&mut linker)?;
        let mut store = Store::new(&engine, ());
        arm(&mut store)?;
        let instance = linker.instantiate(&mut store, &component)?;
        Ok(Self { store, instance })
    }

    /// Finds `function` of the exported `interface`.
    pub(super) fn typed<P, R>(
        &mut self,
        interface: &str,
        function: &str,
    ) -> Result<TypedFunc<P, R>, Skipped>
    where
        P: wasmtime::component::ComponentNamedList + Lower,
        R: wasmtime::component::ComponentNamedList + Lift,
    {
        let missing = || Skipped(format!("the guest exports no `{interface}` `{function}`"));
        let store = &mut self.store;
        let within = self.instance.get_export_index(&mut *store, None, interface);
        let within = within.ok_or_else(missing)?;
        let index = self.instance.get_export_index(&mut *store, Some(&within), function);
        let index = index.ok_or_else(missing)?;
        let found = self.instance.get_func(&mut *store, index).ok_or_else(missing)?;
        Ok(found.typed(&mut *store)?)
    }

    /// Calls the `function` that has to come first and takes one text: not what is measured.
    pub(super) fn set_up(
        &mut self,
        interface: &str,
        function: &str,
        text: &str,
    ) -> Result<(), Skipped> {
        let missing = || Skipped(format!("the guest exports no `{interface}` `{function}`"));
        let store = &mut self.store;
        let within = self.instance.get_export_index(&mut *store, None, interface);
        let within = within.ok_or_else(missing)?;
        let index = self.instance.get_export_index(&mut *store, Some(&within), function);
        let found = self.instance.get_func(&mut *store, index.ok_or_else(missing)?);
        let mut answer = [Val::Bool(false)];
        found.ok_or_else(missing)?.call(store, &[Val::String(text.to_owned())], &mut answer)?;
        match &answer[0] {
            Val::Result(Ok(_)) => Ok(()),
            refused => Err(Skipped(format!("the guest refused `{function}`: {refused:?}"))),
        }
    }
}

/// The contract's records, as far as they are called with.
#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "all cases of the contract are named")]
pub(super) enum Urgency {
    #[component(name = "live")]
    Live,
    #[component(name = "interactive")]
    Interactive,
    #[component(name = "batch")]
    Batch,
}

#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(super) struct Job {
    pub(super) urgency: Urgency,
    pub(super) tier: u32,
    pub(super) region: u32,
    pub(super) units: u64,
    #[component(name = "price-limit")]
    pub(super) price_limit: u64,
    #[component(name = "time-left-us")]
    pub(super) time_left_us: u32,
    pub(super) attempt: u32,
    pub(super) excluded: u32,
    pub(super) sticky: Option<u32>,
}

impl Default for Job {
    fn default() -> Self {
        Self {
            urgency: Urgency::Live,
            tier: 0,
            region: 0,
            units: 0,
            price_limit: u64::MAX,
            time_left_us: u32::MAX,
            attempt: 0,
            excluded: 0,
            sticky: None,
        }
    }
}

/// Why a guest refuses to be set up.
#[derive(Debug, Clone, ComponentType, Lift)]
#[component(variant)]
#[expect(dead_code, reason = "all cases of the contract are named")]
pub(super) enum SetupError {
    #[component(name = "invalid-config")]
    InvalidConfig(ConfigError),
    #[component(name = "missing")]
    Missing(String),
    #[component(name = "unsupported")]
    Unsupported(String),
    #[component(name = "internal")]
    Internal(String),
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
#[expect(dead_code, reason = "all fields of the contract are named")]
pub(super) struct ConfigError {
    path: String,
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub(super) struct Shortlist {
    pub(super) first: u32,
    pub(super) second: Option<u32>,
    pub(super) third: Option<u32>,
    pub(super) fourth: Option<u32>,
}

#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(variant)]
#[expect(dead_code, reason = "all cases of the contract are named")]
pub(super) enum Decline {
    #[component(name = "none-left")]
    NoneLeft,
    #[component(name = "too-expensive")]
    TooExpensive(u64),
    #[component(name = "no-capacity")]
    NoCapacity,
    #[component(name = "below-floor")]
    BelowFloor,
    #[component(name = "custom")]
    Custom(u32),
}

#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(super) struct FrameTiming {
    pub(super) sequence: u64,
    #[component(name = "pts-us")]
    pub(super) pts_us: i64,
    pub(super) backlog: u32,
    #[component(name = "slack-us")]
    pub(super) slack_us: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(variant)]
pub(super) enum Output {
    #[component(name = "pass")]
    Pass,
    #[component(name = "emit")]
    Emit(u32),
    #[component(name = "drop")]
    Drop,
    #[component(name = "repeat")]
    Repeat,
}

#[derive(Debug, Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "all cases of the contract are named")]
pub(super) enum FrameError {
    #[component(name = "skip")]
    Skip,
    #[component(name = "fatal")]
    Fatal,
}

#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "all cases of the contract are named")]
pub(super) enum ErrorClass {
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "denied")]
    Denied,
    #[component(name = "not-found")]
    NotFound,
    #[component(name = "conflict")]
    Conflict,
    #[component(name = "exhausted")]
    Exhausted,
    #[component(name = "unavailable")]
    Unavailable,
    #[component(name = "internal")]
    Internal,
}
