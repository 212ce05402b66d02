//! The market on the admin side: what is known of orchestrators, and what an operator does to them.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use domain::chain;
use domain::price::LIVE_LOT;
use domain::standing::Wish;
use gateway::config::{Caps, OrchestratorConfig};
use gateway::{GatewayHandle, OrchestratorRow, PolicyRow, SourceRow};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

/// What can be seen of a market, and done to it.
pub(super) fn routes(handle: GatewayHandle) -> Router {
    Router::new()
        .route("/v1/caps", get(caps).put(set_caps))
        .route("/v1/custom", get(columns))
        .route("/v1/custom/{name}", put(put_column).delete(remove_column))
        .route("/v1/orchestrators", get(orchestrators).post(add_orchestrator))
        .route("/v1/orchestrators/{name}", delete(remove_orchestrator))
        .route("/v1/orchestrators/{name}/why", get(why_not))
        .route("/v1/orchestrators/{name}/{act}", post(act_on_orchestrator))
        .with_state(handle)
}

/// Caps, in wei for a lot.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CapsForm {
    /// For everything.
    general_wei: u64,
    /// For single pipelines, by id.
    #[serde(default)]
    pipelines: BTreeMap<String, u64>,
    /// For pipelines that are not among them.
    #[serde(default)]
    default_wei: Option<u64>,
    /// For customers of a tier, where that is less.
    #[serde(default)]
    tiers: BTreeMap<String, u64>,
}

async fn caps(State(handle): State<GatewayHandle>) -> Json<CapsForm> {
    let caps = handle.caps();
    let id = |(capability, wei): (domain::capability::Capability, u64)| {
        (capability.live_id().unwrap_or_default().to_owned(), wei)
    };
    Json(CapsForm {
        general_wei: caps.general_wei,
        pipelines: caps.by_capability.into_iter().map(id).collect(),
        default_wei: caps.others_wei,
        tiers: caps.by_tier,
    })
}

async fn set_caps(State(handle): State<GatewayHandle>, body: axum::body::Bytes) -> Response {
    let refused = |text: String| (StatusCode::BAD_REQUEST, format!("{text}\n")).into_response();
    let form: CapsForm = match serde_json::from_slice(&body) {
        Ok(form) => form,
        Err(error) => return refused(error.to_string()),
    };
    let mut caps =
        Caps { others_wei: form.default_wei, by_tier: form.tiers, ..Caps::of(form.general_wei) };
    for (id, wei) in form.pipelines {
        match domain::capability::Capability::live(&id) {
            Ok(capability) => drop(caps.by_capability.insert(capability, wei)),
            Err(error) => return refused(error.to_string()),
        }
    }
    handle.set_caps(caps);
    StatusCode::NO_CONTENT.into_response()
}

async fn columns(State(handle): State<GatewayHandle>) -> Json<Value> {
    Json(json!(handle.columns().all()))
}

/// Puts a column of the operator's own in place: `{"host:8935": 5}`.
async fn put_column(
    State(handle): State<GatewayHandle>,
    Path(name): Path<String>,
    body: axum::body::Bytes,
) -> Response {
    let column = serde_json::from_slice(&body).map_err(|error| error.to_string());
    let put = column
        .and_then(|column| handle.put_column(&name, column).map_err(|error| error.to_string()));
    if let Err(text) = put {
        return (StatusCode::BAD_REQUEST, format!("{text}\n")).into_response();
    }
    handle.settled().await;
    StatusCode::NO_CONTENT.into_response()
}

async fn remove_column(State(handle): State<GatewayHandle>, Path(name): Path<String>) -> Response {
    let known = handle.remove_column(&name);
    handle.settled().await;
    done(&name, known)
}

/// An orchestrator to be taken in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Added {
    uri: String,
    #[serde(default)]
    name: Option<String>,
}

