//! `framegate up`: both roles as child processes of one that does nothing else.
//!
//! Decides when a role is started again. It holds the listeners, so that a role that crashed finds
//! its ports, and connections that came meanwhile wait in the kernel. Does not know what a role
//! does.
//!
//! **Invariant:** a role's end never ends or delays the other one, but for a start that its
//! configuration forbids. Everything is forked by the main thread, which lives as long as the
//! process: the kernel tells children of the end of the *thread* that forked them.

use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use domain::Class;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

use crate::data::Role;
use crate::failure::{Exit, Failure};
use crate::listen;
use crate::role::signals;

/// Wait before the first restart: long enough not to spin, short enough to keep a client's retry.
const BACK_OFF_MIN: Duration = Duration::from_millis(200);
/// Longest wait between restarts.
const BACK_OFF_MAX: Duration = Duration::from_secs(10);
/// A role that ran for so long starts over with [`BACK_OFF_MIN`].
const STEADY: Duration = Duration::from_secs(60);
/// Time on top of a role's own drain before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// One role to keep running.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Which.
    pub(crate) role: Role,
    /// The program.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) arguments: Vec<OsString>,
    /// Its listeners, by configuration key.
    pub(crate) listeners: Vec<(String, TcpListener)>,
    /// URL of the orchestrator beside a gateway.
    pub(crate) own_orchestrator: Option<String>,
    /// Time that it has to drain.
    pub(crate) drain: Duration,
}

/// A running role and the socket whose end tells it that this process is gone.
struct Running {
    child: Child,
    _alive: UnixStream,
}

/// Keeps `plans` running until a signal comes or the first start of one is refused.
pub(crate) fn run(plans: [Plan; 2]) -> Result<Exit, Failure> {
    let internal = |error: io::Error| Failure::from_error(Class::Internal, &error);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(internal)?;
    runtime.block_on(async {
        let mut signals = signals::Signals::new().map_err(internal)?;
        let (stop, stopped) = watch::channel(0_u32);
        let [first, second] = &plans;
        let both = async {
            let told = &stop;
            let (a, b) = tokio::join!(
                keep(first, stopped.clone(), told),
                keep(second, stopped.clone(), told)
            );
            a.and(b)
        };
        tokio::pin!(both);
        loop {
            tokio::select! {
                ended = &mut both => return ended.map(|()| Exit::Ok),
                name = signals.next() => {
                    info!(signal = name, "stopping");
                    stop.send_modify(|times| *times += 1);
                }
            }
        }
    })
}

/// Keeps one role running until `stop` counts a wish to stop.
async fn keep(
    plan: &Plan,
    mut stop: watch::Receiver<u32>,
    stop_all: &watch::Sender<u32>,
) -> Result<(), Failure> {
    let (role, mut back_off, mut starts) = (plan.role, BACK_OFF_MIN, 0_u64);
    loop {
        let started = Instant::now();
        starts += 1;
        let outcome = match start(plan) {
            Ok(mut running) => {
                info!(%role, pid = running.child.id(), "role started");
                let ended = tokio::select! {
                    status = running.child.wait() => Some(status),
                    () = wanted(&mut stop) => None,
                };
                match ended {
                    Some(status) => status,
                    None => return end(running, plan, stop).await,
                }
            }
            Err(problem) => Err(problem),
        };
        if starts == 1
            && let Some(failure) = refused(role, &outcome)
        {
            stop_all.send_modify(|times| *times += 1);
            return Err(failure);
        }
        if started.elapsed() >= STEADY {
            back_off = BACK_OFF_MIN;
        }
        match outcome {
            Ok(status) => error!(%role, %status, again_in = ?back_off, "role ended"),
            Err(problem) => error!(%role, %problem, again_in = ?back_off, "role not started"),
        }
        tokio::select! {
            () = sleep(back_off) => {}
            () = wanted(&mut stop) => return Ok(()),
        }
        back_off = (back_off * 2).min(BACK_OFF_MAX);
    }
}

/// Waits until the process is to stop.
async fn wanted(stop: &mut watch::Receiver<u32>) {
    // Without a sender nobody is left to run for.
    drop(stop.wait_for(|times| *times > 0).await);
}

