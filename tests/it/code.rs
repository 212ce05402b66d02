//! The cache of compiled code under the program itself: a first start compiles, a second does not,
//! and whatever is done to an entry costs one compilation and no trust.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tests::rig::{self, Rig, Setup};

/// Both roles with a policy each, besides the pipeline of the worker.
fn setup() -> Setup {
    Setup {
        gateway: "selection = \"choose-orchestrator\"".to_owned(),
        orchestrator: "pricing = \"price-job\"".to_owned(),
        ..Setup::default()
    }
}

/// The plugins of [`setup`].
const PLUGINS: [&str; 3] = ["choose-orchestrator", "price-job", "sketch-video"];

/// Returns where the code of each plugin came from, once all of it is loaded.
fn sources(rig: &Rig) -> [String; 3] {
    rig.wait_for_log("pipeline loaded");
    let log = rig.log();
    PLUGINS.map(|plugin| {
        let line = log.lines().find(|line| {
            line.contains("plugin code loaded") && line.contains(&format!("plugin=\"{plugin}\""))
        });
        let line = line.unwrap_or_else(|| panic!("`{plugin}` was not loaded:\n{log}"));
        let source = line.split("source=\"").nth(1).and_then(|rest| rest.split('"').next());
        source.expect("it says from where").to_owned()
    })
}

/// Returns the reasons for which entries were rejected, in order of the words.
fn rejections(rig: &Rig) -> Vec<String> {
    let log = rig.log();
    let lines = log.lines().filter(|line| line.contains("cached code rejected"));
    let reason = |line: &str| line.split("reason=\"").nth(1)?.split('"').next().map(str::to_owned);
    let mut reasons: Vec<_> = lines.filter_map(reason).collect();
    reasons.sort();
    reasons
}

/// Adds up a counter over both roles.
fn counted(rig: &Rig, metric: &str) -> u64 {
    let role = |role| {
        let (_, text) = rig::get(rig.address(role, "admin"), "/metrics").expect("it answers");
        let lines = text.lines().filter(|line| line.starts_with(metric));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum::<u64>()
    };
    role("gateway") + role("orchestrator")
}

fn entries(data: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(data.join("cache")).expect("there is a cache");
    let paths = listed.map(|entry| entry.expect("an entry can be read").path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|it| it == "code")).collect();
    paths.sort();
    paths
}

#[test]
fn a_second_start_compiles_nothing_and_trusts_nothing_that_was_touched() {
    let compiled = PLUGINS.map(|_| "compiler".to_owned());
    let first = setup().up();
    assert_eq!(sources(&first), compiled);
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let cache = first.data().join("cache");
    assert_eq!((mode(&cache), mode(&cache.join("secret"))), (0o700, 0o600));
    let data = first.stop();

    let second = setup().up_in(data);
    assert_eq!(sources(&second), PLUGINS.map(|_| "cache".to_owned()));
    assert_eq!(counted(&second, "framegate_plugin_code_loaded_total{source=\"cache\"}"), 3);
    assert_eq!(rejections(&second), Vec::<String>::new());
    let data = second.stop();

    // One byte of code, an entry cut short, and an entry in the place of another.
    let paths = entries(data.path());
    let [flipped, cut, replaced] = paths.as_slice() else { panic!("{paths:?}") };
    let whole = fs::read(flipped).expect("it can be read");
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    fs::write(cut, &whole[..60]).expect("it can be written");
    fs::write(replaced, &whole).expect("it can be written");
    fs::write(flipped, changed).expect("it can be written");
    let third = setup().up_in(data);
    assert_eq!(sources(&third), compiled);
    assert_eq!(rejections(&third), ["foreign", "forged", "short"]);
    assert_eq!(counted(&third, "framegate_plugin_code_rejected_total"), 3);
    let data = third.stop();

    // Another machine's secret: whole entries, and none of this machine's.
    fs::write(data.path().join("cache/secret"), [7; 32]).expect("it can be written");
    let fourth = setup().up_in(data);
    assert_eq!(sources(&fourth), compiled);
    assert_eq!(rejections(&fourth), ["forged"; 3]);
    assert_eq!(entries(fourth.data()).len(), 3, "each entry took the place of the one rejected");
}
