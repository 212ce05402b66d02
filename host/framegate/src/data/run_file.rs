//! `run.json`: which roles run, where they listen and as which process.
//!
//! **Invariant:** a role changes its own key only, under a lock held for the change alone.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::{Role, atomic};

/// Greatest size that is read, in bytes: two entries take less than 2 KiB.
const BYTES_MAX: u64 = 256 * 1024;

/// A role that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunEntry {
    /// Process id.
    pub(crate) pid: u32,
    /// Address to use it by: the gateway's `http://…`, the orchestrator's `https://…`.
    pub(crate) url: String,
    /// Bound addresses by the last word of their configuration key, such as `http` and `admin`.
    pub(crate) listen: BTreeMap<String, SocketAddr>,
    /// Unix socket of the admin side.
    pub(crate) admin_socket: PathBuf,
}

/// `run.json` cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunFileError {
    /// A file operation failed.
    #[error("{attempt} `{}`", path.display())]
    Io {
        /// What was tried, such as `writing`.
        attempt: &'static str,
        /// The file.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
    /// It is no document of ours.
    #[error("reading `{}`", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

pub(super) fn read(data: &Path) -> Result<BTreeMap<String, RunEntry>, RunFileError> {
    let path = data.join("run.json");
    match load(&path)? {
        None => Ok(BTreeMap::new()),
        Some(text) => {
            serde_json::from_str(&text).map_err(|source| RunFileError::Form { path, source })
        }
    }
}

pub(super) fn announce(
    data: &Path,
    role: Role,
    entry: Option<RunEntry>,
) -> Result<(), RunFileError> {
    let path = data.join("run.json");
    let failed = |attempt| {
        let path = path.clone();
        move |source| RunFileError::Io { attempt, path, source }
    };
    fs::create_dir_all(data).map_err(failed("making the folder of"))?;
    let lock = lock_file(&data.join("run.lock")).map_err(failed("locking"))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed("locking")(error.into()))?;
    // Keys of a newer program are kept as they are. A file that cannot be read is replaced: it
    // says nothing that the roles will not say again.
    let mut roles: BTreeMap<String, serde_json::Value> =
        load(&path)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    match entry {
        Some(entry) => {
            let value = serde_json::to_value(entry)
                .map_err(|source| RunFileError::Form { path: path.clone(), source })?;
            roles.insert(role.name().to_owned(), value);
        }
        None => drop(roles.remove(role.name())),
    }
    let text = serde_json::to_vec_pretty(&roles)
        .map_err(|source| RunFileError::Form { path: path.clone(), source })?;
    atomic::replace(&path, &text, 0o600).map_err(failed("writing"))
}

fn load(path: &Path) -> Result<Option<String>, RunFileError> {
    let failed = |source| RunFileError::Io { attempt: "reading", path: path.to_owned(), source };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
        Ok(facts) if facts.len() > BYTES_MAX => Err(failed(io::Error::other(format!(
            "it has {} bytes, over the limit of {BYTES_MAX}",
            facts.len()
        )))),
        Ok(_) => fs::read_to_string(path).map(Some).map_err(failed),
    }
}

fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

#[cfg(test)]
#[test]
fn a_role_changes_its_own_key_only() {
    let data = tempfile::tempdir().expect("a folder");
    let entry = |pid| RunEntry {
        pid,
        url: format!("http://127.0.0.1:{pid}"),
        listen: BTreeMap::from([("http".to_owned(), "127.0.0.1:9935".parse().expect("address"))]),
        admin_socket: data.path().join("admin.sock"),
    };
    assert_eq!(read(data.path()).expect("no file yet"), BTreeMap::new());
    announce(data.path(), Role::Gateway, Some(entry(1))).expect("written");
    announce(data.path(), Role::Orchestrator, Some(entry(2))).expect("written");
    announce(data.path(), Role::Gateway, Some(entry(3))).expect("written");
    let both = read(data.path()).expect("readable");
    assert_eq!(both["gateway"], entry(3));
    assert_eq!(both["orchestrator"], entry(2));
    announce(data.path(), Role::Gateway, None).expect("written");
    assert_eq!(read(data.path()).expect("readable").keys().collect::<Vec<_>>(), ["orchestrator"]);
    let left: Vec<_> = fs::read_dir(data.path()).expect("listed").collect();
    assert_eq!(left.len(), 2, "the document and its lock: {left:?}");
}
