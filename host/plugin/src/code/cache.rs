//! Compiled code on disk, one file an entry, each under a seal that only this machine can make.
//!
//! ```text
//! <data>/cache/secret         32 random bytes, 0600, made once
//! <data>/cache/KEY.code       magic, key, HMAC-SHA-256 of magic, key and code; code
//! ```
//!
//! Several processes share it without a lock: an entry is written beside its place and renamed, and
//! read once, into memory, before it is judged. **Invariant:** what is taken out carries a whole
//! seal under the key asked for; anything else is refused, removed by whoever replaces it, and
//! never executed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use domain::event::CodeRejection as Rejected;
use hmac::{Hmac, Mac};
use rustix::fs::OFlags;
use sha2::Sha256;

use super::{CODE_BYTES_MAX, Code, CodeKey};

/// Bytes of the secret that seals entries.
pub const SECRET_BYTES: usize = 32;
/// Most bytes of all entries together: a hundred compiled guests, or five interpreters.
const CACHE_BYTES_MAX: u64 = 1 << 30;
/// File name of the secret.
const SECRET: &str = "secret";
/// What an entry's name ends with.
const EXTENSION: &str = "code";
/// First bytes of an entry; the number is that of its format.
const MAGIC: &[u8; 16] = b"framegate code 1";
/// Bytes before the code: magic, key, seal.
const HEADER_BYTES: usize = MAGIC.len() + 32 + 32;
/// Age from which on a half-written file belongs to a process that died.
const HALF_WRITTEN_AGE: Duration = Duration::from_secs(600);
/// Age of an entry's time from which on a use renews it: by this much the order of use may be off.
const USED_AGAIN_AFTER: Duration = Duration::from_secs(3600);

type Seal = Hmac<Sha256>;

/// Why there is no cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A file operation failed.
    #[error("{attempt} `{path}`", path = path.display())]
    Io {
        /// What was tried.
        attempt: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The folder is another user's, so whoever owns it could put code there.
    #[error("`{path}` belongs to user {owner}, not to {own}", path = path.display())]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who runs this.
        own: u32,
    },
}

/// Checks an entry that was read for `key` and returns where its code begins.
pub fn unseal(secret: &[u8; SECRET_BYTES], key: &CodeKey, entry: &[u8]) -> Result<usize, Rejected> {
    let Some((header, code)) = entry.split_at_checked(HEADER_BYTES) else {
        return Err(Rejected::Short);
    };
    let (named, seal) = header.split_at(MAGIC.len() + key.0.len());
    if named[..MAGIC.len()] != *MAGIC || named[MAGIC.len()..] != key.0 {
        return Err(Rejected::Foreign);
    }
    // Compares in a time that does not depend on where the first difference is.
    sealing(secret, key, code).verify_slice(seal).map_err(|_| Rejected::Forged)?;
    Ok(HEADER_BYTES)
}

fn sealing(secret: &[u8; SECRET_BYTES], key: &CodeKey, code: &[u8]) -> Seal {
    let mut seal = Seal::new_from_slice(secret).expect("HMAC takes a secret of any length");
    seal.update(MAGIC);
    seal.update(&key.0);
    seal.update(code);
    seal
}

/// A folder of compiled code.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    secret: [u8; SECRET_BYTES],
    bytes_max: u64,
}

