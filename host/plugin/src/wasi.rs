//! The WASI interfaces that language runtimes import whether or not a plugin uses them, served
//! without effect: no files, no environment, no sockets, an input that is at its end, output that
//! is kept for the log, the newest up to a limit, a clock and random numbers that the caller fixes.
//!
//! No function here blocks: whoever waits for a time is told that it has come.
//!
//! **Invariant:** with a fixed clock and seed every answer is a function of the calls so far.

mod closed;

use std::time::Instant;

use wasmtime::StoreContextMut;
use wasmtime::component::{
    Component, ComponentNamedList, ComponentType, Lift, Linker, LinkerInstance, Lower, Resource,
    ResourceType,
};

use closed::Closed;

use crate::limits::LimitHit;
use crate::snapshot::unix_ms;

/// Bytes of a guest's output that one call may leave; a panic message of Rust has under 1 KiB.
pub(crate) const OUTPUT_BYTES_MAX: usize = 4096;
/// Random bytes that one call gives; seeds take 32.
const RANDOM_BYTES_MAX: u64 = 64 * 1024;
/// The patch level that these texts follow; any 0.2 links to it.
const VERSION: &str = "0.2.6";

/// Interfaces served here, without version; beside those of [`closed`].
const INTERFACES: [&str; 19] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:random/random",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:filesystem/preopens",
];

enum InputStream {}
enum OutputStream {}
enum Pollable {}
enum IoError {}
enum TerminalInput {}
enum TerminalOutput {}

/// What a guest reads as the time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Clock {
    /// Stands still at a Unix time in milliseconds.
    Fixed(u64),
    /// Runs; monotonic time counts from here.
    Real(Instant),
}

/// What one instance sees of WASI.
#[derive(Debug)]
pub(crate) struct Shim {
    clock: Clock,
    random: u64,
    output: Vec<u8>,
}

/// Store data that holds a [`Shim`].
pub(crate) trait HasShim: 'static {
    /// Returns the shim.
    fn shim(&mut self) -> &mut Shim;

    /// Charges the guest for a host function that copies `bytes`, unless its time is measured and
    /// that is charge enough.
    fn charge(&mut self, bytes: usize) -> Result<(), LimitHit> {
        let _ = bytes;
        Ok(())
    }
}

impl Shim {
    pub(crate) fn new(clock: Clock, seed: u64) -> Self {
        Self { clock, random: seed, output: Vec::new() }
    }

    /// Takes what the guest wrote since the last time, for the log.
    pub(crate) fn take_output(&mut self) -> Option<String> {
        if self.output.is_empty() {
            return None;
        }
        let text = String::from_utf8_lossy(&self.output).trim().to_owned();
        self.output.clear();
        Some(text)
    }

    /// Keeps the newest of what is written: what a guest says last is why it ended.
    fn write(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(OUTPUT_BYTES_MAX)..];
        let too_many = (self.output.len() + bytes.len()).saturating_sub(OUTPUT_BYTES_MAX);
        self.output.drain(..too_many);
        self.output.extend_from_slice(bytes);
    }

    fn monotonic_ns(&self) -> u64 {
        match self.clock {
            Clock::Fixed(unix_ms) => unix_ms.saturating_mul(1_000_000),
            Clock::Real(start) => u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX),
        }
    }

    fn wall(&self) -> DateTime {
        let unix_ms = match self.clock {
            Clock::Fixed(unix_ms) => unix_ms,
            Clock::Real(_) => unix_ms(),
        };
        DateTime { seconds: unix_ms / 1000, nanoseconds: (unix_ms % 1000) as u32 * 1_000_000 }
    }

    /// The next number of SplitMix64.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.random;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    fn random_bytes(&mut self, count: u64) -> wasmtime::Result<Vec<u8>> {
        if count > RANDOM_BYTES_MAX {
            wasmtime::bail!("asked for {count} random bytes ({RANDOM_BYTES_MAX} is the most)");
        }
        let mut bytes = vec![0; usize::try_from(count)?];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_random().to_le_bytes()[..chunk.len()]);
        }
        Ok(bytes)
    }
}

#[derive(ComponentType, Lower, Lift)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<IoError>),
    #[component(name = "closed")]
    Closed,
}

#[derive(ComponentType, Lower, Lift)]
#[component(record)]
struct DateTime {
    seconds: u64,
    nanoseconds: u32,
}

type Written = (Result<(), StreamError>,);

/// Returns whether a component may import `interface`: it is served, in any release of 0.2.
pub(crate) fn serves(interface: &str) -> bool {
    let name = without_version(interface);
    let version = interface[name.len()..].strip_prefix('@').unwrap_or_default();
    version.starts_with("0.2.") && (INTERFACES.contains(&name) || closed::has(name))
}

