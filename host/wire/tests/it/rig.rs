//! Servers on loopback ports, and a client that says exactly what a test says.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use domain::event::{Event, Sink};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wire::client::{Client, Config as ClientConfig};
use wire::serve::{App, Config, serve};
use wire::tls::Pins;
use wire::trickle::{Limits, Options, Store};

/// Longest that a test waits for what must come.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// Where the channels are.
pub(crate) const BASE: &str = "/ai/trickle/";

/// A server that ends with the test.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What it told.
    pub(crate) seen: Arc<Seen>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

/// Keeps events for tests to look at.
#[derive(Debug, Default)]
pub(crate) struct Seen(pub(crate) Mutex<Vec<Event>>);

impl Sink for Seen {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Server {
    /// Serves an application.
    pub(crate) async fn start(app: App, tls: Option<Arc<ServerConfig>>) -> Self {
        Self::with(app, tls, Config::default()).await
    }

    /// Serves an application within limits of the test's own.
    pub(crate) async fn with(app: App, tls: Option<Arc<ServerConfig>>, config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let config = Config { drain: Duration::from_millis(200), ..config };
        let seen = Arc::new(Seen::default());
        let sink = Arc::clone(&seen);
        let served = tokio::spawn(serve(listener, tls, app, config, sink, async {
            let _ = stopped.await;
        }));
        Self { address, seen, stop: Some(stop), served }
    }

    /// Serves a store's channels in cleartext.
    pub(crate) async fn of(store: &Store) -> Self {
        Self::start(App::new(Router::new()).with_trickle(BASE, store.clone()), None).await
    }

    /// Stops it and waits for its end.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        timeout(SOON, self.served).await.unwrap().unwrap();
    }

    /// Returns the URL of a channel.
    pub(crate) fn channel(&self, name: &str) -> String {
        format!("http://{}{BASE}{name}", self.address)
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> Peer {
        Peer::over(TcpStream::connect(self.address).await.unwrap())
    }

    /// Sends one request on a connection of its own and returns the whole answer.
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let mut peer = self.connect().await;
        let length = body.len();
        let head = format!(
            "{method} {BASE}{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        peer.send(head.as_bytes()).await;
        peer.send(body).await;
        peer.answer().await
    }

    /// Writes one segment.
    pub(crate) async fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.ask("POST", path, "", body).await
    }

    /// Reads one segment to its end.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "", b"").await
    }
}

/// A connection of which the test decides every byte.
pub(crate) struct Peer {
    pub(crate) socket: TcpStream,
    read: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Returns a header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Peer {
    /// Speaks over a connection.
    pub(crate) fn over(socket: TcpStream) -> Self {
        Self { socket, read: Vec::new() }
    }

    /// Sends bytes.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        timeout(SOON, self.socket.write_all(bytes)).await.expect("sends in time").unwrap();
    }

    /// Sends the head of a POST with a chunked body.
    pub(crate) async fn begin_post(&mut self, path: &str, headers: &str) {
        let head = format!(
            "POST {BASE}{path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{headers}\r\n"
        );
        self.send(head.as_bytes()).await;
    }

    /// Sends a chunk of such a body.
    pub(crate) async fn chunk(&mut self, bytes: &[u8]) {
        self.send(format!("{:x}\r\n", bytes.len()).as_bytes()).await;
        self.send(bytes).await;
        self.send(b"\r\n").await;
    }

    /// Ends such a body.
    pub(crate) async fn end_post(&mut self) {
        self.send(b"0\r\n\r\n").await;
    }

    /// Sends a GET.
    pub(crate) async fn begin_get(&mut self, path: &str, headers: &str) {
        self.send(format!("GET {BASE}{path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes())
            .await;
    }

    /// Reads on; `false`: the connection is at its end.
    pub(crate) async fn more(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let read = timeout(SOON, self.socket.read(&mut buffer)).await.expect("answers in time");
        let read = read.unwrap_or(0);
        self.read.extend_from_slice(&buffer[..read]);
        read > 0
    }

    /// Reads the head of an answer.
    pub(crate) async fn head(&mut self) -> Answer {
        loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8(self.read.drain(..end + 4).collect()).unwrap();
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                return Answer { status, head, body: Vec::new() };
            }
            assert!(self.more().await, "the connection ended before an answer");
        }
    }

    /// Reads a chunk of a chunked body; `None` at its end; an error where it breaks off.
    pub(crate) async fn read_chunk(&mut self) -> Result<Option<Vec<u8>>, ()> {
        loop {
            if let Some(end) = self.read.windows(2).position(|two| two == b"\r\n") {
                let length = std::str::from_utf8(&self.read[..end]).unwrap();
                let length = usize::from_str_radix(length, 16).unwrap();
                if self.read.len() >= end + 2 + length + 2 {
                    let chunk = self.read[end + 2..end + 2 + length].to_vec();
                    self.read.drain(..end + 4 + length);
                    return Ok((length > 0).then_some(chunk));
                }
            }
            if !self.more().await {
                return Err(());
            }
        }
    }

    /// Reads the body after a head: of `length` bytes, or chunked where that is 0.
    pub(crate) async fn rest(&mut self, length: usize) -> Vec<u8> {
        let mut body = Vec::new();
        if length == 0 {
            while let Some(chunk) = self.read_chunk().await.expect("the body ends") {
                body.extend(chunk);
            }
        } else {
            while self.read.len() < length {
                assert!(self.more().await, "the body is short");
            }
            body.extend(self.read.drain(..length));
        }
        body
    }

    /// Reads an answer to its end.
    pub(crate) async fn answer(&mut self) -> Answer {
        let mut answer = self.head().await;
        let length = answer.header("content-length").map(|length| length.parse().unwrap());
        if length != Some(0) {
            answer.body = self.rest(length.unwrap_or(0)).await;
        }
        answer
    }
}

/// A store in which a POST creates nothing.
pub(crate) fn store() -> Store {
    Store::new(Limits::default())
}

/// Options of a channel with a small window and a short patience.
pub(crate) fn small() -> Options {
    Options {
        window_bytes: 64 << 10,
        stall: Duration::from_millis(300),
        ..Options::of_type("video/mp2t")
    }
}

/// A client that has seen nobody yet.
pub(crate) fn client() -> Client {
    Client::new(Pins::default(), ClientConfig::default())
}

/// Waits until something holds.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, wait).await.expect("it comes to hold in time");
}
