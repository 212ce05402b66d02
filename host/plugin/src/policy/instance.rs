//! One instance of a policy or pricing component: its store, its fuel and its end.
//!
//! **Invariant:** after the first fault there is no store.

use std::sync::Arc;

use wasmtime::{Engine, Store};

use crate::fault::{Fault, FaultKind, INSTANTIATE, Identity};
use crate::limits::{Limit, Limits, Pace, Place, Places};
use crate::policy::state::PolicyState;
use crate::snapshot::Snapshot;
use crate::wasi::HasShim as _;

/// A store and the typed functions of the component in it.
pub(crate) struct Instance<G> {
    live: Option<(Store<PolicyState>, G)>,
    who: Arc<Identity>,
    limits: Limits,
    _place: Place,
}

impl<G> Instance<G> {
    /// Makes a store for `snapshot` and has `instantiate` fill it. What the component runs while it
    /// is instantiated counts as set-up.
    pub(crate) fn new(
        engine: &Engine,
        who: &Arc<Identity>,
        (limits, places): (Limits, &Arc<Places>),
        snapshot: Arc<Snapshot>,
        instantiate: impl FnOnce(&mut Store<PolicyState>) -> wasmtime::Result<G>,
    ) -> Result<Self, Fault> {
        let place = places.take().map_err(|hit| Fault::of_limit(who, INSTANTIATE, hit))?;
        let mut store = Store::new(engine, PolicyState::new(limits, snapshot));
        store.limiter(|state| &mut state.limiter);
        store.set_max_component_handles(size(limits.get(Limit::Handles)));
        store.set_hostcall_fuel(size(limits.get(Limit::SetupCopy)));
        let fuel = limits.get(Limit::SetupFuel);
        let guest = store.set_fuel(fuel).and_then(|()| instantiate(&mut store));
        match guest {
            Ok(guest) => {
                Ok(Self { live: Some((store, guest)), who: Arc::clone(who), limits, _place: place })
            }
            Err(error) => {
                let allowed = (&limits, Pace::Setup);
                Err(fault(who, INSTANTIATE, &error, allowed, store))
            }
        }
    }

    /// Returns whose instance it is.
    pub(crate) fn who(&self) -> &Arc<Identity> {
        &self.who
    }

    /// Makes one call at `pace`. `enter` sets what the imports show during it.
    pub(crate) fn call<T>(
        &mut self,
        call: &'static str,
        pace: Pace,
        enter: impl FnOnce(&mut PolicyState),
        run: impl FnOnce(&G, &mut Store<PolicyState>) -> wasmtime::Result<T>,
    ) -> Result<T, Fault> {
        let Some((store, guest)) = &mut self.live else {
            let text = "called after it had faulted";
            return Err(Fault::new(FaultKind::Host, &self.who, call, text));
        };
        store.data_mut().refuel(pace);
        enter(store.data_mut());
        store.set_hostcall_fuel(size(self.limits.get(pace.copy())));
        let fuel = self.limits.get(pace.fuel());
        let answer = store.set_fuel(fuel).and_then(|()| run(guest, store));
        let state = store.data_mut();
        state.job = None;
        state.conditions = None;
        match answer {
            Ok(answer) => {
                let Identity { plugin, version, .. } = &*self.who;
                let tell = |hit| tracing::warn!(plugin, version, %hit, "plugin output dropped");
                if let Some(text) = state.take_output(tell) {
                    tracing::debug!(plugin, version, call, text, "plugin wrote to its output");
                }
                Ok(answer)
            }
            Err(error) => {
                let dead = self.live.take().map(|(store, _)| store);
                Err(dead.map_or_else(
                    || Fault::new(FaultKind::Host, &self.who, call, "its store is gone"),
                    |store| fault(&self.who, call, &error, (&self.limits, pace), store),
                ))
            }
        }
    }

    /// Ends the instance because an answer breaks the contract.
    pub(crate) fn breach(&mut self, call: &'static str, message: String) -> Fault {
        self.live = None;
        Fault::new(FaultKind::Contract, &self.who, call, message)
    }
}

fn fault(
    who: &Identity,
    call: &'static str,
    error: &wasmtime::Error,
    allowed: (&Limits, Pace),
    mut store: Store<PolicyState>,
) -> Fault {
    let last_words = store.data_mut().shim().take_output().unwrap_or_default();
    Fault::of(who, call, error, allowed, &last_words)
}

/// Returns a limit as the engine takes it; every cap fits.
fn size(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
