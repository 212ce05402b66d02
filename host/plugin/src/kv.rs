//! The small store of a plugin that is granted `kv`: one SQLite file a plugin, which outlives
//! sessions, versions and processes.
//!
//! No host function blocks, and a disk does. So a store lives in memory, bounded by its quota; what
//! changes is written behind by a thread of its own, and a function holds the lock for as long as a
//! look-up takes. A write that was answered is on disk a moment later; a process that is killed in
//! that moment loses it, and the file stays whole.
//!
//! **Invariants:** one process has a plugin's file open, another is told that it is unavailable;
//! a version is never used twice in a store.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, params};

use crate::pipeline::host::{ErrorClass, HostError};

/// Bytes of a key; the contract's number.
const KEY_BYTES_MAX: usize = 256;
/// Bytes of a value; the contract's number.
const VALUE_BYTES_MAX: usize = 64 << 10;
/// What an entry counts besides key and value: its place in memory and on disk.
const ENTRY_BYTES: u64 = 128;
/// The most that a grant can be, and so that a store brings into memory.
pub const STORE_BYTES_MAX: u64 = 64 << 20;
/// Layout of the file; a file with another is left alone.
const LAYOUT: i64 = 1;
const SCHEMA: &str = "
    CREATE TABLE entry (key TEXT PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL)
        WITHOUT ROWID;
    CREATE TABLE next (version INTEGER NOT NULL);
    INSERT INTO next VALUES (1);
    PRAGMA user_version = 1;";

/// Why a store cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Its folder cannot be made.
    #[error("making `{path}`", path = path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file cannot be opened, read or locked.
    #[error("opening `{path}`", path = path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The file is not one of ours, or of another version of this program.
    #[error("`{path}` has layout {found} ({LAYOUT} is known)", path = path.display())]
    Layout {
        /// Which.
        path: PathBuf,
        /// What it says.
        found: i64,
    },
    /// The file holds more than any grant.
    #[error("`{path}` holds over {STORE_BYTES_MAX} bytes", path = path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
    },
    /// No thread to be had.
    #[error("starting the writer of `{path}`", path = path.display())]
    Thread {
        /// Whose.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The stores of one process, in one folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stores {
    folder: Arc<PathBuf>,
    open: Arc<Mutex<BTreeMap<String, Weak<Store>>>>,
}

impl Stores {
    /// Names the folder; it is made when the first store is opened.
    pub fn new(folder: &Path) -> Self {
        Self { folder: Arc::new(folder.to_owned()), open: Arc::default() }
    }

    /// Opens the store of `plugin`, a plugin's id, reading it into memory: blocks on the disk.
    pub fn open(&self, plugin: &str) -> Result<Arc<Store>, StoreError> {
        let mut open = lock(&self.open);
        if let Some(store) = open.get(plugin).and_then(Weak::upgrade) {
            return Ok(store);
        }
        let store = Arc::new(Store::open(&self.folder, plugin)?);
        open.insert(plugin.to_owned(), Arc::downgrade(&store));
        Ok(store)
    }
}

/// A stored value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What was put.
    pub value: Arc<[u8]>,
    /// Changes with each write.
    pub version: u64,
}

/// The open store of one plugin.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    entries: BTreeMap<String, Entry>,
    bytes: u64,
    next: u64,
    /// Keys that the file does not have as they are here.
    dirty: BTreeSet<String>,
    /// Why nothing is written any more.
    broken: Option<String>,
    closing: bool,
}

/// What one round of the writer commits.
struct Batch {
    changes: Vec<(String, Option<Entry>)>,
    next: u64,
}