impl Cache {
    /// Opens the cache in `folder`, making what is not there: the folder for this user alone, and
    /// a secret.
    pub fn open(folder: &Path) -> Result<Self, CacheError> {
        let failed = |attempt: &'static str| {
            move |source| CacheError::Io { attempt, path: folder.to_owned(), source }
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(failed("making folder"))?;
        let found = fs::symlink_metadata(folder).map_err(failed("looking at"))?;
        let own = rustix::process::geteuid().as_raw();
        if found.uid() != own || !found.is_dir() {
            return Err(CacheError::NotOurs { path: folder.to_owned(), owner: found.uid(), own });
        }
        let mut secret = None;
        if found.mode() & 0o077 == 0 {
            secret = read_secret(folder, own);
        } else {
            // Others could have written here: nothing in it is worth keeping, the secret least.
            let closed = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
            closed.map_err(failed("closing to others"))?;
            drop(fs::remove_file(folder.join(SECRET)));
        }
        let secret = match secret {
            Some(secret) => secret,
            None => make_secret(folder, own).map_err(failed("making a secret in"))?,
        };
        Ok(Self { folder: folder.to_owned(), secret, bytes_max: CACHE_BYTES_MAX })
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Looks up the code of `key`; `None`: there is no entry.
    pub(super) fn find(&self, key: &CodeKey) -> Result<Option<Code>, Rejected> {
        let file = match open_plain(&self.path(key)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(_) => return Err(Rejected::Unreadable),
        };
        let found = file.metadata().map_err(|_| Rejected::Unreadable)?;
        if !found.is_file() {
            return Err(Rejected::Unreadable);
        }
        let most = CODE_BYTES_MAX + HEADER_BYTES;
        let expected = usize::try_from(found.len()).unwrap_or(usize::MAX);
        if expected > most {
            return Err(Rejected::Long);
        }
        // Read once: what is judged below is what is loaded, whatever becomes of the file.
        let mut entry = Vec::with_capacity(expected + 1);
        let read = (&file).take(most as u64 + 1).read_to_end(&mut entry);
        read.map_err(|_| Rejected::Unreadable)?;
        let start = unseal(&self.secret, key, &entry)?;
        let now = SystemTime::now();
        let age = found.modified().ok().and_then(|at| now.duration_since(at).ok());
        if age.is_some_and(|age| age > USED_AGAIN_AFTER) {
            // The time only decides who goes first when the cache is full.
            let _ = file.set_modified(now);
        }
        Ok(Some(Code::unsealed(entry, start)))
    }

    /// Keeps `code`, and lets the entries used longest ago go where there is no room.
    pub(super) fn keep(&self, key: &CodeKey, code: &Code) -> Result<(), CacheError> {
        let path = self.path(key);
        let temporary = temporary(&self.folder, &key.hex());
        let written = self.write(&temporary, key, code.bytes());
        let kept = written.and_then(|()| fs::rename(&temporary, &path));
        let kept = kept.and_then(|()| File::open(&self.folder)?.sync_all());
        if let Err(source) = kept {
            drop(fs::remove_file(&temporary));
            return Err(CacheError::Io { attempt: "writing", path, source });
        }
        self.make_room(&path);
        Ok(())
    }

    fn path(&self, key: &CodeKey) -> PathBuf {
        self.folder.join(format!("{}.{EXTENSION}", key.hex()))
    }

    fn write(&self, path: &Path, key: &CodeKey, code: &[u8]) -> io::Result<()> {
        // One left by a process of the same number that died.
        drop(fs::remove_file(path));
        let mut file = private_file(path)?;
        file.write_all(MAGIC)?;
        file.write_all(&key.0)?;
        file.write_all(&sealing(&self.secret, key, code).finalize().into_bytes())?;
        file.write_all(code)?;
        file.sync_all()
    }

    /// Removes the entries used longest ago until all fit, but never `keep`, and what dead
    /// processes left half-written. Failing to is no one's loss but the disk's.
    fn make_room(&self, keep: &Path) {
        let now = SystemTime::now();
        let mut entries = Vec::new();
        for entry in self.folder.read_dir().into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(found) = entry.metadata() else { continue };
            let at = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(EXTENSION) => entries.push((at, found.len(), path)),
                Some("tmp") if now.duration_since(at).is_ok_and(|age| age > HALF_WRITTEN_AGE) => {
                    drop(fs::remove_file(path));
                }
                _ => {}
            }
        }
        let mut held: u64 = entries.iter().map(|(_, bytes, _)| bytes).sum();
        entries.sort();
        for (_, bytes, path) in entries {
            if held <= self.bytes_max {
                return;
            }
            if path != keep && fs::remove_file(&path).is_ok() {
                held -= bytes;
            }
        }
    }
}

/// Names a file that no other thread and no other living process writes.
fn temporary(folder: &Path, name: &str) -> PathBuf {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    folder.join(format!(".{name}.{}.{number}.tmp", std::process::id()))
}

fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Opens what has to be a plain file in its place: neither a link is followed nor a pipe waited for.
fn open_plain(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Reads the secret, if there is one that nobody else could have written or read.
fn read_secret(folder: &Path, own: u32) -> Option<[u8; SECRET_BYTES]> {
    let mut file = open_plain(&folder.join(SECRET)).ok()?;
    let found = file.metadata().ok()?;
    let private = found.is_file() && found.uid() == own && found.mode() & 0o077 == 0;
    if !private || found.len() != SECRET_BYTES as u64 {
        return None;
    }
    let mut secret = [0; SECRET_BYTES];
    file.read_exact(&mut secret).ok()?;
    Some(secret)
}

/// Makes a secret, or reads the one that another process has made meanwhile.
fn make_secret(folder: &Path, own: u32) -> io::Result<[u8; SECRET_BYTES]> {
    let mut secret = [0; SECRET_BYTES];
    getrandom::fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
    let temporary = temporary(folder, SECRET);
    drop(fs::remove_file(&temporary));
    let mut file = private_file(&temporary)?;
    file.write_all(&secret).and_then(|()| file.sync_all())?;
    // A link, unlike a rename, is refused where there is one: of two processes one wins.
    let place = folder.join(SECRET);
    let linked = match fs::hard_link(&temporary, &place) {
        Ok(()) => Ok(secret),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            match read_secret(folder, own) {
                Some(theirs) => Ok(theirs),
                // What lies there is no secret of ours: too short, or open to others.
                None => fs::rename(&temporary, &place).map(|()| secret),
            }
        }
        Err(error) => Err(error),
    };
    drop(fs::remove_file(&temporary));
    linked.and_then(|secret| File::open(folder)?.sync_all().map(|()| secret))
}

#[cfg(test)]
mod tests;
