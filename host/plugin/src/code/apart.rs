//! Compiling in a child process: what a hostile component does to the compiler ends there.
//!
//! The child is this program, with less of everything: address space, processor time, open files,
//! and a parent that stops waiting. It gets the component on its standard input and answers on its
//! standard output; it never sees the cache or its secret.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

use super::compile::{ANSWER_CODE, ANSWER_DOES_NOT_FIT, ANSWER_REFUSED, CompileError, Misfit};
use super::{CODE_BYTES_MAX, CodeKey};
use crate::engine::EngineSetup;
use crate::manifest::World;

/// Address space of a child. An interpreter of 10 MiB takes 0.5 GiB to compile, and each thread of
/// the compiler reserves 64 MiB for its allocations.
pub const ADDRESS_SPACE_MAX: u64 = 4 << 30;
/// Processor time of a child, over all its threads: twice that of the largest interpreter on a slow
/// machine.
pub const CPU_TIME_MAX: Duration = Duration::from_secs(120);
/// Time a child has: less than a worker has for its answer to `describe`.
pub const WALL_TIME_MAX: Duration = Duration::from_secs(45);
/// Threads of the compiler in a child: more gain nothing for a component of common size, and each
/// costs address space.
const THREADS_MAX: usize = 8;
/// Where the dynamic linker looks first.
const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";
/// Bytes of a dying child's last words that are kept.
const LAST_WORDS_BYTES: u64 = 2048;

/// Compiles `bytes` with a child that runs `program` and has `time`, mostly [`WALL_TIME_MAX`].
pub(super) fn compile(
    program: &Path,
    setup: EngineSetup,
    world: World,
    key: &CodeKey,
    bytes: &[u8],
    time: Duration,
) -> Result<Vec<u8>, CompileError> {
    let failed = |source| CompileError::Start { program: program.display().to_string(), source };
    let mut child = start(program, setup, world, key).map_err(failed)?;
    let ends = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut input), Some(output), Some(errors)) = ends else {
        let _ = child.kill();
        return Err(failed(io::ErrorKind::BrokenPipe.into()));
    };
    // Killing the child ends its three pipes, and with them whoever reads or writes here.
    let (answered, done) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            // A child that ends early is told of by its status.
            let _ = input.write_all(bytes);
        });
        let last_words = scope.spawn(move || {
            let mut words = Vec::new();
            let _ = errors.take(LAST_WORDS_BYTES).read_to_end(&mut words);
            String::from_utf8_lossy(&words).trim().replace('\n', " ")
        });
        let watch = scope.spawn(move || wait(&mut child, &done, time));
        let mut answer = Vec::new();
        // Broken pipes read as the end; whether the answer is whole the status says.
        let _ = output.take(CODE_BYTES_MAX as u64 + 2).read_to_end(&mut answer);
        drop(answered);
        let (status, slow) = watch.join().unwrap_or((Err(io::ErrorKind::Other.into()), false));
        let words = last_words.join().unwrap_or_default();
        if slow {
            return Err(CompileError::Slow(time));
        }
        judge(program, answer, status, &words)
    })
}

fn start(program: &Path, setup: EngineSetup, world: World, key: &CodeKey) -> io::Result<Child> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let mut command = Command::new(program);
    // Nothing of the role's environment is the child's business, its secrets least of all; but it
    // needs the same libraries.
    command.env_clear();
    if let Some(path) = std::env::var_os(LIBRARY_PATH) {
        command.env(LIBRARY_PATH, path);
    }
    command
        .args(["compile", "--engine", setup.name(), "--world", world.name()])
        .args(["--key", &key.hex()])
        .env("RAYON_NUM_THREADS", threads.to_string())
        .env("MALLOC_ARENA_MAX", "2")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// Waits until the child is done or its time is over, and ends it.
fn wait(child: &mut Child, done: &Receiver<()>, time: Duration) -> (io::Result<ExitStatus>, bool) {
    // The other end is dropped, never used: the answer is all read, or given up.
    let slow = matches!(done.recv_timeout(time), Err(RecvTimeoutError::Timeout));
    // A child that closed its output by ending has its exit status already, and keeps it; one that
    // closed it and stays is not waited for.
    let _ = child.kill();
    (child.wait(), slow)
}

