//! Faults: a plugin's trap, a limit hit, or a breach of its contract.
//!
//! Calling a plugin ends in a value, a refusal or a [`Fault`]. This module decides which kind of
//! fault an engine error is and what a person gets to read. It decides nothing about what happens
//! next: falling back, counting and logging belong to the caller.
//!
//! **Invariant:** a fault of the host itself is [`FaultKind::Host`] and never counts against the
//! plugin.

use std::fmt;

use wasmtime::{Trap, WasmBacktrace};

use crate::digest::Digest;
use crate::limits::{Amount, LimitHit};

/// Frames of a guest backtrace that a fault's text names: enough to get from a panic's machinery
/// to the author's function.
const FRAMES_MAX: usize = 8;

/// What kind of fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The guest trapped: a panic, a bad access, a stack overflow.
    Trap,
    /// Fuel of the call ran out.
    Fuel,
    /// Guest time of the call ran out.
    Time,
    /// Linear memory passed its limit.
    Memory,
    /// Table elements passed their limit.
    Table,
    /// An answer or a call breaks the contract.
    Contract,
    /// The host's own fault.
    Host,
}

impl FaultKind {
    /// Returns the word used in JSON and metric labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Fuel => "fuel",
            Self::Time => "time",
            Self::Memory => "memory",
            Self::Table => "table",
            Self::Contract => "contract",
            Self::Host => "host",
        }
    }
}

/// Which component a fault, an answer or a log line belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Plugin's id.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// Digest of its bytes.
    pub digest: Digest,
}

/// A plugin's trap, a limit hit or a breach of contract. The instance is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// Plugin's id.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// Digest of its bytes.
    pub digest: Digest,
    /// The call during which it happened, as the contract names it.
    pub call: &'static str,
    /// The limit that was hit, if it was one.
    pub limit: Option<LimitHit>,
    /// What happened, with the guest's last words and backtrace where there are any.
    pub message: String,
}

impl Fault {
    /// Returns the class: the plugin's, or ours.
    pub const fn class(&self) -> domain::Class {
        match self.kind {
            FaultKind::Host => domain::Class::Internal,
            FaultKind::Trap
            | FaultKind::Fuel
            | FaultKind::Time
            | FaultKind::Memory
            | FaultKind::Table
            | FaultKind::Contract => domain::Class::PluginFault,
        }
    }

    /// Makes a fault of `kind` without a limit.
    pub(crate) fn new(
        kind: FaultKind,
        who: &Identity,
        call: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            plugin: who.plugin.clone(),
            version: who.version.clone(),
            digest: who.digest,
            call,
            limit: None,
            message: message.into(),
        }
    }

    /// Works out what an error of the engine means. `fuel` is the fuel of the call, `last_words`
    /// what the guest wrote to its standard error.
    pub(crate) fn of(
        who: &Identity,
        call: &'static str,
        error: &wasmtime::Error,
        fuel: u64,
        last_words: &str,
    ) -> Self {
        let (kind, limit, mut message) = classify(error, fuel);
        if !last_words.is_empty() {
            message.push_str("; it said: ");
            message.push_str(last_words);
        }
        if let Some(trace) = error.downcast_ref::<WasmBacktrace>() {
            message.push_str(&backtrace(trace));
        }
        Self { limit, ..Self::new(kind, who, call, message) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plugin, version, call, message, .. } = self;
        write!(f, "plugin `{plugin}` {version} faulted in `{call}`: {message}")
    }
}

impl std::error::Error for Fault {}

fn classify(error: &wasmtime::Error, fuel: u64) -> (FaultKind, Option<LimitHit>, String) {
    if let Some(hit) = error.downcast_ref::<LimitHit>() {
        let kind = match hit.name {
            "memory" => FaultKind::Memory,
            "table" => FaultKind::Table,
            _ => FaultKind::Time,
        };
        return (kind, Some(*hit), hit.to_string());
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        if *trap == Trap::OutOfFuel {
            let amount = Amount::Count(fuel);
            let hit = LimitHit { name: "fuel", value: amount, used: amount };
            return (
                FaultKind::Fuel,
                Some(hit),
                format!("fuel limit {fuel}: plugin used all of it"),
            );
        }
        return (FaultKind::Trap, None, trap.to_string());
    }
    if error.is::<HostBroken>() || error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return (FaultKind::Host, None, error.root_cause().to_string());
    }
    // What is left comes from lifting and lowering: handles that do not exist, text that is not
    // UTF-8, lists beyond the end of memory. The guest made them.
    (FaultKind::Contract, None, error.root_cause().to_string())
}

fn backtrace(trace: &WasmBacktrace) -> String {
    let names = trace.frames().iter().take(FRAMES_MAX).map(|frame| {
        let symbol = frame.symbols().iter().find_map(|symbol| symbol.name());
        let name = symbol.or_else(|| frame.func_name());
        name.map_or_else(|| format!("function {}", frame.func_index()), demangled)
    });
    let names: Vec<_> = names.collect();
    if names.is_empty() { String::new() } else { format!("; at {}", names.join(" < ")) }
}

/// Cuts the hash off a Rust symbol; the digest says which build it was.
fn demangled(name: &str) -> String {
    let name = name.rsplit_once("::h").map_or(name, |(head, hash)| {
        if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            head
        } else {
            name
        }
    });
    name.to_owned()
}

/// Marks an error that a host function of ours returned.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct HostBroken(pub(crate) String);
