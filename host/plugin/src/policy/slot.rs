//! Plugin slots: the versions prepared for one decision, and who answers when the active one does
//! not.
//!
//! The active version is asked first, the previous one, if the operator named one, after it; what
//! follows when nobody answers is the caller's to decide. A version's standing is shared by
//! everything that was prepared from it, so that a fault anywhere counts everywhere.
//!
//! **Invariants:** every fault is told once and, unless it is the host's own, counted once; a version
//! whose breaker is open is asked by no one who waits.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use domain::breaker::{Breaker, BreakerState};
use domain::event::{Event, Sink};

use crate::fault::{Fault, Identity};
use crate::policy::ready::{Prepared, Ready};

/// Whether one version of a policy is asked.
#[derive(Debug)]
pub struct Standing {
    who: Identity,
    breaker: Mutex<Breaker>,
}

impl Standing {
    pub(crate) fn new(who: Identity) -> Self {
        Self { who, breaker: Mutex::default() }
    }

    /// Returns id, version and digest.
    pub fn identity(&self) -> &Identity {
        &self.who
    }

    /// Returns whether it is asked, and if not, why.
    pub fn state(&self) -> BreakerState {
        self.breaker().state()
    }

    /// Notes a fault that no caller of [`PluginSlot::ask`] met, and tells of it.
    pub fn faulted(&self, plugin_slot: &'static str, fault: &Fault, now: Instant, sink: &dyn Sink) {
        sink.emit(fault.event());
        if !fault.is_the_plugins() {
            return;
        }
        // The lock is released before anything is told.
        let opened = self.breaker().faulted(now);
        if let Some(why) = opened {
            self.changed(plugin_slot, why.to_string(), sink);
        }
    }

    /// Notes how a call ended that no job waited for; closes an open breaker after enough of them.
    pub fn shadowed(&self, plugin_slot: &'static str, well: bool, sink: &dyn Sink) {
        let closed = self.breaker().shadowed(well);
        if closed {
            let calls = domain::breaker::SHADOW_CALLS;
            self.changed(plugin_slot, format!("{calls} shadow calls ended well"), sink);
        }
    }

    /// Has the version asked no more: it gave two answers to one question.
    pub fn quarantine(&self, plugin_slot: &'static str, detail: String, sink: &dyn Sink) {
        let news = self.breaker().quarantine();
        if news {
            self.changed(plugin_slot, detail, sink);
        }
    }

    fn changed(&self, plugin_slot: &'static str, detail: String, sink: &dyn Sink) {
        let Identity { plugin, version, .. } = self.who.clone();
        let state = self.state().name();
        sink.emit(Event::BreakerChanged { plugin_slot, plugin, version, state, detail });
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the active version of a plugin slot did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// It faulted at this question.
    Faulted(Fault),
    /// It refused its document or the snapshot.
    NotPrepared(String),
    /// Its breaker is open, or it is quarantined.
    LeftOut {
        /// Who.
        who: Box<Identity>,
        /// Why.
        state: BreakerState,
    },
}

impl Because {
    /// Returns the word used in records and metrics.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Faulted(_) => "fault",
            Self::NotPrepared(_) => "not-prepared",
            Self::LeftOut { state, .. } => state.name(),
        }
    }

    /// Says why in words that anyone may read: nothing that the plugin itself wrote.
    pub fn why(&self) -> String {
        match self {
            Self::Faulted(fault) => format!("{} in `{}`", fault.kind.name(), fault.call),
            Self::NotPrepared(_) => "it could not be prepared".to_owned(),
            Self::LeftOut { state, .. } => state.to_string(),
        }
    }

    /// Returns the event that tells that `served` answered instead.
    pub fn event(&self, plugin_slot: &'static str, served: &'static str) -> Event {
        let (class, detail) = (self.class(), self.to_string());
        Event::FellBack { plugin_slot, served, class, detail }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Faulted(fault) => fault.fmt(f),
            Self::NotPrepared(why) => f.write_str(why),
            Self::LeftOut { who, state } => {
                write!(f, "plugin `{}` {} is left out: {state}", who.plugin, who.version)
            }
        }
    }
}

