//! Real processes: `framegate up` on free ports with a data directory of its own.
//!
//! It decides when a rig is ready (both roles say so on their admin side) and sees to it that
//! nothing it started outlives it. It knows nothing of jobs.
//!
//! **Invariant:** waiting ends with what is waited for or with a deadline, never with a guess at
//! how long something takes; the processes' own output is the clock.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::root;

/// Time for both roles to be ready on a machine that compiles beside it: plugins are compiled at
/// the first start.
const READY_MAX: Duration = Duration::from_secs(90);
/// Time for the processes to end after they were asked to; their own drain is 2 s here.
const STOP_MAX: Duration = Duration::from_secs(10);
/// Time for a line of the log that is certain to come; as long as a session may drain.
const LOG_MAX: Duration = Duration::from_secs(30);
/// Time for an answer of an admin side, which looks at what it has in memory.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Longest wait between two looks at whether a role is ready; a line of output comes sooner.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is special about a rig; the default is one gateway, one orchestrator, shipped plugins.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Lines for `[gateway]`.
    pub gateway: String,
    /// Lines for `[orchestrator]`.
    pub orchestrator: String,
    /// Further sections.
    pub rest: String,
    /// Address space that each process may have, in KiB; `None`: no limit.
    pub address_space_kib: Option<u64>,
    /// Environment variables of the processes.
    pub env: Vec<(String, String)>,
}

impl Setup {
    /// Writes the configuration: every port is free, ending is quick.
    pub fn config(&self) -> String {
        let gateway = "http = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ndrain = \"2s\"";
        let orchestrator = "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ndrain = \"2s\"";
        format!(
            "[gateway]\n{gateway}\n{}\n[orchestrator]\n{orchestrator}\n{}\n{}\n",
            self.gateway, self.orchestrator, self.rest
        )
    }

    /// Starts both roles and waits until they are ready.
    pub fn up(&self) -> Rig {
        self.up_in(Arc::new(TempDir::new().expect("a temporary folder can be made")))
    }

    /// The same, with the data directory of a rig that has ended.
    pub fn up_in(&self, folder: Arc<TempDir>) -> Rig {
        let config = folder.path().join("config.toml");
        fs::write(&config, self.config()).expect("the folder can be written to");
        let mut command = match self.address_space_kib {
            None => Command::new(program()),
            Some(most) => {
                let mut shell = Command::new("sh");
                let script = format!("ulimit -v {most} && exec \"$0\" \"$@\"");
                shell.args(["-c", &script]).arg(program());
                shell
            }
        };
        command.arg("up").arg("-c").arg(&config).arg("--data-dir").arg(folder.path());
        command.envs(self.env.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be run");
        let output = lines(&mut child);
        let mut rig = Rig { folder, child, output, log: Mutex::default() };
        rig.wait_until_ready();
        rig
    }
}

/// Both roles, running.
#[derive(Debug)]
pub struct Rig {
    folder: Arc<TempDir>,
    child: Child,
    output: Receiver<String>,
    log: Mutex<Vec<String>>,
}

impl Rig {
    /// Starts the default rig.
    pub fn up() -> Self {
        Setup::default().up()
    }

    /// Returns the data directory; its life is the rig's.
    pub fn data(&self) -> &Path {
        self.folder.path()
    }

    /// Ends the processes and returns the data directory for another rig.
    pub fn stop(self) -> Arc<TempDir> {
        Arc::clone(&self.folder)
    }