/// Links every interface that is served, as `component` imports it.
pub(crate) fn add_to_linker<T: HasShim>(
    linker: &mut Linker<T>,
    component: &Component,
) -> wasmtime::Result<()> {
    io(linker)?;
    cli(linker)?;
    clocks_and_random(linker)?;
    closed::add_to_linker(linker, component)?;
    let mut preopens = interface(linker, "wasi:filesystem/preopens")?;
    give(&mut preopens, "get-directories", |_, (): ()| {
        Ok((Vec::<(Resource<Closed>, String)>::new(),))
    })
}

fn without_version(interface: &str) -> &str {
    interface.split('@').next().unwrap_or_default()
}

fn interface<'a, T>(
    linker: &'a mut Linker<T>,
    name: &str,
) -> wasmtime::Result<LinkerInstance<'a, T>> {
    linker.instance(&format!("{name}@{VERSION}"))
}

/// Links one function, whose every call is charged to the guest.
fn give<T, P, R>(
    interface: &mut LinkerInstance<'_, T>,
    name: &str,
    function: impl Fn(&mut T, P) -> wasmtime::Result<R> + Send + Sync + 'static,
) -> wasmtime::Result<()>
where
    T: HasShim,
    P: ComponentNamedList + Lift + 'static,
    R: ComponentNamedList + Lower + 'static,
{
    interface.func_wrap(name, move |mut store: StoreContextMut<'_, T>, arguments: P| {
        let data = store.data_mut();
        data.charge(0)?;
        function(data, arguments)
    })
}

fn io<T: HasShim>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut error = interface(linker, "wasi:io/error")?;
    error.resource("error", ResourceType::host::<IoError>(), |_, _| Ok(()))?;
    give(&mut error, "[method]error.to-debug-string", |_, (_,): (Resource<IoError>,)| {
        Ok(("closed".to_owned(),))
    })?;
    let mut poll = interface(linker, "wasi:io/poll")?;
    poll.resource("pollable", ResourceType::host::<Pollable>(), |_, _| Ok(()))?;
    give(&mut poll, "[method]pollable.ready", |_, (_,): (Resource<Pollable>,)| Ok((true,)))?;
    give(&mut poll, "[method]pollable.block", |_, (_,): (Resource<Pollable>,)| Ok(()))?;
    give(&mut poll, "poll", |data, (all,): (Vec<Resource<Pollable>>,)| {
        data.charge(size_of_val(all.as_slice()))?;
        Ok(((0..).zip(&all).map(|(index, _)| index).collect::<Vec<u32>>(),))
    })?;
    let mut streams = interface(linker, "wasi:io/streams")?;
    streams.resource("input-stream", ResourceType::host::<InputStream>(), |_, _| Ok(()))?;
    streams.resource("output-stream", ResourceType::host::<OutputStream>(), |_, _| Ok(()))?;
    input(&mut streams)?;
    output(&mut streams)
}

fn input<T: HasShim>(streams: &mut LinkerInstance<'_, T>) -> wasmtime::Result<()> {
    for name in ["read", "blocking-read"] {
        let name = format!("[method]input-stream.{name}");
        give(streams, &name, |_, _: (Resource<InputStream>, u64)| {
            Ok((Err::<Vec<u8>, _>(StreamError::Closed),))
        })?;
    }
    for name in ["skip", "blocking-skip"] {
        let name = format!("[method]input-stream.{name}");
        give(streams, &name, |_, _: (Resource<InputStream>, u64)| {
            Ok((Err::<u64, _>(StreamError::Closed),))
        })?;
    }
    give(streams, "[method]input-stream.subscribe", |_, (_,): (Resource<InputStream>,)| {
        Ok((Resource::<Pollable>::new_own(0),))
    })
}

fn output<T: HasShim>(streams: &mut LinkerInstance<'_, T>) -> wasmtime::Result<()> {
    give(streams, "[method]output-stream.check-write", |_, (_,): (Resource<OutputStream>,)| {
        Ok((Ok::<u64, StreamError>(OUTPUT_BYTES_MAX as u64),))
    })?;
    for name in ["write", "blocking-write-and-flush"] {
        let name = format!("[method]output-stream.{name}");
        give(streams, &name, |data, (_, bytes): (Resource<OutputStream>, Vec<u8>)| {
            data.charge(bytes.len())?;
            data.shim().write(&bytes);
            Ok::<Written, _>((Ok(()),))
        })?;
    }
    for name in ["flush", "blocking-flush"] {
        let name = format!("[method]output-stream.{name}");
        give(streams, &name, |_, (_,): (Resource<OutputStream>,)| Ok::<Written, _>((Ok(()),)))?;
    }
    for name in ["write-zeroes", "blocking-write-zeroes-and-flush"] {
        let name = format!("[method]output-stream.{name}");
        give(streams, &name, |_, _: (Resource<OutputStream>, u64)| Ok::<Written, _>((Ok(()),)))?;
    }
    for name in ["splice", "blocking-splice"] {
        let name = format!("[method]output-stream.{name}");
        give(streams, &name, |_, _: (Resource<OutputStream>, Resource<InputStream>, u64)| {
            Ok((Err::<u64, _>(StreamError::Closed),))
        })?;
    }
    give(streams, "[method]output-stream.subscribe", |_, (_,): (Resource<OutputStream>,)| {
        Ok((Resource::<Pollable>::new_own(0),))
    })
}

