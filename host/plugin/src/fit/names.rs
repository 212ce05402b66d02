//! Whether a component is granted what it imports.
//!
//! **Invariant:** an interface is given because its world has it or because both sides grant it,
//! whatever its version: there is one rule for all of them.

use super::bare;
use crate::grants::{Grant, Grants, withheld};
use crate::manifest::World;

/// Returns a sentence for each of `imports` that `world` has and that is not granted.
pub(crate) fn ungranted<'a>(
    imports: impl Iterator<Item = &'a str>,
    world: World,
    asked: &Grants,
    allowed: &Grants,
) -> Vec<String> {
    let judged = imports.filter_map(|name| {
        let grant = Grant::of(bare(name)).filter(|_| world == World::Pipeline)?;
        let why = withheld(grant, asked, allowed)?;
        Some(format!("it imports `{name}`, which is not granted: {why}"))
    });
    judged.collect()
}
