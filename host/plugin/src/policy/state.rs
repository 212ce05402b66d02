//! What a policy or pricing component sees: pure functions of recorded data.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmtime::Result;

use crate::bindings::pricing::framegate::policy::{conditions, meter};
use crate::bindings::selection::framegate::policy::{candidates, job_details, scope};
use crate::job::JobFacts;
use crate::limits::{Amount, Limit, LimitHit, Limiter, Limits, Pace, Rate};
use crate::snapshot::{Scope, Snapshot, each_column};
use crate::wasi::{Clock, HasShim, Shim};

/// Fuel that a host function uses: one takes about as long as so much of guest code.
const CALL_FUEL: u64 = 50;
/// Bytes copied to or from a guest for a unit of fuel: two passes over them at memory's speed.
const BYTES_PER_FUEL: u64 = 4;

/// Bytes of a name in a list besides its text: a pointer and a length on either side.
const NAME_BYTES: usize = 32;

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
    limits: Limits,
    fuel: Limit,
    /// Fuel left for host functions, apart from that of guest code: equal calls use it up at the
    /// same place, and neither has to look at the other's.
    fuel_left: u64,
    log_lines: Rate,
    shim: Shim,
}

impl PolicyState {
    pub(crate) fn new(limits: Limits, snapshot: Arc<Snapshot>) -> Self {
        let scope = &snapshot.scope;
        let shim = Shim::new(Clock::Fixed(scope.taken_at_unix_ms), scope.generation);
        Self {
            limiter: Limiter::new(limits),
            snapshot,
            job: None,
            conditions: None,
            meter: Meter::default(),
            limits,
            fuel: Limit::SetupFuel,
            fuel_left: limits.get(Limit::SetupFuel),
            log_lines: Rate::new(&limits, Limit::LogLines),
            shim,
        }
    }

    /// Gives host functions the fuel of a call.
    pub(crate) fn refuel(&mut self, pace: Pace) {
        self.fuel = pace.fuel();
        self.fuel_left = self.limits.get(self.fuel);
    }

    /// Uses the fuel of a host function that copies `bytes`.
    fn use_fuel(&mut self, bytes: usize) -> Result<(), LimitHit> {
        let fuel = CALL_FUEL + bytes as u64 / BYTES_PER_FUEL;
        match self.fuel_left.checked_sub(fuel) {
            Some(left) => self.fuel_left = left,
            None => {
                let used = self.limits.get(self.fuel) - self.fuel_left + fuel;
                return Err(self.limits.hit(self.fuel, Amount::Count(used)));
            }
        }
        Ok(())
    }

    /// Takes what the guest wrote to its output, unless there was too much in this second already.
    /// `tell` is given the report of an earlier second.
    pub(crate) fn take_output(&mut self, tell: impl FnOnce(LimitHit)) -> Option<String> {
        let text = self.shim.take_output()?;
        self.log_lines.take(1, tell).then_some(text)
    }

    fn job<T>(&mut self, absent: T, read: impl FnOnce(&JobFacts) -> T) -> Result<T> {
        self.use_fuel(0)?;
        Ok(self.job.as_deref().map_or(absent, read))
    }

    fn conditions<T: Default>(&mut self, read: impl FnOnce(&Conditions) -> T) -> Result<T> {
        self.use_fuel(0)?;
        Ok(self.conditions.as_deref().map(read).unwrap_or_default())
    }

    fn meter<T>(&mut self, read: impl FnOnce(&Meter) -> T) -> Result<T> {
        self.use_fuel(0)?;
        Ok(read(&self.meter))
    }

    fn scope<T>(&mut self, bytes: usize, read: impl FnOnce(&Scope) -> T) -> Result<T> {
        self.use_fuel(bytes)?;
        Ok(read(&self.snapshot.scope))
    }

    fn names(&mut self, of: impl Fn(&Scope) -> &Vec<String>) -> Result<Vec<String>> {
        let bytes = of(&self.snapshot.scope).iter().map(|name| name.len() + NAME_BYTES).sum();
        self.scope(bytes, |scope| of(scope).clone())
    }
}

impl HasShim for PolicyState {
    fn shim(&mut self) -> &mut Shim {
        &mut self.shim
    }

    fn charge(&mut self, bytes: usize) -> Result<(), LimitHit> {
        self.use_fuel(bytes)
    }
}

impl crate::bindings::types::Host for PolicyState {}

impl scope::Host for PolicyState {
    fn capability(&mut self) -> Result<String> {
        let bytes = self.snapshot.scope.capability.len();
        self.scope(bytes, |scope| scope.capability.clone())
    }

    fn sold_by(&mut self) -> Result<scope::Lot> {
        self.scope(0, |scope| scope::Lot { unit: scope.lot.unit.clone(), size: scope.lot.size })
    }

    fn generation(&mut self) -> Result<u64> {
        self.scope(0, |scope| scope.generation)
    }

    fn taken_at(&mut self) -> Result<u64> {
        self.scope(0, |scope| scope.taken_at_unix_ms)
    }

    fn regions(&mut self) -> Result<Vec<String>> {
        self.names(|scope| &scope.regions)
    }

