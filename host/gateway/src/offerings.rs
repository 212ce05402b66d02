//! What the gateway publishes of its market: the offerings document, and the listing that stock
//! tools read. It decides nothing: every column is what was said or measured.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State as Shared;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use wire::livepeer::{Listed, Model, network_listing};
use wire::offerings::{
    Capacity, Document, Entry, FORMAT, Latency, Memory, OFFERINGS_MAX, Price, STANDS,
};

use crate::book::{OrchestratorRow, Row};
use crate::state::{State, now};

/// Makes the document as of `at`.
pub(crate) fn document(state: &State, at: Instant) -> Document {
    let all = state.book().all_offerings(at);
    let mut offerings: Vec<Entry> =
        all.iter().flat_map(|(who, rows)| rows.iter().map(|row| entry(who, row))).collect();
    offerings.truncate(OFFERINGS_MAX);
    let issued_at = plugin::unix_ms() / 1000;
    Document {
        format: FORMAT,
        role: "gateway".to_owned(),
        url: state.config.public_url.clone().unwrap_or_else(|| format!("http://{}", state.address)),
        issued_at,
        expires_at: issued_at + STANDS.as_secs(),
        offerings,
    }
}

fn entry(who: &OrchestratorRow, row: &Row) -> Entry {
    let offering = &row.offering;
    let price = offering.price.map(|price| Price::live(price.wei, price.units));
    let [p50, p95, _] = who.starts_us;
    Entry {
        capability: offering.capability.to_string(),
        orchestrator: offering.orchestrator.to_string(),
        uri: offering.uri.clone(),
        model: offering.capability.live_id().unwrap_or_default().to_owned(),
        price,
        hardware: offering.hardware.clone(),
        memory: row.device.as_ref().filter(|it| it.memory_total_mib > 0).map(|device| Memory {
            free_mib: device.memory_free_mib,
            total_mib: device.memory_total_mib,
        }),
        region: row.said.region.clone(),
        component: row.said.component.clone(),
        deterministic: row.said.deterministic,
        latency: Some(Latency { rtt_us: who.rtt_us, start_p50_us: p50, start_p95_us: p95 }),
        success_ppm: (who.attempts > 0)
            .then(|| u64::from(who.successes) * 1_000_000 / u64::from(who.attempts))
            .and_then(|ppm| u32::try_from(ppm).ok()),
        availability_ppm: who.availability_ppm,
        capacity: offering
            .slots_free
            .zip(offering.slots_total)
            .map(|(free, total)| Capacity { free, total }),
        warm: offering.warm,
        standing: who.standing().to_owned(),
        stale: !who.detail.is_empty(),
    }
}

/// `GET /v1/offerings`.
pub(crate) async fn published(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Response {
    document(&state, now()).answer(&headers, None)
}

/// The listing that stock tools read.
pub(crate) async fn listing(Shared(state): Shared<Arc<State>>) -> Response {
    let all = state.book().all_offerings(now());
    let listed: Vec<Listed> = all
        .into_iter()
        .filter(|(who, rows)| who.reachable && !rows.is_empty())
        .map(|(who, rows)| {
            let model = |row: Row| {
                let offering = row.offering;
                let free = offering.slots_free.unwrap_or(0);
                let model = Model {
                    capability: offering.capability,
                    warm: offering.warm,
                    slots_free: free,
                    slots_used: offering.slots_total.unwrap_or(free).saturating_sub(free),
                    price: offering.price,
                };
                (model, row.device)
            };
            Listed {
                wallet: who.id.to_string(),
                uri: who.uri,
                models: rows.into_iter().map(model).collect(),
            }
        })
        .collect();
    axum::Json(network_listing(&listed)).into_response()
}
