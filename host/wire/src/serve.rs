//! Accepts connections and serves them: TLS or cleartext, HTTP/1.1 and HTTP/2 on one port, trickle
//! channels beside a router (gRPC is one of its routes). It decides limits and the end, not what
//! is answered.
//!
//! **Invariant:** there are at most [`Config::connections_max`] connections; further ones wait in
//! the listener's backlog. No peer has more of them than its share: further ones are closed at once.
//! **Invariant:** after [`serve`] returns no connection of its is open.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use domain::event::{Event, Sink};
use http::{Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::{TlsAcceptor, TlsStream};
use tower_service::Service;

use crate::shares::Shares;
use crate::stream::{Stream, tune};
use crate::trickle::server::{TrickleBody, answer};
use crate::trickle::{ReadError, Store};

/// Bytes of a request's head: a payment of 100 tickets takes about 20 KiB in base64.
pub const HEADER_BYTES_MAX: usize = 64 << 10;
/// Header fields of a request.
const HEADERS_MAX: usize = 100;
/// Bytes that a connection buffers each way: below the size from which the allocator maps and
/// unmaps pages for every read. A stalled reader keeps as much beyond what its
/// channel counts.
const BUFFER_BYTES_MAX: usize = 120 << 10;
/// Time to send a head, which is also the longest a kept-alive connection idles: above the 60 s
/// for which stock clients keep theirs.
const HEAD_WAIT: Duration = Duration::from_secs(75);
/// Streams of one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;
/// Pause after the system refused a descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Limits of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Connections at once.
    pub connections_max: usize,
    /// Connections at once of one peer: of one address, or one network of 64 bits of IPv6.
    pub connections_per_peer_max: usize,
    /// The same of a peer on this machine, such as a proxy that stands for all clients there are.
    pub connections_local_max: usize,
    /// Time for the TLS handshake.
    pub handshake: Duration,
    /// Time for the body of a request to a router: whoever sends a byte now and then holds no
    /// connection for good. Segments are trickle's to judge.
    pub body: Duration,
    /// Time for open requests to end after the shutdown began.
    pub drain: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            // A job takes up to eight, with those that are opened ahead, and one client may have 64
            // jobs: twice that, so that two behind one address fit, and no three peers take all.
            connections_per_peer_max: 1024,
            // All 256 jobs through a proxy here, at twelve each; the rest stays for the network.
            connections_local_max: 3072,
            handshake: Duration::from_secs(10),
            // The longest that is taken, 1 MiB, at 280 kbit/s.
            body: Duration::from_secs(30),
            drain: Duration::from_secs(10),
        }
    }
}

/// Who a request came from; in the extensions of every request served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// What is served: a router, and trickle channels under a path of their own.
#[derive(Debug, Clone)]
pub struct App {
    router: Router,
    trickle: Option<(Arc<str>, Store)>,
}

impl App {
    /// Serves a router.
    pub const fn new(router: Router) -> Self {
        Self { router, trickle: None }
    }

    /// Serves a store's channels under `base`, such as `/ai/trickle/`, before the router is asked.
    #[must_use]
    pub fn with_trickle(mut self, base: &str, store: Store) -> Self {
        self.trickle = Some((base.into(), store));
        self
    }

    async fn call(
        mut self,
        request: Request<Incoming>,
        body_wait: Duration,
    ) -> Result<Response<AppBody>, Infallible> {
        let head = request.headers();
        let bytes: usize = head.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if bytes > HEADER_BYTES_MAX {
            let mut refused = Response::new(AppBody::Trickle(TrickleBody::Text(None)));
            *refused.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return Ok(refused);
        }
        match &self.trickle {
            Some((base, store)) if request.uri().path().starts_with(&**base) => {
                Ok(answer(store, base, request).await.map(AppBody::Trickle))
            }
            Some(_) | None => {
                let end = Box::pin(sleep(body_wait));
                let request = request.map(|body| Body::new(Timely { body, end }));
                let answer = self.router.call(request).await;
                answer.map(|answer| answer.map(AppBody::Router))
            }
        }
    }
}

