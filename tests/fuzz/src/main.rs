//! One program for all targets of the crate `strangers`, since each would link all of the host anew:
//! `FRAMEGATE_TARGET` names the one to feed, and in `FRAMEGATE_SEEDS` its seeds are laid out first.

#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use strangers::Target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let variable = |name: &str| std::env::var(name).ok();
    let name = variable("FRAMEGATE_TARGET").expect("FRAMEGATE_TARGET names a target");
    let target = Target::of(&name).expect("FRAMEGATE_TARGET names a target");
    if let Some(folder) = variable("FRAMEGATE_SEEDS") {
        target.lay_out(Path::new(&folder)).expect("seeds can be written");
    }
    target
});

libfuzzer_sys::fuzz_target!(init: LazyLock::force(&TARGET), |bytes: &[u8]| (TARGET.feed)(bytes));
