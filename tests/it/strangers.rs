//! What strangers can send, seeds and variations of them: nothing that reads it panics. `./x fuzz`
//! goes on from here.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use strangers::{TARGETS, Target};
use tests::vary::variation;

/// Variations of a target's seeds.
const VARIATIONS: u64 = 4000;
/// Time after which a target has had enough of them: compiling a component takes a while.
const ENOUGH: Duration = Duration::from_secs(2);

/// Feeds a target's seeds and variations of them, each of which is named before it can do harm.
fn feed(target: &Target) {
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty(), "{} begins with nothing", target.name);
    for (number, seed) in seeds.iter().enumerate() {
        named(&format!("seed {number} of `{}`", target.name), || (target.feed)(seed));
    }
    let begun = Instant::now();
    for number in 0..VARIATIONS {
        if begun.elapsed() > ENOUGH {
            tests::note(&format!("{}: {number} variations", target.name));
            return;
        }
        let input = variation(&seeds, number);
        named(&format!("variation {number} of `{}`", target.name), || (target.feed)(&input));
    }
}

fn named(input: &str, feed: impl FnOnce()) {
    let fed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(feed));
    assert!(fed.is_ok(), "{input} is not taken as it should be");
}

#[test]
fn whatever_strangers_send_is_read_or_refused() {
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            TARGETS.iter().map(|target| (target, scope.spawn(|| feed(target)))).collect();
        let failed = threads
            .into_iter()
            .filter_map(|(target, thread)| thread.join().is_err().then_some(target.name));
        let failed: Vec<_> = failed.collect();
        assert!(failed.is_empty(), "{failed:?}");
    });
}

#[test]
fn every_target_is_described() {
    let text = std::fs::read_to_string(tests::root().join("TESTING.md")).expect("TESTING.md");
    let names: BTreeSet<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names.len(), TARGETS.len(), "names are taken once");
    for name in names {
        assert!(text.contains(&format!("`{name}`")), "TESTING.md misses `{name}`");
    }
}
