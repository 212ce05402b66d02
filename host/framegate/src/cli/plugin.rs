//! `framegate plugin`: what a component is, whether it fits, and what it costs, before it serves.

mod bench;
mod check;
mod inspect;
mod list;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use domain::{Class, chain};
use plugin::load::{self, COMPONENT_BYTES_MAX};
use plugin::manifest::FILE_NAME;
use plugin::{Grant, Grants, LoadError, Manifest, World};

use super::Common;
use crate::config::Config;
use crate::config::convert::Search;
use crate::failure::{Exit, Failure, FaultReport};
use crate::role;

/// What is asked of a plugin.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare a component with a world: everything that is missing or of another type
    Check(check::Args),
    /// Show what a plugin is and asks for, without running it
    Inspect(inspect::Args),
    /// Measure a plugin's calls in the engine that serves
    Bench(bench::Args),
    /// Show every plugin that is found, and what it asks for and is granted
    List(list::Args),
}

impl Args {
    /// Returns whether the answer goes to a script.
    pub(super) const fn json(&self) -> bool {
        match &self.command {
            Command::Check(args) => args.json,
            Command::Inspect(args) => args.json,
            Command::Bench(args) => args.json,
            Command::List(args) => args.json,
        }
    }
}

pub(super) fn main(args: &Args, common: &Common) -> Result<Exit, Failure> {
    match &args.command {
        Command::Check(args) => check::main(args),
        Command::Inspect(args) => inspect::main(args),
        Command::Bench(args) => bench::main(args, common),
        Command::List(args) => list::main(args),
    }
}

/// Which plugin, and whose configuration finds it and sets its limits.
#[derive(Debug, clap::Args)]
struct Which {
    /// Component (.wasm), folder with a plugin.toml, or id of an installed plugin
    #[arg(value_name = "FILE|FOLDER|ID")]
    plugin: PathBuf,
    /// Configuration file; it names folders of plugins and their limits
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// A plugin that was found.
struct Found {
    /// What its manifest says; a component by itself has none.
    manifest: Option<Manifest>,
    /// Where the component lies.
    path: PathBuf,
    bytes: Vec<u8>,
    search: Search,
}

impl Which {
    fn find(&self) -> Result<Found, Failure> {
        let search = Search::new(&configured(self.config.as_deref())?);
        let path = &self.plugin;
        if path.is_file() {
            let bytes = read(path)?;
            let manifest = beside(path)?;
            return Ok(Found { manifest, path: path.clone(), bytes, search });
        }
        let manifest = if path.is_dir() {
            Manifest::read(path).map_err(|error| Failure::from_error(error.class(), &error))?
        } else {
            let id = path.to_string_lossy();
            search.locate(&id).map_err(|error| {
                let text = format!("no file, folder or plugin is called `{id}`: {}", chain(&error));
                Failure::new(error.class(), text).hint(search.hint())
            })?
        };
        let bytes =
            load::read(&manifest).map_err(|error| Failure::from_error(error.class(), &error))?;
        Ok(Found { path: manifest.component.clone(), manifest: Some(manifest), bytes, search })
    }
}

/// Reads the configuration, in which nothing may be wrong.
fn configured(file: Option<&Path>) -> Result<Config, Failure> {
    let (config, problems) = Config::load(file).map_err(|error| role::unreadable(file, &error))?;
    role::refuse_any(file, &problems)?;
    Ok(config)
}

/// Names grants, secrets by their own names.
fn names_of(grants: &Grants) -> Vec<String> {
    let powers = Grant::ALL.into_iter().filter(|grant| grants.has(*grant));
    let powers = powers.map(|grant| grant.name().to_owned());
    powers.chain(grants.secrets.iter().map(|name| format!("secret {name}"))).collect()
}

/// Reads a component that is named by itself.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Class::Invalid, format!("reading `{}`: {error}", path.display()))
    };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > COMPONENT_BYTES_MAX {
        let path = path.display();
        let text = format!("`{path}` has {bytes} bytes ({COMPONENT_BYTES_MAX} is the most)");
        return Err(Failure::new(Class::Invalid, text));
    }
    std::fs::read(path).map_err(failed)
}

/// Reads the manifest in the folder of the component at `path`, if there is one that names it.
fn beside(path: &Path) -> Result<Option<Manifest>, Failure> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    if !folder.join(FILE_NAME).is_file() {
        return Ok(None);
    }
    let manifest =
        Manifest::read(folder).map_err(|error| Failure::from_error(error.class(), &error))?;
    Ok((manifest.component.file_name() == path.file_name()).then_some(manifest))
}

/// Says which world a component is compared with: the one asked for, the manifest's, its own.
fn world_of(asked: Option<&str>, found: &Found) -> Result<World, Failure> {
    let names = || World::ALL.map(|world| format!("`{world}`")).join(", ");
    if let Some(name) = asked {
        return World::from_name(name)
            .ok_or_else(|| Failure::usage(format!("no world is called `{name}`")).hint(names()));
    }
    let own = || plugin::fit::fit(&found.bytes, World::Pipeline).ok()?.is;
    let world = found.manifest.as_ref().map(|manifest| manifest.world).or_else(own);
    world.ok_or_else(|| {
        let text = format!("`{}` is of no world that this host has", found.path.display());
        Failure::new(Class::Invalid, text).hint(format!("`--world` with one of {}", names()))
    })
}

/// Tells why a plugin could not be loaded.
fn not_loaded(error: &LoadError) -> Failure {
    let failure = Failure::from_error(error.class(), error);
    match error {
        LoadError::Fault(fault) => failure.fault(FaultReport {
            kind: fault.kind.name().to_owned(),
            plugin: fault.plugin.clone(),
            version: fault.version.clone(),
        }),
        _ => failure,
    }
}
