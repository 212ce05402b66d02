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
use crate::limits::{Amount, FIXED, Limit, LimitHit, Limits, Pace};

/// Frames of a guest backtrace that a fault's text names: enough to get from a panic's machinery
/// to the author's function.
const FRAMES_MAX: usize = 8;
/// What the engine says when a guest hands over more than it may in one host call or answer; it has
/// no type of its own.
const COPIED_TOO_MUCH: &str = "fuel allocated for hostcalls has been exhausted";
/// What the engine says when a store holds as many handles as it may.
const TOO_MANY_HANDLES: &str = "store handle limit exceeded";

/// What making an instance is called in a fault.
pub(crate) const INSTANTIATE: &str = "instantiate";

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
    /// There is no place for one more instance now. Not the plugin's fault: later there may be.
    Full,
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
            Self::Full => "full",
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
    /// What happened, with the guest's last words where there are any.
    pub message: String,
    /// The guest's functions by name, innermost first, from where its own code begins; empty where
    /// it is not known where it was.
    pub backtrace: Vec<String>,
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
            FaultKind::Full => domain::Class::Exhausted,
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
            backtrace: Vec::new(),
        }))
    }

    /// Makes the fault of a limit that was hit.
    pub(crate) fn of_limit(who: &Identity, call: &'static str, hit: LimitHit) -> Self {
        let mut fault = Self::new(kind_of(&hit), who, call, hit.to_string());
        fault.0.limit = Some(hit);
        fault
    }

    /// Works out what an error of the engine means. `allowed` is what the call was allowed,
    /// `last_words` what the guest wrote to its standard error.
    pub(crate) fn of(
        who: &Identity,
        call: &'static str,
        error: &wasmtime::Error,
        allowed: (&Limits, Pace),
        last_words: &str,
    ) -> Self {
        let (kind, limit, mut message) = classify(error, allowed);
        if !last_words.is_empty() {
            message.push_str("; it said: ");
            message.push_str(&on_one_line(last_words));
        }
        let mut fault = Self::new(kind, who, call, message);
        fault.0.limit = limit;
        fault.0.backtrace =
            error.downcast_ref::<WasmBacktrace>().map(backtrace).unwrap_or_default();
        fault
    }
}

impl Fault {
    /// Returns whether it counts against the plugin: not where it is the host's own, or its room.
    pub fn is_the_plugins(&self) -> bool {
        !matches!(self.kind, FaultKind::Host | FaultKind::Full)
    }

    /// Returns the event that tells of it.
    pub fn event(&self) -> Event {
        Event::PluginFaulted {
            plugin: self.plugin.clone(),
            version: self.version.clone(),
            digest: self.digest.to_string(),
            kind: self.kind.name(),
            call: self.call,
            at: self.backtrace.first().cloned().unwrap_or_default(),
            detail: self.to_string(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FaultFacts { plugin, version, call, message, backtrace, .. } = &**self;
        write!(f, "plugin `{plugin}` {version} faulted in `{call}`: {message}")?;
        if backtrace.is_empty() { Ok(()) } else { write!(f, "; at {}", backtrace.join(" < ")) }
    }
}

impl std::error::Error for Fault {}

fn classify(
    error: &wasmtime::Error,
    (limits, pace): (&Limits, Pace),
) -> (FaultKind, Option<LimitHit>, String) {
    let over = |limit: Limit| limits.hit(limit, Amount::OverBytes(limits.get(limit)));
    let of = |hit: LimitHit| (kind_of(&hit), Some(hit), hit.to_string());
    if let Some(hit) = error.downcast_ref::<LimitHit>() {
        return of(*hit);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => {
            let fuel = pace.fuel();
            return of(limits.hit(fuel, Amount::Count(limits.get(fuel))));
        }
        Some(Trap::StackOverflow) => {
            let (name, value) = FIXED[0];
            let hit = LimitHit { name, value, used: value };
            return (
                FaultKind::Trap,
                Some(hit),
                format!("{name} limit {value}: plugin used it up"),
            );
        }
        Some(trap) => return (FaultKind::Trap, None, trap.to_string()),
        None => {}
    }
    let text = error.root_cause().to_string();
    // No host function of this crate fails; what is left to us is a pool that is full, and memory
    // that the system does not give.
    if error.is::<std::io::Error>() {
        return (FaultKind::Host, None, text);
    }
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return (FaultKind::Full, None, text);
    }
    if text.contains(COPIED_TOO_MUCH) {
        return of(over(pace.copy()));
    }
    if text.contains(TOO_MANY_HANDLES) {
        let held = limits.get(Limit::Handles);
        return of(limits.hit(Limit::Handles, Amount::Count(held + 1)));
    }
    // What is left comes from lifting and lowering: handles that do not exist, text that is not
    // UTF-8, lists beyond the end of memory. The guest made them.
    (FaultKind::Contract, None, text)
}

/// Returns the kind of fault that hitting a limit is.
fn kind_of(hit: &LimitHit) -> FaultKind {
    match Limit::named(hit.name) {
        Some(Limit::Memory) => FaultKind::Memory,
        Some(Limit::TableElements) => FaultKind::Table,
        Some(Limit::Fuel | Limit::SetupFuel) => FaultKind::Fuel,
        Some(Limit::FrameBudget | Limit::SetupBudget) => FaultKind::Time,
        Some(Limit::Instances) => FaultKind::Full,
        _ => FaultKind::Contract,
    }
}

/// Returns the guest's functions, innermost first, from where its own code begins: what a language
/// runtime does between a panic and its trap tells an author nothing.
fn backtrace(trace: &WasmBacktrace) -> Vec<String> {
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
    all.into_iter().skip(own).take(FRAMES_MAX).collect()
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
