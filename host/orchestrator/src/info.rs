//! What the orchestrator offers now: its pipelines with their quotes, under a token that makes the
//! quotes binding.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use domain::capability::Capability;
use domain::price::{LIVE_LOT, UnitPrice};
use wire::livepeer::{Asked, Capped, Model, OfferedDevice, Offers, Tokens};

use crate::admit::lock;
use crate::price::Situation;
use crate::quote::Prices;
use crate::state::State;
use crate::supervise::Running;

/// Returns the seconds since 1970.
pub(crate) fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Quotes every offered pipeline and keeps the quotes under a fresh token.
pub(crate) fn offers(state: &State, tokens: &Tokens, asked: &Asked) -> Result<Offers, Capped> {
    let running = state.seat.running();
    let situation = situation(state);
    if asked.wants_slot && situation.slots_free == 0 {
        return Err(Capped);
    }
    let models = running.as_deref().map_or_else(Vec::new, |it| models(state, it, situation));
    let token = tokens.issue(unix_seconds());
    let priced = |model: &Model| Some((model.capability.clone(), model.price?.wei));
    let prices: Prices = models.iter().filter_map(priced).collect();
    lock(&state.quotes).insert(&token.session_id, prices, Instant::now());
    let device = running.as_deref().map(|running| OfferedDevice {
        name: running.hello.device.clone(),
        hardware: running.hello.hardware.clone(),
        memory_free: running.hello.memory_free,
        memory_total: running.hello.memory_total,
    });
    Ok(Offers { service_uri: state.config.service_uri.clone(), models, token, device })
}

/// Returns how the device is used.
pub(crate) fn situation(state: &State) -> Situation {
    let leases = lock(&state.leases);
    Situation { slots_free: leases.slots_free(), slots_total: leases.slots_total() }
}

/// Lists what is on offer now: pipelines that the running worker has loaded. All share the slots
/// of the device.
pub(crate) fn models(state: &State, running: &Running, situation: Situation) -> Vec<Model> {
    let Situation { slots_free, slots_total } = situation;
    let loaded = state.config.pipelines.iter().filter(|it| running.pipelines.contains_key(&it.id));
    loaded
        .filter_map(|pipeline| {
            let capability = Capability::live(&pipeline.id).ok()?;
            let pricer = &state.config.pricer;
            let wei = pricer.quote(&capability, pipeline.price_wei, situation, &*state.sink)?;
            Some(Model {
                capability,
                warm: true,
                slots_free,
                slots_used: slots_total.saturating_sub(slots_free),
                price: UnitPrice::new(wei, LIVE_LOT),
            })
        })
        .collect()
}
