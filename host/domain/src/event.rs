//! The facts that are both a log line and a metric. A crate hands each one once to the [`Sink`] it
//! was built with; what becomes of it there is telemetry's business.

use std::net::IpAddr;
use std::time::Duration;

use crate::id::{JobId, OrchestratorId, SessionId};
use crate::session::EndReason;

/// A fact worth a log line and a metric.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The gateway bound a job to an orchestrator.
    JobStarted {
        /// The job.
        job: JobId,
        /// Who serves it.
        orchestrator: OrchestratorId,
        /// What it is.
        capability: String,
        /// Id that goes through the logs of both roles.
        request: String,
        /// From the client's request to the answer.
        took: Duration,
    },
    /// The gateway refused a job.
    JobRefused {
        /// Class of the refusal, such as `price-over-cap`.
        class: &'static str,
        /// What was asked for.
        capability: String,
        /// Id that goes through the logs.
        request: String,
    },
    /// A job went on with another orchestrator.
    JobMoved {
        /// The job.
        job: JobId,
        /// Who lost it.
        from: OrchestratorId,
        /// Who took it over.
        to: OrchestratorId,
        /// How it was lost, such as `worker-lost`.
        cause: &'static str,
        /// From noticing the loss to the answer of who took it over.
        took: Duration,
    },
    /// A job ended.
    JobEnded {
        /// The job.
        job: JobId,
        /// Why.
        reason: EndReason,
        /// Wei it came to.
        amount_wei: u64,
    },
    /// The orchestrator opened a session.
    SessionOpened {
        /// The session.
        session: SessionId,
        /// Pipeline's id.
        pipeline: String,
        /// Id that goes through the logs of both roles.
        request: String,
    },
    /// A session ended.
    SessionEnded {
        /// The session.
        session: SessionId,
        /// Pipeline's id.
        pipeline: String,
        /// Why.
        reason: EndReason,
        /// Pictures decoded.
        frames_in: u64,
        /// Pictures sent out.
        frames_out: u64,
        /// Pictures left out.
        frames_dropped: u64,
        /// From opening to end.
        lasted: Duration,
    },
    /// The orchestrator refused a session.
    SessionRefused {
        /// Class of the refusal.
        class: &'static str,
        /// Pipeline's id as asked for.
        pipeline: String,
        /// Id that goes through the logs of both roles.
        request: String,
    },
    /// A lease ran out unrenewed.
    LeaseExpired {
        /// Whose slot came back.
        session: SessionId,
    },
    /// A plugin's code is ready to be instantiated.
    CodeLoaded {
        /// Plugin's id.
        plugin: String,
        /// Its version.
        version: String,
        /// Digest of its component.
        digest: String,
        /// Where the code came from.
        source: CodeSource,
        /// From the component's bytes to executable code.
        took: Duration,
    },
    /// An entry of the cache of compiled code was not taken; the component was compiled anew.
    CodeRejected {
        /// Plugin's id.
        plugin: String,
        /// Why.
        reason: CodeRejection,
    },
    /// Compiled code could not be kept; the next start compiles again.
    CodeNotKept {
        /// Plugin's id.
        plugin: String,
        /// Why.
        detail: String,
    },
    /// The cache of compiled code cannot be used; every start compiles.
    CodeCacheClosed {
        /// Why.
        detail: String,
    },
    /// A plugin trapped, overran a limit or broke its contract.
    PluginFaulted {
        /// Plugin's id.
        plugin: String,
        /// Its version.
        version: String,
        /// Kind of the fault, such as `trap` or `memory`.
        kind: &'static str,
        /// Digest of its component.
        digest: String,
        /// The call during which it happened.
        call: &'static str,
        /// The guest's function in which it happened; empty: not known.
        at: String,
        /// For people.
        detail: String,
    },
    /// A plugin updated a metric of its own.
    PluginMeasured {
        /// The metric's name, `plugin_` and the plugin's id in front.
        name: String,
        /// What it means.
        help: String,
        /// What to do with it.
        change: Change,
    },
    /// Another answered in place of a plugin slot's active version.
    FellBack {
        /// Name of the plugin slot, such as `selection/default`.
        plugin_slot: &'static str,
        /// Who did: `native`, `previous-version`, or `nobody`.
        served: &'static str,
        /// Class of the reason, such as `fault` or `open`.
        class: &'static str,
        /// Why.
        detail: String,
    },
    /// The breaker of a version opened or closed, or the version was quarantined.
    BreakerChanged {
        /// Name of the plugin slot.
        plugin_slot: &'static str,
        /// Plugin's id.
        plugin: String,
        /// Its version.
        version: String,
        /// The new state: `closed`, `open` or `quarantined`.
        state: &'static str,
        /// Why.
        detail: String,
    },
    /// A quote was brought back into the operator's bounds.
    PriceCorrected {
        /// The pricing rule's id.
        plugin: String,
        /// Which bound: `floor`, `ceiling` or `step`.
        bound: &'static str,
        /// Wei a lot as the rule quoted.
        quoted_wei: u64,
        /// Wei a lot as it was offered.
        offered_wei: u64,
    },
    /// A session goes on after a fault of its pipeline.
    PipelineReplaced {
        /// The session.
        session: SessionId,
        /// Pipeline's id.
        pipeline: String,
        /// By what: `restart`, `previous-version` or `passthrough`.
        by: &'static str,
    },
    /// A worker is up.
    WorkerStarted {
        /// Device it owns.
        device: String,
        /// Process id.
        pid: u32,
        /// From spawning to its first word.
        took: Duration,
    },
    /// A worker is gone; its sessions end.
    WorkerLost {
        /// Device it owned.
        device: String,
        /// Process id.
        pid: u32,
        /// Sessions that it takes along.
        sessions: usize,
        /// How it ended.
        detail: String,
    },
    /// An orchestrator became reachable or unreachable.
    OrchestratorChanged {
        /// Who.
        orchestrator: OrchestratorId,
        /// Its address.
        uri: String,
        /// Whether it answers.
        reachable: bool,
        /// For people.
        detail: String,
    },
    /// A listener closed a connection whose peer held all that it may.
    ConnectionRefused {
        /// Its address.
        peer: IpAddr,
        /// Connections that it held.
        held: usize,
    },
    /// A channel gave up on a reader that took nothing.
    ChannelGap {
        /// Channel's name.
        channel: String,
        /// Segments that the reader lost.
        segments: u64,
    },
}

