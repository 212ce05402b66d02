//! One role's folder: its lock and its format.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use domain::Class;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::atomic;

/// Format of a role's folder that this program writes, and the newest that it reads.
pub(crate) const FORMAT: u32 = 1;
/// Greatest length of a Unix socket's path in bytes, as `sockaddr_un` has it without its end.
pub(crate) const SOCKET_PATH_BYTES_MAX: usize = 107;

/// A role's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FolderError {
    /// A file operation failed.
    #[error("{attempt} `{}`", path.display())]
    Io {
        /// What was tried.
        attempt: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
    /// Another process has it.
    #[error("`{}` is in use by process {holder}", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// Process id of the holder as it wrote it; `?` if it has not yet.
        holder: String,
    },
    /// A newer program wrote it.
    #[error("`{}` has format {found}, newer than {FORMAT}, the newest known here", path.display())]
    Newer {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// `format` holds no number.
    #[error("`{}` holds `{text}`, not a format number", path.display())]
    NoFormat {
        /// The file.
        path: PathBuf,
        /// Its text, cut to 40 characters.
        text: String,
    },
    /// Its name leaves no room for a Unix socket.
    #[error("`{}` is too long for a Unix socket ({len} bytes of {SOCKET_PATH_BYTES_MAX})", path.display())]
    LongPath {
        /// The socket's path.
        path: PathBuf,
        /// Its length in bytes.
        len: usize,
    },
}

impl FolderError {
    /// Returns who has to act: for all of them the operator, who named the folder.
    pub(crate) const fn class(&self) -> Class {
        match self {
            Self::Io { .. } | Self::NoFormat { .. } | Self::LongPath { .. } => Class::Invalid,
            Self::InUse { .. } | Self::Newer { .. } => Class::Conflict,
        }
    }
}

/// A role's folder that this process holds. Dropping it lets go.
#[derive(Debug)]
pub(crate) struct RoleFolder {
    path: PathBuf,
    _lock: File,
}

impl RoleFolder {
    /// Makes the folder where there is none, takes its lock and checks its format.
    pub(super) fn take(path: &Path) -> Result<Self, FolderError> {
        let failed = |attempt: &'static str, path: &Path| {
            let path = path.to_owned();
            move |source| FolderError::Io { attempt, path, source }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed("making folder", path))?;
        let folder = Self { path: path.to_owned(), _lock: lock(path)? };
        let socket = folder.admin_socket();
        let len = socket.as_os_str().len();
        if len > SOCKET_PATH_BYTES_MAX {
            return Err(FolderError::LongPath { path: socket, len });
        }
        folder.check_format()?;
        Ok(folder)
    }

    /// Returns the folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the admin side's Unix socket.
    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.path.join("admin.sock")
    }

    /// Returns the path of the file with the admin token.
    pub(crate) fn admin_token(&self) -> PathBuf {
        self.path.join("admin.token")
    }

    /// Returns the path of the audit log.
    pub(crate) fn audit(&self) -> PathBuf {
        self.path.join("audit.jsonl")
    }

    fn check_format(&self) -> Result<(), FolderError> {
        let path = self.path.join("format");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return atomic::replace(&path, format!("{FORMAT}\n").as_bytes(), 0o600)
                    .map_err(|source| FolderError::Io { attempt: "writing", path, source });
            }
            Err(source) => return Err(FolderError::Io { attempt: "reading", path, source }),
        };
        match text.trim().parse::<u32>() {
            Ok(found) if found > FORMAT => {
                Err(FolderError::Newer { path: self.path.clone(), found })
            }
            Ok(_) => Ok(()),
            Err(_) => {
                Err(FolderError::NoFormat { path, text: text.trim().chars().take(40).collect() })
            }
        }
    }
}

fn lock(folder: &Path) -> Result<File, FolderError> {
    let path = folder.join("lock");
    let failed = |attempt| {
        let path = path.clone();
        move |source| FolderError::Io { attempt, path, source }
    };
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed("opening"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            // The holder writes its number a moment after it has the lock.
            drop((&mut file).take(20).read_to_string(&mut holder));
            let holder = holder.trim();
            let holder = if holder.is_empty() { "?" } else { holder }.to_owned();
            return Err(FolderError::InUse { path: folder.to_owned(), holder });
        }
        Err(error) => return Err(failed("locking")(error.into())),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(failed("writing"))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use domain::chain;

    use super::*;

    #[test]
    fn a_folder_has_one_holder_at_a_time() {
        let data = tempfile::tempdir().expect("a folder");
        let path = data.path().join("gateway");
        let held = RoleFolder::take(&path).expect("free");
        let refusal = chain(&RoleFolder::take(&path).expect_err("held"));
        let pid = std::process::id();
        assert_eq!(refusal, format!("`{}` is in use by process {pid}", path.display()));
        drop(held);
        RoleFolder::take(&path).expect("free again");
    }

    #[test]
    fn a_newer_format_is_refused_with_both_numbers() {
        let data = tempfile::tempdir().expect("a folder");
        let path = data.path().join("gateway");
        drop(RoleFolder::take(&path).expect("new"));
        fs::write(path.join("format"), "7\n").expect("written");
        let refusal = RoleFolder::take(&path).expect_err("newer").to_string();
        assert!(
            refusal.ends_with("has format 7, newer than 1, the newest known here"),
            "{refusal}"
        );
        fs::write(path.join("format"), "none").expect("written");
        assert!(matches!(RoleFolder::take(&path), Err(FolderError::NoFormat { .. })));
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_refused_before_anything_listens() {
        let data = tempfile::tempdir().expect("a folder");
        let path = data.path().join("x".repeat(100)).join("gateway");
        assert!(matches!(RoleFolder::take(&path), Err(FolderError::LongPath { .. })));
    }
}
