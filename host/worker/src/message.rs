//! What parent and child tell each other.
//!
//! Media travels as raw bytes, everything else as one JSON document a message. Both sides are the
//! same program, so there is no version to negotiate.

use std::collections::BTreeMap;
use std::path::PathBuf;

use domain::restart::OnFailure;
use serde::{Deserialize, Serialize};

pub use crate::fact::CodeFact;

/// What a worker says first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Device that it owns, such as `cpu-0`.
    pub device: String,
    /// Which device `auto` took and why; nothing for one that was named.
    pub note: Option<String>,
    /// Name of the hardware, for people and `OrchestratorInfo`.
    pub hardware: String,
    /// Free memory of the device in bytes.
    pub memory_free: u64,
    /// All memory of the device in bytes.
    pub memory_total: u64,
}

/// What a plugin says of itself once the worker has loaded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginSummary {
    /// The plugin's id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// One line for listings.
    pub summary: String,
    /// JSON Schema of its parameters, if it takes any.
    pub config_schema: Option<String>,
}

/// What the operator allows a plugin beyond its world. Its manifest has to ask for it too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantSpec {
    /// Bytes of its store; 0: no store.
    pub kv_bytes: u64,
    /// Whether it may send data to the client.
    pub data: bool,
    /// Whether it may read and make pixels.
    pub pixels: bool,
    /// Whether it may read and make sound.
    pub audio: bool,
}

/// Everything a worker needs to serve one session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionSpec {
    /// Opaque id of the session, as in logs.
    pub id: String,
    /// Capability it was opened for.
    pub capability: String,
    /// Folder of the pipeline plugin.
    pub plugin: PathBuf,
    /// Parameters, a JSON document; empty if there are none.
    pub params: String,
    /// Whether results must not depend on timing.
    pub deterministic: bool,
    /// How pictures are encoded.
    pub encode: EncodeSpec,
    /// Threads of the decoder.
    pub decode_threads: u32,
    /// Limits of the plugin by name.
    pub limits: BTreeMap<String, u64>,
    /// What the operator allows the plugin.
    pub grants: GrantSpec,
    /// Bytes of picture memory that the session may hold.
    pub surface_bytes_max: u64,
    /// What happens when the plugin faults.
    #[serde(with = "OnFailureForm")]
    pub on_failure: OnFailure,
    /// Folder of the plugin that takes over with [`OnFailure::PreviousVersion`].
    pub previous: Option<PathBuf>,
    /// Where the output goes on, if another session began it.
    #[serde(default)]
    pub resume: Option<ResumeSpec>,
}

/// Times of the last output that another session sent, in ticks of 1/90,000 s; nothing up to them
/// is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeSpec {
    /// Of a picture.
    pub picture: i64,
    /// Of sound.
    pub audio: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OnFailure", rename_all = "kebab-case")]
enum OnFailureForm {
    End,
    Passthrough,
    PreviousVersion,
}

/// How pictures are encoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncodeSpec {
    /// Encoder's name, such as `libx264`.
    pub codec: String,
    /// Its preset.
    pub preset: String,
    /// Constant quality (CRF); lower is better.
    pub quality: u32,
    /// Threads.
    pub threads: u32,
    /// Most frames between two key frames.
    pub gop_frames_max: u32,
    /// Whether the encoder holds nothing back: no reordering, no look-ahead.
    pub low_latency: bool,
}

