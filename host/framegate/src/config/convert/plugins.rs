//! Finding the plugins that the file names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use domain::chain;
use plugin::manifest::{self, ManifestError};
use plugin::{Limit, Limits, Manifest, World};

use super::super::{Config, Problem, SetLimits, env};

/// A plugin that the file names.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    /// What it says it is.
    pub(crate) manifest: Manifest,
    /// What it may use, before it asks for less.
    pub(crate) limits: Limits,
}

/// The folders in which plugins are looked for, in order.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    folders: Vec<PathBuf>,
    limits: BTreeMap<String, SetLimits>,
}

impl Search {
    /// Takes the file's folders, those of the environment, and those beside the program.
    pub(crate) fn new(config: &Config) -> Self {
        let program = std::env::current_exe().ok();
        Self::of(config, env::value(env::PLUGINS), program)
    }

    pub(super) fn of(config: &Config, variable: Option<String>, program: Option<PathBuf>) -> Self {
        let mut folders = config.plugins.folders.clone();
        let variable = variable.unwrap_or_default();
        let named = variable.split(':').filter(|folder| !folder.is_empty()).map(PathBuf::from);
        folders.extend(named);
        // `<exe folder>/../plugins`: of a build; `../share/framegate/plugins`: of an installation.
        if let Some(above) = program.as_deref().and_then(|exe| exe.parent()?.parent()) {
            folders.push(above.join("plugins"));
            folders.push(above.join("share/framegate/plugins"));
        }
        Self { folders, limits: config.plugin_limits.clone() }
    }

    /// Finds plugin `id`, which `key` names and which must be of `world`.
    pub(super) fn find(
        &self,
        key: &str,
        id: &str,
        world: World,
        problems: &mut Vec<Problem>,
    ) -> Option<Manifest> {
        match manifest::find(&self.folders, id) {
            Ok(found) => of_world(key, found, world, problems),
            Err(error) => {
                let problem = Problem::new(key, chain(&error));
                problems.push(match error {
                    ManifestError::NotFound { .. } => problem.hint(self.hint()),
                    ManifestError::Read { .. } | ManifestError::Wrong { .. } => problem,
                });
                None
            }
        }
    }

    /// Finds the plugin that `key` names, if it names one, with its limits.
    pub(super) fn named(
        &self,
        key: &str,
        id: &str,
        world: World,
        problems: &mut Vec<Problem>,
    ) -> Option<Chosen> {
        if id.is_empty() {
            return None;
        }
        let found = self.find(key, id, world, problems)?;
        Some(self.chosen(found, Limits::of(world)))
    }

    /// Finds the plugin that takes over where another faults, which `key` names by its id, or by its
    /// folder where `text` has a `/`. `wanted`: whether something asks for it.
    pub(super) fn previous(
        &self,
        key: &str,
        text: &str,
        world: World,
        wanted: bool,
        problems: &mut Vec<Problem>,
    ) -> Option<Chosen> {
        match (text.is_empty(), wanted) {
            (true, false) => None,
            (true, true) => {
                let problem =
                    Problem::new(key, "`previous-version` needs a version to fall back on");
                problems
                    .push(problem.hint("the id of another plugin, or the folder of an older one"));
                None
            }
            (false, false) => {
                let problem = Problem::new(key, format!("`{text}` would never be asked"));
                problems.push(problem.hint("`previous-version` is what asks it"));
                None
            }
            (false, true) => {
                let found = self.find_version(key, text, world, problems)?;
                Some(self.chosen(found, Limits::of(world)))
            }
        }
    }

    fn find_version(
        &self,
        key: &str,
        text: &str,
        world: World,
        problems: &mut Vec<Problem>,
    ) -> Option<Manifest> {
        if !text.contains('/') {
            return self.find(key, text, world, problems);
        }
        match Manifest::read(Path::new(text)) {
            Ok(found) => of_world(key, found, world, problems),
            Err(error) => {
                problems.push(Problem::new(key, chain(&error)));
                None
            }
        }
    }

    /// Finds plugin `id`, of whatever world.
    pub(crate) fn locate(&self, id: &str) -> Result<Manifest, ManifestError> {
        manifest::find(&self.folders, id)
    }

    /// Returns every plugin that can be found, or why it cannot be read.
    pub(crate) fn all(&self) -> Vec<Result<Manifest, ManifestError>> {
        manifest::find_all(&self.folders)
    }

    /// Returns the limits that the operator gives a plugin.
    pub(crate) fn limits_of(&self, manifest: &Manifest) -> Limits {
        self.chosen(manifest.clone(), Limits::of(manifest.world)).limits
    }

    /// Finds every plugin of `world`. What cannot be read and is named nowhere is told in
    /// `warnings`: a broken plugin beside the others does not keep them from running.
    pub(super) fn find_all(&self, world: World, warnings: &mut Vec<String>) -> Vec<Manifest> {
        let mut found = Vec::new();
        for manifest in self.all() {
            match manifest {
                Ok(manifest) if manifest.world == world => found.push(manifest),
                Ok(_) => {}
                Err(error) => warnings.push(chain(&error)),
            }
        }
        found
    }

    /// Gives a plugin its limits: the operator's for it, else `defaults`.
    pub(super) fn chosen(&self, manifest: Manifest, mut limits: Limits) -> Chosen {
        // What is wrong with them is told by `check_limits`.
        self.set(&manifest.id, &mut limits, &mut Vec::new());
        Chosen { manifest, limits }
    }

    /// Checks every `[plugins.limits.ID]` against the world of the plugin that it is about.
    pub(super) fn check_limits(&self, problems: &mut Vec<Problem>) {
        for id in self.limits.keys() {
            match manifest::find(&self.folders, id) {
                Ok(found) => self.set(id, &mut Limits::of(found.world), problems),
                Err(error) => {
                    let problem = Problem::new(format!("plugins.limits.{id}"), chain(&error));
                    problems.push(problem.hint(self.hint()));
                }
            }
        }
    }

    fn set(&self, id: &str, limits: &mut Limits, problems: &mut Vec<Problem>) {
        for (name, value) in self.limits.get(id).into_iter().flatten() {
            let Some(limit) = Limit::named(name) else { continue };
            let set = limit.read(value).and_then(|value| limits.set(limit, value));
            if let Err(message) = set {
                problems.push(Problem::new(format!("plugins.limits.{id}.{name}"), message));
            }
        }
    }

    /// Returns the folders in order.
    pub(super) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Says where plugins were looked for and how to name another place.
    pub(crate) fn hint(&self) -> String {
        let folders: Vec<_> = self.folders.iter().map(|it| it.display().to_string()).collect();
        format!("looked in {}; `[plugins] folders` names more", folders.join(", "))
    }
}

/// Takes a plugin if it is of `world`.
fn of_world(
    key: &str,
    found: Manifest,
    world: World,
    problems: &mut Vec<Problem>,
) -> Option<Manifest> {
    if found.world == world {
        return Some(found);
    }
    let Manifest { id, world: is, .. } = found;
    problems.push(Problem::new(key, format!("plugin `{id}` is of world `{is}`, not `{world}`")));
    None
}
