//! Faults: a plugin's trap, a limit hit, or a breach of its contract.
//!
//! Calling a plugin ends in a value, a refusal or a [`Fault`]. This module decides which kind of
//! fault an engine error is and what a person gets to read. It decides nothing about what happens
//! next: falling back, counting and logging belong to the caller.
//!
//! **Invariant:** a fault of the host itself is [`FaultKind::Host`] and never counts against the
//! plugin.

use std::fmt;

use domain::event::Event;
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

/// What a fault was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultFacts {
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

/// A plugin's trap, a limit hit or a breach of contract; the instance is gone. One word, so that
/// hot calls that may end in one return little.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(Box<FaultFacts>);

impl std::ops::Deref for Fault {
    type Target = FaultFacts;

    fn deref(&self) -> &FaultFacts {
        &self.0
    }
}

impl Fault {
    /// Returns the class: the plugin's, or ours.
    pub fn class(&self) -> domain::Class {
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
        Self(Box::new(FaultFacts {
            kind,
            plugin: who.plugin.clone(),
            version: who.version.clone(),
            digest: who.digest,
            call,
            limit: None,
            message: message.into(),
        }))
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
            message.push_str(&on_one_line(last_words));
        }
        if let Some(trace) = error.downcast_ref::<WasmBacktrace>() {
            message.push_str(&backtrace(trace));
        }
        let mut fault = Self::new(kind, who, call, message);
        fault.0.limit = limit;
        fault
    }
}

impl Fault {
    /// Returns the event that tells of it.
    pub fn event(&self) -> Event {
        Event::PluginFaulted {
            plugin: self.plugin.clone(),
            version: self.version.clone(),
            kind: self.kind.name(),
            call: self.call,
            detail: self.to_string(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FaultFacts { plugin, version, call, message, .. } = &**self;
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
    // No host function of this crate fails; what is left to us is a pool that is full.
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return (FaultKind::Host, None, error.root_cause().to_string());
    }
    // What is left comes from lifting and lowering: handles that do not exist, text that is not
    // UTF-8, lists beyond the end of memory. The guest made them.
    (FaultKind::Contract, None, error.root_cause().to_string())
}

/// Returns the guest's functions, innermost first, from where its own code begins: what a language
/// runtime does between a panic and its trap tells an author nothing.
fn backtrace(trace: &WasmBacktrace) -> String {
    let names = trace.frames().iter().map(|frame| {
        let symbol = frame.symbols().iter().find_map(|symbol| symbol.name());
        let name = symbol.or_else(|| frame.func_name());
        name.map_or_else(
            || format!("function {}", frame.func_index()),
            |name| format!("{:#}", rustc_demangle::demangle(name)),
        )
    });
    let all: Vec<_> = names.collect();
    let own = all.iter().position(|name| !is_runtime(name)).unwrap_or(0);
    let names: Vec<_> = all.into_iter().skip(own).take(FRAMES_MAX).collect();
    if names.is_empty() { String::new() } else { format!("; at {}", names.join(" < ")) }
}

fn is_runtime(name: &str) -> bool {
    let name = name.trim_start_matches(['<', '&']);
    name == "abort"
        || ["std::", "core::", "alloc::", "__rust"].iter().any(|start| name.starts_with(start))
}

/// Puts a guest's last words on one line, without a runtime's advice on how to run it.
fn on_one_line(words: &str) -> String {
    let lines = words.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<_> = lines.filter(|line| !line.starts_with("note: run with")).collect();
    lines.join(" ")
}
