//! Job records on disk, so that they outlive the process: one SQLite file, written by a thread of its
//! own behind a bounded queue. No job waits for it: a record that finds the queue full is counted and
//! not kept.
//!
//! **Invariants:** the file stays within its age and its size, the oldest going first; numbers of jobs
//! go on where the file ends; a record that was running when its gateway was killed is closed as lost
//! by the next one that opens the file.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use domain::Class;
use domain::chain;
use domain::session::EndReason;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::record::{self, Looked};

/// Time for which records are kept unless configured.
pub const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Bytes of the file unless configured: some hundred thousand records.
pub const RECORDS_BYTES_MAX: u64 = 256 << 20;
/// Name of the file in the role's folder.
const FILE: &str = "jobs.sqlite";
/// Layout of the file; one with another is left alone.
const LAYOUT: i64 = 1;
/// Records on their way to the disk: at 2 KiB each, 2 MiB; a disk that is further behind is broken.
const QUEUE: usize = 1024;
/// Bytes of one record: what passed over is cut to [`PASSED_OVER_MAX`] where it is longer.
const RECORD_BYTES_MAX: usize = 64 << 10;
/// Entries of `passed_over` in a record that would be too long.
const PASSED_OVER_MAX: usize = 100;
/// Records of one list.
pub const LISTED_MAX: usize = 1000;
/// Time between two looks at the age of records while no job ends.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
/// Time that a writer and a reader wait for each other.
const BUSY_MAX: Duration = Duration::from_secs(2);
/// Bytes of the log beside the file that are kept between writes.
const LOG_BYTES: u64 = 4 << 20;
const SCHEMA: &str = "
    CREATE TABLE job (number INTEGER PRIMARY KEY, request TEXT NOT NULL, at INTEGER NOT NULL,
        over INTEGER NOT NULL, token TEXT NOT NULL, record TEXT NOT NULL);
    CREATE INDEX job_request ON job (request);
    CREATE INDEX job_at ON job (at);
    PRAGMA user_version = 1;";

/// How long and how much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordsConfig {
    /// Time since the job was asked for.
    pub kept: Duration,
    /// Bytes of the file.
    pub bytes_max: u64,
}

impl Default for RecordsConfig {
    fn default() -> Self {
        Self { kept: KEPT, bytes_max: RECORDS_BYTES_MAX }
    }
}

/// Why job records cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file cannot be opened, or another process writes it.
    #[error("opening `{}`", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The file is of another version of this program.
    #[error("`{}` has layout {found} ({LAYOUT} is known)", path.display())]
    Layout {
        /// Which.
        path: PathBuf,
        /// What it says.
        found: i64,
    },
    /// The file is no database and cannot be set aside.
    #[error("setting `{}` aside", path.display())]
    Aside {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No thread to be had.
    #[error("starting the writer of job records")]
    Thread(#[source] std::io::Error),
}

impl ArchiveError {
    /// Returns who has to act.
    pub const fn class(&self) -> Class {
        match self {
            Self::Layout { .. } => Class::Conflict,
            Self::Open { .. } | Self::Aside { .. } => Class::Invalid,
            Self::Thread(_) => Class::Internal,
        }
    }
}

/// A record as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    /// The job's number.
    pub(crate) number: u64,
    /// Id that goes through the logs of both roles.
    pub(crate) request: String,
    /// When it was asked for, in Unix milliseconds.
    pub(crate) at_unix_ms: u64,
    /// Whether nothing more will come of it.
    pub(crate) over: bool,
    /// The job's token, which is kept as its digest only.
    pub(crate) token: String,
    /// The record, JSON.
    pub(crate) record: String,
}

/// The file of job records, or nothing where none are kept.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    queue: Option<SyncSender<Kept>>,
    reader: Option<Mutex<Connection>>,
    writer: Option<JoinHandle<()>>,
    dropped: AtomicU64,
}

