//! Loading: from a manifest to compiled code that is known to fit its world.
//!
//! Compiling takes from milliseconds to seconds, so loading belongs on a blocking thread, as do
//! `describe` and `prepare`. All imports and exports that do not fit are named at once.

use std::path::{Path, PathBuf};

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::digest::Digest;
use crate::fault::{Fault, FaultKind, INSTANTIATE, Identity};
use crate::fit::misfits;
use crate::grants::Grants;
use crate::info::PluginInfo;
use crate::limits::{Amount, LimitHit};
use crate::manifest::{Manifest, ManifestError, World};

/// Largest component that is read: an interpreter with its library has about 40 MiB.
pub const COMPONENT_BYTES_MAX: u64 = 64 << 20;

/// Why a plugin could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no manifest, or it is wrong.
    #[error("no usable manifest")]
    Manifest(#[from] ManifestError),
    /// The component cannot be read.
    #[error("reading `{path}`", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The component is too large.
    #[error("component of `{plugin}` has {bytes} bytes ({COMPONENT_BYTES_MAX} is the most)")]
    TooLarge {
        /// Whose.
        plugin: String,
        /// Its size.
        bytes: u64,
    },
    /// The plugin is of another world than what it is loaded as.
    #[error("`{plugin}` is a `{is}`, not a `{wanted}`")]
    OtherWorld {
        /// Which plugin.
        plugin: String,
        /// What its manifest says.
        is: World,
        /// What was asked for.
        wanted: World,
    },
    /// The bytes are no component, or use what this engine has switched off.
    #[error("compiling `{plugin}`: {reason}")]
    Compile {
        /// Which plugin.
        plugin: String,
        /// What the compiler says.
        reason: String,
    },
    /// The component imports what its world does not have, or lacks an export.
    #[error("`{plugin}` does not fit the world `{world}`: {}", problems.join("; "))]
    DoesNotFit {
        /// Which plugin.
        plugin: String,
        /// What it should fit.
        world: World,
        /// Everything that does not fit.
        problems: Vec<String>,
    },
    /// The component takes more at its start than its limits allow, so no instance can ever be
    /// made. A pool that is full now is a [`Fault`] of kind [`FaultKind::Full`] instead.
    #[error(
        "`{plugin}` can never run here: it needs {needs}, limit {limit}, setting \
         `plugins.limits.{plugin}.{setting}`"
    )]
    NeverFits {
        /// Which plugin.
        plugin: String,
        /// What it needs at least.
        needs: Amount,
        /// What it may have.
        limit: Amount,
        /// Name of the limit.
        setting: &'static str,
    },
    /// The plugin names itself otherwise than its manifest.
    #[error("`{plugin}` {version} calls itself `{name}` {own_version}")]
    OtherName {
        /// Id in the manifest.
        plugin: String,
        /// Version in the manifest.
        version: String,
        /// What `describe` says.
        name: String,
        /// What `describe` says.
        own_version: String,
    },
    /// The plugin faulted in `describe`.
    #[error("describing it")]
    Fault(#[source] Fault),
}

impl From<Fault> for LoadError {
    fn from(fault: Fault) -> Self {
        match fault.limit {
            // The first instance: whatever it lacks, every other one lacks too.
            Some(LimitHit { name, value, used })
                if fault.call == INSTANTIATE && fault.kind != FaultKind::Full =>
            {
                let plugin = fault.plugin.clone();
                Self::NeverFits { plugin, needs: used, limit: value, setting: name }
            }
            _ => Self::Fault(fault),
        }
    }
}

impl LoadError {
    /// Returns the class: who has to act.
    pub fn class(&self) -> domain::Class {
        match self {
            Self::Manifest(error) => error.class(),
            Self::Fault(fault) => fault.class(),
            Self::Read { .. }
            | Self::TooLarge { .. }
            | Self::OtherWorld { .. }
            | Self::Compile { .. }
            | Self::DoesNotFit { .. }
            | Self::NeverFits { .. }
            | Self::OtherName { .. } => domain::Class::Invalid,
        }
    }
}

/// Reads the component that `manifest` names.
pub fn read(manifest: &Manifest) -> Result<Vec<u8>, LoadError> {
    let path = &manifest.component;
    let failed = |source| LoadError::Read { path: path.clone(), source };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > COMPONENT_BYTES_MAX {
        return Err(LoadError::TooLarge { plugin: manifest.id.clone(), bytes });
    }
    std::fs::read(path).map_err(failed)
}

/// Reads `folder/plugin.toml` and the component it names.
pub fn read_folder(folder: &Path) -> Result<(Manifest, Vec<u8>), LoadError> {
    let manifest = Manifest::read(folder)?;
    let bytes = read(&manifest)?;
    Ok((manifest, bytes))
}

/// Compiles `bytes` and checks that they fit `world` with what is granted.
pub(crate) fn compile(
    engine: &Engine,
    manifest: &Manifest,
    bytes: &[u8],
    world: World,
    allowed: &Grants,
) -> Result<(Component, Identity), LoadError> {
    let plugin = || manifest.id.clone();
    if manifest.world != world {
        return Err(LoadError::OtherWorld { plugin: plugin(), is: manifest.world, wanted: world });
    }
    if bytes.len() as u64 > COMPONENT_BYTES_MAX {
        return Err(LoadError::TooLarge { plugin: plugin(), bytes: bytes.len() as u64 });
    }
    // `from_binary` takes no text form: what a stranger sends is a component or nothing.
    let component = Component::from_binary(engine, bytes)
        .map_err(|error| LoadError::Compile { plugin: plugin(), reason: format!("{error:#}") })?;
    let problems = misfits(engine, &component, world, &manifest.grants, allowed);
    if !problems.is_empty() {
        return Err(LoadError::DoesNotFit { plugin: plugin(), world, problems });
    }
    let identity =
        Identity { plugin: plugin(), version: manifest.version.clone(), digest: Digest::of(bytes) };
    Ok((component, identity))
}

/// Turns the engine's refusal to link into ours.
pub(crate) fn does_not_fit(who: &Identity, world: World, error: &wasmtime::Error) -> LoadError {
    LoadError::DoesNotFit {
        plugin: who.plugin.clone(),
        world,
        problems: vec![format!("{error:#}")],
    }
}

/// Checks that a plugin calls itself what its manifest calls it.
pub(crate) fn check_name(who: &Identity, info: &PluginInfo) -> Result<(), LoadError> {
    if info.name == who.plugin && info.version == who.version {
        return Ok(());
    }
    Err(LoadError::OtherName {
        plugin: who.plugin.clone(),
        version: who.version.clone(),
        name: info.name.clone(),
        own_version: info.version.clone(),
    })
}