/// An answer of a plugin slot.
pub struct Answered<'a, I, T> {
    /// What the version said.
    pub value: T,
    /// Which version it was.
    pub version: &'a PreparedVersion<I>,
    /// Why it was not the active one, if it was not.
    pub instead: Option<Because>,
}

/// One version, prepared.
pub struct PreparedVersion<I> {
    standing: Arc<Standing>,
    ready: Result<Ready<I>, Because>,
}

impl<I> PreparedVersion<I> {
    /// Returns the version's standing.
    pub fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }

    /// Returns its instances, if it could be prepared.
    pub fn ready(&self) -> Option<&Ready<I>> {
        self.ready.as_ref().ok()
    }
}

/// The versions of a plugin slot, prepared for one decision; the active one first.
pub struct PluginSlot<I> {
    name: &'static str,
    versions: Vec<PreparedVersion<I>>,
}

impl<I> PluginSlot<I> {
    /// Makes a slot without versions.
    pub const fn new(name: &'static str) -> Self {
        Self { name, versions: Vec::new() }
    }

    /// Returns the slot's name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Adds a version: the first is the active one. One that could not be prepared is remembered
    /// as that, and what kept it is told.
    pub fn add(
        &mut self,
        standing: &Arc<Standing>,
        prepared: Prepared<Ready<I>>,
        now: Instant,
        sink: &dyn Sink,
    ) {
        let ready = match prepared {
            Ok(Ok(ready)) => Ok(ready),
            Ok(Err(refused)) => Err(Because::NotPrepared(refused.to_string())),
            Err(fault) => {
                standing.faulted(self.name, &fault, now, sink);
                Err(Because::Faulted(fault))
            }
        };
        self.versions.push(PreparedVersion { standing: Arc::clone(standing), ready });
    }

    /// Returns the versions, the active one first.
    pub fn versions(&self) -> &[PreparedVersion<I>] {
        &self.versions
    }

    /// Asks the active version, and where it does not answer the one after it; an error if none
    /// does, with what kept the active one. A refusal is an answer.
    pub fn ask<T>(
        &self,
        now: Instant,
        sink: &dyn Sink,
        call: impl Fn(&mut I) -> Result<T, Fault>,
    ) -> Result<Answered<'_, I, T>, Because> {
        let mut instead = None;
        for version in &self.versions {
            match version.ask(self.name, now, sink, &call) {
                Ok(value) => {
                    if let Some(because) = &instead {
                        sink.emit(Because::event(because, self.name, "previous-version"));
                    }
                    return Ok(Answered { value, version, instead });
                }
                Err(because) => {
                    instead.get_or_insert(because);
                }
            }
        }
        Err(instead.unwrap_or_else(|| Because::NotPrepared("the slot is empty".to_owned())))
    }

    /// Asks the versions whose breaker is open as well, where asking costs next to nothing; what they
    /// say goes nowhere.
    pub fn shadow<T>(
        &self,
        now: Instant,
        sink: &dyn Sink,
        call: impl Fn(&mut I) -> Result<T, Fault>,
    ) {
        for PreparedVersion { standing, ready } in &self.versions {
            let (BreakerState::Open(_), Ok(ready)) = (standing.state(), ready) else { continue };
            let answer = ready.with(&call);
            if let Err(fault) = &answer {
                standing.faulted(self.name, fault, now, sink);
            }
            standing.shadowed(self.name, answer.is_ok(), sink);
        }
    }
}

impl<I> PreparedVersion<I> {
    fn ask<T>(
        &self,
        plugin_slot: &'static str,
        now: Instant,
        sink: &dyn Sink,
        call: impl Fn(&mut I) -> Result<T, Fault>,
    ) -> Result<T, Because> {
        let Self { standing, ready } = self;
        let state = standing.state();
        if state != BreakerState::Closed {
            return Err(Because::LeftOut { who: Box::new(standing.who.clone()), state });
        }
        match ready.as_ref().map_err(Because::clone)?.with(call) {
            Ok(value) => {
                standing.breaker().answered();
                Ok(value)
            }
            Err(fault) => {
                standing.faulted(plugin_slot, &fault, now, sink);
                Err(Because::Faulted(fault))
            }
        }
    }
}