impl Archive {
    /// Opens the file in `folder`, closing what was left running, and returns it with the greatest
    /// number of a job in it. Blocks on the disk. A file that is no database is set aside.
    pub(crate) fn open(folder: &Path, config: RecordsConfig) -> Result<(Self, u64), ArchiveError> {
        let path = folder.join(FILE);
        let failed = |source| ArchiveError::Open { path: path.clone(), source };
        let writer = match connect(&path) {
            Err(ArchiveError::Open { source, .. }) if is_garbage(&source) => {
                set_aside(&path)?;
                connect(&path)?
            }
            other => other?,
        };
        close_all(&writer).map_err(failed)?;
        prune(&writer, config).map_err(failed)?;
        let last =
            writer.query_row("SELECT max(number) FROM job", [], |row| row.get::<_, Option<u64>>(0));
        let last = last.map_err(failed)?.unwrap_or(0);
        let reader = Connection::open(&path).map_err(failed)?;
        reader.busy_timeout(BUSY_MAX).map_err(failed)?;
        reader.pragma_update(None, "query_only", true).map_err(failed)?;
        let (queue, records) = sync_channel(QUEUE);
        let writer = thread::Builder::new()
            .name("job-records".to_owned())
            .spawn(move || write(writer, &records, config))
            .map_err(ArchiveError::Thread)?;
        let archive = Self {
            queue: Some(queue),
            reader: Some(Mutex::new(reader)),
            writer: Some(writer),
            dropped: AtomicU64::new(0),
        };
        Ok((archive, last))
    }

    /// Has a record written; never waits.
    pub(crate) fn keep(&self, record: Kept) {
        let Some(queue) = &self.queue else { return };
        if queue.try_send(record).is_err() {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            if dropped.is_power_of_two() {
                tracing::warn!(dropped, "job records dropped: the disk does not keep up");
            }
        }
    }

    /// Counts the records that were not kept.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Returns the record of a job by its name (`job-7`) or its request. Blocks on the disk.
    pub(crate) fn find(&self, name: &str) -> Option<String> {
        self.row(name).map(|(_, record)| record)
    }

    /// Lets whoever presents the job's token read its record. Blocks on the disk.
    pub(crate) fn look(&self, name: &str, token: Option<&str>) -> Looked<Option<String>> {
        let Some((digest, record)) = record::parse(name).and_then(|_| self.row(name)) else {
            return Looked::Unknown;
        };
        match token.is_some_and(|token| wire::header::is_same_secret(&digest_of(token), &digest)) {
            true => Looked::Found(Some(record)),
            false => Looked::Denied,
        }
    }

    /// Lists at most `limit` records, newest first, of jobs before the one of number `before`. Blocks
    /// on the disk.
    pub(crate) fn list(&self, before: Option<u64>, limit: usize) -> Vec<Value> {
        let read = |reader: &Connection| {
            let mut rows = reader.prepare_cached(
                "SELECT record FROM job WHERE number < ?1 ORDER BY number DESC LIMIT ?2",
            )?;
            let before = before.and_then(|it| i64::try_from(it).ok()).unwrap_or(i64::MAX);
            let rows = rows
                .query_map(params![before, limit.min(LISTED_MAX)], |row| row.get::<_, String>(0))?;
            rows.collect::<Result<Vec<String>, _>>()
        };
        let records = self.read(read).unwrap_or_default();
        records.iter().filter_map(|record| serde_json::from_str(record).ok()).collect()
    }

    fn row(&self, name: &str) -> Option<(String, String)> {
        let pair = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let read = |reader: &Connection| match record::parse(name) {
            Some(job) => reader
                .prepare_cached("SELECT token, record FROM job WHERE number = ?1")?
                .query_row([job.0], pair)
                .optional(),
            None => reader
                .prepare_cached(
                    "SELECT token, record FROM job WHERE request = ?1 ORDER BY number DESC LIMIT 1",
                )?
                .query_row([name], pair)
                .optional(),
        };
        self.read(read).flatten()
    }

    /// Reads; a file that cannot be read is told of and has nothing.
    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Option<T> {
        let read = read(&lock(self.reader.as_ref()?));
        read.inspect_err(|error| tracing::error!(error = %chain(error), "job records not read"))
            .ok()
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        // The writer ends when the queue is empty and nobody holds its other end.
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            drop(writer.join());
        }
    }
}

fn lock(reader: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    // A read changes nothing, so a panic elsewhere leaves the connection whole.
    reader.lock().unwrap_or_else(PoisonError::into_inner)
}

fn digest_of(token: &str) -> String {
    wire::header::hex(&Sha256::digest(token.as_bytes()))
}

