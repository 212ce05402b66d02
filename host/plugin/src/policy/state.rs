//! What a policy or pricing component sees: pure functions of recorded data.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::bindings::pricing::framegate::policy::{conditions, meter};
use crate::bindings::selection::framegate::policy::{candidates, job_details, scope};
use crate::job::JobFacts;
use crate::limits::{Limiter, Limits};
use crate::snapshot::{Snapshot, each_column};
use crate::wasi::{Clock, HasShim, Shim};

/// The state of things a quote may depend on; what is not known reads as one free slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditions {
    /// Free slots for the capability.
    pub slots_free: u32,
    /// All slots for the capability.
    pub slots_total: u32,
    /// Jobs that wait.
    pub queue_depth: u32,
    /// Free memory of the device in MiB.
    pub gpu_memory_free_mib: u32,
    /// All memory of the device in MiB.
    pub gpu_memory_total_mib: u32,
    /// Whether the model is loaded.
    pub warm: bool,
    /// Wei for one unit of gas; 0: off-chain.
    pub gas_price_wei: u64,
    /// Other offerings of the capability that are known.
    pub rivals: u32,
    /// Lowest price among them, in wei for the same lot.
    pub rival_lowest_wei: Option<u64>,
    /// Middle price among them, in wei for the same lot.
    pub rival_median_wei: Option<u64>,
    /// Figures that the operator added.
    pub custom: BTreeMap<String, i64>,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            slots_free: 1,
            slots_total: 0,
            queue_depth: 0,
            gpu_memory_free_mib: 0,
            gpu_memory_total_mib: 0,
            warm: false,
            gas_price_wei: 0,
            rivals: 0,
            rival_lowest_wei: None,
            rival_median_wei: None,
            custom: BTreeMap::new(),
        }
    }
}

/// What was metered in the interval being charged, and before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meter {
    /// Units of the interval that missed their deadline.
    pub late_units: u64,
    /// Wall-clock milliseconds of the interval.
    pub elapsed_ms: u64,
    /// Device milliseconds of the interval.
    pub gpu_ms: u64,
    /// Units of the job charged before.
    pub units_before: u64,
    /// Wei that those came to.
    pub charged_before_wei: u64,
}

/// Data of one policy's store.
pub(crate) struct PolicyState {
    pub(crate) limiter: Limiter,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) job: Option<Arc<JobFacts>>,
    pub(crate) conditions: Option<Arc<Conditions>>,
    pub(crate) meter: Meter,
    shim: Shim,
}

impl PolicyState {
    pub(crate) fn new(limits: Limits, snapshot: Arc<Snapshot>) -> Self {
        let scope = &snapshot.scope;
        let shim = Shim::new(Clock::Fixed(scope.taken_at_unix_ms), scope.generation);
        let limiter = Limiter::new(limits);
        Self { limiter, snapshot, job: None, conditions: None, meter: Meter::default(), shim }
    }

    fn job<T>(&self, absent: T, read: impl FnOnce(&JobFacts) -> T) -> T {
        self.job.as_deref().map_or(absent, read)
    }

    fn conditions<T: Default>(&self, read: impl FnOnce(&Conditions) -> T) -> T {
        self.conditions.as_deref().map(read).unwrap_or_default()
    }
}

impl HasShim for PolicyState {
    fn shim(&mut self) -> &mut Shim {
        &mut self.shim
    }
}

impl crate::bindings::types::Host for PolicyState {}

impl scope::Host for PolicyState {
    fn capability(&mut self) -> String {
        self.snapshot.scope.capability.clone()
    }

    fn sold_by(&mut self) -> scope::Lot {
        let lot = &self.snapshot.scope.lot;
        scope::Lot { unit: lot.unit.clone(), size: lot.size }
    }

    fn generation(&mut self) -> u64 {
        self.snapshot.scope.generation
    }

    fn taken_at(&mut self) -> u64 {
        self.snapshot.scope.taken_at_unix_ms
    }

    fn regions(&mut self) -> Vec<String> {
        self.snapshot.scope.regions.clone()
    }

