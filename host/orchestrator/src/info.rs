//! What the orchestrator says of itself: offerings with their quotes, under a token that makes the
//! quotes binding.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use domain::capability::Capability;
use domain::price::{LIVE_LOT, UnitPrice};
use wire::livepeer::{self, LIVE_VIDEO_TO_VIDEO, Model, Tokens};
use wire::proto::{GpuComputeInfo, HardwareInformation, OrchestratorInfo, OrchestratorRequest};

use crate::admit::lock;
use crate::price::Situation;
use crate::quote::Prices;
use crate::state::State;
use crate::supervise::Running;

/// Version of the protocol's reference implementation whose behaviour is offered.
const PROTOCOL_VERSION: &str = "0.9.1";

/// Every slot that could serve the request is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capped;

/// Returns the seconds since 1970.
pub(crate) fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Answers a gateway's question: quotes every offered pipeline that it asks about, keeps the
/// quotes under a fresh token, and describes the device.
pub(crate) fn answer(
    state: &State,
    tokens: &Tokens,
    request: &OrchestratorRequest,
) -> Result<OrchestratorInfo, Capped> {
    let running = state.seat.running();
    let asked = request.capabilities.as_ref();
    let wanted = asked.map(livepeer::asked_for).unwrap_or_default();
    let (free, total) = slots(state);
    let live = asked.is_some_and(|asked| livepeer::is_asked(asked, LIVE_VIDEO_TO_VIDEO));
    if live && !request.ignore_capacity_check && free == 0 {
        return Err(Capped);
    }
    let models = running.as_deref().map_or_else(Vec::new, |running| models(state, running));
    let token = tokens.issue(unix_seconds());
    let prices: Prices = models
        .iter()
        .filter_map(|model| Some((model.capability.clone(), model.price?.wei)))
        .collect();
    lock(&state.quotes).insert(&token.session_id, prices, Instant::now());
    let is_wanted = |model: &&Model| {
        let id = model.capability.live_id().unwrap_or_default();
        wanted.iter().any(|name| name == id)
    };
    let general = price_of_all(models.iter().filter(is_wanted))
        .or_else(|| models.iter().filter_map(|model| model.price).max_by_key(|price| price.wei));
    let per_model = |model: &Model| {
        model.price.map(|price| livepeer::price_to_wire(price, Some(&model.capability)))
    };
    let hardware = running.as_deref().map_or_else(Vec::new, |it| hardware(it, &models));
    Ok(OrchestratorInfo {
        transcoder: state.config.service_uri.clone(),
        price_info: general.map(|price| livepeer::price_to_wire(price, None)),
        // Off chain there is no wallet, and nothing else belongs into this field.
        address: Vec::new(),
        capabilities: Some(livepeer::offers(&models, PROTOCOL_VERSION)),
        auth_token: Some(token),
        hardware: if asked.is_none() { hardware } else { Vec::new() },
        capabilities_prices: if asked.is_none() {
            models.iter().filter_map(per_model).collect()
        } else {
            models.iter().filter(is_wanted).filter_map(per_model).collect()
        },
        ..OrchestratorInfo::default()
    })
    .inspect(|_| tracing::trace!(slots_free = free, slots_total = total, "quoted"))
}

fn slots(state: &State) -> (u32, u32) {
    let leases = lock(&state.leases);
    (leases.slots_free(), leases.slots_total())
}

/// The price for several models at once is their sum, as the protocol has it.
fn price_of_all<'a>(models: impl Iterator<Item = &'a Model>) -> Option<UnitPrice> {
    let mut sum: Option<u64> = None;
    for model in models {
        sum = Some(sum.unwrap_or(0).saturating_add(model.price?.wei));
    }
    UnitPrice::new(sum?, LIVE_LOT)
}

/// Lists what is on offer now: pipelines that the running worker has loaded. All share the slots
/// of the device.
fn models(state: &State, running: &Running) -> Vec<Model> {
    let (free, total) = slots(state);
    let situation = Situation { slots_free: free, slots_total: total };
    let loaded = state.config.pipelines.iter().filter(|it| running.pipelines.contains_key(&it.id));
    loaded
        .filter_map(|pipeline| {
            let capability = Capability::live(&pipeline.id).ok()?;
            let pricer = &state.config.pricer;
            let wei = pricer.quote(&capability, pipeline.price_wei, situation, &*state.sink)?;
            Some(Model {
                capability,
                warm: true,
                slots_free: free,
                slots_used: total.saturating_sub(free),
                price: UnitPrice::new(wei, LIVE_LOT),
            })
        })
        .collect()
}

fn hardware(running: &Running, models: &[Model]) -> Vec<HardwareInformation> {
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let gpu = GpuComputeInfo {
        id: running.hello.device.clone(),
        name: running.hello.hardware.clone(),
        memory_free: signed(running.hello.memory_free),
        memory_total: signed(running.hello.memory_total),
        ..GpuComputeInfo::default()
    };
    let of = |model: &Model| HardwareInformation {
        pipeline: domain::capability::LIVE.to_owned(),
        model_id: model.capability.live_id().unwrap_or_default().to_owned(),
        gpu_info: BTreeMap::from([(running.hello.device.clone(), gpu.clone())])
            .into_iter()
            .collect(),
    };
    models.iter().map(of).collect()
}
