//! The data directory: where it is, whose folder is whose, and who may write there.
//!
//! ```text
//! <data>/run.json        who runs where; each role rewrites its own key
//! <data>/gateway/        lock, format, admin.sock, admin.token, audit.jsonl, pins.json
//! <data>/orchestrator/   the same, and tls/
//! <data>/advise/         as the gateway's
//! <data>/cache/          compiled code, shared by all; see `plugin::code`
//! ```
//!
//! **Invariant:** a role's folder is written by the one process that holds its lock.

mod atomic;
mod folder;
mod run_file;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::env;

pub(crate) use atomic::replace;
pub(crate) use folder::{FolderError, RoleFolder};
pub(crate) use run_file::{RunEntry, RunFileError};

/// One of the two roles, or their side-car.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Role {
    /// The front door.
    Gateway,
    /// The compute.
    Orchestrator,
    /// The side-car of stock nodes.
    Advise,
}

impl Role {
    /// Both roles, in the order in which they start: the gateway asks the orchestrator.
    pub(crate) const ALL: [Self; 2] = [Self::Orchestrator, Self::Gateway];

    /// Returns the word for it in folders, keys and logs.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Orchestrator => "orchestrator",
            Self::Advise => "advise",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no place for state.
#[derive(Debug, thiserror::Error)]
#[error(
    "no data directory: neither `--data-dir`, `{}`, `STATE_DIRECTORY` nor `HOME` is set",
    env::DATA
)]
pub(crate) struct NoDataDir;

/// The data directory.
#[derive(Debug, Clone)]
pub(crate) struct DataDir {
    path: PathBuf,
}

impl DataDir {
    /// Finds it: the flag, `FRAMEGATE_DATA`, `$STATE_DIRECTORY`, `~/.local/share/framegate`.
    /// Creates nothing.
    pub(crate) fn find(flag: Option<&Path>) -> Result<Self, NoDataDir> {
        Self::find_with(flag, |name| std::env::var_os(name).map(PathBuf::from))
    }

    fn find_with(
        flag: Option<&Path>,
        variable: impl Fn(&str) -> Option<PathBuf>,
    ) -> Result<Self, NoDataDir> {
        let set = |name: &str| variable(name).filter(|value| !value.as_os_str().is_empty());
        // systemd joins several state directories by colons; the first one is the unit's own.
        let state = || {
            let value = set("STATE_DIRECTORY")?.into_os_string().into_string().ok()?;
            value.split(':').next().map(PathBuf::from)
        };
        let path = flag
            .map(Path::to_owned)
            .or_else(|| set(env::DATA))
            .or_else(state)
            .or_else(|| Some(set("HOME")?.join(".local/share/framegate")))
            .ok_or(NoDataDir)?;
        Ok(Self { path })
    }

    /// Returns the directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads who runs where. A role that is not running may still be named; callers that connect
    /// find out.
    pub(crate) fn running(&self) -> Result<BTreeMap<String, RunEntry>, RunFileError> {
        run_file::read(&self.path)
    }

    /// Writes `role`'s key of `run.json`, or removes it.
    pub(crate) fn announce(&self, role: Role, entry: Option<RunEntry>) -> Result<(), RunFileError> {
        run_file::announce(&self.path, role, entry)
    }

    /// Returns the folder of compiled code, which both roles and their workers share.
    pub(crate) fn cache(&self) -> PathBuf {
        self.path.join("cache")
    }

    /// Takes `role`'s folder for this process.
    pub(crate) fn take(&self, role: Role) -> Result<RoleFolder, FolderError> {
        RoleFolder::take(&self.path.join(role.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_directory_is_the_first_place_that_is_named() {
        let find = |flag: Option<&str>, set: &[(&str, &str)]| {
            let set = set.to_owned();
            let variable = move |name: &str| {
                set.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value))
            };
            let found = DataDir::find_with(flag.map(Path::new), variable);
            found.map(|data| data.path().display().to_string()).ok()
        };
        let all =
            [("FRAMEGATE_DATA", "/env"), ("STATE_DIRECTORY", "/state:/more"), ("HOME", "/home/a")];
        assert_eq!(find(Some("/flag"), &all).as_deref(), Some("/flag"));
        assert_eq!(find(None, &all).as_deref(), Some("/env"));
        assert_eq!(find(None, &all[1..]).as_deref(), Some("/state"));
        assert_eq!(find(None, &all[2..]).as_deref(), Some("/home/a/.local/share/framegate"));
        assert_eq!(find(None, &[("FRAMEGATE_DATA", "")]), None);
    }
}
