//! Replacing a file so that a reader, and a machine that loses power, sees the old or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Replaces the file at `path` by `contents`, readable by `mode` (such as `0o600`): a temporary
/// file beside it, written through, then renamed, then the folder written through.
pub(crate) fn replace(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no file name"));
    };
    let mut temporary = name.to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = folder.join(temporary);
    // One left by a process of the same number that died; `create_new` then sets the mode.
    drop(fs::remove_file(&temporary));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(contents).and_then(|()| file.sync_all()).and_then(|()| {
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    })
}