/// A request's body that has to be there in time.
struct Timely {
    body: Incoming,
    end: Pin<Box<Sleep>>,
}

/// A body was not there in time.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the body took too long")]
struct TooSlow;

impl HttpBody for Timely {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Self { body, end } = self.get_mut();
        match Pin::new(body).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(frame.map(|frame| frame.map_err(Into::into))),
            Poll::Pending => end.as_mut().poll(cx).map(|()| Some(Err(TooSlow.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Body of any answer.
enum AppBody {
    Trickle(TrickleBody),
    Router(Body),
}

impl HttpBody for AppBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Trickle(body) => {
                Pin::new(body).poll_frame(cx).map_err(|error: ReadError| error.into())
            }
            Self::Router(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Trickle(body) => body.is_end_stream(),
            Self::Router(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Trickle(body) => body.size_hint(),
            Self::Router(body) => body.size_hint(),
        }
    }
}

/// Serves until `shutdown` completes, then lets open requests end within [`Config::drain`] and
/// breaks off the rest. `tls`: `None` serves cleartext. `sink` is told of connections that are
/// refused.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    app: App,
    config: Config,
    sink: Arc<dyn Sink>,
    shutdown: impl Future<Output = ()>,
) {
    let tls = tls.map(TlsAcceptor::from);
    let slots = Arc::new(Semaphore::new(config.connections_max));
    let shares = Shares::new(config.connections_per_peer_max, config.connections_local_max);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let builder = Arc::new(builder());
    tokio::pin!(shutdown);
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot.expect("the semaphore is never closed"), listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut shutdown => break,
        };
        let (socket, peer) = match accepted {
            Ok((socket, address)) => (socket, Peer(address)),
            Err(error) => {
                accept_failed(&error).await;
                continue;
            }
        };
        let share = match shares.take(peer.0.ip()) {
            Ok(share) => share,
            Err(held) => {
                sink.emit(Event::ConnectionRefused { peer: peer.0.ip(), held });
                continue;
            }
        };
        let (tls, app) = (tls.clone(), app.clone());
        let (handshake, body_wait) = (config.handshake, config.body);
        let (builder, watcher) = (Arc::clone(&builder), graceful.watcher());
        connections.spawn(async move {
            let _held = (slot, share);
            tune(&socket);
            let Some(stream) = greet(socket, tls, handshake).await else { return };
            let service = service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(peer);
                app.clone().call(request, body_wait)
            });
            let served = builder.serve_connection(TokioIo::new(stream), service);
            if let Err(error) = watcher.watch(served.into_owned()).await {
                tracing::debug!(error = %error, "connection ended");
            }
        });
    }
    drop(listener);
    if timeout(config.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections broken off");
    }
    connections.shutdown().await;
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(BUFFER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).expect("64 KiB fit"))
        .keep_alive_interval(HEAD_WAIT)
        .max_send_buf_size(BUFFER_BYTES_MAX);
    builder
}

async fn greet(socket: TcpStream, tls: Option<TlsAcceptor>, handshake: Duration) -> Option<Stream> {
    let Some(tls) = tls else { return Some(Stream::Plain(socket)) };
    match timeout(handshake, tls.accept(socket)).await {
        Ok(Ok(stream)) => Some(Stream::Tls(Box::new(TlsStream::from(stream)))),
        Ok(Err(error)) => {
            tracing::debug!(error = %error, "handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(limit = ?handshake, "handshake timed out");
            None
        }
    }
}

/// A connection that failed before it was accepted is no trouble; a lack of descriptors is.
async fn accept_failed(error: &io::Error) {
    let gone = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    );
    if !gone {
        tracing::error!(error = %error, "accepting failed");
        sleep(ACCEPT_PAUSE).await;
    }
}