    /// Returns the document that says who listens where; null while there is none.
    pub fn run_file(&self) -> Value {
        let text = fs::read_to_string(self.data().join("run.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Returns the URL at which a role (`gateway`, `orchestrator`) is used.
    pub fn url(&self, role: &str) -> String {
        self.run_file()[role]["url"].as_str().expect("a running role has a URL").to_owned()
    }

    /// Returns a bound address of a role, such as `gateway`, `admin`.
    pub fn address(&self, role: &str, listener: &str) -> SocketAddr {
        address(&self.run_file(), role, listener).expect("a running role has this address")
    }

    /// Asks a role's admin side for `path` over its Unix socket, which needs no token, and returns
    /// status and body; `None` if no one answers.
    pub fn admin(&self, role: &str, path: &str) -> Option<(u16, String)> {
        let stream = UnixStream::connect(self.run_file()[role]["admin_socket"].as_str()?).ok()?;
        stream.set_read_timeout(Some(ANSWER_MAX)).ok()?;
        exchange(stream, "localhost", path)
    }

    /// Returns the process id of a role.
    pub fn pid(&self, role: &str) -> u32 {
        let pid = self.run_file()[role]["pid"].as_u64().expect("a running role has a pid");
        u32::try_from(pid).expect("a pid is small")
    }

    /// Prepares the program as a client of this rig.
    pub fn framegate(&self, arguments: &[&str]) -> Command {
        let mut command = framegate(arguments);
        command.env("FRAMEGATE_DATA", self.data());
        command
    }

    /// Returns all that the processes have printed so far.
    pub fn log(&self) -> String {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.extend(self.output.try_iter());
        log.join("\n")
    }

    /// Waits until the processes have printed `text`. Fails after [`LOG_MAX`].
    ///
    /// # Panics
    /// If the line does not come.
    pub fn wait_for_log(&self, text: &str) {
        let deadline = Instant::now() + LOG_MAX;
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let mut looked_at = 0;
        while !log[looked_at..].iter().any(|line| line.contains(text)) {
            looked_at = log.len();
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(line) => log.push(line),
                Err(error) => panic!("`{text}` was not printed ({error}):\n{}", log.join("\n")),
            }
        }
    }

    fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + READY_MAX;
        while !self.is_ready() {
            let ended = self.child.try_wait().expect("a child can be asked for");
            assert!(ended.is_none(), "`up` ended with {ended:?}:\n{}", self.log());
            assert!(Instant::now() < deadline, "not ready in {READY_MAX:?}:\n{}", self.log());
            if let Ok(line) = self.output.recv_timeout(LOOK_EVERY) {
                self.log.get_mut().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        }
    }

    fn is_ready(&self) -> bool {
        let run_file = self.run_file();
        ["gateway", "orchestrator"].into_iter().all(|role| {
            let admin = address(&run_file, role, "admin");
            admin
                .is_some_and(|admin| get(admin, "/readyz").is_some_and(|(status, _)| status == 200))
        })
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if thread::panicking() {
            crate::note(&format!("what `up` printed:\n{}", self.log()));
        }
        signal(&self.child, Signal::TERM);
        // The output ends when the last process that holds it has ended.
        let deadline = Instant::now() + STOP_MAX;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    drop(self.child.kill());
                    break;
                }
            }
        }
        drop(self.child.wait());
    }
}

/// Prepares the program, without a terminal and away from any configuration of the user's.
pub fn framegate(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).stdin(Stdio::null()).env_remove("FRAMEGATE_GATEWAY");
    command
}

/// Runs a prepared program to its end.
pub fn finish(mut command: Command) -> Output {
    command.output().expect("the program can be run")
}

/// Interrupts a process, as Ctrl-C does.
pub fn interrupt(child: &Child) {
    signal(child, Signal::INT);
}

fn signal(child: &Child, signal: Signal) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // One that has ended already needs no telling.
        let _ = kill_process(pid, signal);
    }
}

/// Asks for `path` over plain HTTP and returns status and body; `None` if no one answers.
pub fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(ANSWER_MAX)).ok()?;
    exchange(stream, &address.to_string(), path)
}

fn exchange(mut stream: impl Read + Write, host: &str, path: &str) -> Option<(u16, String)> {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())?;
    Some((status, body))
}

/// Returns the program under test: `FRAMEGATE_BIN`, else one built now, once, with its plugins.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| env::var_os("FRAMEGATE_BIN").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    // The test runs from `<target>/<profile>/deps`.
    let test = env::current_exe().expect("a process knows its program");
    let profile = test.parent().and_then(Path::parent).expect("tests lie in `deps`");
    let target = profile.parent().expect("a profile lies in the target folder");
    let mut plugins = Command::new("sh");
    plugins.arg("plugins/build.sh").arg(target);
    let mut program = Command::new(env!("CARGO"));
    program.args(["build", "-q", "-p", "framegate", "--target-dir"]).arg(target);
    for mut step in [plugins, program] {
        let status = step.current_dir(root()).status().expect("a build can be started");
        assert!(status.success(), "{step:?} failed");
    }
    profile.join("framegate")
}

pub(crate) fn address(run_file: &Value, role: &str, listener: &str) -> Option<SocketAddr> {
    run_file[role]["listen"][listener].as_str()?.parse().ok()
}

/// Passes on the lines that a process prints, until all who hold its output are gone.
pub(crate) fn lines(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    let stdout = child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
    let stderr = child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
    for pipe in [stdout, stderr].into_iter().flatten() {
        let sender = sender.clone();
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
    }
    receiver
}
