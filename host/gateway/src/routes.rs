//! The front door: starts of live jobs, their records, and whether the gateway is alive. Reads
//! requests and writes answers; the channels are `wire`'s.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Extension, Path, State as Shared};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use domain::event::Event;
use http::header::{CONTENT_TYPE, HOST, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use tokio::sync::oneshot;
use tracing::Instrument;
use wire::error::{Reason, Refusal, Word};
use wire::header::REQUEST_ID;
use wire::serve::{App, Peer};

use crate::channels::{BASE, Channels, JSON};
use crate::intake::{self, Ask, GATEWAY};
use crate::offerings;
use crate::open::{Answer, Opening};
use crate::record::Looked;
use crate::retries::{self, Turn};
use crate::start::PATH;
use crate::state::{State, now};

/// Builds everything that the front door answers.
pub(crate) fn app(state: Arc<State>) -> App {
    let store = state.store.clone();
    let body_bytes_max = state.config.limits.body_bytes_max;
    let router = Router::new()
        .route(PATH, post(start))
        .route("/v1/jobs/{job}", get(look).delete(end))
        .layer(DefaultBodyLimit::max(body_bytes_max))
        .route(wire::offerings::PATH, get(offerings::published))
        .route(wire::livepeer::NETWORK_PATH, get(offerings::listing))
        .route("/healthz", get(async || StatusCode::OK))
        .fallback(async || Refusal::new(Word::NoCapability, "nothing goes by that path"))
        .with_state(state);
    App::new(router).with_trickle(BASE, store)
}

/// `POST /live-video-to-video`.
async fn start(
    Shared(state): Shared<Arc<State>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = intake::request_id(&headers, &body);
    let client = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Extension(Peer(address))| {
        address.ip().to_canonical()
    });
    let span = tracing::info_span!("request", request);
    let answer = once(&state, client, &headers, &body, &request).instrument(span).await;
    let mut response = match answer {
        Ok(answer) => axum::Json(answer).into_response(),
        Err(refusal) => refusal.into_response(),
    };
    if let Ok(value) = HeaderValue::from_str(&request) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Answers a start, one that is repeated with the answer that it had.
async fn once(
    state: &Arc<State>,
    client: IpAddr,
    headers: &HeaderMap,
    body: &[u8],
    request: &str,
) -> Answer {
    let Some(name) = retries::name(client, headers) else {
        return answer(state, client, headers, body, request).await;
    };
    loop {
        let turn = state.retries().begin(&name, now());
        match turn {
            Turn::First(sender) => {
                let answer = answer(state, client, headers, body, request).await;
                retries::settle(&sender, &answer);
                return answer;
            }
            Turn::Again(waiting) => {
                if let Some(answer) = retries::repeated(waiting).await {
                    return Ok(answer);
                }
            }
        }
    }
}

async fn answer(
    state: &Arc<State>,
    client: IpAddr,
    headers: &HeaderMap,
    body: &[u8],
    request: &str,
) -> Answer {
    let opened = open(state, client, headers, body, request).await;
    let opening = opened.inspect_err(|(refusal, capability)| {
        tracing::info!(class = refusal.word().name(), text = refusal.message(), "job refused");
        state.jobs.refused.fetch_add(1, Ordering::Relaxed);
        state.sink.emit(Event::JobRefused {
            class: refusal.word().name(),
            capability: capability.clone(),
            request: request.to_owned(),
        });
    });
    let opening = opening.map_err(|(refusal, _)| refusal)?;
    let (sender, answer) = oneshot::channel();
    let (job, capability) = (opening.admitted.id, opening.ask.capability.to_string());
    let span = tracing::info_span!(parent: None, "job", %job, request, capability);
    let task = Box::pin(opening.run(sender).instrument(span));
    let stopping = || Refusal::new(Word::Unreachable, "the gateway is stopping");
    state.tasks.send(task).await.map_err(|_| stopping())?;
    answer.await.map_err(|_| stopping())?
}

/// Lets a job in, or refuses it with what is known of its capability.
async fn open(
    state: &Arc<State>,
    client: IpAddr,
    headers: &HeaderMap,
    body: &[u8],
    request: &str,
) -> Result<Opening, (Refusal, String)> {
    let begun = now();
    if *state.stopping.borrow() {
        let refusal = Refusal::new(Word::Unreachable, "the gateway is stopping");
        return Err((refusal, String::new()));
    }
    let ask: Ask = intake::read(&state.config, &state.caps.load(), headers, body, request)
        .map_err(|error| (error.refusal(), String::new()))?;
    let capability = ask.capability.to_string();
    let refused = |refusal: Refusal| (refusal, capability.clone());
    intake::check_urls(&ask.given, &state.config.allowed_hosts)
        .await
        .map_err(|error| refused(error.refusal()))?;
    state
        .ledger()
        .left(&state.config.customers, ask.customer, begun)
        .map_err(|error| refused(limited(Word::Denied, error.to_string())))?;
    let limits = &state.config.limits;
    let admitted = state
        .records()
        .admit(client, &capability, request, (limits.jobs_max, limits.jobs_per_client_max), begun)
        .map_err(|error| refused(limited(Word::of(error.class()), error.to_string())))?;
    let channels = Channels::create(&state.store, limits).map_err(|error| {
        state.records().forget_one(admitted.id);
        refused(limited(Word::of(error.class()), error.to_string()))
    })?;
    let origin = origin(state, headers);
    Ok(Opening { state: Arc::clone(state), admitted, ask, channels, origin, begun })
}

/// Makes the refusal of a limit of the gateway's own.
fn limited(word: Word, text: String) -> Refusal {
    Refusal::new(word, text).with_reasons(vec![Reason {
        orchestrator: GATEWAY.to_owned(),
        class: "limit".to_owned(),
        price_wei: None,
        cap_wei: None,
    }])
}

/// Channels are named as the client reached us, unless the operator knows better.
fn origin(state: &State, headers: &HeaderMap) -> String {
    if let Some(public) = &state.config.public_url {
        return public.trim_end_matches('/').to_owned();
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    match host.filter(|host| host.parse::<http::uri::Authority>().is_ok()) {
        Some(host) => format!("http://{host}"),
        None => format!("http://{}", state.address),
    }
}

/// `GET /v1/jobs/{job}`.
async fn look(
    Shared(state): Shared<Arc<State>>,
    Path(job): Path<String>,
    headers: HeaderMap,
) -> Response {
    let token = intake::bearer(&headers);
    let looked = state.records().with_token(&job, token, |records, id| records.json(id));
    if looked != Looked::Unknown {
        return answer_for(&job, looked);
    }
    // It ended before this hour, or before this process.
    let (name, token) = (job.clone(), token.map(str::to_owned));
    let reading = tokio::task::spawn_blocking(move || state.archive.look(&name, token.as_deref()));
    answer_for(&job, reading.await.unwrap_or(Looked::Unknown))
}

/// `DELETE /v1/jobs/{job}`: ends the job; the answer is its record at this moment.
async fn end(
    Shared(state): Shared<Arc<State>>,
    Path(job): Path<String>,
    headers: HeaderMap,
) -> Response {
    let records = state.records();
    let ended = records.with_token(&job, intake::bearer(&headers), |records, id| {
        if let Some(asked) = records.asked(id) {
            asked.end.notify_one();
        }
        records.json(id)
    });
    answer_for(&job, ended)
}

fn answer_for(job: &str, looked: Looked<Option<String>>) -> Response {
    match looked {
        Looked::Found(Some(json)) => ([(CONTENT_TYPE, JSON)], json).into_response(),
        Looked::Found(None) | Looked::Unknown => {
            let name: String = job.chars().take(64).collect();
            Refusal::new(Word::NoCapability, format!("there is no job `{name}`")).into_response()
        }
        Looked::Denied => {
            let refusal = Refusal::new(Word::Denied, "the job's token is missing or wrong");
            let mut response = refusal.into_response();
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
            response
        }
    }
}
