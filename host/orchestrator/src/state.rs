//! What the parts of a running orchestrator share.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use domain::event::Sink;
use domain::id::SessionId;
use domain::lease::LeaseTable;
use domain::poison::Suspects;
use tokio::sync::{mpsc, watch};
use wire::trickle::Store;

use crate::config::Config;
use crate::feedback::Heard;
use crate::live::Asked;
use crate::quote::QuoteTable;
use crate::supervise::Seat;

/// A session's task on its way to the role's task set.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the parts of a running orchestrator share.
pub(crate) struct State {
    /// What it was built from.
    pub(crate) config: Config,
    /// Takes events.
    pub(crate) sink: Arc<dyn Sink>,
    /// Where the running worker is found.
    pub(crate) seat: Arc<Seat>,
    /// The device's slots.
    pub(crate) leases: Arc<Mutex<LeaseTable>>,
    /// The quotes that stand.
    pub(crate) quotes: Mutex<QuoteTable>,
    /// The channels.
    pub(crate) store: Store,
    /// The sessions that run.
    pub(crate) sessions: Mutex<BTreeMap<SessionId, Listed>>,
    /// Segments that were in work when sessions ended by a fault; across workers.
    pub(crate) suspects: Arc<Mutex<Suspects>>,
    /// What gateways say of this orchestrator.
    pub(crate) heard: Mutex<Heard>,
    /// Becomes true when the role stops.
    pub(crate) stopping: watch::Receiver<bool>,
    /// Where session tasks go; unbounded, but there are never more than slots.
    pub(crate) tasks: mpsc::UnboundedSender<Task>,
}

impl State {
    /// Hands a session to the role's task set. During a stop nobody takes it, and it is dropped
    /// with everything it holds.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let _ = self.tasks.send(Box::pin(task));
    }
}

/// A running session, as lists show it.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) pipeline: String,
    pub(crate) request: String,
    pub(crate) manifest_id: String,
    pub(crate) price_wei: u64,
    pub(crate) opened_at: Instant,
    pub(crate) ask: Arc<Asked>,
}
