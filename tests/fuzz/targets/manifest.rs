//! Any text as `plugin.toml`: it is read, or every problem is named.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use plugin::Manifest;

fuzz_target!(|text: &str| {
    if let Err(problems) = Manifest::parse(text, Path::new("/plugins/any")) {
        assert!(!problems.is_empty(), "refused without a problem");
    }
});