fn connect(path: &Path) -> Result<Connection, ArchiveError> {
    let open = || {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_MAX)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
        let layout: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if layout == 0 {
            connection.execute_batch(&format!("BEGIN; {SCHEMA} COMMIT;"))?;
        }
        Ok((connection, layout))
    };
    let (connection, found) =
        open().map_err(|source| ArchiveError::Open { path: path.to_owned(), source })?;
    match found {
        0 | LAYOUT => Ok(connection),
        found => Err(ArchiveError::Layout { path: path.to_owned(), found }),
    }
}

fn is_garbage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

/// Renames a file that cannot be read, so that its bytes are not lost and the gateway can start.
fn set_aside(path: &Path) -> Result<(), ArchiveError> {
    let aside = path.with_extension("sqlite.broken");
    tracing::error!(path = %path.display(), aside = %aside.display(), "job records set aside");
    for beside in ["sqlite-wal", "sqlite-shm"] {
        // They belong to a file that cannot be read.
        drop(fs::remove_file(path.with_extension(beside)));
    }
    fs::rename(path, aside).map_err(|source| ArchiveError::Aside { path: path.to_owned(), source })
}

/// Closes the records of jobs that ran when the gateway was killed.
fn close_all(connection: &Connection) -> rusqlite::Result<()> {
    let open: Vec<(u64, String)> = connection
        .prepare("SELECT number, record FROM job WHERE over = 0")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (number, record) in open {
        let mut record: Value = serde_json::from_str(&record).unwrap_or_else(|_| json!({}));
        record["state"] = json!("ended");
        record["reason"] = json!(EndReason::Lost.name());
        record["detail"] = json!("the gateway ended before the job did");
        connection.execute(
            "UPDATE job SET over = 1, record = ?2 WHERE number = ?1",
            params![number, record.to_string()],
        )?;
    }
    Ok(())
}

/// Deletes what is too old, and the oldest of what is too much.
fn prune(connection: &Connection, config: RecordsConfig) -> rusqlite::Result<()> {
    let kept_ms = u64::try_from(config.kept.as_millis()).unwrap_or(u64::MAX);
    let oldest = plugin::unix_ms().saturating_sub(kept_ms);
    connection.execute("DELETE FROM job WHERE at < ?1 AND over = 1", [oldest])?;
    loop {
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
        let pages = pragma("page_count")?.saturating_sub(pragma("freelist_count")?);
        if pages.saturating_mul(pragma("page_size")?) <= config.bytes_max {
            return Ok(());
        }
        let deleted = connection.execute(
            "DELETE FROM job WHERE number IN (SELECT number FROM job ORDER BY number
                LIMIT (SELECT max(1, count(*) / 16) FROM job))",
            [],
        )?;
        if deleted == 0 {
            return Ok(());
        }
    }
}

/// Writes what comes, as much at once as waits, until the archive is dropped.
fn write(mut connection: Connection, records: &Receiver<Kept>, config: RecordsConfig) {
    loop {
        let written = match records.recv_timeout(PRUNE_EVERY) {
            Ok(first) => batch(&mut connection, first, records, config),
            Err(RecvTimeoutError::Timeout) => prune(&connection, config),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if let Err(error) = written {
            tracing::error!(error = %chain(&error), "job records not written");
        }
    }
}

fn batch(
    connection: &mut Connection,
    first: Kept,
    records: &Receiver<Kept>,
    config: RecordsConfig,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let waiting = records.try_iter().take(QUEUE - 1);
    for kept in std::iter::once(first).chain(waiting) {
        let mut insert = transaction.prepare_cached(
            "INSERT OR REPLACE INTO job (number, request, at, over, token, record)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        let (token, record) = (digest_of(&kept.token), bounded(kept.record));
        let Kept { number, request, at_unix_ms, over, .. } = kept;
        insert.execute(params![number, request, at_unix_ms, over, token, record])?;
    }
    transaction.commit()?;
    prune(connection, config)
}

/// Cuts what passed over out of a record that is too long.
fn bounded(record: String) -> String {
    if record.len() <= RECORD_BYTES_MAX {
        return record;
    }
    let mut long: Value = serde_json::from_str(&record).unwrap_or_default();
    if let Some(all) = long["passed_over"].as_array_mut() {
        let left_out = all.len().saturating_sub(PASSED_OVER_MAX);
        all.truncate(PASSED_OVER_MAX);
        long["passed_over_left_out"] = json!(left_out);
    }
    long.to_string()
}

#[cfg(test)]
mod tests;
