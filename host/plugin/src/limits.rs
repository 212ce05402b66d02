//! The limits of one component instance, and the limiter that holds them.
//!
//! A limit has a name, a default with a reason, and when it is hit it ends the call with name,
//! value and use. A plugin may ask for less than the operator allows, never for more.
//!
//! **Invariant:** memory and table elements are summed over everything in one store.

use std::fmt;
use std::time::Duration;

use wasmtime::ResourceLimiter;

use crate::manifest::AskedLimits;

const MIB: u64 = 1 << 20;

/// Core instances in one store: a component of one language runtime has three to five, a composed
/// one about as many for each part.
pub const CORE_INSTANCES_MAX: usize = 32;
/// Handles of models, kernels, tables and graphs that one instance may hold at once.
pub const HANDLES_MAX: usize = 1024;
/// Fuel of `prepare`, `describe` and `explain`: about 50 ms, the contract's guest time of
/// `prepare`.
pub const SETUP_FUEL: u64 = 100_000_000;

/// Limits of one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory, summed over the store.
    pub memory_bytes: u64,
    /// Table elements, summed over the store.
    pub table_elements: u64,
    /// Fuel of one `pick`, `quote` or `charge`; policies only.
    pub fuel: u64,
    /// Fuel of `describe`, `prepare` and `explain`; policies only.
    pub setup_fuel: u64,
    /// Guest time of one `on-frame` or `on-message`; pipelines only.
    pub frame_budget: Duration,
    /// Guest time of `describe`, `start`, `on-params` and `stop`; pipelines only.
    pub setup_budget: Duration,
}

impl Limits {
    /// Returns the defaults of policies and pricing rules.
    pub const fn policy() -> Self {
        Self {
            // A Rust policy holds under 2 MiB at 10,000 candidates, a JavaScript engine 20.
            memory_bytes: 64 * MIB,
            // C# debug builds need over 10,000.
            table_elements: 20_000,
            // 0.1 to 0.5 ms: the contract's 200 us of `pick`; a `pick` over 1,000 takes a tenth.
            fuel: 1_000_000,
            setup_fuel: SETUP_FUEL,
            frame_budget: Duration::ZERO,
            setup_budget: Duration::ZERO,
        }
    }

    /// Returns the defaults of pipelines.
    pub const fn pipeline() -> Self {
        Self {
            // A session's guest holds parameters and tables, pictures stay outside.
            memory_bytes: 64 * MIB,
            table_elements: 20_000,
            fuel: 0,
            setup_fuel: 0,
            // A quarter of the frame interval at 30 frames a second.
            frame_budget: Duration::from_millis(8),
            // The contract lets `start` take seconds.
            setup_budget: Duration::from_secs(2),
        }
    }

    /// Returns these limits with whatever the plugin asks less of.
    pub fn lowered_by(mut self, asked: &AskedLimits) -> Self {
        let lower =
            |mine: &mut u64, theirs: Option<u64>| *mine = (*mine).min(theirs.unwrap_or(*mine));
        lower(&mut self.memory_bytes, asked.memory_bytes);
        lower(&mut self.table_elements, asked.table_elements);
        lower(&mut self.fuel, asked.fuel);
        if let Some(budget) = asked.frame_budget {
            self.frame_budget = self.frame_budget.min(budget);
        }
        self
    }
}

/// A quantity with its unit, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// Bytes.
    Bytes(u64),
    /// A plain count.
    Count(u64),
    /// Time.
    Time(Duration),
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bytes(bytes) if bytes % MIB == 0 => write!(f, "{} MiB", bytes / MIB),
            Self::Bytes(bytes) if bytes > MIB => write!(f, "{:.1} MiB", bytes as f64 / MIB as f64),
            Self::Bytes(bytes) => write!(f, "{} KiB", bytes.div_ceil(1024)),
            Self::Count(count) => write!(f, "{count}"),
            Self::Time(time) => write!(f, "{:.1} ms", time.as_secs_f64() * 1e3),
        }
    }
}

/// A limit that was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{name} limit {value}: plugin {verb} {used}", verb = self.verb())]
pub struct LimitHit {
    /// Name of the limit: `memory`, `table`, `fuel`, `time` or `instances`.
    pub name: &'static str,
    /// The limit.
    pub value: Amount,
    /// What was used, or asked for in all.
    pub used: Amount,
}

impl LimitHit {
    fn verb(&self) -> &'static str {
        match self.value {
            Amount::Bytes(_) => "asked for",
            Amount::Count(_) | Amount::Time(_) => "used",
        }
    }
}

/// Holds the limits of one store.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Limits,
    memory_bytes: u64,
    table_elements: u64,
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, memory_bytes: 0, table_elements: 0 }
    }

    /// Returns the bytes of linear memory in use.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }
}

/// Adds the growth from `current` to `desired` to `held` unless that passes `limit`.
fn grow(held: &mut u64, current: usize, desired: usize, limit: u64) -> Result<(), u64> {
    let growth = desired.saturating_sub(current) as u64;
    let total = held.saturating_add(growth);
    if total > limit {
        return Err(total);
    }
    *held = total;
    Ok(())
}

impl ResourceLimiter for Limiter {
    // Refusing with an error ends the call where the limit is hit. Answering -1 instead would let
    // a guest go on without ever naming the limit, mostly into a bare `unreachable`.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let limit = self.limits.memory_bytes;
        grow(&mut self.memory_bytes, current, desired, limit).map_err(|total| LimitHit {
            name: "memory",
            value: Amount::Bytes(limit),
            used: Amount::Bytes(total),
        })?;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let limit = self.limits.table_elements;
        grow(&mut self.table_elements, current, desired, limit).map_err(|total| LimitHit {
            name: "table",
            value: Amount::Count(limit),
            used: Amount::Count(total),
        })?;
        Ok(true)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX
    }
}

#[cfg(test)]
#[test]
fn a_limit_is_summed_over_the_store_and_names_itself() {
    let mut limiter = Limiter::new(Limits::policy());
    assert!(limiter.memory_growing(0, 40 << 20, None).unwrap());
    let error = limiter.memory_growing(0, 160 << 20, None).unwrap_err();
    assert_eq!(error.to_string(), "memory limit 64 MiB: plugin asked for 200 MiB");
    assert_eq!(limiter.memory_bytes(), 40 << 20);
}
