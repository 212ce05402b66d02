//! `[plugins]`: where plugins are found.

use std::path::PathBuf;

use super::section::section;

section! {
    /// Where plugins are found.
    Plugins {
        /// Folders that hold one folder a plugin. Searched first; then come those of
        /// `FRAMEGATE_PLUGINS`, then `plugins` and `share/framegate/plugins` beside the folder of
        /// the program.
        folders: Vec<PathBuf> = Vec::new();
    }
}
