//! The gateway's process.

use std::path::Path as FilePath;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use domain::id::JobId;
use domain::{Class, chain};
use gateway::config::{
    AUDIT_ONE_IN, Config as GatewayConfig, GENERAL_SLOT, OrchestratorConfig, SelectionConfig,
    Selections, SourcesConfig,
};
use gateway::{Gateway, GatewayHandle, JobRow, JobState, LISTED_MAX};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing::warn;

use super::{Ground, Serving, market, policies, refuse_any, runtime};
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
/// Records in a list unless asked for: a screen or two.
const LISTED: usize = 100;

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

/// Makes the role's configuration; `own` is the orchestrator beside it, if there is one.
pub(super) fn built_from(
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
        authorities: plan.authorities,
        min_version: plan.min_version,
        discovery: plan.discovery,
        feedback: plan.feedback,
        sources: plan.sources,
        blocklist: config.gateway.blocklist.clone(),
        caps: plan.caps,
        custom: plan.custom,
        customers: plan.customers,
        default_pipeline: plan.default_pipeline,
        selections,
        allowed_hosts: plan.allowed_hosts,
        public_url: plan.public_url,
        limits: plan.limits,
        records: Some(plan.records),
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

pub(super) fn readiness(handle: &GatewayHandle) -> Readiness {
    let detail = if handle.ready() { "" } else { "it takes no jobs" };
    Readiness { ready: detail.is_empty(), detail: detail.to_owned() }
}

fn routes(handle: GatewayHandle) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/jobs", get(jobs))
        .route("/v1/jobs/{job}", get(job).delete(end_job))
        .route("/v1/records", get(records))
        .with_state(handle.clone())
        .merge(market::routes(handle))
}

async fn status(State(handle): State<GatewayHandle>) -> Json<Value> {
    let live = handle.jobs().iter().filter(|row| row.state != JobState::Ended).count();
    Json(json!({ "tasks": super::tasks(), "channels": handle.channels(), "jobs": live }))
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
    // One that is not in memory is read from the disk.
    let found = tokio::task::spawn_blocking(move || handle.job(&job)).await;
    match found.unwrap_or_default() {
        Some(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Which records are listed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    /// Only jobs before this one, such as `job-7`.
    #[serde(default)]
    before: Option<String>,
    /// At most so many.
    #[serde(default)]
    limit: Option<usize>,
}

/// Lists job records on disk, newest first.
async fn records(
    State(handle): State<GatewayHandle>,
    Query(Listed { before, limit }): Query<Listed>,
) -> Json<Value> {
    let limit = limit.unwrap_or(LISTED).min(LISTED_MAX);
    let listing = tokio::task::spawn_blocking(move || handle.records(before.as_deref(), limit));
    let (records, dropped) = listing.await.unwrap_or_default();
    Json(json!({ "records": records, "dropped": dropped }))
}

async fn end_job(State(handle): State<GatewayHandle>, Path(job): Path<String>) -> StatusCode {
    let number = job.strip_prefix("job-").and_then(|number| number.parse().ok());
    match number.map(|number| handle.cancel(JobId(number))) {
        Some(true) => StatusCode::NO_CONTENT,
        Some(false) | None => StatusCode::NOT_FOUND,
    }
}
