//! Which crate may depend on which, judged by the manifests.
//!
//! The table here is the picture in ARCHITECTURE.md. It decides nothing about versions.
//!
//! **Invariant:** what a crate may touch is what its manifest lets it reach; "the gateway does no
//! GPU work" is a missing line there.

use std::collections::BTreeSet;

/// The edges between the workspace's crates. Every crate may also use `domain`.
const EDGES: [(&str, &[&str]); 13] = [
    ("domain", &[]),
    ("wire", &[]),
    ("plugin", &[]),
    ("worker", &[]),
    ("media", &[]),
    ("device", &[]),
    ("gateway", &["wire", "plugin"]),
    ("orchestrator", &["wire", "plugin", "worker"]),
    ("session", &["worker", "plugin", "media", "device"]),
    ("framegate", ALL),
    ("framegate-testing", &["device", "plugin", "session"]),
    // What reads a stranger's input, and nothing that links FFmpeg.
    ("strangers", &["wire", "plugin", "gateway", "orchestrator", "worker", "device"]),
    ("tests", ALL),
];
/// What runs or tests the whole; the last is for tests alone, and `framegate` has no use for it.
const ALL: &[&str] = &[
    "wire",
    "plugin",
    "gateway",
    "orchestrator",
    "worker",
    "media",
    "device",
    "session",
    "strangers",
];
/// Native or heavy dependencies, each with the only crate that may name it.
const CONFINED: [(&str, &[&str]); 9] = [
    ("ffmpeg-next", &["media"]),
    ("cudarc", &["device"]),
    // The benches hold every call against the bare engine.
    ("wasmtime", &["plugin", "tests"]),
    ("tonic", &["wire"]),
    ("prost", &["wire", "strangers"]),
    ("hyper", &["wire"]),
    ("rustls", &["wire"]),
    ("rcgen", &["wire"]),
    // The configuration's reading is compiled there once more.
    ("clap", &["framegate", "strangers"]),
];
/// What the crate that decides may use: nothing that acts.
const DOMAIN_MAY_USE: [&str; 1] = ["thiserror"];

/// The parts of a manifest that the rules look at.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) name: String,
    /// Every dependency, with those for building; not those for tests.
    pub(crate) depends: BTreeSet<String>,
    /// Keys that it does not take from the workspace and should.
    own: Vec<&'static str>,
}

impl Manifest {
    /// Reads a `Cargo.toml`.
    pub(crate) fn parse(text: &str) -> Self {
        let table: toml::Table = text.parse().expect("a manifest is TOML");
        let package = table["package"].as_table().expect("a manifest has a package");
        let names = |section: &str| -> BTreeSet<String> {
            let section = table.get(section).and_then(toml::Value::as_table);
            section.into_iter().flatten().map(|(name, _)| name.clone()).collect()
        };
        let name = package["name"].as_str().expect("a package has a name").to_owned();
        let inherited = |table: &toml::Table, key: &str| {
            table.get(key).and_then(|value| value.get("workspace")) == Some(&true.into())
        };
        let mut own: Vec<_> = ["edition", "license", "publish"]
            .into_iter()
            .filter(|key| !inherited(package, key))
            .collect();
        let lints = table.get("lints").and_then(|lints| lints.get("workspace"));
        own.extend((lints != Some(&true.into())).then_some("lints"));
        // A guest has a version that its authors count.
        own.extend((is_native(&name) && !inherited(package, "version")).then_some("version"));
        Self { name, depends: &names("dependencies") | &names("build-dependencies"), own }
    }
}

/// Says whether a crate runs on this machine, not in the sandbox.
fn is_native(name: &str) -> bool {
    EDGES.iter().any(|(from, _)| *from == name)
}

/// Judges one manifest against the table; `ours` are the names of the workspace's crates.
pub(crate) fn judge(manifest: &Manifest, ours: &BTreeSet<String>) -> Vec<String> {
    let name = manifest.name.as_str();
    let mut found = Vec::new();
    let own = manifest.own.iter();
    found.extend(own.map(|key| format!("`{name}` does not take `{key}` from the workspace")));
    let may: &[&str] = EDGES.iter().find(|(from, _)| *from == name).map_or(&[], |(_, to)| to);
    for other in manifest.depends.intersection(ours) {
        let allowed = if !is_native(name) {
            other == "framegate-sdk"
        } else {
            other == "domain" || may.contains(&other.as_str())
        };
        if !allowed {
            found.push(format!("`{name}` may not depend on `{other}`"));
        }
    }
    // An edge in the picture that no manifest has is a lie of the picture.
    if ["gateway", "orchestrator", "session"].contains(&name) {
        let missing = may.iter().filter(|other| !manifest.depends.contains(**other));
        found.extend(missing.map(|other| format!("`{name}` does not depend on `{other}`")));
    }
    for (dependency, only) in CONFINED {
        if manifest.depends.contains(dependency) && !only.contains(&name) {
            found.push(format!("`{name}` may not use `{dependency}`: only {only:?} may"));
        }
    }
    if name == "domain" {
        let acts = manifest.depends.iter().filter(|d| !DOMAIN_MAY_USE.contains(&d.as_str()));
        found.extend(acts.map(|dependency| format!("`domain` may not use `{dependency}`")));
    }
    found
}
