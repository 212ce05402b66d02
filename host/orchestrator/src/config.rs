//! What an orchestrator is built from: plain values, checked by whoever made them.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::restart::OnFailure;
use wire::offerings::Signer;
use worker::message::{EncodeSpec, GrantSpec};
use worker::parent::WorkerConfig;

use crate::price::Pricer;

/// Slots of one CPU device unless configured: two 720p30 sketches are what two cores carry.
pub const SLOTS: u32 = 4;
/// Picture memory of one session unless configured: some eighty 1080p pictures of `nv12`.
pub const SURFACE_BYTES_MAX: u64 = 256 << 20;
/// Time for a lost worker's successor to be up, within [`OPEN_MAX`].
pub const WORKER_MAX: Duration = Duration::from_millis(3000);
/// Time for a worker to take a session on, below the 5 s that gateways wait for the answer.
pub const OPEN_MAX: Duration = Duration::from_millis(4500);

/// A live pipeline on offer.
#[derive(Debug, Clone)]
pub struct PipelineConfig {
    /// The plugin's id, which is the model id on the wire.
    pub id: String,
    /// Folder with its `plugin.toml`.
    pub folder: PathBuf,
    /// Base price in wei for one lot of live video.
    pub price_wei: u64,
    /// Limits of the plugin, before it asks for less.
    pub limits: plugin::Limits,
    /// What the operator allows the plugin; its manifest has to ask for it too.
    pub grants: plugin::Grants,
    /// Whether the operator says that the same input gives the same pictures, bit for bit.
    pub deterministic: bool,
    /// What happens to a session when the plugin faults.
    pub on_failure: OnFailure,
    /// Folder of the plugin that takes over with [`OnFailure::PreviousVersion`].
    pub previous: Option<PathBuf>,
}

impl PipelineConfig {
    /// Returns the grants as a worker is told them. Secrets are none of its business.
    pub fn granted(&self) -> GrantSpec {
        let plugin::Grants { kv_bytes, data, pixels, audio, .. } = self.grants;
        GrantSpec { kv_bytes, data, pixels, audio }
    }
}

/// Who may use the service port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callers {
    /// Anybody who can reach it. The only rule that a loopback listener needs.
    Any,
    /// Those who come from one of these addresses.
    Addresses(Vec<IpAddr>),
    /// Those who present this secret as `Authorization: Bearer`.
    Secret(String),
}

/// Limits of one session besides those of its plugin.
#[derive(Debug, Clone)]
pub struct SessionLimits {
    /// Bytes of picture memory.
    pub surface_bytes_max: u64,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { surface_bytes_max: SURFACE_BYTES_MAX }
    }
}

/// What an orchestrator is built from.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name that outlives restarts; gateways log and list it.
    pub name: String,
    /// Where it is, in the operator's words; empty: not said.
    pub region: String,
    /// Signs the offerings document; `None`: it is not signed.
    pub signer: Option<Arc<Signer>>,
    /// Address that gateways are told, such as `https://gpu-1.example:8935`.
    pub service_uri: String,
    /// Whether the service port speaks cleartext HTTP instead of TLS; loopback only.
    pub cleartext: bool,
    /// Who may use the service port.
    pub callers: Callers,
    /// Folder of this role's files; the certificate is in `tls/` below it.
    pub data_dir: PathBuf,
    /// What is offered.
    pub pipelines: Vec<PipelineConfig>,
    /// Sessions that the device takes at once.
    pub slots: u32,
    /// Works out quotes and charges.
    pub pricer: Arc<Pricer>,
    /// How the worker is started.
    pub worker: WorkerConfig,
    /// How pictures are encoded.
    pub encode: EncodeSpec,
    /// Threads of one session's decoder.
    pub decode_threads: u32,
    /// Limits of one session.
    pub limits: SessionLimits,
}
