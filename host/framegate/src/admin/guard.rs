//! Who may call the admin side, and the record of what they changed.
//!
//! Over the Unix socket: whoever its file mode lets in. Over TCP: whoever calls this machine by a
//! name of its own (a web page that rebinds its own name to loopback does not) and, beyond health
//! and metrics, has the token.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Json;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use tokio::net::{TcpListener, UnixListener};
use tracing::{error, warn};

use super::audit::{Audit, Entry};
use super::limited::Limited;

/// Paths that need no token.
const OPEN: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Where a call comes from.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// A process of this machine, over the Unix socket.
    Unix {
        /// Its user id; none: the kernel does not say.
        uid: Option<u32>,
        /// Its process id.
        pid: Option<i32>,
    },
    /// Over TCP.
    Tcp(SocketAddr),
}

impl Caller {
    fn who(&self) -> String {
        let number = |it: Option<i64>| it.map_or_else(|| "?".to_owned(), |it| it.to_string());
        match self {
            Self::Unix { uid, pid } => {
                format!("uid {} pid {}", number(uid.map(i64::from)), number(pid.map(i64::from)))
            }
            Self::Tcp(address) => format!("token from {address}"),
        }
    }
}

impl Connected<IncomingStream<'_, Limited<TcpListener>>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Limited<TcpListener>>) -> Self {
        Self::Tcp(*stream.remote_addr())
    }
}

impl Connected<IncomingStream<'_, Limited<UnixListener>>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Limited<UnixListener>>) -> Self {
        let peer = stream.io().inner().peer_cred().ok();
        Self::Unix { uid: peer.map(|peer| peer.uid()), pid: peer.and_then(|peer| peer.pid()) }
    }
}

/// Names by which the admin side may be called.
#[derive(Debug)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    /// Allows loopback names, the bound address and `more`.
    pub(super) fn new(bound: IpAddr, more: &[String]) -> Self {
        let own = ["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned()];
        let bound = match bound {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let more = more.iter().map(|name| name.to_ascii_lowercase());
        Self(own.into_iter().chain([bound]).chain(more).collect())
    }

    /// Returns whether `host`, as a client names it with or without a port, is one of them.
    pub(super) fn allow(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            // The colons of a bare IPv6 address are no port's.
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let name = name.to_ascii_lowercase();
        self.0.contains(&name)
    }
}

/// What the middleware checks against.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) hosts: Hosts,
    pub(super) token: String,
    pub(super) audit: Audit,
}

/// Lets a call through, or answers 401 or 403, and records one that changes something.
pub(super) async fn check(
    State(guard): State<Arc<Guard>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    request: Request,
    next: Next,
) -> Response {
    if let Caller::Tcp(address) = &caller {
        let host = host_of(&request);
        if !host.is_some_and(|host| guard.hosts.allow(host)) {
            let host = host.unwrap_or_default().to_owned();
            warn!(host, %address, "admin call by a foreign host name refused");
            return refuse(StatusCode::FORBIDDEN, "denied", "this host name is not allowed");
        }
        let open = OPEN.contains(&request.uri().path());
        if !open && !has_token(request.headers(), &guard.token) {
            let mut answer = refuse(StatusCode::UNAUTHORIZED, "denied", "the token is missing");
            let scheme = header::HeaderValue::from_static("Bearer");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
            return answer;
        }
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    if guard.audit.is_broken() {
        let text = "the audit log cannot be written";
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal", text);
    }
    let what = format!("{} {}", request.method(), request.uri().path());
    let answer = next.run(request).await;
    record(guard, &caller, what, answer.status()).await;
    answer
}

async fn record(guard: Arc<Guard>, caller: &Caller, what: String, status: StatusCode) {
    let who = caller.who();
    let outcome = if status.is_success() { "done" } else { "refused" };
    let added = tokio::task::spawn_blocking(move || {
        guard.audit.add(&Entry { who, what: &what, status: status.as_u16(), outcome })
    });
    match added.await {
        Ok(Ok(())) => {}
        Ok(Err(problem)) => error!(%problem, "audit log not written"),
        Err(problem) => error!(%problem, "audit log not written"),
    }
}

fn host_of(request: &Request) -> Option<&str> {
    let authority = request.uri().authority().map(|authority| authority.as_str());
    authority.or_else(|| request.headers().get(header::HOST)?.to_str().ok())
}

fn has_token(headers: &HeaderMap, expected: &str) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    given
        .and_then(|value| value.strip_prefix("Bearer "))
        .is_some_and(|it| wire::header::is_same_secret(it, expected))
}

fn refuse(status: StatusCode, class: &str, message: &str) -> Response {
    let body = serde_json::json!({
        "detail": { "msg": message },
        "error": { "class": class, "message": message },
        "reasons": [],
    });
    (status, Json(body)).into_response()
}

#[cfg(test)]
#[test]
fn only_a_name_of_this_machine_is_allowed() {
    let hosts = Hosts::new(IpAddr::from([192, 0, 2, 7]), &["Admin.example".to_owned()]);
    for good in [
        "localhost:5935",
        "LOCALHOST",
        "127.0.0.1:1",
        "[::1]:5935",
        "[::1]",
        "192.0.2.7:80",
        "admin.example",
    ] {
        assert!(hosts.allow(good), "{good}");
    }
    for bad in [
        "",
        "evil.example",
        "evil.example:5935",
        "localhost.evil.example",
        "127.0.0.2",
        "localhost:x",
    ] {
        assert!(!hosts.allow(bad), "{bad}");
    }
}