    fn tiers(&mut self) -> Vec<String> {
        self.snapshot.scope.tiers.clone()
    }

    fn customers(&mut self) -> Vec<String> {
        self.snapshot.scope.customers.clone()
    }

    fn hardware(&mut self) -> Vec<String> {
        self.snapshot.scope.hardware.clone()
    }
}

macro_rules! columns {
    ($($name:ident: $type:ty),* $(,)?) => {
        impl candidates::Host for PolicyState {
            fn count(&mut self) -> u32 {
                self.snapshot.count()
            }

            $(fn $name(&mut self) -> Vec<$type> {
                self.snapshot.columns.$name.clone()
            })*

            fn custom(&mut self, name: String) -> Option<Vec<i64>> {
                self.snapshot.columns.custom.get(&name).cloned()
            }
        }
    };
}

each_column!(columns);

impl job_details::Host for PolicyState {
    fn is_excluded(&mut self, candidate: u32) -> bool {
        let exists = candidate < self.snapshot.count();
        !exists || self.job(false, |job| job.excluded.contains(candidate))
    }

    fn customer(&mut self) -> u32 {
        self.job(0, |job| job.customer)
    }

    fn budget_left(&mut self) -> u64 {
        self.job(0, |job| job.budget_left_wei)
    }

    fn latency_limit_us(&mut self) -> u32 {
        self.job(0, |job| job.latency_limit_us)
    }

    fn gpu_memory_mib(&mut self) -> u32 {
        self.job(0, |job| job.gpu_memory_mib)
    }

    fn width(&mut self) -> u32 {
        self.job(0, |job| job.width)
    }

    fn height(&mut self) -> u32 {
        self.job(0, |job| job.height)
    }

    fn frame_rate_milli(&mut self) -> u32 {
        self.job(0, |job| job.frame_rate_milli)
    }

    fn id(&mut self) -> String {
        self.job(String::new(), |job| job.id.clone())
    }

    fn customer_id(&mut self) -> String {
        self.job(String::new(), |job| job.customer_id.clone())
    }

    fn label(&mut self, name: String) -> Option<String> {
        self.job(None, |job| job.labels.get(&name).cloned())
    }
}

impl conditions::Host for PolicyState {
    fn slots_free(&mut self) -> u32 {
        self.conditions(|conditions| conditions.slots_free)
    }

    fn slots_total(&mut self) -> u32 {
        self.conditions(|conditions| conditions.slots_total)
    }

    fn queue_depth(&mut self) -> u32 {
        self.conditions(|conditions| conditions.queue_depth)
    }

    fn gpu_memory_free_mib(&mut self) -> u32 {
        self.conditions(|conditions| conditions.gpu_memory_free_mib)
    }

    fn gpu_memory_total_mib(&mut self) -> u32 {
        self.conditions(|conditions| conditions.gpu_memory_total_mib)
    }

    fn warm(&mut self) -> bool {
        self.conditions(|conditions| conditions.warm)
    }

    fn gas_price(&mut self) -> u64 {
        self.conditions(|conditions| conditions.gas_price_wei)
    }

    fn rivals(&mut self) -> u32 {
        self.conditions(|conditions| conditions.rivals)
    }

    fn rival_lowest(&mut self) -> Option<u64> {
        self.conditions(|conditions| conditions.rival_lowest_wei)
    }

    fn rival_median(&mut self) -> Option<u64> {
        self.conditions(|conditions| conditions.rival_median_wei)
    }

    fn custom(&mut self, name: String) -> Option<i64> {
        self.conditions(|conditions| conditions.custom.get(&name).copied())
    }
}

impl meter::Host for PolicyState {
    fn late_units(&mut self) -> u64 {
        self.meter.late_units
    }

    fn elapsed_ms(&mut self) -> u64 {
        self.meter.elapsed_ms
    }

    fn gpu_ms(&mut self) -> u64 {
        self.meter.gpu_ms
    }

    fn units_before(&mut self) -> u64 {
        self.meter.units_before
    }

    fn charged_before(&mut self) -> u64 {
        self.meter.charged_before_wei
    }
}
