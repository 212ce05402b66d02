//! Whether a component fits a world: every import that is missing, every export that is missing and
//! every function whose types differ, found at once and without compiling or running anything.
//!
//! It reads the component's own WIT and compares it with the WIT that this host was built from. A
//! component need not have everything that a world imports; what it has must be the world's.

mod contract;
mod names;
mod spell;
#[cfg(test)]
mod tests;

use std::fmt;

use contract::Function;
use spell::{Interface, Item, Spelled};

pub(crate) use contract::hash_contract;
pub(crate) use names::ungranted;

use crate::level::{self, LEVELS};
use crate::manifest::World;
use crate::wasi;

/// Characters of a spelled type that are shown to either side of the first difference.
const EXCERPT_CHARS: usize = 30;

/// An interface, or a function of one, that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The interface's name, and the function's.
    pub name: String,
    /// Why, where it is not simply absent.
    pub why: Option<String>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.why.as_ref().map_or(Ok(()), |why| write!(f, " ({why})"))
    }
}

impl From<String> for Missing {
    fn from(name: String) -> Self {
        Self { name, why: None }
    }
}

/// How a component compares with a world.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fit {
    /// What it imports and the world does not have: interfaces, or functions of one.
    pub missing_imports: Vec<Missing>,
    /// What the world asks for and it does not export.
    pub missing_exports: Vec<Missing>,
    /// Functions and types that both have, and differently; each with the first difference.
    pub mismatched_types: Vec<String>,
    /// The world whose export it has; `None`: of no world.
    pub is: Option<World>,
    /// Everything that it imports, by interface.
    pub imports: Vec<String>,
}

impl Fit {
    /// Returns whether it fits.
    pub fn is_good(&self) -> bool {
        self.missing_imports.is_empty()
            && self.missing_exports.is_empty()
            && self.mismatched_types.is_empty()
    }

    /// Returns everything that does not fit, a sentence each.
    pub fn problems(&self) -> Vec<String> {
        let absent = "which the world does not have";
        let imports = self.missing_imports.iter().map(|missing| {
            format!("it imports {}, {}", missing.name, missing.why.as_deref().unwrap_or(absent))
        });
        let exports =
            self.missing_exports.iter().map(|missing| format!("it does not export {missing}"));
        imports.chain(exports).chain(self.mismatched_types.iter().cloned()).collect()
    }
}

/// The bytes are no component that can be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

/// Compares the component `bytes` with `world`.
pub fn fit(bytes: &[u8], world: World) -> Result<Fit, Unreadable> {
    // The first eight bytes of a binary component; a core module differs in the last four.
    if !bytes.starts_with(b"\0asm\x0d\0\x01\0") {
        return Err(Unreadable("it is not a component".to_owned()));
    }
    let shape = spell::shape(bytes).map_err(|error| Unreadable(error.to_string()))?;
    let is = World::ALL.into_iter().find(|world| find(&shape.exports, world.export()).is_some());
    let mut fit = Fit { is, ..Fit::default() };
    for Item { name, interface } in &shape.imports {
        fit.imports.push(name.clone());
        match (contract::interface(contract::imports(world), name), interface) {
            (Some(ours), Some(theirs)) => imported(&mut fit, name, theirs, ours),
            (None, Some(_)) if wasi::serves(name) => {}
            _ => fit.missing_imports.push(absent(world, name)),
        }
    }
    for name in contract::all_exports(world) {
        let ours = contract::interface(&[name], name).expect("what a world has is written down");
        match find(&shape.exports, name) {
            Some(theirs) => exported(&mut fit, name, theirs, ours),
            None if contract::exports(world).contains(name) => {
                let why = instead(&shape.exports, is, name);
                fit.missing_exports.push(Missing { name: format!("`{name}`"), why });
            }
            None => {}
        }
    }
    Ok(fit)
}

/// Says what a component is that lacks an export, if it is something.
fn instead(exports: &[Item], is: Option<World>, wanted: &str) -> Option<String> {
    if let Some(is) = is {
        return Some(format!("it is a `{is}`"));
    }
    let other = exports.iter().find(|item| bare(&item.name) == bare(wanted))?;
    Some(format!("it exports `{}`, {}", other.name, other_level(&other.name)?))
}

