//! The service port: gRPC, the start of a live job, payment, and the channels.
//!
//! Reads requests and writes answers; deciding is [`crate::admit`]'s and [`crate::info`]'s
//! business.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State as Shared};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use domain::Class;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode, Uri};
use wire::error::{Refusal, Word};
use wire::feedback::{self, Feedback};
use wire::header::{RequestId, is_same_secret};
use wire::livepeer::{self, Asked, Capped, LiveAnswer, LiveStart, Offers, Tokens};
use wire::serve::{App, Peer};
use wire::tls::{Identity, IdentityError, ServerConfig};

use crate::admit::{self, Ask, StartError, lock};
use crate::config::{Callers, Config};
use crate::info;
use crate::offerings;
use crate::state::State;

/// Where channels are found, as Livepeer's orchestrators have them.
const CHANNELS: &str = "/ai/trickle/";
/// Longest body of a start: parameters with a workflow of some thousand nodes.
const START_BYTES_MAX: usize = 1 << 20;

/// What requests share.
#[derive(Clone)]
struct Port {
    state: Arc<State>,
    tokens: Arc<Tokens>,
}

/// Reads or makes the certificate of the service port.
pub(crate) fn tls(config: &Config) -> Result<Arc<ServerConfig>, IdentityError> {
    let host = config.service_uri.parse::<Uri>().ok();
    let host = host.as_ref().and_then(Uri::host).unwrap_or("localhost");
    let identity = Identity::load_or_make(&folder(&config.data_dir), host)?;
    if let Some(replaced) = identity.replaced() {
        tracing::warn!(host, %replaced, fingerprint = %identity.fingerprint(), "certificate replaced");
    } else if identity.was_made() {
        tracing::info!(host, fingerprint = %identity.fingerprint(), "certificate made");
    }
    identity.server_config()
}

fn folder(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join("tls")
}

/// Builds everything that the service port answers.
pub(crate) fn app(state: Arc<State>, tokens: Arc<Tokens>) -> App {
    let store = state.store.clone();
    let port = Port { state, tokens };
    let rpc = livepeer::rpc(port.clone());
    let router = Router::new()
        .route("/live-video-to-video", post(start))
        .route("/payment", post(payment))
        .route(wire::offerings::PATH, get(published))
        .layer(DefaultBodyLimit::max(START_BYTES_MAX))
        .route(feedback::PATH, post(hear).layer(DefaultBodyLimit::max(feedback::BYTES_MAX)))
        .merge(rpc)
        .layer(middleware::from_fn_with_state(port.clone(), check_caller))
        .route("/healthz", get(async || StatusCode::OK))
        .with_state(port);
    App::new(router).with_trickle(CHANNELS, store)
}