impl Store {
    fn open(folder: &Path, plugin: &str) -> Result<Self, StoreError> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| StoreError::Folder { path: folder.to_owned(), source })?;
        let path = folder.join(plugin).with_extension("sqlite");
        let (file, state) = read(&path)?;
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let writer = thread::Builder::new().name("kv-writer".to_owned());
        let writer = writer.spawn(move || write_behind(file, &theirs));
        let writer = writer.map_err(|source| StoreError::Thread { path, source })?;
        Ok(Self { shared, writer: Some(writer) })
    }

    /// Reads an entry; `None`: there is none.
    pub fn get(&self, key: &str) -> Result<Option<Entry>, HostError> {
        check_key(key)?;
        let state = lock(&self.shared.state);
        state.check()?;
        Ok(state.entries.get(key).cloned())
    }

    /// Writes an entry if the stored version is `expected`, and returns the new version. The store
    /// may hold `quota` bytes.
    pub fn put(
        &self,
        key: &str,
        value: Vec<u8>,
        expected: Option<u64>,
        quota: u64,
    ) -> Result<u64, HostError> {
        check_key(key)?;
        if value.len() > VALUE_BYTES_MAX {
            let text =
                format!("a value of `{}` bytes ({VALUE_BYTES_MAX} is the most)", value.len());
            return Err(HostError::new(ErrorClass::Invalid, text));
        }
        let mut state = lock(&self.shared.state);
        state.check()?;
        let stored = state.entries.get(key);
        let found = stored.map(|entry| entry.version);
        if found != expected {
            let text =
                format!("version {} of `{key}` is stored, not {}", shown(found), shown(expected));
            return Err(HostError::new(ErrorClass::Conflict, text));
        }
        let before = stored.map_or(0, |entry| size(key, &entry.value));
        let bytes = state.bytes - before + size(key, &value);
        if bytes > quota && bytes > state.bytes {
            let text = format!("`kv` is used up ({bytes} of {quota} bytes)");
            return Err(HostError::new(ErrorClass::Exhausted, text));
        }
        let version = state.next;
        state.next += 1;
        state.bytes = bytes;
        state.entries.insert(key.to_owned(), Entry { value: value.into(), version });
        state.dirty.insert(key.to_owned());
        self.shared.changed.notify_one();
        Ok(version)
    }

    /// Removes an entry; a missing one is no error.
    pub fn remove(&self, key: &str) -> Result<(), HostError> {
        check_key(key)?;
        let mut state = lock(&self.shared.state);
        state.check()?;
        if let Some(entry) = state.entries.remove(key) {
            state.bytes -= size(key, &entry.value);
            state.dirty.insert(key.to_owned());
            self.shared.changed.notify_one();
        }
        Ok(())
    }
}

impl Drop for Store {
    /// Waits until everything is written.
    fn drop(&mut self) {
        lock(&self.shared.state).closing = true;
        self.shared.changed.notify_one();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has nothing more to write.
            let _ = writer.join();
        }
    }
}

impl State {
    fn check(&self) -> Result<(), HostError> {
        match &self.broken {
            None => Ok(()),
            Some(why) => {
                Err(HostError::new(ErrorClass::Unavailable, format!("the store failed: {why}")))
            }
        }
    }

    fn take(&mut self) -> Batch {
        let keys = std::mem::take(&mut self.dirty);
        let changes = keys.into_iter().map(|key| {
            let entry = self.entries.get(&key).cloned();
            (key, entry)
        });
        Batch { changes: changes.collect(), next: self.next }
    }
}

fn check_key(key: &str) -> Result<(), HostError> {
    if key.len() <= KEY_BYTES_MAX {
        return Ok(());
    }
    let text = format!("a key of `{}` bytes ({KEY_BYTES_MAX} is the most)", key.len());
    Err(HostError::new(ErrorClass::Invalid, text))
}

fn size(key: &str, value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64 + ENTRY_BYTES
}

fn shown(version: Option<u64>) -> String {
    version.map_or_else(|| "none".to_owned(), |version| version.to_string())
}

/// Opens the file, alone, and reads all of it.
fn read(path: &Path) -> Result<(Connection, State), StoreError> {
    let failed = |source| StoreError::Open { path: path.to_owned(), source };
    let file = Connection::open(path).map_err(failed)?;
    // Exclusive, so that what is in memory is what is on disk; without it a second process would
    // have a truth of its own.
    let set = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;
               PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE; COMMIT;";
    file.execute_batch(set).map_err(failed)?;
    let layout = file.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    match layout {
        LAYOUT => {}
        0 => file.execute_batch(&format!("BEGIN; {SCHEMA} COMMIT;")).map_err(failed)?,
        found => return Err(StoreError::Layout { path: path.to_owned(), found }),
    }
    let next = file.query_row("SELECT version FROM next", [], |row| row.get(0)).map_err(failed)?;
    let mut state = State {
        entries: BTreeMap::new(),
        bytes: 0,
        next,
        dirty: BTreeSet::new(),
        broken: None,
        closing: false,
    };
    {
        let mut select = file.prepare("SELECT key, value, version FROM entry").map_err(failed)?;
        let mut rows = select.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let key: String = row.get(0).map_err(failed)?;
            let value: Vec<u8> = row.get(1).map_err(failed)?;
            let version: u64 = row.get(2).map_err(failed)?;
            state.bytes += size(&key, &value);
            if state.bytes > STORE_BYTES_MAX {
                return Err(StoreError::TooLarge { path: path.to_owned() });
            }
            state.entries.insert(key, Entry { value: value.into(), version });
        }
    }
    Ok((file, state))
}

