//! The gateway role: the front door of a network of orchestrators. It takes jobs from applications,
//! finds out who offers what they need, lets a policy choose under a cap, relays, and answers for
//! how it ended. Pictures are bytes to it: it cannot even reach the code that decodes one.
//!
//! **Invariants:** a job that was answered with channels ends with an `ended` event; a job that was
//! not is refused with a reason for each orchestrator; nothing it holds grows without a limit.

mod advise;
mod archive;
mod audit;
mod book;
mod bridge;
mod channels;
mod choose;
pub mod config;
mod custom;
mod customers;
mod discover;
mod ended;
mod feedback;
mod given;
mod handle;
mod intake;
mod live;
mod market;
mod offerings;
mod open;
mod pump;
mod record;
mod replay;
mod retries;
mod routes;
mod search;
mod sources;
mod start;
mod state;
mod steer;
mod tally;

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::Class;
use domain::event::Sink;
use http::Uri;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use url::{Host, Url};
use wire::client::Client;
use wire::tls::{Authorities, AuthoritiesError, PinError, Pins, Trust};
use wire::trickle::{self, Store};

pub use crate::advise::{Advice, Advised, Advisor};
pub use crate::archive::{ArchiveError, LISTED_MAX};
pub use crate::book::{AddError, ORCHESTRATORS_MAX, OrchestratorRow};
pub use crate::choose::{InsteadOf, PolicyName};
use crate::config::{AUDIT_ONE_IN, Config, OrchestratorConfig, Security};
pub use crate::custom::{COLUMNS_MAX, Column, ColumnError, Columns};
pub use crate::handle::{AddRefused, Counters, GatewayHandle, PolicyRow};
pub use crate::record::{JobRow, JobState};
pub use crate::sources::{SourceRow, SourcesConfig};
use crate::state::{State, Task, now};

/// File of the certificates that were seen first.
const PINS_FILE: &str = "pins.json";
/// Jobs between the front door and the loop that runs them; it takes them at once.
const TASKS_QUEUE: usize = 16;
/// How often old records and idle channels are collected.
const SWEEP: Duration = Duration::from_secs(5);
/// Channels of one job.
const CHANNELS_PER_JOB: usize = 4;

