//! Requests that are meant to hold a connection for good.

use std::time::Duration;

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use wire::serve::{App, Config};

use crate::rig::Server;

async fn echo(limit: Duration) -> Server {
    let router = Router::new().route("/echo", post(async |body: Bytes| body));
    Server::with(App::new(router), None, Config { body: limit, ..Config::default() }).await
}

#[tokio::test]
async fn a_body_that_never_comes_to_its_end_is_given_up() {
    let server = echo(Duration::from_millis(50)).await;
    let mut peer = server.connect().await;
    peer.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nslow").await;
    assert_eq!(peer.head().await.status, 400);
    server.stop().await;
}

#[tokio::test]
async fn a_body_in_pieces_that_is_there_in_time_is_taken() {
    let server = echo(Config::default().body).await;
    let mut peer = server.connect().await;
    peer.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nslow").await;
    peer.send(b"down").await;
    let answer = peer.head().await;
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("8")));
    server.stop().await;
}