/// Writes what changes until the store is closed and everything is written.
fn write_behind(mut file: Connection, shared: &Shared) {
    loop {
        let mut state = lock(&shared.state);
        while state.dirty.is_empty() && !state.closing {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.dirty.is_empty() {
            return;
        }
        let batch = state.take();
        drop(state);
        if let Err(error) = commit(&mut file, &batch) {
            let mut state = lock(&shared.state);
            tracing::warn!(%error, "store of a plugin could not be written");
            state.broken = Some(error.to_string());
            return;
        }
    }
}

fn commit(file: &mut Connection, batch: &Batch) -> rusqlite::Result<()> {
    let write = file.transaction()?;
    {
        let mut put = write.prepare_cached("INSERT OR REPLACE INTO entry VALUES (?1, ?2, ?3)")?;
        let mut remove = write.prepare_cached("DELETE FROM entry WHERE key = ?1")?;
        for (key, entry) in &batch.changes {
            match entry {
                Some(entry) => put.execute(params![key, &*entry.value, entry.version])?,
                None => remove.execute([key])?,
            };
        }
    }
    write.execute("UPDATE next SET version = ?1", [batch.next])?;
    write.commit()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these guard is whole at every step, so a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: u64 = 1 << 20;

    #[test]
    fn what_was_put_is_there_in_the_next_process_with_its_version() {
        let folder = tempfile::tempdir().unwrap();
        let stores = Stores::new(&folder.path().join("kv"));
        let store = stores.open("keep-count").unwrap();
        let first = store.put("a", b"1".to_vec(), None, QUOTA).unwrap();
        store.put("b", b"2".to_vec(), None, QUOTA).unwrap();
        store.remove("b").unwrap();
        store.remove("never").unwrap();
        // Another instance of the same process sees the same store.
        assert_eq!(stores.open("keep-count").unwrap().get("a").unwrap().unwrap().version, first);
        drop(store);
        let store = stores.open("keep-count").unwrap();
        let entry = store.get("a").unwrap().unwrap();
        assert_eq!((&*entry.value, entry.version), (&b"1"[..], first));
        assert_eq!(store.get("b").unwrap(), None);
        let later = store.put("b", b"3".to_vec(), None, QUOTA).unwrap();
        assert!(later > first + 1, "a version is used once: {later}");
        assert_eq!(stores.open("another").unwrap().get("a").unwrap(), None);
    }

    #[test]
    fn a_write_needs_the_version_that_is_stored_and_room() {
        let folder = tempfile::tempdir().unwrap();
        let store = Stores::new(folder.path()).open("count").unwrap();
        let class = |answer: Result<u64, HostError>| answer.unwrap_err().class;
        let version = store.put("k", vec![0; 1000], None, QUOTA).unwrap();
        assert_eq!(class(store.put("k", vec![], None, QUOTA)), ErrorClass::Conflict);
        assert_eq!(class(store.put("k", vec![], Some(version + 1), QUOTA)), ErrorClass::Conflict);
        assert_eq!(class(store.put("x", vec![], Some(1), QUOTA)), ErrorClass::Conflict);
        let full = store.put("l", vec![0; 1000], None, 2_000);
        assert_eq!(full.unwrap_err().to_string(), "`kv` is used up (2258 of 2000 bytes)");
        // What holds too much since the quota was lowered may shrink.
        let version = store.put("k", vec![0; 900], Some(version), 10).unwrap();
        assert_eq!(store.get("k").unwrap().unwrap().version, version);
        let long = "k".repeat(KEY_BYTES_MAX + 1);
        assert_eq!(class(store.put(&long, vec![], None, QUOTA)), ErrorClass::Invalid);
        let large = vec![0; VALUE_BYTES_MAX + 1];
        assert_eq!(class(store.put("k", large, Some(version), QUOTA)), ErrorClass::Invalid);
    }

    #[test]
    fn a_file_that_another_has_open_or_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Stores::new(folder.path()).open("once").unwrap();
        let second = Stores::new(folder.path()).open("once").unwrap_err();
        assert!(domain::chain(&second).contains("locked"), "{}", domain::chain(&second));
        drop(store);
        std::fs::write(folder.path().join("torn.sqlite"), [7; 5000]).unwrap();
        let torn = Stores::new(folder.path()).open("torn").unwrap_err();
        assert!(domain::chain(&torn).contains("not a database"), "{}", domain::chain(&torn));
    }
}
