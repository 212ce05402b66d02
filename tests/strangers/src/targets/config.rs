//! Any text as configuration file: it is read and can be shown, or every problem is named.

use crate::Target;
use crate::config::Config;

/// The configuration file.
pub const TARGET: Target = Target { name: "config", feed, seeds };

fn feed(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (config, problems) = Config::parse(text, |_| None);
    for problem in &problems {
        assert!(!problem.message.is_empty(), "a problem without a text");
    }
    assert!(config.effective().is_object(), "a configuration that cannot be shown");
}

fn seeds() -> Vec<Vec<u8>> {
    let mut found = vec![crate::config::defaults().into_bytes()];
    let examples = crate::root().join("examples").read_dir().expect("the folder of the examples");
    let files = examples.flatten().map(|folder| folder.path().join("config.toml"));
    found.extend(files.filter_map(|path| std::fs::read(path).ok()));
    found
}