fn judge(
    program: &Path,
    mut answer: Vec<u8>,
    status: io::Result<ExitStatus>,
    last_words: &str,
) -> Result<Vec<u8>, CompileError> {
    if answer.len() > CODE_BYTES_MAX + 1 {
        return Err(CompileError::TooLarge(CODE_BYTES_MAX));
    }
    let ended_well = matches!(&status, Ok(status) if status.success());
    if !ended_well || answer.is_empty() {
        let mut how = match status {
            Ok(status) => status.to_string(),
            Err(error) => format!("waiting for it failed: {error}"),
        };
        if !last_words.is_empty() {
            how.push_str("; it said: ");
            how.push_str(last_words);
        }
        let limits = format!(
            "it may use {} GiB of memory and {} s of processor time",
            ADDRESS_SPACE_MAX >> 30,
            CPU_TIME_MAX.as_secs(),
        );
        return Err(CompileError::Died { how, limits });
    }
    let text = |answer: &[u8]| String::from_utf8_lossy(&answer[1..]).into_owned();
    match answer[0] {
        ANSWER_CODE => {
            answer.remove(0);
            Ok(answer)
        }
        ANSWER_REFUSED => Err(CompileError::Refused(text(&answer))),
        ANSWER_DOES_NOT_FIT => Err(CompileError::DoesNotFit(Misfit::from_lines(&text(&answer)))),
        _ => Err(CompileError::OtherBuild(program.display().to_string())),
    }
}

/// Takes from this process what a compiler does not need, before it sees a stranger's bytes.
pub(super) fn limit_this_process() -> io::Result<()> {
    // The thread that started this one waits for it, so its end is the parent's.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    lower(Resource::As, ADDRESS_SPACE_MAX)?;
    lower(Resource::Cpu, CPU_TIME_MAX.as_secs())?;
    lower(Resource::Core, 0)?;
    // It has its three descriptors; whatever the compiler is talked into, it opens nothing.
    lower(Resource::Nofile, 0)?;
    lower(Resource::Fsize, 0)
}

fn lower(resource: Resource, most: u64) -> io::Result<()> {
    let limit = getrlimit(resource);
    let least = |old: Option<u64>| Some(old.map_or(most, |old| old.min(most)));
    let (current, maximum) = (least(limit.current), least(limit.maximum));
    match setrlimit(resource, Rlimit { current, maximum }) {
        // The kernel lets everybody lower a limit. valgrind, which opens files for whatever it runs,
        // holds on to the higher one of theirs.
        Err(Errno::PERM) => Ok(setrlimit(resource, Rlimit { current, maximum: limit.maximum })?),
        lowered => Ok(lowered?),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Instant;

    use super::*;
    use crate::engine::{Allocation, EngineName};

    /// Compiles nothing with a child that does as `script` says.
    fn with(script: &str, time: Duration) -> Result<Vec<u8>, CompileError> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("compiler");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let setup = EngineSetup { engine: EngineName::Policy, allocation: Allocation::Pooling };
        compile(&program, setup, World::Pipeline, &CodeKey([0; 32]), &[0; 1 << 20], time)
    }

    #[test]
    fn a_compiler_that_dies_is_told_of_with_its_last_words() {
        let minute = Duration::from_secs(60);
        let text = with("echo out of memory >&2; kill -ABRT $$", minute).unwrap_err().to_string();
        assert!(text.contains("signal: 6") && text.contains("out of memory"), "{text}");
        assert!(text.contains("4 GiB of memory and 120 s"), "{text}");
        for script in ["exit 0", "cat >/dev/null; printf '\\000half'; exit 1"] {
            assert!(matches!(with(script, minute), Err(CompileError::Died { .. })), "{script}");
        }
        assert!(matches!(with("printf '\\011'", minute), Err(CompileError::OtherBuild(_))));
        assert_eq!(with("printf '\\000code'", minute).unwrap(), b"code");
        let nowhere = Path::new("/nowhere/compiler");
        let setup = EngineSetup::ALL[0];
        let none = compile(nowhere, setup, World::Pipeline, &CodeKey([0; 32]), b"", minute);
        assert!(matches!(none, Err(CompileError::Start { .. })));
    }

    #[test]
    fn a_compiler_that_hangs_is_ended_whatever_it_holds_open() {
        let started = Instant::now();
        let short = Duration::from_millis(300);
        let hung = with("exec sleep 60", short);
        assert!(matches!(hung, Err(CompileError::Slow(limit)) if limit == short), "{hung:?}");
        // One that answers and stays costs no time at all.
        let _ = with("cat >/dev/null; exec 1>&-; exec sleep 60", Duration::from_secs(60));
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }
}
