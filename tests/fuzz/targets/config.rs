//! Any text as configuration file: it is read and can be shown, or every problem is named.

#![no_main]
#![allow(
    dead_code,
    unused_imports,
    reason = "the program's own modules, of which only the reading is used"
)]

#[path = "../../../host/framegate/src/config/mod.rs"]
mod config;
#[path = "../../../host/framegate/src/data/mod.rs"]
mod data;
#[path = "../../../host/framegate/src/telemetry/mod.rs"]
mod telemetry;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (config, problems) = config::Config::parse(text, |_| None);
    for problem in &problems {
        assert!(!problem.message.is_empty(), "a problem without a text");
    }
    assert!(config.effective().is_object());
});