/// What became of a session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionReport {
    /// Why it did not end well, if it did not.
    pub failure: Option<Failure>,
    /// Pictures decoded.
    pub frames_in: u64,
    /// Pictures sent out.
    pub frames_out: u64,
    /// Pictures decoded and neither answered with a picture nor dropped by the plugin's own wish.
    pub frames_dropped: u64,
    /// Bytes of input that were read.
    pub input_bytes: u64,
    /// Displayed pixels of the pictures decoded.
    pub pixels_in: u64,
    /// Length of the stream in milliseconds, from the first picture to the end of the last.
    pub stream_ms: u64,
    /// SHA-256 over the pictures sent out, before encoding, in hexadecimal.
    pub frames_sha256: String,
    /// Median guest time of one frame in microseconds.
    pub guest_us_p50: u64,
    /// The same: 99 of 100 frames took less.
    pub guest_us_p99: u64,
    /// Resident memory of the worker after the first second of frames, in MiB.
    pub rss_warm_mib: u64,
    /// Resident memory of the worker at the end, in MiB.
    pub rss_end_mib: u64,
    /// Names of what was odd about the input, such as `input-truncated`.
    pub warnings: Vec<String>,
}

/// Why a session failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Word of the error class: `invalid`, `fault`, `exhausted`, `internal`, …
    pub class: String,
    /// For people.
    pub message: String,
    /// The plugin's fault, if it was one.
    pub fault: Option<FaultFacts>,
}

/// Which plugin faulted and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultFacts {
    /// Kind, such as `trap` or `memory`.
    pub kind: String,
    /// The plugin's id.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its component, in hexadecimal.
    pub digest: String,
    /// The call during which it happened.
    pub call: String,
    /// The guest's function in which it happened; empty: not known.
    pub at: String,
}

/// A pipeline that faulted and whose session goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    /// By what: `restart`, `previous-version` or `passthrough`.
    pub by: String,
    /// The fault.
    pub fault: FaultFacts,
    /// The same for people.
    pub message: String,
}

/// What a plugin's metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the three kinds that Prometheus can hold")]
pub enum MetricForm {
    Counter,
    Gauge,
    Histogram,
}

/// What has changed of one metric of a plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricChange {
    /// Its name, `plugin_` and the plugin's id in front.
    pub name: String,
    /// What it is.
    pub form: MetricForm,
    /// What it means.
    pub help: String,
    /// What to add to a counter, the value of a gauge, the observations of a histogram; finite.
    pub values: Vec<f64>,
}

/// From the parent to the worker.
#[derive(Debug, Clone, PartialEq)]
pub enum ToWorker {
    /// Load a plugin from a folder and say what it is. `ticket` comes back with the answer.
    Describe {
        /// Pairs question and answer.
        ticket: u64,
        /// Folder of the plugin.
        plugin: PathBuf,
        /// Limits of the plugin by name.
        limits: BTreeMap<String, u64>,
        /// What the operator allows the plugin.
        grants: GrantSpec,
    },
    /// Open a session.
    Open(u64, Box<SessionSpec>),
    /// Media for a session.
    Input(u64, bytes::Bytes),
    /// A session's input is at its end.
    EndInput(u64),
    /// Drop a session at once.
    Abort(u64),
    /// New parameters, a whole JSON document.
    Params(u64, String),
    /// Text for `on-message`.
    Message(u64, String),
    /// The parent took so many bytes of a session's output.
    Credit(u64, u64),
}

/// From the worker to the parent.
#[derive(Debug, Clone, PartialEq)]
pub enum FromWorker {
    /// The first message.
    Hello(Hello),
    /// Answer to [`ToWorker::Describe`].
    Described(u64, Result<PluginSummary, Failure>),
    /// A session's plugin is ready.
    Opened(u64),
    /// The session took so many bytes of its input.
    Credit(u64, u64),
    /// What follows of a session's output begins with a key frame: a new segment.
    Segment(u64),
    /// Media that a session made.
    Output(u64, bytes::Bytes),
    /// One JSON document for the client's events channel.
    Event(u64, String),
    /// A line for the log, as `(session, level, text)`; levels are those of `tracing`.
    Log(u64, String, String),
    /// What has changed of the plugin's own metrics.
    Metrics(u64, Vec<MetricChange>),
    /// A session's pipeline faulted, and the session goes on.
    Replaced(u64, Box<Replacement>),
    /// An event for the parent's sink.
    Code(CodeFact),
    /// The last message about a session.
    Ended(u64, Box<SessionReport>),
}
