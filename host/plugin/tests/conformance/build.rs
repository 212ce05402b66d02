//! Where the built components are, and the one build that puts them there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Returns the workspace's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Builds plugins and guests, once for the process, and returns cargo's target folder.
fn built() -> &'static Path {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    TARGET.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder in target");
        let status = Command::new("sh").arg(root().join("plugins/build.sh")).arg(target).status();
        assert!(status.expect("sh runs").success(), "plugins/build.sh failed");
        target.to_owned()
    })
}

/// Returns the folder of a shipped plugin.
pub(crate) fn plugin(name: &str) -> PathBuf {
    built().join("plugins").join(name)
}

/// Returns the folder of a conformance guest.
pub(crate) fn guest(name: &str) -> PathBuf {
    built().join("conformance").join(name)
}
