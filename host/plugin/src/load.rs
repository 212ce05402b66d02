//! Loading: from a manifest to compiled code that is known to fit its world.
//!
//! Compiling takes from milliseconds to seconds, so loading belongs on a blocking thread, as do
//! `describe` and `prepare`. All imports, exports and types that do not fit are named at once, in the
//! words of `framegate plugin check`.

use std::path::{Path, PathBuf};

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::code::{CompileError, Loader, NoCode};
use crate::digest::Digest;
use crate::engine::EngineSetup;
use crate::fault::{Fault, FaultKind, INSTANTIATE, Identity};
use crate::fit::ungranted;
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
    /// There is no code of it: it is no component, uses what this engine has switched off, or was
    /// more than the compiler could take.
    #[error("compiling `{plugin}`")]
    Compile {
        /// Which plugin.
        plugin: String,
        /// What the compiler says, or what became of it.
        #[source]
        source: CompileError,
    },
    /// The component is made of more than any instance slot of this host can hold.
    #[error("`{plugin}` can never run here: no instance slot can hold it: {reason}")]
    NoSlotFits {
        /// Which plugin.
        plugin: String,
        /// What it has too many of, and how many there may be.
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
            Self::Compile { source, .. } => source.class(),
            Self::Read { .. }
            | Self::TooLarge { .. }
            | Self::OtherWorld { .. }
            | Self::NoSlotFits { .. }
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

/// Gets executable code of `bytes`, which are to fit `world`.
pub(crate) fn component(
    (engine, setup, loader): (&Engine, EngineSetup, &Loader),
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
    let who =
        Identity { plugin: plugin(), version: manifest.version.clone(), digest: Digest::of(bytes) };
    let withheld = |imports: &mut dyn Iterator<Item = &str>| {
        ungranted(imports, world, &manifest.grants, allowed)
    };
    match loader.load(engine, setup, world, &who, bytes) {
        // There is code only of what fits its world.
        Ok(component) => {
            let kind = component.component_type();
            let problems = withheld(&mut kind.imports(engine).map(|(name, _)| name));
            if problems.is_empty() {
                return Ok((component, who));
            }
            Err(LoadError::DoesNotFit { plugin: plugin(), world, problems })
        }
        Err(NoCode::Compile(CompileError::DoesNotFit(misfit))) => {
            let mut problems = misfit.problems;
            problems.extend(withheld(&mut misfit.imports.iter().map(String::as_str)));
            Err(LoadError::DoesNotFit { plugin: plugin(), world, problems })
        }
        Err(NoCode::NoSlotFits(reason)) => Err(LoadError::NoSlotFits { plugin: plugin(), reason }),
        Err(NoCode::Compile(source)) => Err(LoadError::Compile { plugin: plugin(), source }),
    }
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
