//! The one HTTP client of both roles: pooled, HTTP/1.1 for requests and trickle, HTTP/2 for gRPC,
//! with pinned certificates. It decides how long to wait, never whether to try again: only the
//! caller knows whether a request may be repeated.
//!
//! **Invariant:** every wait has a limit, bodies excepted: those are bounded by who reads them.

mod connect;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::Class;
use http::{Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;
use tonic::Code;

use crate::allow::AllowedHosts;
use crate::proto::orchestrator_client::OrchestratorClient;
use crate::proto::{OrchestratorInfo, OrchestratorRequest};
use crate::tls::Pins;
pub use connect::ConnectError;
use connect::Connector;
pub(crate) use connect::peer_of_uri;

/// Any body.
pub type AnyBody = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// Idle time after which a pooled connection is closed: below every server's own limit.
const POOL_IDLE: Duration = Duration::from_secs(30);
/// Idle connections kept per peer: a job has four channels with two requests each.
const POOL_IDLE_PER_HOST: usize = 32;
/// Bytes of an answer that is read whole: an `OrchestratorInfo` or a JSON document.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Limits of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Time to connect, handshake included.
    pub connect: Duration,
    /// Time from a request's start to the head of its answer, for calls that are answered at
    /// once.
    pub answer: Duration,
    /// Hosts that may be connected to; `None`: any, for addresses of the operator's own.
    pub allowed: Option<AllowedHosts>,
}

impl Default for Config {
    fn default() -> Self {
        // Stock gateways allow 3 s to dial and 8 s for a call.
        Self { connect: Duration::from_secs(3), answer: Duration::from_secs(8), allowed: None }
    }
}

/// A request that got no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There was no connection.
    #[error(transparent)]
    Connect(ConnectError),
    /// The connection broke.
    #[error("request to `{peer}` broke off")]
    Broken {
        /// Host and port.
        peer: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// No answer in time.
    #[error("no answer from `{peer}` within {limit:?}")]
    TimedOut {
        /// Host and port.
        peer: String,
        /// The limit.
        limit: Duration,
    },
    /// The peer answered the call with an error.
    #[error("`{peer}` answered {code}: {message}")]
    Call {
        /// Host and port.
        peer: String,
        /// gRPC code.
        code: Code,
        /// Its text, cut to 1,024 characters.
        message: String,
    },
    /// The answer is longer than it may be.
    #[error("answer of `{peer}` is longer than {limit} bytes")]
    TooLong {
        /// Host and port.
        peer: String,
        /// The limit.
        limit: usize,
    },
}

impl ClientError {
    /// Returns the class.
    pub const fn class(&self) -> Class {
        match self {
            Self::Connect(error) => error.class(),
            Self::Broken { .. } | Self::TooLong { .. } => Class::Unavailable,
            Self::TimedOut { .. } => Class::TimedOut,
            Self::Call { code, .. } => match code {
                Code::InvalidArgument => Class::Invalid,
                Code::NotFound | Code::Unimplemented => Class::NotFound,
                Code::PermissionDenied | Code::Unauthenticated => Class::Denied,
                Code::ResourceExhausted => Class::Exhausted,
                Code::DeadlineExceeded => Class::TimedOut,
                _ => Class::Unavailable,
            },
        }
    }
}

/// A pooled HTTP client. Clones share the pool.
#[derive(Clone)]
pub struct Client {
    h1: Pool<Connector, AnyBody>,
    h2: Pool<Connector, AnyBody>,
    config: Config,
    pins: Pins,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("config", &self.config).finish_non_exhaustive()
    }
}

/// An orchestrator's answer and how long it took.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The answer.
    pub info: OrchestratorInfo,
    /// Wall time of the call, connecting included where there was no connection.
    pub round_trip: Duration,
}

