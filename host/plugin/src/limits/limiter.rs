//! What holds the limits of one store, and the count of a plugin's instances.
//!
//! **Invariant:** memory and table elements are summed over everything in one store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::ResourceLimiter;

use super::{Amount, CORE_INSTANCES_MAX, Limit, LimitHit, Limits};

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

/// Adds the growth from `current` to `desired` to `held` unless that passes `limit`. Growth past
/// what the component itself declares fails in the engine, and is not counted.
fn grow(
    held: &mut u64,
    (current, desired): (usize, usize),
    maximum: Option<usize>,
    limit: u64,
) -> Result<bool, u64> {
    if maximum.is_some_and(|maximum| desired > maximum) {
        return Ok(false);
    }
    let growth = desired.saturating_sub(current) as u64;
    let total = held.saturating_add(growth);
    if total > limit {
        return Err(total);
    }
    *held = total;
    Ok(true)
}

impl ResourceLimiter for Limiter {
    // Refusing with an error ends the call where the limit is hit. Answering -1 instead would let
    // a guest go on without ever naming the limit, mostly into a bare `unreachable`.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let limit = self.limits.get(Limit::Memory);
        let grown = grow(&mut self.memory_bytes, (current, desired), maximum, limit);
        Ok(grown.map_err(|total| self.limits.hit(Limit::Memory, Amount::Bytes(total)))?)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let limit = self.limits.get(Limit::TableElements);
        let grown = grow(&mut self.table_elements, (current, desired), maximum, limit);
        Ok(grown.map_err(|total| self.limits.hit(Limit::TableElements, Amount::Count(total)))?)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX
    }

    fn memories(&self) -> usize {
        CORE_INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        CORE_INSTANCES_MAX
    }
}

/// The places for instances of one plugin version.
#[derive(Debug)]
pub(crate) struct Places {
    taken: AtomicU64,
    most: u64,
}

/// A place taken by an instance; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place(Arc<Places>);

impl Places {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self { taken: AtomicU64::new(0), most: limits.get(Limit::Instances) })
    }

    /// Takes a place unless all are taken.
    pub(crate) fn take(self: &Arc<Self>) -> Result<Place, LimitHit> {
        let place = Place(Arc::clone(self));
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        if before >= self.most {
            // Dropping the place takes the count back.
            return Err(Limit::Instances.hit(self.most, Amount::Count(before.saturating_add(1))));
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_summed_over_the_store_and_names_itself() {
        let mut limiter = Limiter::new(Limits::policy());
        assert!(limiter.memory_growing(0, 40 << 20, None).unwrap());
        let error = limiter.memory_growing(0, 160 << 20, None).unwrap_err();
        assert_eq!(error.to_string(), "memory limit 64 MiB: plugin asked for 200 MiB");
        assert_eq!(limiter.memory_bytes(), 40 << 20);
    }

    #[test]
    fn growth_past_what_a_component_declares_is_not_counted() {
        let mut limiter = Limiter::new(Limits::policy());
        assert!(!limiter.memory_growing(0, 2 << 20, Some(1 << 20)).unwrap());
        assert_eq!(limiter.memory_bytes(), 0);
        assert!(limiter.table_growing(10, 20, Some(20)).unwrap());
    }

    #[test]
    fn a_place_is_there_again_once_an_instance_is_gone() {
        let places = Places::new(&Limits::policy().at_most(Limit::Instances, 2));
        let (first, _second) = (places.take().unwrap(), places.take().unwrap());
        let hit = places.take().unwrap_err();
        assert_eq!(hit.to_string(), "instances limit 2: plugin used 3");
        drop(first);
        assert!(places.take().is_ok());
    }
}
