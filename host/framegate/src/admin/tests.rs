//! The admin side over real sockets.

use std::collections::BTreeMap;
use std::path::Path;

use axum::routing::delete;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::*;
use crate::config::Log;
use crate::data::{DataDir, Role};

async fn ask(
    mut connection: impl AsyncRead + AsyncWrite + Unpin,
    method: &str,
    path: &str,
    headers: &BTreeMap<&str, String>,
) -> (u16, String) {
    let lines: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!("{method} {path} HTTP/1.1\r\n{lines}connection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.expect("answered");
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status, body)
}

fn admin(data: &Path, ready: bool) -> (Admin, RoleFolder, std::net::SocketAddr) {
    let folder = DataDir::find(Some(data)).expect("named").take(Role::Gateway).expect("free");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let telemetry = Telemetry::start("gateway", &Log::default());
    let detail = if ready { "" } else { "its worker is down" }.to_owned();
    let ready: Ready = Arc::new(move || Readiness { ready, detail: detail.clone() });
    let routes = Router::new()
        .route("/v1/jobs", get(async || "[]"))
        .route("/v1/jobs/{job}", delete(async || StatusCode::NO_CONTENT));
    let admin = Admin::build(listener, &folder, &[], telemetry, ready, routes).expect("built");
    (admin, folder, address)
}

#[tokio::test]
async fn a_foreign_host_is_refused_and_a_call_without_the_token_too() {
    let data = tempfile::tempdir().expect("a folder");
    let (admin, folder, address) = admin(data.path(), true);
    let token = std::fs::read_to_string(folder.admin_token()).expect("a token");
    let bearer = format!("Bearer {}", token.trim());
    let calls = async {
        let call = async |method: &str, path: &str, host: &str, bearer: Option<&String>| {
            let mut headers = BTreeMap::from([("host", host.to_owned())]);
            headers.extend(bearer.map(|bearer| ("authorization", bearer.clone())));
            let connection = TcpStream::connect(address).await.expect("connected");
            ask(connection, method, path, &headers).await.0
        };
        let here = address.to_string();
        assert_eq!(call("GET", "/healthz", &here, None).await, 200);
        assert_eq!(call("GET", "/metrics", "localhost", None).await, 200);
        assert_eq!(call("GET", "/healthz", "evil.example", None).await, 403);
        assert_eq!(call("GET", "/v1/jobs", "evil.example:5935", Some(&bearer)).await, 403);
        assert_eq!(call("GET", "/v1/jobs", &here, None).await, 401);
        assert_eq!(call("GET", "/v1/jobs", &here, Some(&"Bearer no".to_owned())).await, 401);
        assert_eq!(call("GET", "/v1/jobs", &here, Some(&bearer)).await, 200);
        assert_eq!(call("DELETE", "/v1/jobs/job-1", &here, None).await, 401);
        assert_eq!(call("GET", "/v1/none", &here, Some(&bearer)).await, 404);
    };
    admin.run(calls).await;
    let audit = std::fs::read_to_string(folder.audit()).expect("a log");
    assert_eq!(audit, "", "nothing was changed");
}

#[tokio::test]
async fn a_change_over_the_unix_socket_needs_no_token_and_is_written_down() {
    let data = tempfile::tempdir().expect("a folder");
    let (admin, folder, _) = admin(data.path(), false);
    let mode = |path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(folder.admin_socket()), 0o600);
    assert_eq!(mode(folder.admin_token()), 0o600);
    let calls = async {
        let headers = BTreeMap::from([("host", "framegate".to_owned())]);
        let connect = || UnixStream::connect(folder.admin_socket());
        let connection = connect().await.expect("connected");
        assert_eq!(ask(connection, "DELETE", "/v1/jobs/job-7", &headers).await.0, 204);
        let connection = connect().await.expect("connected");
        let (status, body) = ask(connection, "GET", "/readyz", &headers).await;
        assert_eq!(
            (status, body.as_str()),
            (503, r#"{"ready":false,"detail":"its worker is down"}"#)
        );
    };
    admin.run(calls).await;
    let audit = std::fs::read_to_string(folder.audit()).expect("a log");
    let line: serde_json::Value = serde_json::from_str(audit.trim()).expect("one line");
    assert_eq!(line["what"], "DELETE /v1/jobs/job-7");
    assert_eq!((&line["status"], &line["outcome"]), (&204.into(), &"done".into()));
    let pid = std::process::id();
    assert!(line["who"].as_str().is_some_and(|who| who.ends_with(&format!("pid {pid}"))), "{line}");
}
