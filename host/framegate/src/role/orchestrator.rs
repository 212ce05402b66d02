//! The orchestrator's process.

use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::{Json, Router};
use domain::capability::Capability;
use domain::id::SessionId;
use domain::{Class, chain};
use orchestrator::price::{PLUGIN_SLOT, Pricer, PricingConfig};
use orchestrator::{HeardRow, Orchestrator, OrchestratorHandle};
use plugin::Standing;
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing::{info, warn};
use wire::feedback::Counts;
use wire::offerings::Signer;
use worker::parent::WorkerConfig;

use super::{Ground, Serving, device, policies, refuse_any, runtime};
use crate::admin::Readiness;
use crate::config::convert::{self, DECODE_THREADS, OrchestratorPlan, PricingPlan, Search};
use crate::config::{Config, env};
use crate::data::{DataDir, Role};
use crate::failure::{Exit, Failure};
use crate::listen::{Listeners, Wanted};
use crate::telemetry::Telemetry;

/// Configuration key of the service port.
const LISTEN: &str = "orchestrator.listen";
/// Configuration key of the admin side.
const ADMIN: &str = "orchestrator.admin";

/// Returns the addresses that it listens on.
pub(super) fn wanted(config: &Config) -> Vec<Wanted> {
    let own = &config.orchestrator;
    vec![Wanted { key: LISTEN, address: own.listen }, Wanted { key: ADMIN, address: own.admin }]
}

/// Returns the URL by which gateways reach it on `listeners`: the configured one, else that of its
/// address.
pub(super) fn url(config: &Config, listeners: &Listeners) -> String {
    let own = &config.orchestrator;
    let bound = listeners.get(LISTEN).and_then(|listener| listener.local_addr().ok());
    match own.service_uri.trim_end_matches('/') {
        "" => url_of(config, bound.unwrap_or(own.listen)),
        configured => configured.to_owned(),
    }
}

fn url_of(config: &Config, address: SocketAddr) -> String {
    let scheme = if config.orchestrator.cleartext { "http" } else { "https" };
    format!("{scheme}://{address}")
}

/// Runs the orchestrator until it is asked to stop.
pub(crate) fn main(ground: Ground) -> Result<Exit, Failure> {
    let config = ground.config.clone();
    let plan = convert::orchestrator(&config, &Search::new(&config));
    let plan = match plan {
        Ok(plan) => plan,
        Err(problems) => return refuse_any(ground.file.as_deref(), &problems).map(|()| Exit::Ok),
    };
    let found = device::look(&config)?;
    let mut settled = ground.settle(Role::Orchestrator, &wanted(&config))?;
    info!(found, "device looked for");
    plan.warnings.iter().for_each(|problem| warn!(problem, "plugin left out"));
    let url = url(&config, &settled.listeners);
    let listen = settled.addresses();
    let (service, admin) = (settled.listener(LISTEN)?, settled.listener(ADMIN)?);
    let built = built_from(&config, plan, url.clone(), settled.folder.path(), &settled.data)?;
    runtime()?.block_on(async move {
        let (orchestrator, handle) = Orchestrator::build(built, service, Telemetry::sink())
            .map_err(|error| Failure::from_error(error.class(), &error))?;
        let stop = watch::Sender::new(false);
        let mut stopping = stop.subscribe();
        let run = async move {
            // A sender that is gone is as good as a wish to stop.
            orchestrator.run(async move { drop(stopping.wait_for(|stop| *stop).await) }).await;
            Ok(())
        };
        let looking = handle.clone();
        let service = Serving {
            url,
            admin_hosts: config.orchestrator.admin_hosts,
            routes: routes(handle),
            ready: Box::new(move || readiness(&looking)),
            run,
            stop,
            drain: config.orchestrator.drain.duration(),
        };
        settled.serve(listen, admin, service).await
    })
}

fn built_from(
    config: &Config,
    plan: OrchestratorPlan,
    url: String,
    folder: &FilePath,
    data: &DataDir,
) -> Result<orchestrator::Config, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(Class::Internal, format!("finding this program: {error}")))?;
    let device = config.orchestrator.device.clone();
    let offered = plan.pipelines.iter().filter_map(|it| Capability::live(&it.id).ok());
    let offered: Vec<Capability> = offered.collect();
    let pricer = pricer(config, &plan.pricing, &offered, &data.cache())?;
    let signer = match config.orchestrator.offerings_key.as_str() {
        "" => None,
        path => Some(Signer::load(FilePath::new(path)).map_err(|error| {
            Failure::usage(chain(&error)).hint("`orchestrator.offerings_key` names it")
        })?),
    };
    let mut worker_env = plan.worker_env;
    worker_env.push((env::STORES.to_owned(), folder.join("kv").display().to_string()));
    worker_env.push((env::DATA.to_owned(), data.path().display().to_string()));
    Ok(orchestrator::Config {
        name: plan.name,
        region: config.orchestrator.region.clone(),
        signer: signer.map(Arc::new),
        service_uri: url,
        cleartext: config.orchestrator.cleartext,
        callers: plan.callers,
        data_dir: folder.to_owned(),
        pipelines: plan.pipelines,
        slots: config.orchestrator.slots,
        pricer: Arc::new(pricer),
        worker: WorkerConfig { program, device, env: worker_env },
        encode: plan.encode,
        decode_threads: DECODE_THREADS,
        limits: plan.limits,
    })
}

