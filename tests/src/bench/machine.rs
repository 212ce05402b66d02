//! The machine: what it is, and whether it is idle enough to measure on.

use std::env;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::root;

/// The share of its time that the machine has to be idle before a measurement.
pub(super) const IDLE_MIN: f64 = 0.85;
/// How long it is watched for that.
const LOOK_FOR: Duration = Duration::from_millis(500);

/// What is known of the machine.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    cpus: usize,
    cpu: String,
    kernel: String,
    commit: String,
}

impl Machine {
    /// Looks at the machine and at the tree.
    pub(super) fn look() -> Self {
        let cpu_file = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = cpu_file.lines().find_map(|line| line.strip_prefix("model name"));
        let name = name.and_then(|rest| rest.split_once(':')).map_or("unknown", |(_, name)| name);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cpus: thread::available_parallelism().map_or(1, usize::from),
            cpu: name.trim().to_owned(),
            kernel: kernel.trim().to_owned(),
            commit: commit(),
        }
    }

    /// Returns the facts as they stand in a line's `env`.
    pub(super) fn facts(&self) -> Value {
        json!({
            "cpus": self.cpus,
            "cpu": self.cpu,
            "kernel": self.kernel,
            "commit": self.commit,
            "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
        })
    }
}

/// Returns the commit that is checked out, with a mark if files differ from it.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(root()).args(arguments).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let hash = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_default();
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).unwrap_or_default();
    if changed.is_empty() { hash } else { format!("{hash}-changed") }
}

/// Watches the machine for half a second and returns the share of time in which it was idle.
pub(super) fn idle() -> f64 {
    let before = times();
    thread::sleep(LOOK_FOR);
    share(before, times())
}

/// Returns the idle share between two looks at `(idle, all)`.
fn share(before: (u64, u64), after: (u64, u64)) -> f64 {
    let idle = after.0.saturating_sub(before.0);
    let all = after.1.saturating_sub(before.1);
    #[expect(clippy::cast_precision_loss, reason = "ticks of half a second")]
    let share = idle as f64 / all.max(1) as f64;
    share
}

fn times() -> (u64, u64) {
    parse(&fs::read_to_string("/proc/stat").unwrap_or_default())
}

/// Reads idle (with waiting for disks) and all ticks of all processors.
fn parse(stat: &str) -> (u64, u64) {
    let row = stat.lines().next().unwrap_or_default();
    // Guests' time is part of user time already.
    let ticks = row.split_whitespace().skip(1).take(8).map(|n| n.parse().unwrap_or(0));
    let ticks: Vec<u64> = ticks.collect();
    let idle = ticks.get(3).unwrap_or(&0) + ticks.get(4).unwrap_or(&0);
    (idle, ticks.iter().sum())
}

/// Prepares a command that is printed in `env` exactly as it is run.
pub(super) fn shown(command: &Command) -> String {
    let word = |text: &std::ffi::OsStr| {
        let text = text.to_string_lossy().into_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+%@".contains(c);
        if text.chars().all(plain) { text } else { format!("'{text}'") }
    };
    let set = command
        .get_envs()
        .filter_map(|(key, value)| Some(format!("{}={}", key.to_string_lossy(), word(value?))));
    let words = std::iter::once(command.get_program()).chain(command.get_args()).map(word);
    set.chain(words).collect::<Vec<_>>().join(" ")
}

/// Returns the first line that `program -version` prints.
pub(super) fn version(program: &str) -> String {
    let output = Command::new(env::var_os(program).unwrap_or_else(|| program.into()))
        .arg("-version")
        .output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_a_share_of_all_time() {
        let before = parse("cpu  100 0 50 800 50 0 0 0 40 0\ncpu0 1 1 1 1\n");
        assert_eq!(before, (850, 1000));
        let after = parse("cpu  110 0 55 870 55 5 0 5 44 0\n");
        assert!((share(before, after) - 0.75).abs() < 1e-9);
        assert!(share(before, before) < f64::EPSILON);
        assert_eq!(parse(""), (0, 0));
    }

    #[test]
    fn a_command_is_shown_as_a_shell_would_take_it() {
        let mut command = Command::new("ffmpeg");
        command.env("A", "1").args(["-vf", "lutyuv=y='val'", "-i", "a.mp4"]);
        assert_eq!(shown(&command), "A=1 ffmpeg -vf 'lutyuv=y='val'' -i a.mp4");
    }
}
