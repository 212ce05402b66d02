//! The rules of STYLE.md and ARCHITECTURE.md that a machine can see, over the whole tree.
//!
//! Each checker is also shown text that breaks its rule: one that cannot fail checks nothing.

mod manifest;
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use self::manifest::Manifest;
use self::source::Finding;

/// Files in a place, as `(path from the root, text)`; compiled output and other people's code are
/// not ours to judge.
fn files(root: &Path, below: &str, extension: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root.join(below)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("an entry can be read").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                let ours = !name.starts_with('.') && !["target", "out"].contains(&name.as_str());
                folders.extend(ours.then_some(path));
            } else if path.extension().is_some_and(|found| found == extension) {
                let text = fs::read_to_string(&path).expect("a source file is text");
                let from_root = path.strip_prefix(root).expect("below the root");
                found.push((from_root.to_string_lossy().into_owned(), text));
            }
        }
    }
    found.sort();
    found
}

fn rust_files() -> Vec<(String, String)> {
    let root = tests::root();
    let places = ["host", "plugins", "sdk", "tests", "examples"];
    places.iter().flat_map(|place| files(&root, place, "rs")).collect()
}

/// Applies a checker to each file that `applies` names and fails with all that it finds.
fn hold(what: &str, applies: impl Fn(&str) -> bool, check: impl Fn(&str) -> Vec<Finding>) {
    let mut broken = Vec::new();
    let mut looked_at = 0;
    for (path, text) in rust_files().into_iter().filter(|(path, _)| applies(path)) {
        looked_at += 1;
        let found = check(&text);
        broken.extend(found.into_iter().map(|f| format!("{path}:{}: {}", f.line, f.text)));
    }
    assert!(looked_at > 0, "{what}: no file was looked at");
    assert!(broken.is_empty(), "{what}:\n{}", broken.join("\n"));
}

/// Code of the product itself: of a host crate, and not behind `#[cfg(test)]`.
fn is_host(path: &str) -> bool {
    let test = path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "examples"));
    path.starts_with("host/") && !test
}

/// Where Livepeer's words may stand: the crate that translates them and two tables of old names.
fn may_speak_livepeer(path: &str) -> bool {
    path.starts_with("host/wire/")
        || path == "host/framegate/src/cli/compat.rs"
        || path == "host/framegate/src/telemetry/compat.rs"
}

#[test]
fn every_file_says_what_it_is_and_stays_short() {
    hold("shape", |_| true, source::shape);
}

#[test]
fn nothing_is_left_to_be_done() {
    hold("unfinished", |path| !path.starts_with("tests/it/tidy"), source::unfinished);
}

#[test]
fn no_type_or_module_has_a_name_that_says_nothing() {
    hold("names", |_| true, source::names);
}

#[test]
fn host_code_unwraps_nothing_and_leaves_nothing_over() {
    hold("left over", is_host, source::left_over);
}

#[test]
fn no_test_sleeps_or_is_skipped_in_silence() {
    let is_test = |path: &str| path.starts_with("tests/it/") && !path.starts_with("tests/it/tidy");
    hold("weak tests", is_test, source::weak_tests);
}

#[test]
fn the_words_of_the_wire_stay_in_the_wire() {
    hold("wire words", |path| is_host(path) && !may_speak_livepeer(path), source::foreign_words);
}

#[test]
fn the_source_checkers_can_fail() {
    let texts = |found: Vec<Finding>| found.into_iter().map(|f| f.text).collect::<Vec<_>>();
    let long = format!("//! X.\nfn long() {{\n{}}}\n", "    step();\n".repeat(70));
    assert_eq!(texts(source::shape(&long)), ["`long` has 72 lines (of 70)"]);
    assert_eq!(texts(source::shape(&"//! X.\n".repeat(601))), ["has 601 lines (of 600)"]);
    assert_eq!(texts(source::shape("fn f() {}")), ["does not open with `//!`"]);
    assert_eq!(texts(source::unfinished("//! TODO: write")), ["leaves something to be done"]);
    assert_eq!(
        texts(source::names("struct SessionManager;\nmod utils {}\n")),
        ["`SessionManager` says nothing", "`utils` says nothing"]
    );
    assert_eq!(source::left_over("fn f() {\n    g().unwrap();\n}")[0].line, 2);
    assert_eq!(texts(source::weak_tests("thread::sleep(a);")).len(), 1);
    assert_eq!(texts(source::foreign_words("let broadcaster = json[\"model_id\"];")).len(), 2);
}

#[test]
fn the_source_checkers_look_at_code_only() {
    let text = r##"
//! Not here: `.unwrap()`.
fn f<'a>(x: &'a str) -> char { let s = ".unwrap()"; let r = r#"x.unwrap() " "#; '"' }
/* struct Manager; */
#[cfg(test)]
mod tests { fn g() { x.unwrap(); if a { b } } }
fn after() { y.unwrap(); }
"##;
    let found = source::left_over(text);
    assert_eq!(found.iter().map(|f| f.line).collect::<Vec<_>>(), [7]);
    assert_eq!(source::names(text), []);
}

