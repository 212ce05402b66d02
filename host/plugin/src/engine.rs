//! The two engines: how components are compiled and where their memory comes from.
//!
//! Policies run deterministically and are limited by fuel; pipelines run fast and are limited by
//! time. One engine cannot do both, and no plugin runs on two.
//!
//! Memories come from a pool, which reserves terabytes of address space without using them. Where
//! the process may not have so much (`ulimit -v`, some containers), or would have too little left,
//! each memory is reserved when it is needed instead. Code compiled for one does not run on the
//! other: how much is reserved decides which bounds checks it has, and that is part of the engine's
//! compatibility hash.
//!
//! **Invariant:** both are synchronous: nothing in them ever waits for a runtime.

use std::fmt;
use std::sync::Arc;

use rustix::process::{Resource, getrlimit};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
};

use crate::code::Loader;
use crate::grants::Grants;
use crate::limits::CORE_INSTANCES_MAX;
use crate::load::{self, LoadError};
use crate::manifest::Manifest;
use crate::tick::Ticker;

/// Instances at once in one process: a thousand sessions, or ready instances of every capability
/// for every thread of a large machine, twice while snapshots change, and some for `describe`.
/// Each costs address space; memory only once it is used.
const POOL_INSTANCES: u32 = 1_100;
/// The most that `limits.instances` can be raised to.
pub(crate) const INSTANCES_MAX: u64 = 1_024;
/// Core instances, memories and tables that a component takes: three to five of each in a Rust
/// build, more in a composed one.
const CORE_INSTANCES_EACH: u32 = 8;
const MEMORIES_EACH: u32 = 2;
const TABLES_EACH: u32 = 4;
/// The most that `limits.memory` can be raised to: what one pool slot can hold.
pub const MEMORY_BYTES_MAX: u64 = 256 << 20;
/// The most that `limits.table_elements` can be raised to.
pub(crate) const TABLE_ELEMENTS_MAX: u64 = 100_000;
/// Guard behind a memory that is reserved on demand; the pool's are larger.
const GUARD_BYTES: u64 = 64 << 10;
/// Address space reserved for a memory on demand: the memory limit unless configured. One that is
/// given more moves when it grows past this.
const RESERVATION_BYTES: u64 = 64 << 20;
/// Room to grow into of a memory that has moved.
const GROWTH_BYTES: u64 = 16 << 20;
/// Address space that a pool has to leave to the rest of the process: pictures of a worker's
/// sessions, threads' stacks and libraries come to less.
const LEFT_BYTES_MIN: u64 = 64 << 30;
/// Guest stack; an overflow is a clean trap.
pub(crate) const STACK_BYTES: usize = 512 << 10;

/// Why an engine could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The configuration does not work on this machine.
    #[error("making the `{engine}` engine: {reason}")]
    Config {
        /// Which engine.
        engine: &'static str,
        /// What the engine says.
        reason: String,
    },
    /// The tick's thread could not be started.
    #[error("starting the tick of the `pipeline` engine")]
    Tick(#[source] std::io::Error),
}

impl EngineError {
    /// Returns the class: always ours.
    pub const fn class(&self) -> domain::Class {
        domain::Class::Internal
    }
}

/// Which of the two engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineName {
    /// Selection policies and pricing rules.
    Policy,
    /// Pipelines.
    Pipeline,
}

/// Where memories come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// From slots that were reserved at the start.
    Pooling,
    /// Each by itself, where the address space is limited.
    OnDemand,
}

/// What code is compiled for: code of one set-up runs in no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineSetup {
    /// Which engine.
    pub engine: EngineName,
    /// Where its memories come from.
    pub allocation: Allocation,
}

impl EngineSetup {
    /// Every set-up there is.
    pub const ALL: [Self; 4] = [
        Self { engine: EngineName::Policy, allocation: Allocation::Pooling },
        Self { engine: EngineName::Policy, allocation: Allocation::OnDemand },
        Self { engine: EngineName::Pipeline, allocation: Allocation::Pooling },
        Self { engine: EngineName::Pipeline, allocation: Allocation::OnDemand },
    ];

