//! The side-car's process: what stock nodes ask by webhook is answered by our policies, and every
//! answer can be asked for its grounds.
//!
//! **Invariant:** no answer waits for an orchestrator: what was heard last counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use domain::capability::Capability;
use domain::price::{LIVE_LOT, UnitPrice};
use domain::{Class, chain};
use gateway::config::OrchestratorConfig;
use gateway::{Advisor, GatewayHandle};
use orchestrator::price::{Pricer, Situation};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing::warn;
use wire::error::{Refusal, Word};
use wire::livepeer::{PriceAsked, Recommended, TRANSCODE, price_told};
use wire::serve::App;

use super::{
    Ground, Serving, gateway as role, market as market_side, orchestrator as compute, refuse_any,
    runtime,
};
use crate::config::convert::{self, AdvisePlan, Search, is_wallet};
use crate::data::Role;
use crate::failure::{Exit, Failure};
use crate::listen::Wanted;
use crate::telemetry::Telemetry;

/// Configuration key of the webhooks.
const HTTP: &str = "advise.http";
/// Configuration key of the admin side.
const ADMIN: &str = "advise.admin";
/// Time for open answers at a stop: none takes longer than a policy does.
pub(super) const DRAIN: Duration = Duration::from_secs(1);

/// What the webhooks share.
#[derive(Clone)]
struct Port {
    market: GatewayHandle,
    pricer: Arc<Pricer>,
    /// What is priced: stock orchestrators have one price for everything.
    priced: Capability,
    base_wei: u64,
    /// The orchestrator that is priced.
    node: Option<String>,
    /// Whether it is recommended as well.
    node_listed: bool,
    refused: Arc<[String]>,
}

/// Runs the side-car until it is asked to stop.
pub(crate) fn main(ground: Ground) -> Result<Exit, Failure> {
    let config = ground.config.clone();
    let mut plan = match convert::advise(&config, &Search::new(&config)) {
        Ok(plan) => plan,
        Err(problems) => return refuse_any(ground.file.as_deref(), &problems).map(|()| Exit::Ok),
    };
    let own = &config.advise;
    let wanted =
        [Wanted { key: HTTP, address: own.http }, Wanted { key: ADMIN, address: own.admin }];
    let mut settled = ground.settle(Role::Advise, &wanted)?;
    let listen = settled.addresses();
    let (http, admin) = (settled.listener(HTTP)?, settled.listener(ADMIN)?);
    let bound = http.local_addr().unwrap_or(own.http);
    let internal = |error: &dyn std::error::Error| Failure::from_error(Class::Internal, error);
    let priced = Capability::new(TRANSCODE).map_err(|error| internal(&error))?;
    let pricing = compute::pricer(
        &config,
        &plan.pricing,
        std::slice::from_ref(&priced),
        &settled.data.cache(),
    )?;
    let node_listed = list(&mut plan);
    let folder = settled.folder.path();
    let built = role::built_from(&config, plan.gateway, None, folder, &settled.data)?;
    if !bound.ip().is_loopback() {
        warn!(%bound, key = HTTP, "anyone who reaches this address may read scores and prices");
    }
    runtime()?.block_on(async move {
        let (advisor, market) = Advisor::build(built, bound, Telemetry::sink())
            .map_err(|error| Failure::usage(chain(&error)))?;
        let listener = tokio::net::TcpListener::from_std(http).map_err(|it| internal(&it))?;
        let port = Port {
            market: market.clone(),
            pricer: Arc::new(pricing),
            priced,
            base_wei: config.orchestrator.price_wei,
            node: plan.node,
            node_listed,
            refused: plan.refused.into(),
        };
        let stop = watch::Sender::new(false);
        let stopping = || {
            let mut stopping = stop.subscribe();
            // A sender that is gone is as good as a wish to stop.
            async move { drop(stopping.wait_for(|stop| *stop).await) }
        };
        let limits = wire::serve::Config::default();
        let sink = Telemetry::sink();
        let serve = wire::serve::serve(listener, None, app(port), limits, sink, stopping());
        let ask = advisor.run(stopping());
        let looking = market.clone();
        let service = Serving {
            url: format!("http://{bound}"),
            admin_hosts: config.advise.admin_hosts,
            routes: market_side::routes(market),
            ready: Box::new(move || role::readiness(&looking)),
            run: async move {
                tokio::join!(serve, ask);
                Ok(())
            },
            stop,
            drain: DRAIN,
        };
        settled.serve(listen, admin, service).await
    })
}

/// Has the orchestrator that is priced asked as well, since how busy it is moves the price; says whether
/// it was to be asked anyhow.
fn list(plan: &mut AdvisePlan) -> bool {
    let Some(node) = &plan.node else { return false };
    let known = plan.gateway.orchestrators.iter().any(|it| it.uri == *node);
    if !known {
        plan.gateway.orchestrators.push(OrchestratorConfig::at(node));
    }
    known
}

