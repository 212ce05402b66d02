//! The audit log: one JSON line for each call that changes something, never rewritten.
//!
//! **Invariant:** once a line could not be written, no further change is taken.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// What is written down of a call.
#[derive(Debug, Serialize)]
pub(super) struct Entry<'a> {
    /// Who called: `uid 0 pid 12` over the Unix socket, `token from 127.0.0.1:5` over TCP.
    pub(super) who: String,
    /// Method and path.
    pub(super) what: &'a str,
    /// HTTP status of the answer.
    pub(super) status: u16,
    /// `done` or `refused`.
    pub(super) outcome: &'static str,
}

#[derive(Serialize)]
struct Line<'a> {
    /// Milliseconds since 1970, UTC.
    at_ms: u128,
    #[serde(flatten)]
    entry: &'a Entry<'a>,
}

/// An open audit log.
#[derive(Debug)]
pub(super) struct Audit {
    file: File,
    broken: AtomicBool,
}

impl Audit {
    /// Opens the log at `path` for adding to it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        Ok(Self { file, broken: AtomicBool::new(false) })
    }

    /// Returns whether a line could not be written.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Adds a line and writes it through. Blocks for the disk.
    pub(super) fn add(&self, entry: &Entry<'_>) -> io::Result<()> {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = Line { at_ms: at.as_millis(), entry };
        let mut line = serde_json::to_vec(&line).map_err(io::Error::other)?;
        line.push(b'\n');
        // One write to a file opened for appending: lines of two calls do not mix.
        let written = (&self.file).write_all(&line).and_then(|()| self.file.sync_data());
        if written.is_err() {
            self.broken.store(true, Ordering::Relaxed);
        }
        written
    }
}