/// Returns the failure of a first start that no restart can mend: its configuration or a plugin
/// forbids it, and the role has said why.
fn refused(role: Role, outcome: &io::Result<ExitStatus>) -> Option<Failure> {
    let code = match outcome {
        Ok(status) => status.code(),
        Err(error) => {
            let message = format!("starting the {role}: {error}");
            return Some(Failure::new(Class::Internal, message));
        }
    };
    if code == Some(Exit::Usage as i32) {
        Some(Failure::usage(format!("the {role} refused its configuration")))
    } else if code == Some(Exit::Fault as i32) {
        Some(Failure::new(Class::PluginFault, format!("a plugin of the {role} faulted")))
    } else {
        None
    }
}

fn start(plan: &Plan) -> io::Result<Running> {
    let (ours, theirs) = UnixStream::pair()?;
    let listeners: Vec<_> = plan.listeners.iter().map(|(key, it)| (key.as_str(), it)).collect();
    listen::pass(&ours, &listeners, plan.own_orchestrator.as_deref()).map_err(io::Error::other)?;
    let child = Command::new(&plan.program)
        .args(&plan.arguments)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        // A group of its own: what a terminal sends to the foreground reaches it through this
        // process, once.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    Ok(Running { child, _alive: ours })
}

/// Asks a role to end, waits for its drain and kills it if that takes too long. A second wish to
/// stop is passed on.
async fn end(
    mut running: Running,
    plan: &Plan,
    mut stop: watch::Receiver<u32>,
) -> Result<(), Failure> {
    let (role, mut told) = (plan.role, 0);
    let draining = async {
        loop {
            let times = *stop.borrow_and_update();
            if times > told {
                told = times;
                ask_to_end(&running.child);
            }
            tokio::select! {
                status = running.child.wait() => return status,
                // The sender lives in the caller; without it there is nothing more to pass on.
                _ = stop.changed() => {}
            }
        }
    };
    match timeout(plan.drain + GRACE, draining).await {
        Ok(Ok(status)) => info!(%role, %status, "role stopped"),
        Ok(Err(problem)) => warn!(%role, %problem, "role not waited for"),
        Err(_) => {
            warn!(%role, "role killed: its time to drain is over");
            if let Err(problem) = running.child.kill().await {
                warn!(%role, %problem, "role not killed");
            }
        }
    }
    Ok(())
}

fn ask_to_end(child: &Child) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    // Not waited for yet, so the number is still its own.
    if let Some(pid) = pid
        && let Err(problem) = kill_process(pid, Signal::TERM)
    {
        warn!(%problem, "role not asked to end");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(role: Role, script: &str) -> Plan {
        Plan {
            role,
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            listeners: Vec::new(),
            own_orchestrator: None,
            drain: Duration::from_secs(1),
        }
    }

    #[tokio::test]
    async fn a_refused_configuration_ends_both_roles_with_its_exit_code() {
        let (stop, stopped) = watch::channel(0);
        let refusing = plan(Role::Orchestrator, "exit 2");
        // Reads its standard input, whose end never comes, until it is asked to end.
        let working = plan(Role::Gateway, "exec cat >/dev/null");
        let (refused, worked) =
            tokio::join!(keep(&refusing, stopped.clone(), &stop), keep(&working, stopped, &stop));
        assert_eq!(refused.map_err(|failure| failure.exit()), Err(Exit::Usage));
        assert!(worked.is_ok());
    }

    #[tokio::test]
    async fn a_crashed_role_is_started_again_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let starts = folder.path().join("starts");
        let (stop, stopped) = watch::channel(0);
        // Crashes twice, then runs on.
        let script = format!(
            "echo x >>{0}; [ $(wc -l <{0}) -ge 3 ] || kill -9 $$; exec cat >/dev/null",
            starts.display()
        );
        let plan = plan(Role::Gateway, &script);
        let until_third = async {
            let mut looked = tokio::time::interval(Duration::from_millis(10));
            while std::fs::read_to_string(&starts).unwrap_or_default().lines().count() < 3 {
                looked.tick().await;
            }
            stop.send_modify(|times| *times += 1);
        };
        let (kept, ()) = tokio::join!(keep(&plan, stopped, &stop), until_third);
        assert!(kept.is_ok());
        assert_eq!(std::fs::read_to_string(&starts).expect("written").lines().count(), 3);
    }
}
