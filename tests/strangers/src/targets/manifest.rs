//! Any text as `plugin.toml`: it is read, or every problem is named.

use std::path::Path;

use plugin::Manifest;

use crate::Target;

/// `plugin.toml`.
pub const TARGET: Target = Target { name: "manifest", feed, seeds };

/// Everything that a manifest can say.
const WHOLE: &str = r#"
[plugin]
id = "any-plugin"
version = "1.2.3-rc.1"
world = "pipeline"
api = "0.1"
component = "any-plugin.wasm"

[limits]
memory = "16 MiB"
fuel = 1000
frame_budget = "5 ms"

[grants]
kv = "1 MiB"
data = true
pixels = true
audio = false
secrets = ["key"]

[state]
layouts = ["a-1", "a-2"]
"#;

fn feed(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(problems) = Manifest::parse(text, Path::new("/plugins/any")) {
        assert!(!problems.is_empty(), "refused without a problem");
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let mut found = vec![WHOLE.into()];
    for place in ["plugins", "tests/conformance"] {
        let folders = crate::root().join(place).read_dir().expect("the folder of the plugins");
        let manifests = folders.flatten().map(|folder| folder.path().join("plugin.toml"));
        found.extend(manifests.filter_map(|path| std::fs::read(path).ok()));
    }
    found.sort();
    found
}