impl Client {
    /// Makes a client that judges certificates as `pins` says: those that are told apart by their
    /// trust, all others by the one seen first.
    pub fn new(pins: Pins, config: Config) -> Self {
        let connector =
            |alpn| Connector::new(pins.clone(), config.allowed.clone(), config.connect, alpn);
        let h1 = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_IDLE_PER_HOST)
            .build(connector(b"http/1.1"));
        let h2 = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .http2_only(true)
            .build(connector(b"h2"));
        Self { h1, h2, config, pins }
    }

    /// Returns the pins.
    pub const fn pins(&self) -> &Pins {
        &self.pins
    }

    /// Returns its limits.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Sends a request over HTTP/1.1 and waits for the head of the answer, at most `limit`;
    /// `None`: as long as it takes, for trickle, where a GET is answered with the first byte.
    pub async fn send(
        &self,
        request: Request<AnyBody>,
        limit: Option<Duration>,
    ) -> Result<Response<Incoming>, ClientError> {
        send(&self.h1, request, limit).await
    }

    /// Sends a request with a small body and reads the whole answer, within the limits of
    /// [`Config::answer`] and [`ANSWER_BYTES_MAX`].
    pub async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ClientError> {
        let peer = peer_of(request.uri());
        let limit = self.config.answer;
        let whole = async {
            let answer = self.send(request.map(full), None).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|source| {
                if source.is::<http_body_util::LengthLimitError>() {
                    ClientError::TooLong { peer: peer.clone(), limit: ANSWER_BYTES_MAX }
                } else {
                    ClientError::Broken { peer: peer.clone(), source }
                }
            })?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        match timeout(limit, whole).await {
            Ok(answer) => answer,
            Err(_) => Err(ClientError::TimedOut { peer: peer.clone(), limit }),
        }
    }

    /// Returns the gRPC client of the orchestrator at `origin` (`https://host:port`).
    pub fn orchestrator(&self, origin: Uri) -> OrchestratorClient<GrpcChannel> {
        let channel = GrpcChannel { pool: self.h2.clone(), limit: self.config.answer };
        OrchestratorClient::with_origin(channel, origin).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// Asks an orchestrator what it offers, and measures the round trip.
    pub async fn get_orchestrator(
        &self,
        origin: Uri,
        request: OrchestratorRequest,
    ) -> Result<Measured, ClientError> {
        let peer = peer_of(&origin);
        let limit = self.config.answer;
        let begun = Instant::now();
        let mut orchestrator = self.orchestrator(origin);
        match timeout(limit, orchestrator.get_orchestrator(request)).await {
            Ok(Ok(answer)) => {
                Ok(Measured { info: answer.into_inner(), round_trip: begun.elapsed() })
            }
            Ok(Err(status)) => Err(call_error(&peer, status)),
            Err(_) => Err(ClientError::TimedOut { peer, limit }),
        }
    }
}

/// Carries gRPC calls over the pool.
#[derive(Clone)]
pub struct GrpcChannel {
    pool: Pool<Connector, AnyBody>,
    limit: Duration,
}

impl fmt::Debug for GrpcChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcChannel").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl tower_service::Service<Request<tonic::body::Body>> for GrpcChannel {
    type Response = Response<Incoming>;
    type Error = ClientError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, ClientError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let (pool, limit) = (self.pool.clone(), self.limit);
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        Box::pin(async move { send(&pool, request, Some(limit)).await })
    }
}

async fn send(
    pool: &Pool<Connector, AnyBody>,
    request: Request<AnyBody>,
    limit: Option<Duration>,
) -> Result<Response<Incoming>, ClientError> {
    let peer = peer_of(request.uri());
    let answer = pool.request(request);
    let result = match limit {
        None => answer.await,
        Some(limit) => match timeout(limit, answer).await {
            Ok(result) => result,
            Err(_) => return Err(ClientError::TimedOut { peer, limit }),
        },
    };
    result.map_err(|error| unwrap_connect(error, peer))
}

/// Finds our own error inside the pool's.
fn unwrap_connect(error: hyper_util::client::legacy::Error, peer: String) -> ClientError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(found) = cause {
        if let Some(found) = found.downcast_ref::<ConnectError>() {
            return ClientError::Connect(found.duplicate());
        }
        cause = found.source();
    }
    ClientError::Broken { peer, source: error.into() }
}

fn call_error(peer: &str, status: tonic::Status) -> ClientError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&status);
    while let Some(found) = cause {
        match found.downcast_ref::<ClientError>() {
            Some(ClientError::Connect(found)) => {
                return ClientError::Connect(found.duplicate());
            }
            Some(ClientError::TimedOut { peer, limit }) => {
                return ClientError::TimedOut { peer: peer.clone(), limit: *limit };
            }
            Some(
                ClientError::Broken { .. } | ClientError::Call { .. } | ClientError::TooLong { .. },
            )
            | None => cause = found.source(),
        }
    }
    let message = status.message().chars().take(1024).collect();
    ClientError::Call { peer: peer.to_owned(), code: status.code(), message }
}

fn peer_of(uri: &Uri) -> String {
    uri.authority().map_or_else(String::new, |authority| authority.as_str().to_owned())
}

/// Makes a body of bytes at hand.
pub fn full(bytes: Bytes) -> AnyBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}
