//! Whether a component fits its world: every import and export that does not, named at once.
//!
//! **Invariant:** an interface is given because its world has it or because both sides grant it,
//! whatever its version: there is one rule for all of them.

use wasmtime::Engine;
use wasmtime::component::Component;

use super::{bare, contract, other_level, same};
use crate::grants::{Grant, Grants, withheld};
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
    if wasi::serves(interface) {
        return None;
    }
    let name = bare(interface);
    let grant = Grant::of(name).filter(|_| world == World::Pipeline);
    if grant.is_none() && !contract::imports(world).iter().any(|ours| bare(ours) == name) {
        return Some("which the world does not have".to_owned());
    }
    if let Some(why) = other_level(interface) {
        return Some(why);
    }
    let why = withheld(grant?, asked, allowed)?;
    Some(format!("which is not granted: {why}"))
}

/// Says what a component is that lacks an export, if it is something.
fn instead(exports: &[&str]) -> String {
    let found = World::ALL.into_iter().find_map(|world| {
        let name = exports.iter().find(|name| bare(name) == bare(world.export()))?;
        Some((world, *name))
    });
    match found {
        None => String::new(),
        Some((world, name)) => match other_level(name) {
            None => format!(" (it is a `{world}`)"),
            Some(why) => format!(" (it exports `{name}`, {why})"),
        },
    }
}
