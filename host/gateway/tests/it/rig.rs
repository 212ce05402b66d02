//! The gateway under test, the orchestrators behind it, and a client in front of it. An
//! orchestrator here moves bytes from its input to its output and says how it went; what else it
//! does, its [`Manner`] says.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use domain::capability::Capability;
use domain::event::{Event, Sink};
use domain::price::{LIVE_LOT, UnitPrice};
use gateway::config::{Config, DiscoveryConfig, OrchestratorConfig};
use gateway::{Gateway, GatewayHandle};
use http::{HeaderMap, Method, Request, StatusCode, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wire::client::Client;
use wire::error::{Refusal, Word};
use wire::header::{REQUEST_ID, random_hex};
use wire::livepeer::{
    Asked, Capped, LiveAnswer, LiveStart, Model, Offers, Tokens, rpc, segment_in,
};
use wire::serve::{App, serve};
use wire::tls::Pins;
use wire::trickle::{Ask, Channel, ChannelReader, ChannelWriter, Limits, Options, Store};
use wire::trickle::{Publisher, Subscriber};

/// Longest that a test waits for what must come.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// What every orchestrator here offers.
pub(crate) const PIPELINE: &str = "sketch-video";
const BASE: &str = "/ai/trickle/";

/// How an orchestrator behaves.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    /// Wei for a lot.
    pub(crate) price_wei: u64,
    /// Slots.
    pub(crate) slots: u32,
    /// Pipelines on offer.
    pub(crate) pipelines: Vec<&'static str>,
    /// What it says to every start; `None`: it takes it.
    pub(crate) refuses: Option<Refusal>,
}

impl Default for Manner {
    fn default() -> Self {
        Self { price_wei: 5, slots: 4, pipelines: vec![PIPELINE], refuses: None }
    }
}

/// What an orchestrator saw of a start.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub(crate) params: String,
    pub(crate) request: String,
    pub(crate) quoted: bool,
}

struct Port {
    manner: Manner,
    tokens: Tokens,
    store: Store,
    used: AtomicU32,
    asked: AtomicU64,
    starts: Mutex<Vec<Start>>,
    /// Control messages that sessions got.
    controls: mpsc::UnboundedSender<Value>,
}

/// An orchestrator that ends with the test.
pub(crate) struct Orch {
    pub(crate) address: SocketAddr,
    pub(crate) controls: mpsc::UnboundedReceiver<Value>,
    port: Arc<Port>,
    served: JoinHandle<()>,
}

impl Orch {
    /// Starts one.
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (controls_in, controls) = mpsc::unbounded_channel();
        let port = Arc::new(Port {
            manner,
            tokens: Tokens::new(),
            store: Store::new(Limits::default()),
            used: AtomicU32::new(0),
            asked: AtomicU64::new(0),
            starts: Mutex::default(),
            controls: controls_in,
        });
        let router = Router::new()
            .route("/live-video-to-video", post(begin))
            .with_state(Arc::clone(&port))
            .merge(rpc(Shared(Arc::clone(&port))));
        let app = App::new(router).with_trickle(BASE, port.store.clone());
        let config = wire::serve::Config { drain: Duration::ZERO, ..Default::default() };
        let served = tokio::spawn(serve(
            listener,
            None,
            app,
            config,
            Arc::new(Seen::default()),
            std::future::pending(),
        ));
        Self { address, controls, port, served }
    }

    pub(crate) fn uri(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns what it saw of every start.
    pub(crate) fn starts(&self) -> Vec<Start> {
        self.port.starts.lock().unwrap().clone()
    }

    /// Returns the slots in use.
    pub(crate) fn used(&self) -> u32 {
        self.port.used.load(Ordering::SeqCst)
    }

    /// Returns how often it was asked what it offers.
    pub(crate) fn asked(&self) -> u64 {
        self.port.asked.load(Ordering::SeqCst)
    }

    /// Vanishes: every connection breaks, and its address answers nobody.
    pub(crate) fn kill(&self) {
        self.served.abort();
        // What its sessions would still say reaches nobody.
        self.port.store.all().iter().for_each(|channel| channel.close());
    }
}

impl Drop for Orch {
    fn drop(&mut self) {
        self.served.abort();
    }
}

#[derive(Clone)]
struct Shared(Arc<Port>);

impl wire::livepeer::Port for Shared {
    fn offers(&self, _: &Asked) -> Result<Offers, Capped> {
        let port = &self.0;
        port.asked.fetch_add(1, Ordering::SeqCst);
        let used = port.used.load(Ordering::SeqCst);
        let model = |id: &&str| Model {
            capability: Capability::live(id).unwrap(),
            warm: true,
            slots_free: port.manner.slots - used,
            slots_used: used,
            price: UnitPrice::new(port.manner.price_wei, LIVE_LOT),
        };
        Ok(Offers {
            service_uri: "https://advertised:8935".to_owned(),
            models: port.manner.pipelines.iter().map(model).collect(),
            token: port.tokens.issue(0),
            device: None,
        })
    }
}

