//! The gateway's process.

use std::collections::BTreeMap;
use std::path::Path as FilePath;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use domain::id::JobId;
use domain::price::LIVE_LOT;
use domain::standing::Wish;
use domain::{Class, chain};
use gateway::config::{
    AUDIT_ONE_IN, Caps, Config as GatewayConfig, GENERAL_SLOT, OrchestratorConfig, SelectionConfig,
    Selections, SourcesConfig,
};
use gateway::{Gateway, GatewayHandle, JobRow, OrchestratorRow, PolicyRow, SourceRow};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use super::{Ground, Serving, policies, refuse_any, runtime};
use crate::admin::Readiness;
use crate::config::Config;
use crate::config::convert::{self, GatewayPlan, JobsOf, Search, Selecting};
use crate::data::{DataDir, Role};
use crate::failure::{Exit, Failure};
use crate::listen::Wanted;
use crate::telemetry::Telemetry;

/// Configuration key of the front door.
const HTTP: &str = "gateway.http";
/// Configuration key of the admin side.
const ADMIN: &str = "gateway.admin";

/// Returns the addresses that it listens on.
pub(super) fn wanted(config: &Config) -> Vec<Wanted> {
    let own = &config.gateway;
    vec![Wanted { key: HTTP, address: own.http }, Wanted { key: ADMIN, address: own.admin }]
}

/// Runs the gateway until it is asked to stop.
pub(crate) fn main(ground: Ground) -> Result<Exit, Failure> {
    let config = ground.config.clone();
    let plan = match convert::gateway(&config, &Search::new(&config)) {
        Ok(plan) => plan,
        Err(problems) => return refuse_any(ground.file.as_deref(), &problems).map(|()| Exit::Ok),
    };
    let own = ground.inherited.as_ref().and_then(|inherited| inherited.own_orchestrator.clone());
    let mut settled = ground.settle(Role::Gateway, &wanted(&config))?;
    let listen = settled.addresses();
    let (http, admin) = (settled.listener(HTTP)?, settled.listener(ADMIN)?);
    let bound = http.local_addr().unwrap_or(config.gateway.http);
    let url = plan.public_url.clone().unwrap_or_else(|| format!("http://{bound}"));
    let built = built_from(&config, plan, own, settled.folder.path(), &settled.data)?;
    if built.orchestrators.is_empty() && built.sources == SourcesConfig::default() {
        warn!(key = "gateway.orchestrators", "no orchestrator is known, so every job is refused");
    }
    if !bound.ip().is_loopback() {
        warn!(%bound, key = HTTP, "anyone who reaches this address may start jobs");
    }
    runtime()?.block_on(async move {
        let (gateway, handle) =
            Gateway::build(built, http, Telemetry::sink()).map_err(|error| {
                match error.class() {
                    Class::Internal => Failure::from_error(Class::Internal, &error),
                    _ => Failure::usage(chain(&error)),
                }
            })?;
        let stop = watch::Sender::new(false);
        let mut stopping = stop.subscribe();
        let run = async move {
            // A sender that is gone is as good as a wish to stop.
            gateway.run(async move { drop(stopping.wait_for(|stop| *stop).await) }).await;
            Ok(())
        };
        let looking = handle.clone();
        let service = Serving {
            url,
            admin_hosts: config.gateway.admin_hosts,
            routes: routes(handle),
            ready: Box::new(move || readiness(&looking)),
            run,
            stop,
            drain: config.gateway.drain.duration(),
        };
        settled.serve(listen, admin, service).await
    })
}

