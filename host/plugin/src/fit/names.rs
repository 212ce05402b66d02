//! Whether a component fits its world: every import and export that does not, named at once.
//!
//! **Invariant:** an interface is given because its world has it or because both sides grant it,
//! whatever its version: there is one rule for all of them.

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::grants::{Grant, Grants, withheld};
use crate::level::{self, LEVELS};
use crate::manifest::World;
use crate::wasi;

/// Returns everything about `component` that does not fit `world`.
pub(crate) fn misfits(
    engine: &Engine,
    component: &Component,
    world: World,
    asked: &Grants,
    allowed: &Grants,
) -> Vec<String> {
    let kind = component.component_type();
    let imports: Vec<&str> = kind.imports(engine).map(|(name, _)| name).collect();
    let exports: Vec<&str> = kind.exports(engine).map(|(name, _)| name).collect();
    let judged = imports.iter().filter_map(|name| {
        let why = import(name, world, asked, allowed)?;
        Some(format!("it imports `{name}`, {why}"))
    });
    let mut problems: Vec<String> = judged.collect();
    if !exports.iter().any(|name| same(name, world.export())) {
        problems.push(format!("it does not export `{}`{}", world.export(), instead(&exports)));
    }
    problems
}

/// Says why an import is not given; `None`: it is.
fn import(interface: &str, world: World, asked: &Grants, allowed: &Grants) -> Option<String> {
    let (name, version) = interface.split_once('@').unwrap_or((interface, ""));
    if wasi::INTERFACES.contains(&name) && version.starts_with("0.2.") {
        return None;
    }
    let grant = Grant::of(name).filter(|_| world == World::Pipeline);
    if grant.is_none() && !given(world).contains(&name) {
        return Some("which the world does not have".to_owned());
    }
    let level = level::of(interface).unwrap_or_default();
    if !LEVELS.speak(level) {
        return Some(format!("level `{level}` of the contract, and this host speaks {LEVELS}"));
    }
    let why = withheld(grant?, asked, allowed)?;
    Some(format!("which is not granted: {why}"))
}

/// Says what a component is that lacks an export, if it is something.
fn instead(exports: &[&str]) -> String {
    let base = |name: &str| name.split('@').next().unwrap_or_default().to_owned();
    let found = World::ALL.into_iter().find_map(|world| {
        let name = exports.iter().find(|name| base(name) == base(world.export()))?;
        Some((world, *name))
    });
    match found {
        None => String::new(),
        Some((world, name)) if same(name, world.export()) => format!(" (it is a `{world}`)"),
        Some((_, name)) => {
            let level = level::of(name).unwrap_or_default();
            let text = format!("level `{level}` of the contract, and this host speaks {LEVELS}");
            format!(" (it exports `{name}`, {text})")
        }
    }
}

/// Interfaces of ours that a world gives, without version.
const fn given(world: World) -> &'static [&'static str] {
    match world {
        World::SelectionPolicy => &[
            "framegate:common/types",
            "framegate:policy/scope",
            "framegate:policy/candidates",
            "framegate:policy/job-details",
        ],
        World::PricingRule => &[
            "framegate:common/types",
            "framegate:policy/scope",
            "framegate:policy/job-details",
            "framegate:policy/conditions",
            "framegate:policy/meter",
        ],
        World::Pipeline => &[
            "framegate:common/types",
            "framegate:host/log",
            "framegate:host/metrics",
            "framegate:media/session",
            "framegate:media/frames",
            "framegate:media/ops",
            "framegate:media/graphs",
            "framegate:media/catalogue",
            "framegate:media/readings",
        ],
    }
}

/// Compares two interface names up to their level.
fn same(name: &str, wanted: &str) -> bool {
    name.split('@').next() == wanted.split('@').next() && level::of(name) == level::of(wanted)
}
