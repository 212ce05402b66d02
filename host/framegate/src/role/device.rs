//! Whether the configured device is there, asked before a port opens.
//!
//! A process of its own opens it and ends again: a role touches no card itself.

use std::process::{Command, Stdio};

use domain::Class;

use crate::config::{Config, env};
use crate::failure::Failure;

/// Returns what was found, such as which device `auto` takes and why. Errors: the device is not
/// there, as its own words say.
pub(super) fn look(config: &Config) -> Result<String, Failure> {
    let own = &config.orchestrator;
    let failed = |attempt: &str, error: std::io::Error| {
        Failure::new(Class::Internal, format!("{attempt}: {error}"))
    };
    let program = std::env::current_exe().map_err(|error| failed("finding this program", error))?;
    let looked = Command::new(program)
        .args(["worker", "--look", "--device", &own.device])
        .env(env::THREADS, own.threads.to_string())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed("looking for the device", error))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if looked.status.success() {
        return Ok(text(&looked.stdout));
    }
    let said = text(&looked.stderr);
    let said = said.strip_prefix("framegate: ").unwrap_or(&said);
    let key = format!("`orchestrator.device` = \"{}\": {said}", own.device);
    Err(Failure::usage(key).hint("`cpu-0`, or `auto` for a card if there is one"))
}