fn find<'a>(items: &'a [Item], name: &str) -> Option<&'a Interface> {
    items.iter().find(|item| same(&item.name, name))?.interface.as_ref()
}

/// Notes what they import of an interface that the world has.
fn imported(fit: &mut Fit, name: &str, theirs: &Interface, ours: &contract::Interface) {
    for their in &theirs.functions {
        match ours.functions.iter().find(|our| our.name == their.name) {
            Some(our) => compare(fit, name, their, our),
            None => fit.missing_imports.push(format!("`{name}` `{}`", their.name).into()),
        }
    }
    types(fit, name, theirs, ours);
}

/// Notes what they lack of an interface that the world asks for.
fn exported(fit: &mut Fit, name: &str, theirs: &Interface, ours: &contract::Interface) {
    for our in ours.functions {
        match theirs.functions.iter().find(|their| their.name == our.name) {
            Some(their) => compare(fit, name, their, our),
            None => fit.missing_exports.push(format!("`{name}` `{}`", our.name).into()),
        }
    }
    types(fit, name, theirs, ours);
}

fn compare(fit: &mut Fit, name: &str, theirs: &Spelled, ours: &Function) {
    if let Some(difference) = difference(theirs, ours) {
        fit.mismatched_types.push(format!("`{name}` `{}`: {difference}", ours.name));
    }
}

/// Compares the types that both interfaces name.
fn types(fit: &mut Fit, name: &str, theirs: &Interface, ours: &contract::Interface) {
    for (named, their) in &theirs.types {
        if let Some((_, our)) = ours.types.iter().find(|(our, _)| our == named)
            && let Some(how) = differs(their, our)
        {
            fit.mismatched_types.push(format!("`{name}` type `{named}` {how}"));
        }
    }
}

fn difference(theirs: &Spelled, ours: &Function) -> Option<String> {
    if theirs.params.len() != ours.params.len() {
        return Some(format!("{} parameters, not {}", theirs.params.len(), ours.params.len()));
    }
    for ((their, spelled), (our, wanted)) in theirs.params.iter().zip(ours.params) {
        if their != our {
            return Some(format!("parameter `{their}`, not `{our}`"));
        }
        if let Some(how) = differs(spelled, wanted) {
            return Some(format!("parameter `{our}` {how}"));
        }
    }
    differs(&theirs.result, ours.result).map(|how| format!("result {how}"))
}

/// Tells two spellings apart, by what is around the first difference where they are long.
fn differs(theirs: &str, ours: &str) -> Option<String> {
    if theirs == ours {
        return None;
    }
    let common = theirs.chars().zip(ours.chars()).take_while(|(a, b)| a == b).count();
    let from = common.saturating_sub(EXCERPT_CHARS);
    let excerpt = |text: &str| {
        let before = if from > 0 { "…" } else { "" };
        let shown: String = text.chars().skip(from).take(2 * EXCERPT_CHARS).collect();
        let after = if text.chars().count() > from + 2 * EXCERPT_CHARS { "…" } else { "" };
        if text.is_empty() { "nothing".to_owned() } else { format!("`{before}{shown}{after}`") }
    };
    Some(format!("is {}, not {}", excerpt(theirs), excerpt(ours)))
}

/// Names an import that the world has not, with its level, if that is the trouble.
fn absent(world: World, name: &str) -> Missing {
    let known = contract::imports(world).iter().any(|ours| bare(ours) == bare(name));
    Missing { name: format!("`{name}`"), why: if known { other_level(name) } else { None } }
}

/// Says that an interface is of a level that this host does not speak, if it is.
fn other_level(name: &str) -> Option<String> {
    let level = level::of(name).unwrap_or_default();
    let text = || format!("level `{level}` of the contract, and this host speaks {LEVELS}");
    (!LEVELS.speak(level)).then(text)
}

/// Compares two interface names up to their level, as the engine does when it links them.
fn same(name: &str, wanted: &str) -> bool {
    bare(name) == bare(wanted) && level::of(name) == level::of(wanted)
}

fn bare(name: &str) -> &str {
    name.split('@').next().unwrap_or_default()
}
