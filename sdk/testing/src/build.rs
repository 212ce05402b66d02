//! Building a plugin's crate with the cargo that runs the test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// cargo could not be started.
    #[error("starting `{program}`")]
    Start {
        /// What was to be run.
        program: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The crate does not build; cargo has said why.
    #[error("building the crate in `{folder}` for `{TARGET}` failed", folder = folder.display())]
    Failed {
        /// The crate's folder.
        folder: PathBuf,
    },
    /// It builds, but not to a component.
    #[error(
        "the crate in `{folder}` makes no .wasm file: its `crate-type` has to be `cdylib`",
        folder = folder.display()
    )]
    NoComponent {
        /// The crate's folder.
        folder: PathBuf,
    },
    /// The component cannot be read.
    #[error("reading `{path}`", path = path.display())]
    Read {
        /// Where it was built to.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// What plugins are built for.
const TARGET: &str = "wasm32-wasip2";

/// Builds the crate in `folder` and returns its component.
pub(crate) fn component(folder: &Path, profile: &str) -> Result<Vec<u8>, BuildError> {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let manifest = folder.join("Cargo.toml");
    let mut cargo = Command::new(&program);
    cargo.args(["build", "--quiet", "--lib", "--target", TARGET, "--profile", profile]);
    cargo.args(["--message-format", "json-render-diagnostics", "--manifest-path"]).arg(&manifest);
    // What a test run sets for its own crates is not meant for the component.
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let done = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let done = done.map_err(|source| BuildError::Start { program, source })?;
    if !done.status.success() {
        return Err(BuildError::Failed { folder: folder.to_owned() });
    }
    let messages = String::from_utf8_lossy(&done.stdout);
    let path = messages.lines().filter_map(|line| serde_json::from_str(line).ok()).find_map(
        |message: Value| {
            let of_this = message["manifest_path"].as_str().map(Path::new) == Some(&manifest);
            let files = message["filenames"].as_array().filter(|_| of_this)?;
            let mut files = files.iter().filter_map(Value::as_str);
            files.find(|file| file.ends_with(".wasm")).map(PathBuf::from)
        },
    );
    let path = path.ok_or_else(|| BuildError::NoComponent { folder: folder.to_owned() })?;
    std::fs::read(&path).map_err(|source| BuildError::Read { path, source })
}