/// Prepares who prices `offered`.
pub(super) fn pricer(
    config: &Config,
    plan: &PricingPlan,
    offered: &[Capability],
    cache: &FilePath,
) -> Result<Pricer, Failure> {
    let Some(chosen) = &plan.rule else { return Ok(Pricer::native()) };
    let own = &config.orchestrator;
    let (key, text) = ("orchestrator.pricing_config", &own.pricing_config);
    let pricing = PricingConfig {
        rule: policies::pricing("orchestrator.pricing", chosen, cache)?,
        config: policies::document(config, key, text, &chosen.manifest)?,
        on_fault: own.pricing_on_fault.into(),
        previous: match &plan.previous {
            None => None,
            Some(manifest) => {
                Some(policies::pricing("orchestrator.pricing_previous", manifest, cache)?)
            }
        },
        bounds: plan.bounds,
    };
    let pricer = Pricer::with_rule(pricing, offered, &*Telemetry::sink());
    pricer.map_err(|error| match error.class() {
        Class::PluginFault => Failure::from_error(Class::PluginFault, &error),
        _ => Failure::usage(chain(&error)).hint("`orchestrator.pricing_config` is what it reads"),
    })
}

fn readiness(handle: &OrchestratorHandle) -> Readiness {
    let detail = match (handle.ready(), handle.worker()) {
        (true, _) => "",
        (false, None) => "its worker is down",
        (false, Some(_)) => "its worker has loaded no pipeline",
    };
    Readiness { ready: detail.is_empty(), detail: detail.to_owned() }
}

fn routes(handle: OrchestratorHandle) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/sessions", get(sessions))
        .route("/v1/sessions/{session}", delete(end_session))
        .route("/v1/why", get(why))
        .with_state(handle)
}

async fn status(State(handle): State<OrchestratorHandle>) -> Json<Value> {
    let (channels, sessions) = (handle.channels(), handle.sessions().len());
    let (slots_free, slots_total) = handle.slots();
    Json(json!({
        "tasks": super::tasks(), "channels": channels, "sessions": sessions,
        "slots_free": slots_free, "slots_total": slots_total,
    }))
}

async fn sessions(State(handle): State<OrchestratorHandle>) -> Json<Value> {
    let sessions: Vec<Value> = handle
        .sessions()
        .into_iter()
        .map(|row| {
            json!({
                "session": row.id.to_string(),
                "pipeline": row.pipeline,
                "request": row.request,
                "manifest_id": row.manifest_id,
                "price_wei": row.price_wei.to_string(),
                "age_s": row.age.as_secs_f64(),
            })
        })
        .collect();
    let (slots_free, slots_total) = handle.slots();
    let worker = handle.worker().map(|row| {
        let pipelines: Vec<Value> = row
            .pipelines
            .into_iter()
            .map(|(id, version, digest)| json!({ "id": id, "version": version, "digest": digest }))
            .collect();
        json!({
            "device": row.device,
            "device_note": row.device_note,
            "hardware": row.hardware,
            "pid": row.pid,
            "pipelines": pipelines,
        })
    });
    Json(json!({
        "sessions": sessions,
        "slots_free": slots_free,
        "slots_total": slots_total,
        "worker": worker,
        "pricing": {
            "plugin_slot": PLUGIN_SLOT,
            "versions": handle.pricing().iter().map(|it| version(it)).collect::<Vec<Value>>(),
        },
    }))
}

/// Tells what gateways said of this orchestrator, each and all together.
async fn why(State(handle): State<OrchestratorHandle>) -> Json<Value> {
    let mut sum = Counts::default();
    let gateway = |row: HeardRow| {
        sum.add(&row.counts);
        json!({
            "gateway": row.gateway,
            "address": row.address.to_string(),
            "heard_s_ago": row.age.as_secs_f64(),
            "jobs": row.counts.jobs,
            "served": row.counts.served,
            "reasons": row.counts.reasons,
        })
    };
    let gateways: Vec<Value> = handle.heard().into_iter().map(gateway).collect();
    Json(json!({
        "orchestrator": handle.name(),
        "gateways": gateways,
        "jobs": sum.jobs,
        "served": sum.served,
        "reasons": sum.reasons,
    }))
}

fn version(standing: &Standing) -> Value {
    let (who, state) = (standing.identity(), standing.state());
    json!({
        "plugin": who.plugin,
        "version": who.version,
        "digest": who.digest.to_string(),
        "state": state.name(),
        "why": state.to_string(),
    })
}

async fn end_session(
    State(handle): State<OrchestratorHandle>,
    Path(session): Path<String>,
) -> StatusCode {
    let number = session.strip_prefix("session-").and_then(|number| number.parse().ok());
    match number.map(|number| handle.cancel(SessionId(number))) {
        Some(true) => StatusCode::NO_CONTENT,
        Some(false) | None => StatusCode::NOT_FOUND,
    }
}
