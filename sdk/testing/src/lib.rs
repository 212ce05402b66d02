//! Run a Framegate plugin in the engine that serves, from `cargo test`.
//!
//! A plugin's arithmetic is tested as any Rust is. This crate is for the rest: the component as it
//! is built, in the production engine, under its limits, with snapshots and pictures that the test
//! makes up. Nothing is imitated: what a call answers here it answers in a gateway or a worker.
//!
//! ```no_run
//! use framegate_testing::{Candidate, JobFacts, Plugin, snapshot};
//!
//! # fn main() -> Result<(), framegate_testing::TestingError> {
//! let plugin = Plugin::build(env!("CARGO_MANIFEST_DIR"))?;
//! let policy = plugin.selection()?;
//! let cheap = Candidate { price_wei: 5, ..Candidate::unknown("0xa", "https://a:8935") };
//! let dear = Candidate { price_wei: 9, ..Candidate::unknown("0xb", "https://b:8935") };
//! let mut prepared = policy.prepare(snapshot(&[dear, cheap]), "").unwrap().unwrap();
//! let shortlist = prepared.pick(&JobFacts::default().into(), 0, 7).unwrap().unwrap();
//! assert_eq!(shortlist.indices()[0], 1);
//! # Ok(())
//! # }
//! ```
//!
//! Put it into `[dev-dependencies]`, and such tests into `tests/`: a test inside the crate would
//! be compiled into the component's own library.

mod build;

use std::path::Path;
use std::sync::Arc;

use device::DeviceConfig;
use domain::price::Lot;
use plugin::{Allowed, EngineError, Limits, LoadError, Manifest, PolicyEngine};

pub use build::BuildError;
pub use device::Device;
pub use domain::planes::PixelFormat;
pub use plugin::pipeline::{Pipeline, PipelineEngine};
pub use plugin::policy::pricing::{Basis, Conditions, Meter, Side};
pub use plugin::policy::selection::{Decline, Shortlist};
pub use plugin::{
    Candidate, Fault, FaultKind, JobFacts, PreparedPricing, PreparedSelection, PricingRule, Scope,
    SelectionPolicy, SetupError, Snapshot, Urgency,
};
pub use session::SessionError;
pub use session::rehearsal::{Rehearsal, Show, Shown};

/// Why a plugin cannot be tested.
#[derive(Debug, thiserror::Error)]
pub enum TestingError {
    /// It could not be built.
    #[error("building the component")]
    Build(#[from] BuildError),
    /// It could not be loaded.
    #[error("loading the plugin")]
    Load(#[from] LoadError),
    /// This machine has no engine.
    #[error("making the engine")]
    Engine(#[from] EngineError),
    /// This machine has no such device.
    #[error("opening the device")]
    Device(#[from] device::OpenError),
    /// The session could not be opened.
    #[error("opening the session")]
    Session(#[from] SessionError),
}

/// A plugin as it is shipped: a manifest and a component.
#[derive(Debug, Clone)]
pub struct Plugin {
    manifest: Manifest,
    component: Vec<u8>,
}

impl Plugin {
    /// Builds the crate in `folder` for `wasm32-wasip2` with its profile `release`, and takes the
    /// `plugin.toml` beside its `Cargo.toml`.
    pub fn build(folder: impl AsRef<Path>) -> Result<Self, TestingError> {
        Self::build_with(folder, "release")
    }

    /// The same with another cargo profile.
    pub fn build_with(folder: impl AsRef<Path>, profile: &str) -> Result<Self, TestingError> {
        let folder = folder.as_ref();
        let manifest = Manifest::read(folder).map_err(LoadError::from)?;
        let component = build::component(folder, profile)?;
        Ok(Self { manifest, component })
    }

    /// Takes one that is built: a folder with `plugin.toml` and the component it names.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, TestingError> {
        let (manifest, component) = plugin::load::read_folder(folder.as_ref())?;
        Ok(Self { manifest, component })
    }

    /// Returns its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Loads it as a selection policy, under the limits that an operator gives by default.
    pub fn selection(&self) -> Result<SelectionPolicy, TestingError> {
        let engine = PolicyEngine::new()?;
        Ok(SelectionPolicy::load(&engine, &self.manifest, &self.component, Limits::policy())?)
    }

    /// Loads it as a pricing rule, under the limits that an operator gives by default.
    pub fn pricing(&self) -> Result<PricingRule, TestingError> {
        let engine = PolicyEngine::new()?;
        Ok(PricingRule::load(&engine, &self.manifest, &self.component, Limits::policy())?)
    }

    /// Loads it as a pipeline, under the limits that an operator gives by default and with the
    /// grants that its manifest asks for; it has no store.
    pub fn pipeline(&self) -> Result<Pipeline, TestingError> {
        let engine = PipelineEngine::new()?;
        let allowed = Allowed { grants: self.manifest.grants.clone(), stores: None };
        let limits = Limits::pipeline();
        Ok(Pipeline::load(&engine, &self.manifest, &self.component, limits, &allowed)?)
    }

    /// Opens a session on the CPU that shows `show`, with `params`: a JSON document, or empty.
    pub fn rehearse(&self, show: &Show, params: &str) -> Result<Rehearsal, TestingError> {
        let device = Device::open("cpu-0", &DeviceConfig::default())?;
        Ok(Rehearsal::open(&self.pipeline()?, &device, show, params)?)
    }
}

/// Makes a snapshot of `candidates` for a live capability, the first of its kind, taken at a fixed
/// time. Their order gives the indices.
///
/// # Panics
/// With more candidates than a snapshot holds.
pub fn snapshot(candidates: &[Candidate]) -> Arc<Snapshot> {
    let scope = Scope::new("live-video-to-video/test", Lot::live(), 1, 1_700_000_000_000);
    Arc::new(Snapshot::new(scope, candidates).expect("no more than a snapshot holds"))
}
