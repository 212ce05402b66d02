//! What the parts of a gateway share. It decides nothing.
//!
//! **Invariant:** no lock in here is held over an `await`.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use domain::event::Sink;
use domain::id::JobId;
use tokio::sync::{Notify, mpsc, watch};
use wire::client::Client;
use wire::trickle::Store;

use crate::archive::Archive;
use crate::audit::Auditor;
use crate::book::{Book, Outcome, Seat};
use crate::choose::Counted;
use crate::config::{Caps, Config};
use crate::custom::Columns;
use crate::customers::Ledger;
use crate::discover::Round;
use crate::market::Markets;
use crate::record::Records;
use crate::retries::Retries;
use crate::sources::Sources;
use crate::tally::Whys;

/// Work that outlives the request that began it.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What was counted of jobs.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    pub(crate) started: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) ended: AtomicU64,
}

/// What the parts of a gateway share.
pub(crate) struct State {
    pub(crate) config: Config,
    /// Where clients reach the gateway, if neither the configuration nor they say.
    pub(crate) address: SocketAddr,
    /// Speaks to orchestrators.
    pub(crate) client: Client,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) book: Mutex<Book>,
    pub(crate) markets: ArcSwap<Markets>,
    /// The channels towards clients.
    pub(crate) store: Store,
    pub(crate) records: Mutex<Records>,
    /// What outlives this process.
    pub(crate) archive: Archive,
    /// Why orchestrators did not serve.
    pub(crate) whys: Mutex<Whys>,
    /// Starts that clients may repeat.
    pub(crate) retries: Mutex<Retries>,
    /// How the sources of orchestrators are.
    pub(crate) sources: Mutex<Sources>,
    /// What customers have spent.
    pub(crate) ledger: Mutex<Ledger>,
    /// The most that work may cost, at this moment.
    pub(crate) caps: ArcSwap<Caps>,
    /// Columns of the operator's own, at this moment.
    pub(crate) custom: Mutex<Columns>,
    pub(crate) counted: Counted,
    pub(crate) auditor: Auditor,
    pub(crate) jobs: Jobs,
    /// Takes jobs to run; bounded, and emptied at once.
    pub(crate) tasks: mpsc::Sender<Task>,
    /// True once the role stops.
    pub(crate) stopping: watch::Receiver<bool>,
    /// How far discovery is.
    pub(crate) rounds: watch::Sender<Round>,
    /// Asks for a round now.
    pub(crate) nudge: Notify,
    /// Says that the figures of the book changed.
    pub(crate) changed: Notify,
}

impl State {
    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }

    pub(crate) fn records(&self) -> MutexGuard<'_, Records> {
        lock(&self.records)
    }

    pub(crate) fn retries(&self) -> MutexGuard<'_, Retries> {
        lock(&self.retries)
    }

    pub(crate) fn sources(&self) -> MutexGuard<'_, Sources> {
        lock(&self.sources)
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    pub(crate) fn custom(&self) -> MutexGuard<'_, Columns> {
        lock(&self.custom)
    }

    pub(crate) fn whys(&self) -> MutexGuard<'_, Whys> {
        lock(&self.whys)
    }

    /// Has the record of a job kept as it is at this moment.
    pub(crate) fn keep(&self, id: JobId) {
        let kept = self.records().kept(id);
        kept.into_iter().for_each(|kept| self.archive.keep(kept));
    }

    /// Notes that a job is tried at an orchestrator.
    pub(crate) fn begin(&self, seat: Seat) {
        self.book().begin(seat);
        self.changed.notify_one();
    }

    /// Notes how a job went for an orchestrator.
    pub(crate) fn end(&self, seat: Seat, outcome: Outcome) {
        self.book().end(seat, outcome, now());
        self.changed.notify_one();
    }
}

/// Returns the time, which tests can pause.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is under these locks is changed in single steps, so a panic elsewhere leaves it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
