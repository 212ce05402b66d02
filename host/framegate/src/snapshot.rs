//! Comparing text with a file that is checked in. `UPDATE_EXPECT=1` writes it instead.

use std::path::Path;

/// Folder of the program's crate, also from the crate that compiles these modules once more.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../host/framegate");

/// Compares `text` with `file` of the folder of the program's crate.
#[track_caller]
pub(crate) fn compare(file: &str, text: &str) {
    let path = Path::new(FOLDER).join(file);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, text).expect("written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == text,
        "`{file}` is not what the code makes; with UPDATE_EXPECT=1 it is written anew:\n{text}"
    );
}