    fn tiers(&mut self) -> Result<Vec<String>> {
        self.names(|scope| &scope.tiers)
    }

    fn customers(&mut self) -> Result<Vec<String>> {
        self.names(|scope| &scope.customers)
    }

    fn hardware(&mut self) -> Result<Vec<String>> {
        self.names(|scope| &scope.hardware)
    }
}

macro_rules! columns {
    ($($name:ident: $type:ty),* $(,)?) => {
        impl candidates::Host for PolicyState {
            fn count(&mut self) -> Result<u32> {
                self.use_fuel(0)?;
                Ok(self.snapshot.count())
            }

            $(fn $name(&mut self) -> Result<Vec<$type>> {
                self.use_fuel(size_of_val(self.snapshot.columns.$name.as_slice()))?;
                Ok(self.snapshot.columns.$name.clone())
            })*

            fn custom(&mut self, name: String) -> Result<Option<Vec<i64>>> {
                let column = self.snapshot.columns.custom.get(&name);
                let bytes = column.map_or(0, |column| size_of_val(column.as_slice()));
                self.use_fuel(name.len() + bytes)?;
                Ok(self.snapshot.columns.custom.get(&name).cloned())
            }
        }
    };
}

each_column!(columns);

impl job_details::Host for PolicyState {
    fn is_excluded(&mut self, candidate: u32) -> Result<bool> {
        let exists = candidate < self.snapshot.count();
        self.job(!exists, |job| !exists || job.excluded.contains(candidate))
    }

    fn customer(&mut self) -> Result<u32> {
        self.job(0, |job| job.customer)
    }

    fn budget_left(&mut self) -> Result<u64> {
        self.job(0, |job| job.budget_left_wei)
    }

    fn latency_limit_us(&mut self) -> Result<u32> {
        self.job(0, |job| job.latency_limit_us)
    }

    fn gpu_memory_mib(&mut self) -> Result<u32> {
        self.job(0, |job| job.gpu_memory_mib)
    }

    fn width(&mut self) -> Result<u32> {
        self.job(0, |job| job.width)
    }

    fn height(&mut self) -> Result<u32> {
        self.job(0, |job| job.height)
    }

    fn frame_rate_milli(&mut self) -> Result<u32> {
        self.job(0, |job| job.frame_rate_milli)
    }

    fn id(&mut self) -> Result<String> {
        self.use_fuel(self.job.as_ref().map_or(0, |job| job.id.len()))?;
        self.job(String::new(), |job| job.id.clone())
    }

    fn customer_id(&mut self) -> Result<String> {
        self.use_fuel(self.job.as_ref().map_or(0, |job| job.customer_id.len()))?;
        self.job(String::new(), |job| job.customer_id.clone())
    }

    fn label(&mut self, name: String) -> Result<Option<String>> {
        let label = self.job.as_ref().and_then(|job| job.labels.get(&name));
        self.use_fuel(name.len() + label.map_or(0, String::len))?;
        self.job(None, |job| job.labels.get(&name).cloned())
    }
}

impl conditions::Host for PolicyState {
    fn slots_free(&mut self) -> Result<u32> {
        self.conditions(|conditions| conditions.slots_free)
    }

    fn slots_total(&mut self) -> Result<u32> {
        self.conditions(|conditions| conditions.slots_total)
    }

    fn queue_depth(&mut self) -> Result<u32> {
        self.conditions(|conditions| conditions.queue_depth)
    }

    fn gpu_memory_free_mib(&mut self) -> Result<u32> {
        self.conditions(|conditions| conditions.gpu_memory_free_mib)
    }

    fn gpu_memory_total_mib(&mut self) -> Result<u32> {
        self.conditions(|conditions| conditions.gpu_memory_total_mib)
    }

    fn warm(&mut self) -> Result<bool> {
        self.conditions(|conditions| conditions.warm)
    }

    fn gas_price(&mut self) -> Result<u64> {
        self.conditions(|conditions| conditions.gas_price_wei)
    }

    fn rivals(&mut self) -> Result<u32> {
        self.conditions(|conditions| conditions.rivals)
    }

    fn rival_lowest(&mut self) -> Result<Option<u64>> {
        self.conditions(|conditions| conditions.rival_lowest_wei)
    }

    fn rival_median(&mut self) -> Result<Option<u64>> {
        self.conditions(|conditions| conditions.rival_median_wei)
    }

    fn custom(&mut self, name: String) -> Result<Option<i64>> {
        self.use_fuel(name.len())?;
        self.conditions(|conditions| conditions.custom.get(&name).copied())
    }
}

impl meter::Host for PolicyState {
    fn late_units(&mut self) -> Result<u64> {
        self.meter(|meter| meter.late_units)
    }

    fn elapsed_ms(&mut self) -> Result<u64> {
        self.meter(|meter| meter.elapsed_ms)
    }

    fn gpu_ms(&mut self) -> Result<u64> {
        self.meter(|meter| meter.gpu_ms)
    }

    fn units_before(&mut self) -> Result<u64> {
        self.meter(|meter| meter.units_before)
    }

    fn charged_before(&mut self) -> Result<u64> {
        self.meter(|meter| meter.charged_before_wei)
    }
}
