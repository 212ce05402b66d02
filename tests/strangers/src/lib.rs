//! What strangers can send, one module each: bytes go to the code that reads them, which has to
//! refuse them or to make something of them that holds together. A panic is a finding.
//!
//! `tests/it/strangers.rs` feeds seeds and some thousand variations, `./x fuzz` for as long as one
//! likes. It decides nothing about how inputs are found.

mod bytes;
pub mod targets;

use std::path::{Path, PathBuf};

// The reading of the configuration file lies in a program, which no crate can depend on.
#[path = "../../../host/framegate/src/config/mod.rs"]
#[allow(dead_code, unused_imports, reason = "of the program's module only the reading is used")]
mod config;
#[path = "../../../host/framegate/src/data/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the configuration names what is in it")]
mod data;
#[cfg(test)]
#[path = "../../../host/framegate/src/snapshot.rs"]
#[allow(dead_code, unused_imports, reason = "their own tests run in the program's crate")]
mod snapshot;
#[path = "../../../host/framegate/src/telemetry/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the configuration names what is in it")]
mod telemetry;

/// One thing that strangers can send.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: of its module, of its fuzz target, and of the folders of its inputs.
    pub name: &'static str,
    /// Gives bytes to the code that reads them.
    ///
    /// # Panics
    /// Where that code breaks a promise.
    pub feed: fn(&[u8]),
    /// Returns inputs to begin with, each of which gets far.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: [Target; 11] = [
    targets::answers::TARGET,
    targets::cache::TARGET,
    targets::component::TARGET,
    targets::config::TARGET,
    targets::frames::TARGET,
    targets::manifest::TARGET,
    targets::messages::TARGET,
    targets::ops::TARGET,
    targets::prices::TARGET,
    targets::transport_stream::TARGET,
    targets::trickle::TARGET,
];

impl Target {
    /// Returns the target of that name.
    pub fn of(name: &str) -> Option<Self> {
        TARGETS.into_iter().find(|target| target.name == name)
    }

    /// Writes the seeds to `folder`, in the place of older ones.
    pub fn lay_out(&self, folder: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        for (number, seed) in (self.seeds)().iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number:02}")), seed)?;
        }
        Ok(())
    }
}

/// Returns the root of the clone.
fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Returns the folder of a conformance guest: below `FRAMEGATE_GUESTS`, or in the target folder
/// that the running program was built to.
fn guest(name: &str) -> PathBuf {
    let guests = std::env::var_os("FRAMEGATE_GUESTS").map(PathBuf::from).or_else(|| {
        let program = std::env::current_exe().ok()?;
        let mut above = program.ancestors().map(|folder| folder.join("conformance"));
        above.find(|folder| folder.join(name).join("plugin.toml").is_file())
    });
    guests.expect("the guests are built, or FRAMEGATE_GUESTS says where").join(name)
}
