//! `plugin.cold` and `plugin.cached`: from a component's bytes to executable code as a role gets it,
//! over what the bare engine takes for the same component.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use domain::event::{Event, Sink};
use plugin::PolicyEngine;
use plugin::code::{Compiler, Loader};
use serde_json::json;
use tempfile::TempDir;
use wasmtime::component::Component;

use super::bare;
use super::pair::{least, measure};
use super::{Line, Skipped, env, machine, place};
use crate::rig;

/// Pairs that compile: each takes a fifth of a second.
const COLD_PAIRS: usize = 25;
/// Pairs that do not, and loads in a block of which the least counts.
const CACHED_PAIRS: usize = 25;
const BLOCKS: usize = 15;
const COLD_GOAL: f64 = 1.3;
const CACHED_GOAL: f64 = 1.5;
const GUEST: &str = "choose-orchestrator";

/// Nobody is told of a bench.
struct Quiet;

impl Sink for Quiet {
    fn emit(&self, _event: Event) {}
}

/// A role's way to code, with a cache in `folder`.
fn engine(folder: &Path) -> Result<PolicyEngine, Skipped> {
    let compiler = Compiler::Apart(rig::program().to_owned());
    let loader = Loader::open(compiler, Some(folder), Arc::new(Quiet));
    Ok(PolicyEngine::new().map_err(Skipped::of)?.with_loader(loader))
}

/// Measures a first start, with the compiler in a child and its answer kept.
pub(super) fn cold() -> Result<Vec<Line>, Skipped> {
    let idle = machine::idle();
    let (manifest, bytes) =
        plugin::load::read_folder(&place::guest(GUEST)?).map_err(Skipped::of)?;
    let cache = TempDir::new().map_err(Skipped::of)?;
    let ours = engine(cache.path())?;
    let bare = bare::policy_engine()?;
    let facts = env(json!({
        "engine": ours.describe(),
        "ours": "child process, limits, code over a pipe, sealed entry written through, loaded",
        "base": "Component::new in this process, same settings",
        "guest": GUEST,
        "clock": "wall",
    }));
    let pairs = measure(
        COLD_PAIRS,
        || {
            for entry in fs::read_dir(cache.path()).map_err(Skipped::of)?.flatten() {
                if entry.path().extension().is_some_and(|it| it == "code") {
                    fs::remove_file(entry.path()).map_err(Skipped::of)?;
                }
            }
            let begun = Instant::now();
            ours.load_code(&manifest, &bytes).map_err(Skipped::of)?;
            Ok(begun.elapsed().as_secs_f64() * 1e3)
        },
        || {
            let begun = Instant::now();
            drop(Component::new(&bare, &bytes)?);
            Ok::<f64, Skipped>(begun.elapsed().as_secs_f64() * 1e3)
        },
    )?;
    Ok(vec![Line::of_pairs("plugin.cold", "ms", &pairs, idle, facts).with_goal(COLD_GOAL)])
}

/// Measures a second start: digest of the component, entry read, seal checked, code loaded.
pub(super) fn cached() -> Result<Vec<Line>, Skipped> {
    let idle = machine::idle();
    let (manifest, bytes) =
        plugin::load::read_folder(&place::guest(GUEST)?).map_err(Skipped::of)?;
    let cache = TempDir::new().map_err(Skipped::of)?;
    let ours = engine(cache.path())?;
    ours.load_code(&manifest, &bytes).map_err(Skipped::of)?;
    let bare = bare::policy_engine()?;
    let code = bare.precompile_component(&bytes)?;
    let facts = env(json!({
        "engine": ours.describe(),
        "ours": "digest of the component, entry read from a file, HMAC-SHA-256 checked, loaded",
        "base": "Component::deserialize of code in memory, same settings",
        "guest": GUEST,
        "code_bytes": code.len(),
        "clock": "wall, least of 15",
    }));
    let mut failed = None;
    let pairs = measure(
        CACHED_PAIRS,
        || {
            let block = || {
                let begun = Instant::now();
                if let Err(error) = ours.load_code(&manifest, &bytes) {
                    failed = Some(Skipped::of(error));
                }
                begun.elapsed().as_secs_f64() * 1e6
            };
            let took = least(BLOCKS, block);
            failed.take().map_or(Ok(took), Err)
        },
        || {
            let block = || {
                let begun = Instant::now();
                // SAFETY: the bytes are what this very engine compiled, a few lines above.
                let loaded = unsafe { Component::deserialize(&bare, &code) };
                drop(loaded.expect("code of this engine loads"));
                begun.elapsed().as_secs_f64() * 1e6
            };
            Ok::<f64, Skipped>(least(BLOCKS, block))
        },
    )?;
    Ok(vec![Line::of_pairs("plugin.cached", "us", &pairs, idle, facts).with_goal(CACHED_GOAL)])
}
