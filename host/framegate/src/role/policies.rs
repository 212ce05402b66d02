//! Loading the policies that a role's configuration names. Compiles, so before the runtime starts.

use std::path::Path;

use domain::{Class, chain};
use plugin::code::{Compiler, Loader};
use plugin::{Limits, LoadError, Manifest, PolicyEngine, PricingRule, SelectionPolicy};

use crate::config::Config;
use crate::config::convert::{self, Chosen};
use crate::config::env;
use crate::failure::Failure;
use crate::telemetry::Telemetry;

/// This program, as it runs, whatever lies in its place by now.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// Returns who compiles plugins for this process.
pub(crate) fn compiler() -> Compiler {
    Compiler::Apart(env::value(env::COMPILER).unwrap_or_else(|| OWN_PROGRAM.to_owned()).into())
}

/// Loads a selection policy for the key that names it. Compiled code is kept in `cache`.
pub(super) fn selection(
    key: &str,
    chosen: &Chosen,
    cache: &Path,
) -> Result<SelectionPolicy, Failure> {
    load(key, chosen, cache, SelectionPolicy::load)
}

/// Loads a pricing rule for the key that names it. Compiled code is kept in `cache`.
pub(super) fn pricing(key: &str, chosen: &Chosen, cache: &Path) -> Result<PricingRule, Failure> {
    load(key, chosen, cache, PricingRule::load)
}

/// Returns a policy's configuration, which `key` names, with its secrets.
pub(super) fn document(
    config: &Config,
    key: &str,
    text: &str,
    manifest: &Manifest,
) -> Result<String, Failure> {
    convert::with_secrets(config, key, text, manifest)
        .map_err(|problem| Failure::usage(format!("`{key}`: {}", problem.message)))
}

fn load<T>(
    key: &str,
    Chosen { manifest, limits }: &Chosen,
    cache: &Path,
    load: impl FnOnce(&PolicyEngine, &Manifest, &[u8], Limits) -> Result<T, LoadError>,
) -> Result<T, Failure> {
    let engine = PolicyEngine::new().map_err(|error| Failure::from_error(error.class(), &error))?;
    let engine = engine.with_loader(Loader::open(compiler(), Some(cache), Telemetry::sink()));
    let bytes = plugin::load::read(manifest);
    bytes.and_then(|bytes| load(&engine, manifest, &bytes, *limits)).map_err(|error| {
        let text = format!("loading plugin `{}` (`{key}`): {}", manifest.id, chain(&error));
        match error.class() {
            Class::PluginFault => Failure::new(Class::PluginFault, text),
            _ => Failure::usage(text),
        }
    })
}
