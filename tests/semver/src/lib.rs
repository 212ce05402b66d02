//! The contract grows as it says: every world of `wit/` can stand for the one that was released.

#![cfg(test)]

use std::path::{Path, PathBuf};

use wit_component::semver_check;
use wit_parser::{Resolve, WorldId};

fn wit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit")
}

/// Version that packages of a released text are given here, so that both texts fit into one
/// resolve; the check compares without versions.
const OTHER: &str = "0.0.99";

/// A function with what stands before it.
const WARM: &str = "    @since(version = 0.1.0)\n    warm: func() -> list<bool>;\n";

/// Reads a text.
fn read(folder: &Path) -> Resolve {
    let mut resolve = Resolve::default();
    resolve.push_dir(folder).unwrap_or_else(|error| panic!("{}: {error:#}", folder.display()));
    resolve
}

/// Reads a text and gives its packages another version.
fn renamed(folder: &Path) -> Resolve {
    let mut resolve = read(folder);
    resolve.package_names.clear();
    for (id, package) in resolve.packages.iter_mut() {
        package.name.version = Some(OTHER.parse().expect("a version"));
        resolve.package_names.insert(package.name.clone(), id);
    }
    resolve
}

/// Finds world `name` of package `framegate:plugin` in `resolve` that is, or is not, the released one.
fn world(resolve: &Resolve, name: &str, released: bool) -> WorldId {
    let found = resolve.worlds.iter().find(|(_, world)| {
        let package = &resolve.packages[world.package.expect("a world has a package")].name;
        let old = package.version.as_ref().is_some_and(|version| version.to_string() == OTHER);
        package.name == "plugin" && world.name == name && old == released
    });
    found.unwrap_or_else(|| panic!("no world `{name}`")).0
}

fn compare(released: &Path, now: &Path, name: &str) -> Result<(), String> {
    let mut resolve = read(now);
    resolve.merge(renamed(released)).map_err(|error| format!("{error:#}"))?;
    let (old, new) = (world(&resolve, name, true), world(&resolve, name, false));
    semver_check(resolve, old, new).map_err(|error| format!("{error:#}"))
}

#[test]
fn every_world_can_stand_for_the_one_that_was_released() {
    let wit = wit();
    for entry in wit.join("released").read_dir().expect("there are releases") {
        let released = entry.expect("an entry can be read").path();
        for name in ["selection-policy", "pricing-rule", "pipeline", "pipeline-full"] {
            let compared = compare(&released, &wit, name);
            assert_eq!(compared, Ok(()), "{} of {}", name, released.display());
        }
    }
}

#[test]
fn a_frozen_part_that_changed_and_an_import_that_went_are_found() {
    let wit = wit();
    let folder = tempfile::tempdir().unwrap();
    let change = |file: &str, from: &str, to: &str| {
        let copy = folder.path().join("wit");
        let _ = std::fs::remove_dir_all(&copy);
        copy_folder(&wit, &copy);
        let path = copy.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has `{from}`");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        copy
    };
    let policy = "deps/policy/policy.wit";
    let media = "deps/media/media.wit";
    for (file, from, to, world, good) in [
        (policy, "excluded: u32,", "excluded: u64,", "selection-policy", false),
        (policy, WARM, "", "selection-policy", false),
        (
            media,
            "release: func(frame: frame);",
            "release: func(frame: frame) -> bool;",
            "pipeline",
            false,
        ),
        (
            policy,
            "count: func() -> u32;",
            "count: func() -> u32;\n    more: func() -> u32;",
            "selection-policy",
            true,
        ),
    ] {
        let changed = change(file, from, to);
        let compared = compare(&wit.join("released/0.1.0"), &changed, world);
        assert_eq!(compared.is_ok(), good, "`{from}`: {compared:?}");
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match (from.is_dir(), entry.file_name() == "released") {
            (_, true) => {}
            (true, false) => copy_folder(&from, &to),
            (false, false) => drop(std::fs::copy(&from, &to).unwrap()),
        }
    }
}
