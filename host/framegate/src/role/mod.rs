//! From a checked configuration to a role that serves, and back to nothing.
//!
//! Decides the order of a start (configuration, lock, listeners, role, admin side, `run.json`)
//! and of an end (drain within its time, then everything at once). What a role does is in its own
//! crate.
//!
//! **Invariant:** `run.json` names a role only while its listeners take connections.

mod advise;
mod both;
mod device;
mod gateway;
mod market;
mod orchestrator;
pub(crate) mod policies;
pub(crate) mod signals;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use domain::{Class, chain};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{info, warn};

pub(crate) use advise::main as advise;
pub(crate) use both::up;
pub(crate) use gateway::main as gateway;
pub(crate) use orchestrator::main as orchestrator;

use crate::admin::{Admin, Readiness};
use crate::config::{Config, Problem};
use crate::data::{DataDir, NoDataDir, Role, RoleFolder, RunEntry};
use crate::failure::{Exit, Failure};
use crate::listen::{self, Inherited, Listeners, Wanted};
use crate::telemetry::Telemetry;

/// Time on top of a role's drain for what it does after it: its report, its worker's end.
const OVERRUN: Duration = Duration::from_secs(1);

/// What a start begins with.
#[derive(Debug)]
pub(crate) struct Ground {
    /// The file, if one was named.
    file: Option<PathBuf>,
    /// What it says.
    config: Config,
    /// Where state lives.
    data: DataDir,
    /// What a supervised child got from its parent.
    inherited: Option<Inherited>,
}

impl Ground {
    /// Reads the file, refusing one with problems, and finds the data directory.
    pub(crate) fn load(file: Option<&Path>, data_dir: Option<&Path>) -> Result<Self, Failure> {
        let (config, problems) = Config::load(file).map_err(|error| unreadable(file, &error))?;
        refuse_any(file, &problems)?;
        let data = DataDir::find(data_dir).map_err(|error| no_data_dir(&error))?;
        Ok(Self { file: file.map(Path::to_owned), config, data, inherited: None })
    }

    /// Takes listeners from the parent, whose socket is standard input, and asks the kernel to tell
    /// of its end as well.
    pub(crate) fn inherit(mut self) -> Result<Self, Failure> {
        let internal = |error: &dyn std::error::Error| Failure::from_error(Class::Internal, error);
        let signal = Some(rustix::process::Signal::TERM);
        rustix::process::set_parent_process_death_signal(signal).map_err(|it| internal(&it))?;
        let socket = io::stdin().as_fd().try_clone_to_owned().map_err(|error| internal(&error))?;
        self.inherited = Some(listen::inherit(socket).map_err(|error| internal(&error))?);
        Ok(self)
    }

    /// Takes the role's folder and listeners, and begins to log.
    fn settle(self, role: Role, wanted: &[Wanted]) -> Result<Settled, Failure> {
        let telemetry = Telemetry::start(role.name(), &self.config.log);
        let folder = self.data.take(role).map_err(|error| {
            let failure = Failure::usage(chain(&error));
            match error.class() {
                Class::Conflict => failure.hint("name another folder with `--data-dir`"),
                _ => failure,
            }
        })?;
        let (listeners, parent) = match self.inherited {
            Some(inherited) => (inherited.listeners, Some(inherited.parent)),
            None => (bind(wanted)?, None),
        };
        Ok(Settled { role, data: self.data, folder, listeners, parent, telemetry })
    }
}

/// A role's process that has its folder and its listeners.
pub(crate) struct Settled {
    role: Role,
    data: DataDir,
    folder: RoleFolder,
    listeners: Listeners,
    parent: Option<std::os::unix::net::UnixStream>,
    telemetry: Telemetry,
}

/// What a role adds to serve.
struct Serving<F> {
    /// URL that others use it by.
    url: String,
    /// Names beside loopback ones by which its admin side is called.
    admin_hosts: Vec<String>,
    /// Admin routes of its own.
    routes: Router,
    /// Whether it can take work.
    ready: Box<dyn Fn() -> Readiness + Send + Sync>,
    /// The role itself; ends after `stop` said so and its work is drained.
    run: F,
    /// Tells it to stop.
    stop: watch::Sender<bool>,
    /// Time that it has to drain.
    drain: Duration,
}

impl Settled {
    /// Takes the listener of `key`.
    fn listener(&mut self, key: &str) -> Result<std::net::TcpListener, Failure> {
        let missing =
            || Failure::new(Class::Internal, format!("no listener for `{key}` was passed"));
        let listener = self.listeners.remove(key).ok_or_else(missing)?;
        let failed = |error: io::Error| Failure::from_error(Class::Internal, &error);
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(listener)
    }

    /// Returns every bound address by the last word of its key.
    fn addresses(&self) -> BTreeMap<String, SocketAddr> {
        let address = |(key, listener): (&String, &std::net::TcpListener)| {
            let name = key.rsplit('.').next().unwrap_or(key);
            Some((name.to_owned(), listener.local_addr().ok()?))
        };
        self.listeners.iter().filter_map(address).collect()
    }