    /// Returns the word for it on a command line.
    pub const fn name(self) -> &'static str {
        match (self.engine, self.allocation) {
            (EngineName::Policy, Allocation::Pooling) => "policy-pooling",
            (EngineName::Policy, Allocation::OnDemand) => "policy-on-demand",
            (EngineName::Pipeline, Allocation::Pooling) => "pipeline-pooling",
            (EngineName::Pipeline, Allocation::OnDemand) => "pipeline-on-demand",
        }
    }

    /// Returns the set-up of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|setup| setup.name() == name)
    }

    /// Makes an engine that compiles code for this set-up and runs none: it reserves no memory and
    /// has no tick.
    pub(crate) fn compiler(self) -> wasmtime::Result<Engine> {
        Engine::new(&self.config())
    }

    /// Returns everything that code depends on; the pool itself is not among it.
    fn config(self) -> Config {
        let mut config = common();
        match self.engine {
            EngineName::Policy => {
                config.consume_fuel(true);
                config.cranelift_nan_canonicalization(true);
                config.wasm_relaxed_simd(false);
            }
            EngineName::Pipeline => {
                config.epoch_interruption(true);
                config.wasm_relaxed_simd(true);
                config.relaxed_simd_deterministic(true);
            }
        }
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        if self.allocation == Allocation::OnDemand {
            config.memory_reservation(RESERVATION_BYTES);
            config.memory_reservation_for_growth(GROWTH_BYTES);
            config.memory_guard_size(GUARD_BYTES).guard_before_linear_memory(false);
        }
        config
    }
}

/// The engine of selection policies and pricing rules. Cheap to clone.
#[derive(Clone)]
pub struct PolicyEngine {
    pub(crate) engine: Engine,
    setup: EngineSetup,
    loader: Loader,
}

/// The engine of pipelines. Cheap to clone; its tick ends with the last clone.
#[derive(Clone)]
pub struct PipelineEngine {
    pub(crate) engine: Engine,
    pub(crate) ticker: Arc<Ticker>,
    setup: EngineSetup,
    loader: Loader,
}

impl PolicyEngine {
    /// Makes the engine. Takes milliseconds and reserves address space; once for a process.
    pub fn new() -> Result<Self, EngineError> {
        let mut pool = pool();
        // A policy is instantiated anew for every snapshot.
        pool.linear_memory_keep_resident(1 << 20).max_unused_warm_slots(32);
        let (engine, setup) = make(EngineName::Policy, pool)?;
        Ok(Self { engine, setup, loader: Loader::default() })
    }

    /// Loads by way of `loader` from now on; without one it compiles itself and keeps nothing.
    #[must_use]
    pub fn with_loader(self, loader: Loader) -> Self {
        Self { loader, ..self }
    }

    /// Gets executable code of a component and lets go of it: what the cache did not have, it has
    /// now, and nothing of the component has run.
    pub fn load_code(&self, manifest: &Manifest, bytes: &[u8]) -> Result<(), LoadError> {
        let nothing = Grants::default();
        load::component(self.loading(), manifest, bytes, manifest.world, &nothing).map(drop)
    }

    pub(crate) fn loading(&self) -> (&Engine, EngineSetup, &Loader) {
        (&self.engine, self.setup, &self.loader)
    }

    /// Returns the production configuration in one line, for benches and `version`.
    pub fn describe(&self) -> String {
        let pool = self.setup.allocation;
        format!(
            "wasmtime {} engine=policy sync fuel nan-canonical no-threads no-relaxed-simd \
             concurrency=off opt=speed {pool}",
            wasmtime_version(),
        )
    }
}

impl PipelineEngine {
    /// Makes the engine and starts its tick. Takes milliseconds; once for a process.
    pub fn new() -> Result<Self, EngineError> {
        let mut pool = pool();
        pool.linear_memory_keep_resident(256 << 10).max_unused_warm_slots(8);
        let (engine, setup) = make(EngineName::Pipeline, pool)?;
        let ticker = Arc::new(Ticker::start(&engine).map_err(EngineError::Tick)?);
        Ok(Self { engine, ticker, setup, loader: Loader::default() })
    }

    /// Loads by way of `loader` from now on; without one it compiles itself and keeps nothing.
    #[must_use]
    pub fn with_loader(self, loader: Loader) -> Self {
        Self { loader, ..self }
    }

    pub(crate) fn loading(&self) -> (&Engine, EngineSetup, &Loader) {
        (&self.engine, self.setup, &self.loader)
    }