fn built_from(
    config: &Config,
    plan: GatewayPlan,
    own: Option<String>,
    folder: &FilePath,
    data: &DataDir,
) -> Result<GatewayConfig, Failure> {
    let selections = selections(config, &plan, data)?;
    let own = own.map(|uri| OrchestratorConfig {
        name: Some(convert::own_name(config)),
        ..OrchestratorConfig::at(uri)
    });
    // One that the file names as well is asked once.
    let others = plan.orchestrators.into_iter();
    let others = others.filter(|other| own.as_ref().is_none_or(|own| own.uri != other.uri));
    Ok(GatewayConfig {
        orchestrators: own.iter().cloned().chain(others).collect(),
        discovery: plan.discovery,
        sources: plan.sources,
        blocklist: config.gateway.blocklist.clone(),
        caps: plan.caps,
        customers: plan.customers,
        default_pipeline: plan.default_pipeline,
        selections,
        allowed_hosts: plan.allowed_hosts,
        public_url: plan.public_url,
        limits: plan.limits,
        drain: config.gateway.drain.duration(),
        ..GatewayConfig::new(Vec::new(), folder.to_owned())
    })
}

/// Loads who selects orchestrators.
fn selections(config: &Config, plan: &GatewayPlan, data: &DataDir) -> Result<Selections, Failure> {
    let mut all = Selections::default();
    if let Some(selecting) = &plan.selection {
        all.general = Some(selection(GENERAL_SLOT, config, selecting, data)?);
    }
    for (whose, selecting) in &plan.selections {
        let name = match whose {
            JobsOf::Tier(tier) => format!("selection/tier/{tier}"),
            JobsOf::Capability(capability) => format!("selection/capability/{capability}"),
        };
        // Names of the file live as long as the process: it reads the file once.
        let loaded = selection(name.leak(), config, selecting, data)?;
        match whose {
            JobsOf::Tier(tier) => drop(all.by_tier.insert(tier.clone(), loaded)),
            JobsOf::Capability(capability) => {
                drop(all.by_capability.insert(capability.clone(), loaded));
            }
        }
    }
    Ok(all)
}

fn selection(
    plugin_slot: &'static str,
    config: &Config,
    selecting: &Selecting,
    data: &DataDir,
) -> Result<SelectionConfig, Failure> {
    let Selecting { key, chosen, previous, document: (document, text), on_fault } = selecting;
    let load = |chosen| policies::selection(key, chosen, &data.cache());
    Ok(SelectionConfig {
        plugin_slot,
        policy: load(chosen)?,
        config: policies::document(config, document, text, &chosen.manifest)?,
        on_fault: *on_fault,
        previous: previous.as_ref().map(load).transpose()?,
        audit_one_in: AUDIT_ONE_IN,
    })
}

fn readiness(handle: &GatewayHandle) -> Readiness {
    let detail = if handle.ready() { "" } else { "it takes no jobs" };
    Readiness { ready: detail.is_empty(), detail: detail.to_owned() }
}

fn routes(handle: GatewayHandle) -> Router {
    Router::new()
        .route("/v1/jobs", get(jobs))
        .route("/v1/jobs/{job}", get(job).delete(end_job))
        .route("/v1/caps", get(caps).put(set_caps))
        .route("/v1/orchestrators", get(orchestrators).post(add_orchestrator))
        .route("/v1/orchestrators/{name}", delete(remove_orchestrator))
        .route("/v1/orchestrators/{name}/why", get(why_not))
        .route("/v1/orchestrators/{name}/{act}", post(act_on_orchestrator))
        .with_state(handle)
}

async fn jobs(State(handle): State<GatewayHandle>) -> Json<Value> {
    let row = |row: JobRow| {
        json!({
            "job": row.id.to_string(),
            "state": row.state,
            "capability": row.capability,
            "request": row.request,
            "orchestrator": row.orchestrator.map(|id| id.to_string()),
            "reason": row.reason,
            "age_s": row.age.as_secs_f64(),
        })
    };
    Json(json!({ "jobs": handle.jobs().into_iter().map(row).collect::<Vec<Value>>() }))
}

async fn job(State(handle): State<GatewayHandle>, Path(job): Path<String>) -> Response {
    match handle.job(&job) {
        Some(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn end_job(State(handle): State<GatewayHandle>, Path(job): Path<String>) -> StatusCode {
    let number = job.strip_prefix("job-").and_then(|number| number.parse().ok());
    match number.map(|number| handle.cancel(JobId(number))) {
        Some(true) => StatusCode::NO_CONTENT,
        Some(false) | None => StatusCode::NOT_FOUND,
    }
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
    Json(handle.why(&name))
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
