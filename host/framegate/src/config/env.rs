//! Environment variables: their names, and the one rule by which they override the file.
//!
//! A variable of [`OVERRIDES`] that is set and not empty replaces the value of its key before the
//! file is checked. It is written as in the file, text without quotes; what is wrong with it is
//! reported under the variable's name.

/// The data directory, after `--data-dir`.
pub(crate) const DATA: &str = "FRAMEGATE_DATA";
/// Folders with plugins, joined by colons; searched after `[plugins] folders`.
pub(crate) const PLUGINS: &str = "FRAMEGATE_PLUGINS";
/// URL of the gateway that `framegate run` uses, after `--gateway`.
pub(crate) const GATEWAY: &str = "FRAMEGATE_GATEWAY";
/// Overrides `orchestrator.threads`.
pub(crate) const THREADS: &str = "FRAMEGATE_THREADS";
/// Overrides `orchestrator.simd`.
pub(crate) const SIMD: &str = "FRAMEGATE_SIMD";
/// Folder of plugins' stores; set by an orchestrator for its worker.
pub(crate) const STORES: &str = "FRAMEGATE_STORES";
/// Program that compiles plugins, instead of the one that runs: under a tool that runs a program by
/// its own means, such as valgrind, that one is the tool.
pub(crate) const COMPILER: &str = "FRAMEGATE_COMPILER";
/// Overrides `log.level`.
pub(crate) const LOG: &str = "FRAMEGATE_LOG";

/// Variables that override a key.
pub(crate) const OVERRIDES: [(&str, &str); 3] =
    [(THREADS, "orchestrator.threads"), (SIMD, "orchestrator.simd"), (LOG, "log.level")];

/// Returns the value of a variable that is set and not empty.
pub(crate) fn value(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}
