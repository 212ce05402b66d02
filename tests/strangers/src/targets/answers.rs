//! Any bytes as the answer of a policy: what leaves the host is a checked value or a fault.
//!
//! The conformance guest `answer-bytes` returns what its configuration spells: any number, lists
//! of any length, texts that are none or lie outside its memory.

use std::sync::{Arc, LazyLock};

use domain::price::Lot;
use plugin::{Candidate, JobFacts, Limits, PolicyEngine, Scope, SelectionPolicy, Snapshot};

use crate::Target;

/// What a selection policy answers.
pub const TARGET: Target = Target { name: "answers", feed, seeds };

/// Bytes of an input that are used: more would only repeat.
const BYTES_MAX: usize = 4096;

static POLICY: LazyLock<SelectionPolicy> = LazyLock::new(|| {
    let engine = PolicyEngine::new().expect("an engine");
    let folder = crate::guest("answer-bytes");
    SelectionPolicy::load_folder(&engine, &folder, Limits::policy()).expect("the guest loads")
});
static SNAPSHOT: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let row = |price_wei| Candidate { price_wei, ..Candidate::unknown("0x1", "https://one") };
    let scope = Scope::new("live-video-to-video/any", Lot::live(), 1, 0);
    Arc::new(Snapshot::new(scope, &[row(10), row(20), row(30)]).expect("three fit"))
});

fn feed(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(BYTES_MAX)];
    let hex = wire::header::hex(bytes);
    let job = JobFacts {
        price_limit_wei: 25,
        excluded: [0].into_iter().collect(),
        ..JobFacts::default()
    };
    let job = Arc::new(job);
    let prepare = || POLICY.prepare(Arc::clone(&SNAPSHOT), &hex).expect("no fault").expect("bytes");
    if let Ok(Ok(list)) = prepare().pick(&job, 1, 1) {
        assert_eq!(list.indices(), [1], "only candidate 1 may be chosen");
    }
    if let Ok(Ok(lines)) = prepare().explain(&job, 1, 1) {
        assert!(lines.len() <= 100, "{} lines", lines.len());
        assert!(lines.iter().all(|line| line.candidate < 3), "a line about nobody");
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let mut found = vec![
        // Candidate 1, alone and before others; one that is too dear, excluded, none.
        vec![0, 1],
        vec![0, 1, 1, 2, 1, 0, 1, 1],
        vec![0, 2],
        vec![0, 0],
        vec![0, 0xf0, 0xff, 0xff, 0xff, 0xff],
        // One line: candidate 1, a score, one part with both texts, and why it was left out.
        vec![0, 1, 1, 0, 0, 0, 0, 1, 1, b'a', 1, 0, b'b', 0, 0],
        vec![0, 1, 1, 0, 0, 1, 2, 0, b'a', b'b', 1, 0, b'c', 1, 1, 0, b'd'],
        // A part whose label lies outside the guest's memory.
        vec![0, 1, 1, 0, 0, 1, 9, 1, 0xf0, 0, 0, 0, 0xff],
        // A label that is no text.
        vec![0, 1, 1, 0, 0, 1, 2, 0, 0xff, 0xfe],
    ];
    // Each way to decline, with and without a reason that there is.
    found.extend((0..5).map(|way| vec![1, way, 1]));
    found.push(vec![1, 4, 77]);
    found
}