async fn add_orchestrator(
    State(handle): State<GatewayHandle>,
    body: axum::body::Bytes,
) -> Response {
    let added: Added = match serde_json::from_slice(&body) {
        Ok(added) => added,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    let name = added.name.filter(|name| !name.is_empty());
    match handle.add(OrchestratorConfig { name, ..OrchestratorConfig::at(added.uri) }) {
        Ok(id) => {
            let body = json!({ "orchestrator": id.to_string() });
            (StatusCode::CREATED, Json(body)).into_response()
        }
        Err(error) => (StatusCode::CONFLICT, format!("{}\n", chain(&error))).into_response(),
    }
}

async fn remove_orchestrator(
    State(handle): State<GatewayHandle>,
    Path(name): Path<String>,
) -> Response {
    let known = handle.remove(&name);
    handle.settled().await;
    done(&name, known)
}

async fn act_on_orchestrator(
    State(handle): State<GatewayHandle>,
    Path((name, act)): Path<(String, String)>,
) -> Response {
    let known = match act.as_str() {
        "trust" => match handle.trust_anew(&name).await {
            Ok(known) => known,
            Err(error) => {
                let text = format!("{}\n", chain(&error));
                return (StatusCode::INTERNAL_SERVER_ERROR, text).into_response();
            }
        },
        "use" => handle.wish(&name, Wish::Use),
        "drain" => handle.wish(&name, Wish::Drain),
        "block" => handle.wish(&name, Wish::Block),
        "lift" => handle.lift(&name),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    handle.settled().await;
    done(&name, known)
}

/// Tells why the orchestrator did not serve the jobs for which it was a candidate.
async fn why_not(State(handle): State<GatewayHandle>, Path(name): Path<String>) -> Json<Value> {
    let counts = handle.why(&name);
    let reasons = counts.reasons;
    Json(json!({
        "orchestrator": name, "jobs": counts.jobs, "served": counts.served, "reasons": reasons,
    }))
}

fn done(name: &str, known: bool) -> Response {
    match known {
        true => StatusCode::NO_CONTENT.into_response(),
        false => (StatusCode::NOT_FOUND, format!("orchestrator `{name}`")).into_response(),
    }
}

async fn orchestrators(State(handle): State<GatewayHandle>) -> Json<Value> {
    let now = Instant::now().into_std();
    let row = |row: OrchestratorRow| {
        let offered: Vec<String> = row.capabilities.iter().map(ToString::to_string).collect();
        let answered = row.answered_at.map(|at| now.saturating_duration_since(at).as_secs_f64());
        json!({
            "orchestrator": row.id.to_string(),
            "uri": row.uri,
            "reachable": row.reachable,
            "standing": row.standing(),
            "suspended_s": row.suspended.map(|left| left.as_secs_f64()),
            "failures_in_a_row": row.failures_in_a_row,
            "source": row.source,
            "named_by": row.named_by.map(|id| id.to_string()),
            "tls": row.tls,
            "certificate": row.certificate,
            "version": row.version,
            "region": row.region,
            "detail": row.detail,
            "start_us": { "p50": row.starts_us[0], "p95": row.starts_us[1], "p99": row.starts_us[2] },
            "availability_ppm": row.availability_ppm,
            "answered_s_ago": answered,
            "rtt_us": row.rtt_us,
            "capabilities": offered,
            "jobs": row.in_flight,
            "attempts": row.attempts,
            "successes": row.successes,
        })
    };
    let offering = |offering: domain::offering::Offering| {
        json!({
            "orchestrator": offering.orchestrator.to_string(),
            "capability": offering.capability.to_string(),
            "price_wei": offering.price.map(|price| price.for_lot(LIVE_LOT).to_string()),
            "slots_free": offering.slots_free,
            "slots_total": offering.slots_total,
            "warm": offering.warm,
            "hardware": offering.hardware,
        })
    };
    let source = |row: SourceRow| {
        let said = row.said_at.map(|at| now.saturating_duration_since(at).as_secs_f64());
        let stale = !row.trouble.is_empty();
        json!({
            "source": row.name, "named": row.named, "said_s_ago": said,
            "stale": stale, "detail": row.trouble,
        })
    };
    let policy = |policy: PolicyRow| {
        json!({
            "plugin_slot": policy.plugin_slot,
            "active": policy.active,
            "state": policy.state.name(),
            "why": policy.state.to_string(),
            "on_fault": policy.on_fault.name(),
            "previous": policy.previous,
        })
    };
    Json(json!({
        "sources": handle.sources().into_iter().map(source).collect::<Vec<Value>>(),
        "orchestrators": handle.orchestrators().into_iter().map(row).collect::<Vec<Value>>(),
        "offerings": handle.offerings().into_iter().map(offering).collect::<Vec<Value>>(),
        "policy": policy(handle.policy()),
        "other_policies": handle.other_policies().into_iter().map(policy).collect::<Vec<Value>>(),
    }))
}
