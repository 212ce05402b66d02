//! Helpers of the test binary `it`: real processes, media to feed them, and places.
//!
//! Nothing here judges; the tests do.

pub mod bench;
pub mod client;
pub mod clips;
pub mod market;
pub mod peer;
pub mod probe;
pub mod rig;
mod rng;
pub mod sim;
pub mod vary;

use std::path::PathBuf;

/// Returns the root of the clone that the tests were built from.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_owned()
}

/// Notes that a check was left out, in the form that `./x test` counts.
pub fn skipped(why: &str) {
    note(&format!("skipped: {why}"));
}

/// Prints a line for whoever reads the test's output.
#[expect(clippy::print_stdout, reason = "the test harness collects it")]
pub fn note(line: &str) {
    println!("{line}");
}