fn manifests() -> Vec<(PathBuf, Manifest)> {
    let root = tests::root();
    let found = ["host", "plugins", "sdk", "tests"]
        .iter()
        .flat_map(|place| files(&root, place, "toml"))
        .filter(|(path, _)| path.ends_with("Cargo.toml"))
        // Fuzz targets are a workspace of their own, and reach what strangers reach; so is what
        // compares the contract with its releases.
        .filter(|(path, _)| !path.starts_with("tests/fuzz") && !path.starts_with("tests/semver"));
    found.map(|(path, text)| (PathBuf::from(path), Manifest::parse(&text))).collect()
}

#[test]
fn the_crates_keep_one_direction() {
    let manifests = manifests();
    let ours: BTreeSet<String> = manifests.iter().map(|(_, m)| m.name.clone()).collect();
    assert!(ours.len() >= 14, "only {ours:?} were found");
    let found: Vec<_> = manifests.iter().flat_map(|(_, m)| manifest::judge(m, &ours)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_direction_checker_can_fail() {
    let ours = ["domain", "gateway", "media", "plugin", "scale-video", "wire"];
    let ours = ours.into_iter().map(str::to_owned).collect();
    let judged = |name: &str, depends: &str| {
        let package = "version.workspace = true\nedition.workspace = true\n\
             license.workspace = true\npublish.workspace = true\n[lints]\nworkspace = true";
        let text = format!("[package]\nname = \"{name}\"\n{package}\n[dependencies]\n{depends}");
        manifest::judge(&Manifest::parse(&text), &ours)
    };
    let gateway = "domain = \"0\"\nwire = \"0\"\nplugin = \"0\"\n";
    assert_eq!(judged("gateway", gateway), Vec::<String>::new());
    assert_eq!(
        judged("gateway", &format!("{gateway}media = \"0\"\nffmpeg-next = \"9\"")),
        [
            "`gateway` may not depend on `media`",
            "`gateway` may not use `ffmpeg-next`: only [\"media\"] may"
        ]
    );
    assert_eq!(judged("gateway", "wire = \"0\""), ["`gateway` does not depend on `plugin`"]);
    assert_eq!(judged("domain", "tokio = \"1\""), ["`domain` may not use `tokio`"]);
    assert_eq!(
        judged("scale-video", "plugin = \"0\""),
        ["`scale-video` may not depend on `plugin`"]
    );
    let bare = manifest::judge(&Manifest::parse("[package]\nname = \"wire\""), &ours);
    let keys = ["edition", "license", "publish", "lints", "version"];
    assert_eq!(bare, keys.map(|key| format!("`wire` does not take `{key}` from the workspace")));
}

#[test]
fn every_plugin_comes_with_manifest_and_description() {
    for entry in fs::read_dir(tests::root().join("plugins")).expect("there are plugins") {
        let folder = entry.expect("an entry can be read").path();
        if !folder.is_dir() {
            continue;
        }
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        assert!(name.contains('-'), "`{name}` is no verb-noun name");
        for file in ["Cargo.toml", "README.md", "src/lib.rs"] {
            assert!(folder.join(file).is_file(), "`{name}` has no {file}");
        }
        let manifest = fs::read_to_string(folder.join("plugin.toml"))
            .unwrap_or_else(|error| panic!("`{name}` has no plugin.toml: {error}"));
        let manifest: toml::Table = manifest.parse().expect("plugin.toml is TOML");
        assert_eq!(manifest["plugin"]["id"].as_str(), Some(name.as_str()), "id of `{name}`");
    }
}

/// Commands that `./x` lists in its usage.
fn commands_of_x(script: &str) -> Vec<String> {
    let usage = script.split("usage: ./x COMMAND").nth(1).unwrap_or_default();
    let usage = usage.split("\nEND").next().unwrap_or_default();
    let rows = usage.lines().filter(|line| line.starts_with("  "));
    rows.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

#[test]
fn the_documents_name_every_command_and_every_crate() {
    let root = tests::root();
    let read = |name: &str| {
        fs::read_to_string(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let (readme, architecture) = (read("README.md"), read("ARCHITECTURE.md"));
    let commands = commands_of_x(&read("x"));
    assert_eq!(commands.len(), 11, "{commands:?}");
    for command in commands {
        assert!(readme.contains(&format!("./x {command}")), "README.md misses `./x {command}`");
    }
    for (path, manifest) in manifests() {
        if path.starts_with("host") {
            let row = format!("`{}`", manifest.name);
            assert!(architecture.contains(&row), "ARCHITECTURE.md misses {row}");
        }
    }
    let lines = architecture.lines().count();
    assert!(lines <= 250, "ARCHITECTURE.md has {lines} lines (of 250)");
    for name in ["STYLE.md", "TESTING.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        assert!(!read(name).is_empty(), "{name} is empty");
    }
}
