//! A market of real processes: one gateway and several orchestrators, each with a data directory of
//! its own and ports that nobody else has.
//!
//! **Invariant:** nothing that it started outlives it.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::rig::{address, get, lines, program};

/// Time for a role to be ready on a machine that compiles beside it.
const READY_MAX: Duration = Duration::from_secs(90);
/// Time for a process to end after it was asked to.
const STOP_MAX: Duration = Duration::from_secs(10);
/// Wait between two looks at whether a role is ready.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// One role's process.
#[derive(Debug)]
pub struct Role {
    role: &'static str,
    folder: TempDir,
    child: Child,
    output: Receiver<String>,
    log: Vec<String>,
}

impl Role {
    /// Starts a role with `config`; it is not ready yet.
    pub fn start(role: &'static str, config: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        fs::write(folder.path().join("config.toml"), config).expect("the folder can be written to");
        let (child, output) = spawn(role, &folder);
        Self { role, folder, child, output, log: Vec::new() }
    }

    /// Starts the process again, with the same configuration, data and addresses.
    pub fn restart(&mut self) {
        self.kill();
        let path = self.folder.path().join("config.toml");
        let mut config = fs::read_to_string(&path).expect("it was written");
        let run_file = self.run_file();
        for key in ["http", "listen", "admin"] {
            if let Some(address) = address(&run_file, self.role, key) {
                let any = format!("{key} = \"127.0.0.1:0\"");
                config = config.replace(&any, &format!("{key} = \"{address}\""));
            }
        }
        fs::write(&path, config).expect("the folder can be written to");
        drop(fs::remove_file(self.folder.path().join("run.json")));
        (self.child, self.output) = spawn(self.role, &self.folder);
    }

    /// Kills the process as `kill -9` does.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        drop(self.child.wait());
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    /// Waits until the role says that it is ready.
    ///
    /// # Panics
    /// If it ends before or takes too long.
    pub fn wait(&mut self) {
        let deadline = Instant::now() + READY_MAX;
        while !self.is_ready() {
            let ended = self.child.try_wait().expect("a child can be asked for");
            let late = Instant::now() >= deadline;
            if late || ended.is_some() {
                let log = self.log();
                panic!("`{}` is not ready (ended: {ended:?}):\n{log}", self.role);
            }
            if let Ok(line) = self.output.recv_timeout(LOOK_EVERY) {
                self.log.push(line);
            }
        }
    }

    /// Returns what it has printed so far.
    pub fn log(&mut self) -> String {
        self.log.extend(self.output.try_iter());
        self.log.join("\n")
    }

    /// Returns the URL at which it is used.
    pub fn url(&self) -> String {
        self.run_file()[self.role]["url"].as_str().expect("a running role has a URL").to_owned()
    }

    /// Returns its admin address.
    pub fn admin(&self) -> SocketAddr {
        address(&self.run_file(), self.role, "admin").expect("a running role has an admin side")
    }

    /// Asks its admin side over the socket that only this user has; null if nobody answers.
    pub fn ask(&self, method: &str, path: &str) -> Value {
        let socket = self.folder.path().join(self.role).join("admin.sock");
        let asked = UnixStream::connect(socket).and_then(|mut stream| {
            stream.set_read_timeout(Some(STOP_MAX))?;
            let head = "host: localhost\r\nconnection: close\r\ncontent-length: 0";
            write!(stream, "{method} {path} HTTP/1.0\r\n{head}\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        });
        let answer = asked.unwrap_or_default();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).unwrap_or_default()
    }

    /// Returns the memory that the process uses, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }

    /// Returns its data directory.
    pub fn data(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Returns the process id of the worker that it started last.
    pub fn worker(&mut self) -> u32 {
        let log = self.log();
        let started = log.lines().rfind(|line| line.contains("worker started"));
        let pid = started.and_then(|line| line.split("pid=").nth(1)?.split_whitespace().next());
        pid.and_then(|pid| pid.parse().ok()).expect("a ready orchestrator has a worker")
    }

    fn run_file(&self) -> Value {
        let text = fs::read_to_string(self.folder.path().join("run.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    fn is_ready(&self) -> bool {
        let admin = address(&self.run_file(), self.role, "admin");
        admin.is_some_and(|admin| get(admin, "/readyz").is_some_and(|(status, _)| status == 200))
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log();
            crate::note(&format!("what the `{}` printed:\n{log}", self.role));
        }
        self.signal(Signal::CONT);
        self.signal(Signal::TERM);
        let deadline = Instant::now() + STOP_MAX;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(None) => drop(self.output.recv_timeout(LOOK_EVERY)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        self.kill();
    }
}

fn spawn(role: &str, folder: &TempDir) -> (Child, Receiver<String>) {
    let mut command = Command::new(program());
    command.arg(role).arg("-c").arg(folder.path().join("config.toml"));
    command.arg("--data-dir").arg(folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program can be run");
    let output = lines(&mut child);
    (child, output)
}

/// Sends a signal to a process that a test may signal: one of its own.
pub fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // One that has ended already needs no telling.
        let _ = kill_process(pid, signal);
    }
}

/// One gateway and its orchestrators.
#[derive(Debug)]
pub struct Market {
    /// The gateway.
    pub gateway: Role,
    /// The orchestrators, in the order of their names `a`, `b`, `c`.
    pub orchestrators: Vec<Role>,
}

impl Market {
    /// Starts a gateway with the lines `gateway` for `[gateway]` and what follows, and an
    /// orchestrator for each of `orchestrators`, which are lines for `[orchestrator]`; waits until
    /// all are ready.
    pub fn up(gateway: &str, orchestrators: &[&str]) -> Self {
        Self::up_with(gateway, orchestrators, &[])
    }

    /// The same, with orchestrators at `others` that somebody else runs.
    pub fn up_with(gateway: &str, orchestrators: &[&str], others: &[&str]) -> Self {
        let named = orchestrators.iter().zip('a'..);
        let mut orchestrators: Vec<Role> = named
            .map(|(lines, name)| {
                let own = format!("name = \"{name}\"\nthreads = 1\ndrain = \"1s\"\n{lines}");
                let ports = "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"";
                let config = format!(
                    "[orchestrator]\n{ports}\n{own}\n[orchestrator.pipelines.sketch-video]\n"
                );
                Role::start("orchestrator", &config)
            })
            .collect();
        orchestrators.iter_mut().for_each(Role::wait);
        let own = orchestrators.iter().map(Role::url);
        let all = own.chain(others.iter().map(|uri| (*uri).to_owned()));
        let uris: Vec<String> = all.map(|uri| format!("\"{uri}\"")).collect();
        let ports = "http = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ndrain = \"2s\"";
        let list = uris.join(", ");
        let config = format!("[gateway]\n{ports}\norchestrators = [{list}]\n{gateway}\n");
        let mut gateway = Role::start("gateway", &config);
        gateway.wait();
        Self { gateway, orchestrators }
    }

    /// Returns the orchestrator at `uri`.
    ///
    /// # Panics
    /// If there is none.
    pub fn at(&mut self, uri: &str) -> &mut Role {
        self.orchestrators.iter_mut().find(|it| it.url() == uri).expect("an orchestrator of ours")
    }
}