fn cli<T: HasShim>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut environment = interface(linker, "wasi:cli/environment")?;
    give(&mut environment, "get-environment", |_, (): ()| Ok((Vec::<(String, String)>::new(),)))?;
    give(&mut environment, "get-arguments", |_, (): ()| Ok((Vec::<String>::new(),)))?;
    give(&mut environment, "initial-cwd", |_, (): ()| Ok((None::<String>,)))?;
    let mut exit = interface(linker, "wasi:cli/exit")?;
    give(&mut exit, "exit", |_, (_,): (Result<(), ()>,)| -> wasmtime::Result<()> {
        wasmtime::bail!("asked to exit, which ends the plugin")
    })?;
    let mut stdin = interface(linker, "wasi:cli/stdin")?;
    give(&mut stdin, "get-stdin", |_, (): ()| Ok((Resource::<InputStream>::new_own(0),)))?;
    for (name, rep) in [("stdout", 1), ("stderr", 2)] {
        let mut stream = interface(linker, &format!("wasi:cli/{name}"))?;
        give(&mut stream, &format!("get-{name}"), move |_, (): ()| {
            Ok((Resource::<OutputStream>::new_own(rep),))
        })?;
        let mut terminal = interface(linker, &format!("wasi:cli/terminal-{name}"))?;
        give(&mut terminal, &format!("get-terminal-{name}"), |_, (): ()| {
            Ok((None::<Resource<TerminalOutput>>,))
        })?;
    }
    interface(linker, "wasi:cli/terminal-input")?.resource(
        "terminal-input",
        ResourceType::host::<TerminalInput>(),
        |_, _| Ok(()),
    )?;
    interface(linker, "wasi:cli/terminal-output")?.resource(
        "terminal-output",
        ResourceType::host::<TerminalOutput>(),
        |_, _| Ok(()),
    )?;
    let mut terminal = interface(linker, "wasi:cli/terminal-stdin")?;
    give(&mut terminal, "get-terminal-stdin", |_, (): ()| Ok((None::<Resource<TerminalInput>>,)))
}

fn clocks_and_random<T: HasShim>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut monotonic = interface(linker, "wasi:clocks/monotonic-clock")?;
    give(&mut monotonic, "now", |data, (): ()| Ok((data.shim().monotonic_ns(),)))?;
    give(&mut monotonic, "resolution", |_, (): ()| Ok((1_000_u64,)))?;
    for name in ["subscribe-instant", "subscribe-duration"] {
        give(&mut monotonic, name, |_, _: (u64,)| Ok((Resource::<Pollable>::new_own(0),)))?;
    }
    let mut wall = interface(linker, "wasi:clocks/wall-clock")?;
    give(&mut wall, "now", |data, (): ()| Ok((data.shim().wall(),)))?;
    give(&mut wall, "resolution", |_, (): ()| {
        Ok((DateTime { seconds: 0, nanoseconds: 1_000_000 },))
    })?;
    for (name, kind) in [("random", "random"), ("insecure", "insecure-random")] {
        let mut random = interface(linker, &format!("wasi:random/{name}"))?;
        give(&mut random, &format!("get-{kind}-bytes"), |data, (count,): (u64,)| {
            let bytes = data.shim().random_bytes(count)?;
            data.charge(bytes.len())?;
            Ok((bytes,))
        })?;
        give(&mut random, &format!("get-{kind}-u64"), |data, (): ()| {
            Ok((data.shim().next_random(),))
        })?;
    }
    let mut seed = interface(linker, "wasi:random/insecure-seed")?;
    give(&mut seed, "insecure-seed", |data, (): ()| {
        let shim = data.shim();
        Ok(((shim.next_random(), shim.next_random()),))
    })
}

#[cfg(test)]
#[test]
fn the_newest_output_is_kept_up_to_a_limit_and_a_fixed_clock_stands_still() {
    let mut shim = Shim::new(Clock::Fixed(1_500), 7);
    shim.write(&[b'x'; 3 * OUTPUT_BYTES_MAX]);
    shim.write(b"why it ended");
    let text = shim.take_output().unwrap();
    assert!(text.ends_with("xwhy it ended") && text.len() == OUTPUT_BYTES_MAX, "{text}");
    assert_eq!(shim.take_output(), None);
    assert_eq!(shim.monotonic_ns(), 1_500_000_000);
    assert_eq!((shim.wall().seconds, shim.wall().nanoseconds), (1, 500_000_000));
    let mut same = Shim::new(Clock::Fixed(1_500), 7);
    assert_eq!(shim.random_bytes(9).unwrap(), same.random_bytes(9).unwrap());
    assert!(shim.random_bytes(u64::MAX).is_err());
}
