//! The contract that this host was built from: names and spelled types of every interface, and
//! which world has which. Written by `build.rs`.

use std::hash::{Hash, Hasher};

use super::same;
use crate::manifest::World as WorldName;

/// A function: its parameters in order, and its result, empty if it has none.
#[derive(Hash)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) params: &'static [(&'static str, &'static str)],
    pub(super) result: &'static str,
}

/// An interface with its functions and the types that it names, resources left out.
#[derive(Hash)]
pub(super) struct Interface {
    pub(super) name: &'static str,
    pub(super) functions: &'static [Function],
    pub(super) types: &'static [(&'static str, &'static str)],
}

#[derive(Hash)]
struct World {
    name: &'static str,
    imports: &'static [&'static str],
    exports: &'static [&'static str],
    all_exports: &'static [&'static str],
}

include!(concat!(env!("OUT_DIR"), "/contract.rs"));

/// Feeds the whole contract to `hasher`: what fitted another one may not fit this.
pub(crate) fn hash_contract(hasher: &mut impl Hasher) {
    INTERFACES.hash(hasher);
    WORLDS.hash(hasher);
}

fn world(name: WorldName) -> &'static World {
    WORLDS.iter().find(|world| world.name == name.name()).expect("every world is written down")
}

/// Returns the interfaces that a component of `world` may import, those of grants included.
pub(super) fn imports(of: WorldName) -> &'static [&'static str] {
    world(of).imports
}

/// Returns the interfaces that a component of `world` has to export.
pub(super) fn exports(of: WorldName) -> &'static [&'static str] {
    world(of).exports
}

/// Returns the interfaces that a component of `world` may export.
pub(super) fn all_exports(of: WorldName) -> &'static [&'static str] {
    world(of).all_exports
}

/// Finds the interface that the engine would link `name` to, among `offered`.
pub(super) fn interface(offered: &[&str], name: &str) -> Option<&'static Interface> {
    let offered = offered.iter().find(|ours| same(ours, name))?;
    INTERFACES.iter().find(|interface| interface.name == *offered)
}

#[cfg(test)]
#[test]
fn every_world_and_its_interfaces_are_written_down() {
    for of in WorldName::ALL {
        assert!(exports(of).iter().any(|name| same(name, of.export())));
        for name in imports(of).iter().chain(all_exports(of)) {
            let interface = interface(&[name], name).expect(name);
            assert!(!interface.functions.is_empty() || !interface.types.is_empty(), "{name}");
        }
        assert!(exports(of).iter().all(|name| all_exports(of).contains(name)));
    }
}
