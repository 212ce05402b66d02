//! Finding the plugins that the file names.

use std::path::PathBuf;

use domain::chain;
use plugin::manifest::{self, ManifestError};
use plugin::{Manifest, World};

use super::super::{Config, Problem, env};

/// The folders in which plugins are looked for, in order.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    folders: Vec<PathBuf>,
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
        Self { folders }
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
            Ok(found) if found.world == world => Some(found),
            Ok(found) => {
                let is = found.world;
                let message = format!("plugin `{id}` is of world `{is}`, not `{world}`");
                problems.push(Problem::new(key, message));
                None
            }
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

    /// Finds every plugin of `world`. What cannot be read and is named nowhere is told in
    /// `warnings`: a broken plugin beside the others does not keep them from running.
    pub(super) fn find_all(&self, world: World, warnings: &mut Vec<String>) -> Vec<Manifest> {
        let mut found = Vec::new();
        for manifest in manifest::find_all(&self.folders) {
            match manifest {
                Ok(manifest) if manifest.world == world => found.push(manifest),
                Ok(_) => {}
                Err(error) => warnings.push(chain(&error)),
            }
        }
        found
    }

    /// Says where plugins were looked for and how to name another place.
    pub(super) fn hint(&self) -> String {
        let folders: Vec<_> = self.folders.iter().map(|it| it.display().to_string()).collect();
        format!("looked in {}; `[plugins] folders` names more", folders.join(", "))
    }
}