async fn begin(
    State(port): State<Arc<Port>>,
    headers: HeaderMap,
    axum::Json(start): axum::Json<LiveStart>,
) -> Response {
    let token = segment_in(&headers).unwrap().auth_token;
    port.starts.lock().unwrap().push(Start {
        params: start.params_json().unwrap().unwrap_or_default(),
        request: headers[REQUEST_ID].to_str().unwrap().to_owned(),
        quoted: token.is_some_and(|token| port.tokens.verify(&token, 0).is_ok()),
    });
    if let Some(refusal) = &port.manner.refuses {
        return refusal.clone().into_response();
    }
    if port.used.fetch_add(1, Ordering::SeqCst) >= port.manner.slots {
        port.used.fetch_sub(1, Ordering::SeqCst);
        return Refusal::new(Word::NoSlot, "full").into_response();
    }
    let id = random_hex::<16>();
    let create = |suffix: &str, media: &str, lossy| {
        let options = Options { lossy, ..Options::of_type(media) };
        port.store.create(&format!("{id}{suffix}"), options).unwrap()
    };
    let session = Session {
        input: create("", "video/MP2T", false),
        output: create("-out", "video/MP2T", false),
        control: create("-control", "application/json", false),
        events: create("-events", "application/json", true),
        port: Arc::clone(&port),
    };
    let url = |suffix: &str| format!("{BASE}{id}{suffix}");
    let answer = LiveAnswer {
        manifest_id: id.clone(),
        publish_url: url(""),
        subscribe_url: url("-out"),
        control_url: url("-control"),
        events_url: url("-events"),
        ..LiveAnswer::default()
    };
    tokio::spawn(session.run());
    axum::Json(answer).into_response()
}

struct Session {
    input: Arc<Channel>,
    output: Arc<Channel>,
    control: Arc<Channel>,
    events: Arc<Channel>,
    port: Arc<Port>,
}

impl Session {
    /// Copies until the input ends or the output is closed, then reports.
    async fn run(self) {
        let mut events = ChannelWriter::new(Arc::clone(&self.events));
        drop(events.send(Bytes::from_static(br#"{"type":"status","state":"open"}"#)).await);
        let control = {
            let mut reader = ChannelReader::new(Arc::clone(&self.control), "session", Ask::Seq(0));
            let controls = self.port.controls.clone();
            tokio::spawn(async move {
                while let Some(message) = reader.message(1 << 20).await {
                    let _ = controls.send(serde_json::from_slice(&message).unwrap());
                }
            })
        };
        let (bytes, reason) = tokio::select! {
            bytes = self.copy() => (bytes, "eos"),
            () = self.output.closed() => (0, "client-gone"),
        };
        self.output.close();
        let ended = json!({
            "type": "ended", "reason": reason, "frames": {"in": bytes, "out": bytes, "dropped": 0},
            "frames_sha256": "ab", "amount_wei": "7", "warnings": [],
            "price": {
                "wei": self.port.manner.price_wei.to_string(), "per_units": LIVE_LOT,
                "unit": "lv2v-pixel-second",
            },
        });
        drop(events.send(Bytes::from(ended.to_string())).await);
        events.close();
        self.input.close();
        self.control.close();
        drop(control.await);
        self.port.used.fetch_sub(1, Ordering::SeqCst);
    }

    async fn copy(&self) -> u64 {
        let mut reader = ChannelReader::new(Arc::clone(&self.input), "session", Ask::Seq(0));
        let mut out = ChannelWriter::new(Arc::clone(&self.output));
        let mut bytes = 0;
        while reader.next_segment().await.is_some() {
            drop(out.begin_segment());
            while let Some(chunk) = reader.chunk().await {
                bytes += chunk.len() as u64;
                if out.write(chunk).await.is_err() {
                    return std::future::pending().await;
                }
            }
            out.end_segment();
        }
        bytes
    }
}

/// Keeps events for tests to look at.
#[derive(Debug, Default)]
pub(crate) struct Seen(pub(crate) Mutex<Vec<Event>>);

impl Sink for Seen {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// The gateway under test.
pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    pub(crate) handle: GatewayHandle,
    pub(crate) seen: Arc<Seen>,
    pub(crate) client: Client,
    stop: Option<oneshot::Sender<()>>,
    ran: JoinHandle<()>,
    _data: TempDir,
}

/// A job as its client has it.
pub(crate) struct Job {
    pub(crate) answer: LiveAnswer,
    client: Client,
    record: String,
}

impl Rig {
    /// Starts a gateway for `orchestrators`, with what `change` changes of its configuration.
    #[expect(clippy::unused_async, reason = "only a runtime's task may build a gateway")]
    pub(crate) async fn start(orchestrators: &[&Orch], change: impl FnOnce(&mut Config)) -> Self {
        let uris = orchestrators.iter().map(|orch| OrchestratorConfig::at(orch.uri()));
        Self::of(uris.collect(), change)
    }

    /// Starts a gateway for orchestrators by address.
    pub(crate) fn of(
        orchestrators: Vec<OrchestratorConfig>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut config = Config::new(orchestrators, data.path().to_owned());
        config.discovery =
            DiscoveryConfig { interval: Duration::from_millis(200), ..DiscoveryConfig::default() };
        config.drain = Duration::from_secs(5);
        change(&mut config);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let (gateway, handle) = Gateway::build(config, listener, Arc::clone(&seen) as _).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let ran = tokio::spawn(gateway.run(async {
            let _ = stopped.await;
        }));
        let client = Client::new(
            Pins::default(),
            wire::client::Config { answer: SOON, ..wire::client::Config::default() },
        );
        Self { address, handle, seen, client, stop: Some(stop), ran, _data: data }
    }

    /// Asks for a job and returns status and body of the answer.
    pub(crate) async fn ask(&self, body: &Value, headers: &[(&str, &str)]) -> (StatusCode, Value) {
        let url = format!("http://{}/live-video-to-video", self.address);
        let mut request = Request::post(url).header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Bytes::from(body.to_string())).unwrap();
        let answer = timeout(SOON, self.client.exchange(request)).await.unwrap().unwrap();
        (answer.status(), serde_json::from_slice(answer.body()).unwrap())
    }

    /// Begins a job that must begin.
    pub(crate) async fn begin(&self, params: Value) -> Job {
        let (status, body) = self.ask(&json!({"model_id": PIPELINE, "params": params}), &[]).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        self.job(body)
    }

    /// Makes a job of an answer.
    pub(crate) fn job(&self, body: Value) -> Job {
        let answer: LiveAnswer = serde_json::from_value(body).unwrap();
        let record = format!("http://{}/v1/jobs/{}", self.address, answer.job);
        Job { answer, client: self.client.clone(), record }
    }

    /// Stops the gateway and waits for its end.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        timeout(SOON, self.ran).await.unwrap().unwrap();
    }
}

impl Job {
    /// Sends a request about the job's record.
    pub(crate) async fn ask(&self, method: Method, token: Option<&str>) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(&self.record);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let answer = self.client.exchange(request.body(Bytes::new()).unwrap()).await.unwrap();
        (answer.status(), serde_json::from_slice(answer.body()).unwrap())
    }