    /// Serves until a signal comes, the parent is gone or the role ends by itself. `listen` are the
    /// role's addresses, and `admin` its listener for the admin side.
    async fn serve(
        self,
        listen: BTreeMap<String, SocketAddr>,
        admin: std::net::TcpListener,
        service: Serving<impl Future<Output = Result<(), Failure>>>,
    ) -> Result<Exit, Failure> {
        let failed = |error: &dyn std::error::Error| Failure::usage(chain(error));
        let (role, stopping) = (self.role, service.stop.subscribe());
        let ready = Arc::new(move || {
            if *stopping.borrow() {
                return Readiness { ready: false, detail: "it is stopping".to_owned() };
            }
            (service.ready)()
        });
        let telemetry = self.telemetry.clone();
        let hosts = &service.admin_hosts;
        let admin = Admin::build(admin, &self.folder, hosts, telemetry, ready, service.routes)
            .map_err(|error| failed(&error))?;
        let entry = RunEntry {
            pid: std::process::id(),
            url: service.url.clone(),
            listen,
            admin_socket: self.folder.admin_socket(),
        };
        info!(url = service.url, listen = ?entry.listen, "{role} listening");
        self.data.announce(role, Some(entry)).map_err(|error| failed(&error))?;
        let parent = self.parent;
        let ended = async {
            tokio::select! {
                ended = until_drained(service.run, service.stop, service.drain, parent) => ended,
                () = self.telemetry.clone().upkeep() => Ok(()),
            }
        };
        let (over, until_over) = tokio::sync::oneshot::channel::<()>();
        let ((), ended) = tokio::join!(admin.run(async { drop(until_over.await) }), async {
            let ended = ended.await;
            drop(over);
            ended
        });
        if let Err(problem) = self.data.announce(role, None) {
            warn!(problem = chain(&problem), "run.json not cleaned");
        }
        ended.map(|()| Exit::Ok)
    }
}

/// Runs a role until it ends; once asked to stop, for `drain` at most, or until asked again.
async fn until_drained(
    run: impl Future<Output = Result<(), Failure>>,
    stop: watch::Sender<bool>,
    drain: Duration,
    parent: Option<std::os::unix::net::UnixStream>,
) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::from_error(Class::Internal, &error);
    let mut signals = signals::Signals::new().map_err(failed)?;
    tokio::pin!(run);
    let (why, orphaned) = tokio::select! {
        ended = &mut run => return ended,
        name = signals.next() => (name, false),
        () = gone(parent) => ("the parent's end", true),
    };
    info!(why, "stopping");
    stop.send_replace(true);
    let again = async {
        if orphaned {
            // The kernel's word of the same end, which `inherit` asked for.
            signals.next().await;
        }
        signals.next().await
    };
    tokio::select! {
        drained = timeout(drain + OVERRUN, &mut run) => drained.unwrap_or_else(|_| {
            warn!("stopped with work left: the time to drain is over");
            Ok(())
        }),
        name = again => {
            warn!(why = name, "stopped with work left");
            Ok(())
        }
    }
}

/// Waits for the end of the parent's socket; for ever without a parent.
async fn gone(parent: Option<std::os::unix::net::UnixStream>) {
    let stream = parent.and_then(|stream| {
        stream.set_nonblocking(true).ok()?;
        tokio::net::UnixStream::from_std(stream).ok()
    });
    match stream {
        // Whatever it is that comes: a parent that lives sends nothing.
        Some(mut stream) => drop(stream.read_u8().await),
        None => std::future::pending().await,
    }
}

/// Counts the tasks of this process.
fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// Makes the runtime of a role.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::from_error(Class::Internal, &error))
}

fn bind(wanted: &[Wanted]) -> Result<Listeners, Failure> {
    listen::bind(wanted).map_err(|error| Failure::usage(chain(&error)).hint(error.hint()))
}

/// Returns the failure of a file that cannot be read.
pub(crate) fn unreadable(file: Option<&Path>, error: &io::Error) -> Failure {
    let file = file.unwrap_or(Path::new("")).display();
    Failure::usage(format!("reading configuration `{file}`: {error}"))
}

/// Returns the failure of a machine without a place for state.
pub(crate) fn no_data_dir(error: &NoDataDir) -> Failure {
    Failure::usage(error.to_string()).hint("name a folder with `--data-dir`")
}

/// Refuses a configuration with problems, telling all of them.
pub(crate) fn refuse_any(file: Option<&Path>, problems: &[Problem]) -> Result<(), Failure> {
    let Some((first, rest)) = problems.split_first() else { return Ok(()) };
    let failure = Failure::usage(place_and_fact(file, first));
    let failure = if first.hint.is_empty() { failure } else { failure.hint(&first.hint) };
    Err(rest.iter().fold(failure, |failure, problem| {
        failure.also(place_and_fact(file, problem), &problem.hint)
    }))
}

/// Tells a problem and where it is: ``x.toml:3: `gateway.htp`: unknown key``.
pub(crate) fn place_and_fact(file: Option<&Path>, problem: &Problem) -> String {
    let file = file.map_or_else(|| "defaults".to_owned(), |file| file.display().to_string());
    let line = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
    let key = if problem.key.is_empty() { "" } else { &format!("`{}`: ", problem.key) };
    format!("{file}{line}: {key}{}", problem.message)
}