    /// Returns the production configuration in one line, for benches and `version`.
    pub fn describe(&self) -> String {
        let pool = self.setup.allocation;
        format!(
            "wasmtime {} engine=pipeline sync epochs tick=1ms no-threads concurrency=off \
             opt=speed {pool}",
            wasmtime_version(),
        )
    }
}

/// Returns the version of the component engine.
pub const fn wasmtime_version() -> &'static str {
    "48.0.8"
}

fn common() -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    // A call costs 0.3 instead of 0.8 microseconds without it.
    config.concurrency_support(false);
    // Threads, garbage collection and stack switching are not compiled in.
    config.wasm_memory64(false);
    config.cranelift_opt_level(OptLevel::Speed);
    config.max_wasm_stack(STACK_BYTES);
    config
}

fn pool() -> PoolingAllocationConfig {
    let most = CORE_INSTANCES_MAX as u32;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(POOL_INSTANCES)
        .total_core_instances(POOL_INSTANCES * CORE_INSTANCES_EACH)
        .total_memories(POOL_INSTANCES * MEMORIES_EACH)
        .total_tables(POOL_INSTANCES * TABLES_EACH)
        .max_core_instances_per_component(most)
        .max_memories_per_component(most)
        .max_memories_per_module(most)
        .max_tables_per_module(most)
        .max_tables_per_component(most)
        .max_memory_size(MEMORY_BYTES_MAX as usize)
        .table_elements(TABLE_ELEMENTS_MAX as usize)
        // Where the kernel can tell which pages a guest wrote, a slot is cleared by writing those
        // alone, rather than the whole megabyte that a Rust guest begins with.
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Makes an engine on a pool, or on demand where the pool does not fit or leaves too little.
fn make(
    name: EngineName,
    pool: PoolingAllocationConfig,
) -> Result<(Engine, EngineSetup), EngineError> {
    let setup = EngineSetup { engine: name, allocation: Allocation::Pooling };
    let mut config = setup.config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    // The probe: the pool reserves all of its address space at once, or fails.
    if let Ok(engine) = Engine::new(&config)
        && address_space_left() >= LEFT_BYTES_MIN
    {
        return Ok((engine, setup));
    }
    let setup = EngineSetup { allocation: Allocation::OnDemand, ..setup };
    let engine = Engine::new(&setup.config()).map_err(|error| EngineError::Config {
        engine: match name {
            EngineName::Policy => "policy",
            EngineName::Pipeline => "pipeline",
        },
        reason: format!("{error:#}"),
    })?;
    Ok((engine, setup))
}

/// Returns how many bytes of address space this process may still reserve.
fn address_space_left() -> u64 {
    let Some(most) = getrlimit(Resource::As).current else { return u64::MAX };
    // Pages, of 4 KiB on every machine that this runs on.
    let sizes = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = sizes.split(' ').next().and_then(|size| size.parse::<u64>().ok()).unwrap_or(0);
    most.saturating_sub(pages.saturating_mul(4096))
}

impl fmt::Display for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pooling => write!(f, "allocation=pooling instances={POOL_INSTANCES}"),
            Self::OnDemand => {
                write!(f, "allocation=on-demand reservation={} MiB", RESERVATION_BYTES >> 20)
            }
        }
    }
}

#[cfg(test)]
#[test]
fn the_version_that_is_printed_is_the_one_that_is_locked() {
    let lock = include_str!("../../../Cargo.lock");
    let entry = format!("name = \"wasmtime\"\nversion = \"{}\"", wasmtime_version());
    assert!(lock.contains(&entry), "Cargo.lock has another version than {}", wasmtime_version());
}

#[cfg(test)]
#[test]
fn an_engine_that_only_compiles_makes_code_for_the_one_that_runs() {
    use crate::code::CodeKey;
    use crate::manifest::World;

    for (engine, setup) in [
        PolicyEngine::new().map(|engine| (engine.engine, engine.setup)).unwrap(),
        PipelineEngine::new().map(|engine| (engine.engine.clone(), engine.setup)).unwrap(),
    ] {
        let key = |engine: &Engine| CodeKey::of(b"x", World::Pipeline, engine, setup);
        assert_eq!(key(&engine), key(&setup.compiler().unwrap()), "{}", setup.name());
        assert_eq!(EngineSetup::from_name(setup.name()), Some(setup));
    }
}
