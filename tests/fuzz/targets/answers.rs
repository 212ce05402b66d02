//! Any bytes as the answer of a guest: what leaves the host is a checked value or a fault.
//!
//! The conformance guest `answer-bytes` returns what its configuration spells: any number, lists
//! of any length, texts that are none or lie outside its memory.

#![no_main]

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use domain::price::Lot;
use libfuzzer_sys::fuzz_target;
use plugin::{Candidate, JobFacts, Limits, PolicyEngine, Scope, SelectionPolicy, Snapshot};

/// Bytes of an input that are used: more would only repeat.
const BYTES_MAX: usize = 4096;

static POLICY: LazyLock<SelectionPolicy> = LazyLock::new(|| {
    let folder = std::env::var_os("FRAMEGATE_GUESTS").expect("FRAMEGATE_GUESTS is set");
    let engine = PolicyEngine::new().expect("an engine");
    let folder = PathBuf::from(folder).join("answer-bytes");
    SelectionPolicy::load_folder(&engine, &folder, Limits::policy()).expect("the guest loads")
});
static SNAPSHOT: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let row = |price_wei| Candidate { price_wei, ..Candidate::unknown("0x1", "https://one") };
    let scope = Scope::new("live-video-to-video/fuzz", Lot::live(), 1, 0);
    Arc::new(Snapshot::new(scope, &[row(10), row(20), row(30)]).expect("three fit"))
});

fuzz_target!(|bytes: &[u8]| {
    let bytes = &bytes[..bytes.len().min(BYTES_MAX)];
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
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
        assert!(lines.len() <= 100 && lines.iter().all(|line| line.candidate < 3));
    }
});