/// Why a gateway could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The address of an orchestrator is none.
    #[error("`{uri}` is no address of an orchestrator (`https://host:port`)")]
    Address {
        /// The address.
        uri: String,
    },
    /// An orchestrator that is not on this machine would be spoken to in cleartext.
    #[error("`{uri}` would be spoken to in cleartext, which is allowed on loopback only")]
    Cleartext {
        /// The address.
        uri: String,
    },
    /// The authorities cannot be used.
    #[error("authorities that vouch for orchestrators")]
    Authorities(#[from] AuthoritiesError),
    /// The pinned certificates cannot be used.
    #[error("certificates of orchestrators")]
    Pins(#[from] PinError),
    /// Job records cannot be kept.
    #[error("job records")]
    Records(#[from] ArchiveError),
    /// The listener cannot be used.
    #[error("port of the front door")]
    Listener(#[source] std::io::Error),
}

impl BuildError {
    /// Returns the class of the error.
    pub const fn class(&self) -> Class {
        match self {
            Self::Address { .. } | Self::Cleartext { .. } => Class::Invalid,
            Self::Authorities(error) => error.class(),
            Self::Pins(error) => error.class(),
            Self::Records(error) => error.class(),
            Self::Listener(_) => Class::Internal,
        }
    }
}

/// A gateway that is ready to run.
pub struct Gateway {
    state: Arc<State>,
    listener: tokio::net::TcpListener,
    tasks: mpsc::Receiver<Task>,
    audits: mpsc::Receiver<audit::Task>,
    stop: watch::Sender<bool>,
}

impl Gateway {
    /// Builds a gateway that will serve `listener`. Must be called within a tokio runtime; blocks
    /// on the files of pinned certificates and job records.
    pub fn build(
        config: Config,
        listener: TcpListener,
        sink: Arc<dyn Sink>,
    ) -> Result<(Self, GatewayHandle), BuildError> {
        listener.set_nonblocking(true).map_err(BuildError::Listener)?;
        let address = listener.local_addr().map_err(BuildError::Listener)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(BuildError::Listener)?;
        let Parts { state, tasks, audits, stop } = Parts::of(config, address, sink)?;
        let handle = GatewayHandle::new(Arc::clone(&state));
        Ok((Self { state, listener, tasks, audits, stop }, handle))
    }

    /// Serves until `shutdown` completes, then refuses new jobs and lets those that run send their
    /// tails within [`Config::drain`].
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let Self { state, listener, mut tasks, audits, stop } = self;
        let (serving_ends, served_out) = oneshot::channel::<()>();
        let mut background = JoinSet::new();
        background.spawn(discover::run(Arc::clone(&state)));
        background.spawn(sources::run(Arc::clone(&state)));
        background.spawn(feedback::run(Arc::clone(&state)));
        background.spawn(sweep(Arc::clone(&state)));
        background.spawn(audit::run(audits, Arc::clone(&state)));
        let app = routes::app(Arc::clone(&state));
        let (limits, sink) = (wire::serve::Config::default(), Arc::clone(&state.sink));
        let serve = wire::serve::serve(listener, None, app, limits, sink, async {
            // The sender is dropped: nothing else happens to it.
            let _ = served_out.await;
        });
        let work = async {
            let mut jobs: JoinSet<()> = JoinSet::new();
            tokio::pin!(shutdown);
            loop {
                tokio::select! {
                    () = &mut shutdown => break,
                    Some(task) = tasks.recv() => drop(jobs.spawn(task)),
                    Some(_) = jobs.join_next() => {}
                }
            }
            stop.send_replace(true);
            drain(&mut jobs, &mut tasks, state.config.drain).await;
            drop(serving_ends);
        };
        tokio::join!(serve, work);
        background.shutdown().await;
    }
}

/// What the parts of a gateway share, with the ends of its queues.
pub(crate) struct Parts {
    pub(crate) state: Arc<State>,
    pub(crate) tasks: mpsc::Receiver<Task>,
    pub(crate) audits: mpsc::Receiver<audit::Task>,
    pub(crate) stop: watch::Sender<bool>,
}

impl Parts {
    /// Makes them for a gateway that is reached at `address`.
    pub(crate) fn of(
        config: Config,
        address: SocketAddr,
        sink: Arc<dyn Sink>,
    ) -> Result<Self, BuildError> {
        for orchestrator in &config.orchestrators {
            origin(orchestrator)?;
        }
        let pins = Pins::load(&config.data_dir.join(PINS_FILE))?;
        trust(&config, &pins)?;
        let (stop, stopping) = watch::channel(false);
        let (tasks_in, tasks) = mpsc::channel(TASKS_QUEUE);
        let names = config.orchestrators.iter().map(|it| (it.name.clone(), it.uri.clone()));
        let one_in = config.selections.all().map(|it| it.audit_one_in).min();
        let (auditor, audits) = audit::Auditor::new(one_in.unwrap_or(AUDIT_ONE_IN));
        let mut known = book::Book::new(names);
        known.block(&config.blocklist);
        let (archive, last) = match config.records {
            Some(records) => archive::Archive::open(&config.data_dir, records)?,
            None => (archive::Archive::default(), 0),
        };
        let limits = trickle::Limits {
            // Channels that their last readers have not left yet count as well.
            channels_max: config.limits.jobs_max.saturating_mul(CHANNELS_PER_JOB * 2),
            ..trickle::Limits::default()
        };
        let state = Arc::new(State {
            address,
            client: Client::new(pins, wire::client::Config::default()),
            sink,
            book: Mutex::new(known),
            markets: ArcSwap::default(),
            store: Store::new(limits),
            records: Mutex::new(record::Records::after(last)),
            archive,
            whys: Mutex::default(),
            ledger: Mutex::default(),
            sources: Mutex::default(),
            retries: Mutex::default(),
            caps: ArcSwap::from_pointee(config.caps.clone()),
            custom: Mutex::new(config.custom.clone()),
            counted: choose::Counted::default(),
            auditor,
            jobs: state::Jobs::default(),
            tasks: tasks_in,
            stopping,
            rounds: watch::Sender::default(),
            nudge: Notify::new(),
            changed: Notify::new(),
            config,
        });
        Ok(Self { state, tasks, audits, stop })
    }
}

/// Lets the jobs end, those included that were let in just before the stop.
async fn drain(jobs: &mut JoinSet<()>, tasks: &mut mpsc::Receiver<Task>, limit: Duration) {
    let drained = timeout(limit, async {
        loop {
            while let Ok(task) = tasks.try_recv() {
                jobs.spawn(task);
            }
            if jobs.join_next().await.is_none() {
                break;
            }
        }
    });
    if drained.await.is_err() {
        tracing::warn!(jobs = jobs.len(), ?limit, "jobs cut off by the stop");
        jobs.shutdown().await;
    }
}

/// Has `pins` judge the certificate of each configured orchestrator as it is to be judged.
fn trust(config: &Config, pins: &Pins) -> Result<(), BuildError> {
    let verified = |it: &OrchestratorConfig| it.security == Security::Verified;
    let authorities = match (config.orchestrators.iter().any(verified), &config.authorities) {
        (false, _) => None,
        (true, Some(path)) => Some(Authorities::read(path)?),
        (true, None) => Some(Authorities::of_system()?),
    };
    for orchestrator in &config.orchestrators {
        let trust = match (orchestrator.security, &authorities) {
            (Security::Pinned(pin), _) => Trust::Pinned(pin),
            (Security::Verified, Some(authorities)) => Trust::Verified(authorities.clone()),
            (Security::Unverified, _) => Trust::Unverified,
            (Security::FirstUse | Security::Cleartext | Security::Verified, _) => continue,
        };
        pins.judge(&origin(orchestrator)?, trust);
    }
    Ok(())
}

/// Checks the address of an orchestrator.
fn origin(orchestrator: &OrchestratorConfig) -> Result<Uri, BuildError> {
    let uri = &orchestrator.uri;
    let bad = || BuildError::Address { uri: uri.clone() };
    let url = Url::parse(uri).map_err(|_| bad())?;
    let scheme = match orchestrator.security {
        Security::Cleartext => "http",
        Security::FirstUse | Security::Pinned(_) | Security::Verified | Security::Unverified => {
            "https"
        }
    };
    if url.scheme() != scheme || url.cannot_be_a_base() {
        return Err(bad());
    }
    let loopback = match url.host() {
        None => return Err(bad()),
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
    };
    if orchestrator.security == Security::Cleartext && !loopback {
        return Err(BuildError::Cleartext { uri: uri.clone() });
    }
    uri.parse().map_err(|_| bad())
}

/// Collects what ran out: records, idle channels.
async fn sweep(state: Arc<State>) {
    let mut clock = interval(SWEEP);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        state.records().forget(now());
        for channel in state.store.sweep() {
            tracing::debug!(channel, "idle channel closed");
        }
    }
}

#[cfg(test)]
#[test]
fn cleartext_is_spoken_on_loopback_only_and_never_by_mistake() {
    let check = |uri: &str| origin(&OrchestratorConfig::at(uri)).map_err(|error| error.to_string());
    for good in ["https://orch.example:8935", "http://127.0.0.1:1", "http://[::1]:1"] {
        assert!(check(good).is_ok(), "{good}");
    }
    assert!(check("http://orch.example:8935").unwrap_err().contains("cleartext"));
    assert!(check("orch.example:8935").unwrap_err().contains("no address"));
    let forced = OrchestratorConfig {
        security: Security::Cleartext,
        ..OrchestratorConfig::at("https://127.0.0.1:1")
    };
    assert!(origin(&forced).is_err());
}