    /// Reads the record.
    pub(crate) async fn record(&self) -> Value {
        let (status, record) = self.ask(Method::GET, Some(&self.answer.job_token)).await;
        assert_eq!(status, StatusCode::OK, "{record}");
        record
    }

    pub(crate) fn publisher(&self) -> Publisher {
        Publisher::new(self.client.clone(), &self.answer.publish_url, "video/MP2T")
    }

    pub(crate) fn output(&self) -> Subscriber {
        Subscriber::new(self.client.clone(), &self.answer.subscribe_url, Ask::Seq(0))
    }

    /// Reads events to the last one; the channel must end after it.
    pub(crate) fn ended(&self) -> impl Future<Output = Value> + Send + 'static {
        let url = &self.answer.events_url;
        let mut events = Subscriber::new(self.client.clone(), url, Ask::Seq(0));
        async move {
            let mut last = Value::Null;
            let reading = async {
                // A gateway that stops may be gone before it is asked for what follows the last.
                while let Ok(Some(message)) = events.message(1 << 20).await {
                    assert_ne!(last["type"], "ended", "an event after the last");
                    last = serde_json::from_slice(&message).unwrap();
                }
            };
            timeout(SOON * 2, reading).await.expect("the job ends");
            assert_eq!(last["type"], "ended");
            last
        }
    }

    /// Reads the whole output, segment by segment.
    pub(crate) fn segments(&self) -> impl Future<Output = Vec<Vec<u8>>> + Send + 'static {
        let mut output = self.output();
        async move {
            let mut segments = Vec::new();
            let reading = async {
                while let Some(segment) = output.message(64 << 20).await.unwrap() {
                    segments.push(segment);
                }
            };
            timeout(SOON * 2, reading).await.expect("the output ends");
            segments
        }
    }
}

/// Waits until `look` finds what it looks for.
pub(crate) async fn until(mut look: impl FnMut() -> bool, changes: &mut watch::Receiver<()>) {
    let waiting = async {
        while !look() {
            let _ = timeout(Duration::from_millis(20), changes.changed()).await;
        }
    };
    timeout(SOON, waiting).await.expect("what is waited for comes");
}

/// Waits until `look` finds what it looks for, looking often.
pub(crate) async fn eventually(look: impl FnMut() -> bool) {
    let (_sender, mut never) = watch::channel(());
    until(look, &mut never).await;
}