/// What a plugin did to a metric of its own.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Added to a counter.
    Add(f64),
    /// Set a gauge.
    Set(f64),
    /// Observed values of a histogram.
    Observe(Vec<f64>),
}

/// Where a plugin's code came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeSource {
    /// It was compiled before.
    Cache,
    /// It was compiled just now.
    Compiler,
}

impl CodeSource {
    /// Returns the word used in logs and metric labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Compiler => "compiler",
        }
    }
}

/// Why an entry of the cache of compiled code is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeRejection {
    /// It is no plain file, or cannot be read.
    #[error("it cannot be read")]
    Unreadable,
    /// It ends before its code begins.
    #[error("it is cut short")]
    Short,
    /// It is longer than an entry may be.
    #[error("it is too long")]
    Long,
    /// It does not begin as an entry, or is one of other code.
    #[error("it is not the entry of this code")]
    Foreign,
    /// Its seal is not this machine's over these bytes: changed, cut, or sealed elsewhere.
    #[error("its seal does not fit its content")]
    Forged,
    /// The engine does not take it, in spite of its seal.
    #[error("the engine does not take it")]
    Unusable,
}

impl CodeRejection {
    /// Every reason.
    pub const ALL: [Self; 6] =
        [Self::Unreadable, Self::Short, Self::Long, Self::Foreign, Self::Forged, Self::Unusable];

    /// Returns the word used in logs and metric labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Short => "short",
            Self::Long => "long",
            Self::Foreign => "foreign",
            Self::Forged => "forged",
            Self::Unusable => "unusable",
        }
    }
}

/// Takes events. Implemented by telemetry, and by tests that look at them.
pub trait Sink: Send + Sync {
    /// Takes one event; never blocks.
    fn emit(&self, event: Event);
}
