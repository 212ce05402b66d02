//! Requests that are meant to hold a connection for good.

use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use domain::event::Event;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;
use wire::serve::{App, Config};

use crate::rig::{Peer, Server};

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

/// Asks for nothing that is there, and is answered.
async fn is_served(peer: &mut Peer) -> bool {
    // Where the server has closed it, either may fail.
    let sent = peer.socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    sent.is_ok() && peer.more().await
}

#[tokio::test]
async fn a_peer_that_holds_its_share_of_connections_gets_no_more_and_others_do() {
    let config = Config { connections_local_max: 2, ..Config::default() };
    let server = Server::with(App::new(Router::new()), None, config).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    assert!(is_served(&mut first).await && is_served(&mut second).await);
    assert!(!server.connect().await.more().await, "a third one is closed");
    let held: Vec<_> = server.seen.0.lock().unwrap().iter().map(refused).collect();
    assert_eq!(held, [Some(("127.0.0.1".parse().unwrap(), 2))]);

    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = Peer::over(socket.connect(server.address).await.unwrap());
    assert!(is_served(&mut other).await, "another address has a share of its own");

    drop(first);
    // The place is free once the server has seen the end.
    let mut third = server.connect().await;
    while !is_served(&mut third).await {
        third = server.connect().await;
    }
    assert!(is_served(&mut second).await);
    server.stop().await;
}

fn refused(event: &Event) -> Option<(IpAddr, usize)> {
    match event {
        Event::ConnectionRefused { peer, held } => Some((*peer, *held)),
        _ => None,
    }
}