fn app(port: Port) -> App {
    let router = Router::new()
        .route("/orchestrators", get(recommended))
        .route("/price", post(price))
        .route("/v1/explain/orchestrators", get(explain_orchestrators))
        .route("/v1/explain/price", get(explain_price))
        .route("/healthz", get(async || StatusCode::OK))
        .fallback(async || Refusal::new(Word::NoCapability, "nothing goes by that path"))
        .with_state(port);
    App::new(router)
}

/// What orchestrators are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct For {
    /// A capability's name or the id of a live pipeline; without it all are looked at.
    capability: Option<String>,
}

impl Port {
    async fn advice(&self, wanted: Option<String>) -> Vec<gateway::Advice> {
        let (market, except) = (self.market.clone(), self.node.clone());
        let except = except.filter(|_| !self.node_listed);
        // A policy explains itself for as long as it prepares: not on a thread that serves.
        let judged = tokio::task::spawn_blocking(move || {
            market.advice(wanted.as_deref(), except.as_deref())
        });
        judged.await.unwrap_or_default()
    }

    /// Says how busy the priced orchestrator is; one of which nothing is known counts as idle.
    fn situation(&self) -> (Situation, bool) {
        let known = self.node.as_deref().and_then(|node| self.market.slots(node));
        let (slots_free, slots_total) = known.unwrap_or((1, 1));
        (Situation { slots_free, slots_total }, known.is_some())
    }

    /// Refuses who is no wallet, and who is not wanted.
    fn admit(&self, id: &str) -> Result<(), Refusal> {
        if !is_wallet(id) {
            let id: String = id.chars().take(64).collect();
            let text = format!("`{id}` is no wallet (`0x` and 40 hexadecimal digits)");
            return Err(Refusal::new(Word::Invalid, text));
        }
        match self.refused.contains(&id.to_ascii_lowercase()) {
            true => Err(Refusal::new(Word::Denied, format!("`{id}` gets no price here"))),
            false => Ok(()),
        }
    }

    fn quote(&self, situation: Situation) -> Result<u64, Refusal> {
        let quoted = self.pricer.quote(&self.priced, self.base_wei, situation, &*Telemetry::sink());
        quoted.ok_or_else(|| Refusal::new(Word::Denied, "the pricing rule names no price now"))
    }
}

/// `GET /orchestrators`: whom a stock gateway is to use, best first.
async fn recommended(State(port): State<Port>, Query(wanted): Query<For>) -> Json<Value> {
    let mut best: BTreeMap<String, f64> = BTreeMap::new();
    let advice = port.advice(wanted.capability).await;
    let all = advice.into_iter().flat_map(|it| it.orchestrators);
    for (uri, score) in all.filter_map(|it| Some((it.uri, it.score?))) {
        let known = best.entry(uri).or_insert(score);
        *known = known.max(score);
    }
    let mut listed: Vec<Recommended> =
        best.into_iter().map(|(address, score)| Recommended { address, score }).collect();
    listed.sort_by(|a, b| b.score.total_cmp(&a.score));
    Json(json!(listed))
}

/// `GET /v1/explain/orchestrators`: why each of them is listed where it is, or is not.
async fn explain_orchestrators(State(port): State<Port>, Query(wanted): Query<For>) -> Json<Value> {
    Json(json!({ "advice": port.advice(wanted.capability).await }))
}

/// `POST /price`: what a gateway is to pay to a stock orchestrator.
async fn price(State(port): State<Port>, body: axum::body::Bytes) -> Response {
    let asked: PriceAsked = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(error) => {
            let text = format!("the body is no question for a price: {error}");
            return Refusal::new(Word::Invalid, text).into_response();
        }
    };
    let quoted = port.admit(&asked.id).and_then(|()| port.quote(port.situation().0));
    match quoted {
        Ok(wei) => match UnitPrice::new(wei, LIVE_LOT) {
            Some(price) => Json(price_told(price)).into_response(),
            None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        },
        Err(refusal) => refusal.into_response(),
    }
}

/// `GET /v1/explain/price`: what the price is made of.
async fn explain_price(State(port): State<Port>) -> Response {
    let (situation, known) = port.situation();
    let sink = Telemetry::sink();
    let parts = port.pricer.explain(&port.priced, port.base_wei, situation, &*sink);
    let (parts, refused) = match parts {
        Ok(parts) => (parts, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let part = |part: plugin::policy::pricing::Part| json!({ "label": part.label, "wei": part.wei.to_string() });
    let rule = port.pricer.versions().next().map(|version| {
        let who = version.identity();
        json!({ "plugin": who.plugin, "version": who.version, "digest": who.digest.to_string() })
    });
    let quoted = port.quote(situation);
    Json(json!({
        "base_wei": port.base_wei.to_string(),
        "parts": parts.into_iter().map(part).collect::<Vec<Value>>(),
        "price_wei": quoted.as_ref().ok().map(ToString::to_string),
        "per_pixels": LIVE_LOT,
        "refused": refused.or_else(|| quoted.err().map(|it| it.message().to_owned())),
        "rule": rule,
        "node": port.node,
        "load_known": known,
        "slots_free": situation.slots_free,
        "slots_total": situation.slots_total,
    }))
    .into_response()
}
