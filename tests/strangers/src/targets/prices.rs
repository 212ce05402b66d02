//! Any bytes as the answer of a pricing rule: what leaves the host is a checked value or a fault.
//!
//! The conformance guest `price-bytes` returns what its configuration spells.

use std::sync::{Arc, LazyLock};

use domain::price::Lot;
use plugin::policy::pricing::{Basis, Conditions, Meter, Side};
use plugin::{JobFacts, Limits, PolicyEngine, PricingRule, Scope, Snapshot, Urgency};

use crate::Target;

/// What a pricing rule answers.
pub const TARGET: Target = Target { name: "prices", feed, seeds };

/// Bytes of an input that are used: more would only repeat.
const BYTES_MAX: usize = 4096;
/// The base price, and the contract's bounds on what is made of it.
const BASE_WEI: u64 = 100;
const PARTS_MAX: usize = 100;
const VALID_FOR_US_MAX: u32 = 60_000_000;

static RULE: LazyLock<PricingRule> = LazyLock::new(|| {
    let engine = PolicyEngine::new().expect("an engine");
    PricingRule::load_folder(&engine, &crate::guest("price-bytes"), Limits::policy())
        .expect("the guest loads")
});
static SNAPSHOT: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let scope = Scope::new("live-video-to-video/any", Lot::live(), 1, 0);
    Arc::new(Snapshot::new(scope, &[]).expect("nobody fits"))
});

fn feed(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(BYTES_MAX)];
    let hex = wire::header::hex(bytes);
    let Ok(Ok(mut rule)) = RULE.prepare(Arc::clone(&SNAPSHOT), &hex) else { return };
    let job = Arc::new(JobFacts::default());
    let conditions = Arc::new(Conditions::default());
    let basis = Basis {
        side: Side::Ask,
        urgency: Urgency::Live,
        tier: 0,
        base_wei: BASE_WEI,
        units: 0,
        load_ppm: 0,
        overhead_ppm: 0,
    };
    if let Ok(Ok(quoted)) = rule.quote(&job, &basis, &conditions, 1) {
        assert!(quoted.valid_for_us <= VALID_FOR_US_MAX, "{} us", quoted.valid_for_us);
    }
    // A fault ends the instance; the next call is another one's.
    let Ok(Ok(mut rule)) = RULE.prepare(Arc::clone(&SNAPSHOT), &hex) else { return };
    if let Ok(Ok(parts)) = rule.explain(&job, &basis, &conditions, 1) {
        assert!(parts.len() <= PARTS_MAX, "{} parts", parts.len());
        let sum = parts.iter().fold(i128::from(BASE_WEI), |sum, part| sum + i128::from(part.wei));
        assert!(u64::try_from(sum).is_ok(), "a price of {sum} wei");
    }
    let _ = rule.charge(&job, 7, 1_000_000, Meter::default());
}

fn seeds() -> Vec<Vec<u8>> {
    vec![
        // The base price; one with a reason, for longer than is allowed; one with none such.
        vec![0],
        vec![0, 0, 5, 0xf0, 0xff, 0xff, 0xff, 0xff, 1],
        vec![0, 0, 5, 0, 9],
        // Two parts, of which the second takes off; one that takes off more than there is.
        vec![0, 2, 0, 5, 1, 0, b'a', 0xf0, 0xff, 0xff, 0xff, 0xff, 0xf0, 0xfe, 0xff, 0xff, 0xff],
        vec![0, 1, 0xf0, 0, 0, 0, 0x80, 0, 0, 0],
        // A label that lies nowhere.
        vec![0, 1, 0, 1, 9, 1, 0xf0, 0, 0, 0, 0xff],
        // Refusals of the set-up, of a quote and of a charge.
        vec![1, 0, 2, 0, b'a', b'b'],
        vec![1, 1, 2, 0, 0xff, 0xfe],
        vec![2, 1, 77],
        vec![2, 3, 1],
        vec![3, 2],
        // Charges: always the same; one that grows; one that wraps.
        vec![4, 0, 9],
        vec![5, 0, 1],
        vec![5, 0xf0, 0xff, 0xff, 0xff, 0xff, 3],
    ]
}
