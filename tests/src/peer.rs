//! An orchestrator as a stranger might run it: it speaks the protocol over TLS, and its word is not
//! good. It runs no pipeline.
//!
//! **Invariant:** it ends with the test, and nothing it holds outlives a start that it answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use domain::capability::Capability;
use domain::event::{Event, Sink};
use domain::price::{LIVE_LOT, UnitPrice};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use wire::error::{Refusal, Word};
use wire::livepeer::{Asked, Capped, LiveAnswer, Model, Offers, Tokens, rpc};
use wire::serve::{App, serve};
use wire::tls::Identity;

/// Slots that it says it has.
const SLOTS: u32 = 1000;

/// In which way its word is not good.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// It says that it has slots, and refuses every start.
    NoSlots,
    /// It answers a start after so long.
    Late(Duration),
}

struct Shared {
    fault: Fault,
    price_wei: u64,
    pipeline: &'static str,
    tokens: Tokens,
    uri: String,
    starts: AtomicU64,
}

/// An orchestrator that ends with the test.
pub struct Peer {
    /// Its address.
    pub uri: String,
    shared: Arc<Shared>,
    served: JoinHandle<()>,
    _folder: TempDir,
}

impl Peer {
    /// Starts one that offers `pipeline` for `price_wei` a lot.
    pub async fn start(fault: Fault, pipeline: &'static str, price_wei: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let folder = TempDir::new().expect("a temporary folder can be made");
        let identity = Identity::load_or_make(folder.path(), "127.0.0.1");
        let tls = identity.and_then(|it| it.server_config()).expect("a certificate can be made");
        let uri = format!("https://{address}");
        let shared = Arc::new(Shared {
            fault,
            price_wei,
            pipeline,
            tokens: Tokens::new(),
            uri: uri.clone(),
            starts: AtomicU64::new(0),
        });
        let router = Router::new()
            .route("/live-video-to-video", post(begin))
            .with_state(Arc::clone(&shared))
            .merge(rpc(Port(Arc::clone(&shared))));
        let config = wire::serve::Config { drain: Duration::ZERO, ..Default::default() };
        let app = App::new(router);
        let never = std::future::pending();
        let serving = serve(listener, Some(tls), app, config, Arc::new(Quiet), never);
        Self { uri, shared, served: tokio::spawn(serving), _folder: folder }
    }

    /// Counts the starts that it was asked for.
    pub fn starts(&self) -> u64 {
        self.shared.starts.load(Ordering::SeqCst)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.served.abort();
    }
}

struct Quiet;

impl Sink for Quiet {
    fn emit(&self, _: Event) {}
}

#[derive(Clone)]
struct Port(Arc<Shared>);

impl wire::livepeer::Port for Port {
    fn offers(&self, _: &Asked) -> Result<Offers, Capped> {
        let shared = &self.0;
        let model = Model {
            capability: Capability::live(shared.pipeline).expect("a pipeline of ours"),
            warm: true,
            slots_free: SLOTS,
            slots_used: 0,
            price: UnitPrice::new(shared.price_wei, LIVE_LOT),
        };
        Ok(Offers {
            service_uri: shared.uri.clone(),
            models: vec![model],
            token: shared.tokens.issue(0),
            device: None,
        })
    }
}

async fn begin(State(shared): State<Arc<Shared>>) -> Response {
    shared.starts.fetch_add(1, Ordering::SeqCst);
    match shared.fault {
        Fault::NoSlots => Refusal::new(Word::NoSlot, "no slot after all").into_response(),
        Fault::Late(after) => {
            tokio::time::sleep(after).await;
            let url = |name: &str| format!("/ai/trickle/{name}");
            let answer = LiveAnswer {
                manifest_id: "late".to_owned(),
                publish_url: url("late"),
                subscribe_url: url("late-out"),
                control_url: url("late-control"),
                events_url: url("late-events"),
                ..LiveAnswer::default()
            };
            axum::Json(answer).into_response()
        }
    }
}
