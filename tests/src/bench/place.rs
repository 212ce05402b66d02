//! Where built things are: the program and the guests, in the target folder that the bench was
//! built into.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::Skipped;
use crate::root;

/// Returns the target folder: the bench lies in `<target>/<profile>`, tests one folder deeper.
pub(super) fn target() -> Result<PathBuf, Skipped> {
    let program = env::current_exe().map_err(|error| Skipped(format!("where am I: {error}")))?;
    let above = |levels: usize| program.ancestors().nth(levels).map(Path::to_owned);
    let levels = if program.parent().is_some_and(|p| p.ends_with("deps")) { 3 } else { 2 };
    above(levels).ok_or_else(|| Skipped(format!("`{}` lies in no target", program.display())))
}

/// Returns the folder of a plugin or conformance guest, building all of them, once, before.
pub(super) fn guest(name: &str) -> Result<PathBuf, Skipped> {
    static BUILT: OnceLock<Result<(), Skipped>> = OnceLock::new();
    let target = target()?;
    let mut build = Command::new("sh");
    build.arg("plugins/build.sh").arg(&target).current_dir(root());
    BUILT.get_or_init(|| succeed(&mut build)).clone()?;
    let folders = ["conformance", "plugins"].map(|kind| target.join(kind).join(name));
    let found = folders.into_iter().find(|folder| folder.join("plugin.toml").is_file());
    found.ok_or_else(|| Skipped(format!("no guest is called `{name}`")))
}

/// Builds the release program with its plugins and returns its path.
pub fn build_program() -> Result<PathBuf, Skipped> {
    let target = target()?;
    guest("sketch-video")?;
    let mut build = Command::new("cargo");
    build.args(["build", "-q", "--release", "-p", "framegate", "--target-dir"]).arg(&target);
    succeed(build.current_dir(root()))?;
    Ok(target.join("release/framegate"))
}

fn succeed(command: &mut Command) -> Result<(), Skipped> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Skipped(format!("{command:?} ended with {status}"))),
        Err(error) => Err(Skipped(format!("{command:?}: {error}"))),
    }
}
