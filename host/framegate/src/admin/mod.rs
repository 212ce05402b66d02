//! The admin side of a role: health, metrics, what runs, and the calls that change something.
//!
//! Decides who may call and what is written down about it. What a call does is the role's: it
//! brings its own routes.
//!
//! **Invariant:** whatever changes something came over the role's own Unix socket or with its
//! token, and is in the audit log.

mod audit;
mod guard;
mod limited;
mod token;

use std::io;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router, middleware};
use tokio::net::UnixListener;
use tokio::task::JoinSet;

pub(crate) use guard::Caller;

use crate::data::RoleFolder;
use crate::telemetry::Telemetry;
use audit::Audit;
use guard::{Guard, Hosts};
use limited::Limited;

/// Connections at a time over TCP, and as many again over the Unix socket: a scraper, a console
/// and scripts, not applications.
const CONNECTIONS_MAX: usize = 64;

/// The admin side cannot start.
#[derive(Debug, thiserror::Error)]
#[error("{attempt} `{}`", path.display())]
pub(crate) struct AdminError {
    attempt: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl AdminError {
    fn new(attempt: &'static str, path: PathBuf) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { attempt, path, source }
    }
}

/// Whether a role can take work.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Readiness {
    /// Whether it can.
    pub(crate) ready: bool,
    /// Why not; empty: it can.
    pub(crate) detail: String,
}

/// Tells whether the role can take work at this moment.
pub(crate) type Ready = Arc<dyn Fn() -> Readiness + Send + Sync>;

/// A role's admin side, bound and not yet serving.
pub(crate) struct Admin {
    tcp: tokio::net::TcpListener,
    unix: UnixListener,
    router: Router,
}

impl Admin {
    /// Makes token, audit log and Unix socket in `folder` and puts `routes`, the role's own, behind
    /// the guard. `hosts` are names beside loopback ones by which `listener` is called. Needs a
    /// runtime.
    pub(crate) fn build(
        listener: TcpListener,
        folder: &RoleFolder,
        hosts: &[String],
        telemetry: Telemetry,
        ready: Ready,
        routes: Router,
    ) -> Result<Self, AdminError> {
        let failed = |attempt| AdminError::new(attempt, folder.path().to_owned());
        let address = listener.local_addr().map_err(failed("listening for the admin side of"))?;
        listener.set_nonblocking(true).map_err(failed("listening for the admin side of"))?;
        let tcp = tokio::net::TcpListener::from_std(listener)
            .map_err(failed("listening for the admin side of"))?;

        let path = folder.admin_token();
        let token = token::load(&path).map_err(AdminError::new("making the token", path))?;
        let path = folder.audit();
        let audit = Audit::open(&path).map_err(AdminError::new("opening", path))?;
        let path = folder.admin_socket();
        // Whoever made the one that is there is gone: this process holds the folder's lock.
        drop(std::fs::remove_file(&path));
        let unix = UnixListener::bind(&path)
            .and_then(|listener| {
                // Until here the folder itself, open to its owner alone, kept others out.
                std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600))?;
                Ok(listener)
            })
            .map_err(AdminError::new("listening on", path))?;

        let guard = Arc::new(Guard { hosts: Hosts::new(address.ip(), hosts), token, audit });
        let router = open_routes(telemetry, ready)
            .merge(routes)
            .fallback(async || (StatusCode::NOT_FOUND, "no such page\n"))
            .layer(middleware::from_fn_with_state(guard, guard::check));
        Ok(Self { tcp, unix, router })
    }

    /// Serves until `shutdown` is done.
    pub(crate) async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let tcp = Limited::new(self.tcp, CONNECTIONS_MAX);
        let unix = Limited::new(self.unix, CONNECTIONS_MAX);
        let router = self.router;
        let over_tcp = router.clone().into_make_service_with_connect_info::<Caller>();
        let over_unix = router.into_make_service_with_connect_info::<Caller>();
        let mut servers = JoinSet::new();
        servers.spawn(async move { axum::serve(tcp, over_tcp).await });
        servers.spawn(async move { axum::serve(unix, over_unix).await });
        // Dropping the servers ends them: no admin call is long, and a half-read scrape is asked
        // again.
        shutdown.await;
    }
}

/// The routes that need no token.
fn open_routes(telemetry: Telemetry, ready: Ready) -> Router {
    let metrics = async move || {
        let form = [("content-type", "text/plain; version=0.0.4; charset=utf-8")];
        (form, telemetry.render()).into_response()
    };
    let readiness = async move || {
        let readiness = ready();
        let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(readiness))
    };
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readiness))
        .route("/metrics", get(metrics))
}

#[cfg(test)]
mod tests;