/// Lets only those in whom the operator's rule allows. Channels need no rule: their names are
/// secrets of their own.
async fn check_caller(Shared(port): Shared<Port>, request: Request, next: Next) -> Response {
    let allowed = match &port.state.config.callers {
        Callers::Any => true,
        Callers::Addresses(addresses) => {
            let peer = request.extensions().get::<Peer>();
            peer.is_some_and(|Peer(address)| addresses.contains(&address.ip().to_canonical()))
        }
        Callers::Secret(secret) => {
            bearer(request.headers()).is_some_and(|given| is_same_secret(given, secret))
        }
    };
    if allowed {
        return next.run(request).await;
    }
    tracing::info!("caller refused");
    Refusal::new(Word::Denied, "this caller may not use this orchestrator").into_response()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// `POST /live-video-to-video`.
async fn start(Shared(port): Shared<Port>, headers: HeaderMap, uri: Uri, body: Bytes) -> Response {
    let ask = match read_start(&port, &headers, &body) {
        Ok(ask) => ask,
        Err(refusal) => return refusal.into_response(),
    };
    tracing::debug!(request = ask.request, pipeline = ask.pipeline, "session asked for");
    let resume = ask.resume;
    match admit::start(&port.state, ask).await {
        Ok(channels) => {
            let base = format!("{}{CHANNELS}", origin(&port.state.config, &headers, &uri));
            let [publish_url, subscribe_url, control_url, events_url] = channels.urls(&base);
            let manifest_id = channels.manifest_id;
            let answer = LiveAnswer {
                manifest_id,
                publish_url,
                subscribe_url,
                control_url,
                events_url,
                ..LiveAnswer::default()
            };
            let mut response = axum::Json(answer).into_response();
            if let Some(resume) = resume {
                wire::header::write_resume(resume, response.headers_mut());
            }
            response
        }
        Err(error) => refusal(&error).into_response(),
    }
}

fn read_start(port: &Port, headers: &HeaderMap, body: &[u8]) -> Result<Ask, Refusal> {
    let refused = |class: Class, text: String| Refusal::new(Word::of(class), text);
    let segment =
        livepeer::segment_in(headers).map_err(|error| refused(Class::Denied, error.to_string()))?;
    let token = segment
        .auth_token
        .ok_or_else(|| refused(Class::Denied, "`Livepeer-Segment` has no auth token".to_owned()))?;
    port.tokens
        .verify(&token, info::unix_seconds())
        .map_err(|error| refused(error.class(), error.to_string()))?;
    let start: LiveStart = serde_json::from_slice(body)
        .map_err(|error| refused(Class::Invalid, format!("the body is not a start: {error}")))?;
    let params = start
        .params_json()
        .map_err(|error| refused(error.class(), error.to_string()))?
        .unwrap_or_default();
    let pipeline = start.pipeline().to_owned();
    let request = match wire::header::is_id(&start.gateway_request_id) {
        true if !headers.contains_key(wire::header::REQUEST_ID) => start.gateway_request_id,
        _ => RequestId::of(headers).to_string(),
    };
    let resume = wire::header::resume_in(headers);
    Ok(Ask { pipeline, params, quote: token.session_id, request, resume })
}

fn refusal(error: &StartError) -> Refusal {
    let word = match error {
        StartError::NotOffered { .. } => Word::NoCapability,
        other => Word::of(other.class()),
    };
    Refusal::new(word, domain::chain(error))
}

/// Channels are named as the caller reached us: behind a tunnel or by another name of this
/// machine, the advertised address may not be reachable for it.
fn origin(config: &Config, headers: &HeaderMap, uri: &Uri) -> String {
    let scheme = if config.cleartext { "http" } else { "https" };
    let host = headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(http::uri::Authority::as_str));
    match host.filter(|host| host.parse::<http::uri::Authority>().is_ok()) {
        Some(host) => format!("{scheme}://{host}"),
        None => config.service_uri.clone(),
    }
}

/// `POST /v1/feedback`: what a gateway counted of this orchestrator.
async fn hear(
    Shared(port): Shared<Port>,
    Extension(Peer(peer)): Extension<Peer>,
    body: Bytes,
) -> Response {
    match Feedback::read(&body) {
        Ok(said) => {
            let address = peer.ip().to_canonical();
            lock(&port.state.heard).hear(address, said, Instant::now());
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => Refusal::new(Word::of(error.class()), domain::chain(&error)).into_response(),
    }
}

/// `GET /v1/offerings`.
async fn published(Shared(port): Shared<Port>, headers: HeaderMap) -> Response {
    offerings::document(&port.state).answer(&headers, port.state.config.signer.as_deref())
}

/// `POST /payment`: off chain every payment that can be read is accepted and changes nothing.
async fn payment(Shared(port): Shared<Port>, headers: HeaderMap) -> Response {
    if let Err(error) = livepeer::payment_in(&headers) {
        return (StatusCode::PAYMENT_REQUIRED, error.to_string()).into_response();
    }
    let segment = match livepeer::segment_in(&headers) {
        Ok(segment) => segment,
        Err(error) => return (StatusCode::FORBIDDEN, error.to_string()).into_response(),
    };
    let verified = segment
        .auth_token
        .as_ref()
        .is_some_and(|token| port.tokens.verify(token, info::unix_seconds()).is_ok());
    if !verified {
        let text = "the auth token is missing, expired or not one of ours";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    Response::new(Body::from(livepeer::payment_answer(&port, segment.capabilities.as_ref())))
}

impl livepeer::Port for Port {
    fn offers(&self, asked: &Asked) -> Result<Offers, Capped> {
        info::offers(&self.state, &self.tokens, asked)
    }
}
