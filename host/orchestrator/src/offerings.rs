//! The orchestrator's own offerings document: what it offers now, where it is and what is behind it. It
//! says the same prices as a quote, but binds nobody: only a quote's token does.

use wire::offerings::{Capacity, Document, Entry, FORMAT, Memory, Price, STANDS};

use crate::info::{self, unix_seconds};
use crate::state::State;

const MIB: u64 = 1 << 20;

/// Makes the document of this moment.
pub(crate) fn document(state: &State) -> Document {
    let issued_at = u64::try_from(unix_seconds()).unwrap_or(0);
    Document {
        format: FORMAT,
        role: "orchestrator".to_owned(),
        url: state.config.service_uri.clone(),
        issued_at,
        expires_at: issued_at + STANDS.as_secs(),
        offerings: entries(state),
    }
}

fn entries(state: &State) -> Vec<Entry> {
    let Some(running) = state.seat.running() else { return Vec::new() };
    let mib = |bytes: u64| u32::try_from(bytes / MIB).unwrap_or(u32::MAX);
    let memory = Memory {
        free_mib: mib(running.hello.memory_free),
        total_mib: mib(running.hello.memory_total),
    };
    let situation = info::situation(state);
    let entry = |model: wire::livepeer::Model| {
        let id = model.capability.live_id().unwrap_or_default().to_owned();
        let configured = state.config.pipelines.iter().find(|it| it.id == id);
        let digest = running.pipelines.get(&id).map(|it| it.digest.clone());
        Entry {
            capability: model.capability.to_string(),
            orchestrator: state.config.name.clone(),
            uri: state.config.service_uri.clone(),
            component: digest.unwrap_or_default(),
            price: model.price.map(|price| Price::live(price.wei, price.units)),
            region: state.config.region.clone(),
            hardware: running.hello.hardware.clone(),
            memory: Some(memory).filter(|it| it.total_mib > 0),
            capacity: Some(Capacity {
                free: model.slots_free,
                total: model.slots_free.saturating_add(model.slots_used),
            }),
            warm: model.warm,
            // Only what the operator says of it is known.
            deterministic: configured.filter(|it| it.deterministic).map(|_| true),
            standing: "active".to_owned(),
            model: id,
            ..Entry::default()
        }
    };
    info::models(state, &running, situation).into_iter().map(entry).collect()
}
