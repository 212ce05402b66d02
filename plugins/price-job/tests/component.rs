//! The component as it is shipped, in the engine that serves.

use std::sync::Arc;

use framegate_testing::{
    Basis, Conditions, JobFacts, Meter, Plugin, PreparedPricing, SetupError, Side, Urgency,
    snapshot,
};

fn prepared(config: &str) -> Result<PreparedPricing, SetupError> {
    let rule = Plugin::build_with(env!("CARGO_MANIFEST_DIR"), "guest").unwrap().pricing().unwrap();
    rule.prepare(snapshot(&[]), config).unwrap()
}

fn ask(load_ppm: u32) -> Basis {
    let (side, urgency) = (Side::Ask, Urgency::Live);
    Basis { side, urgency, tier: 0, base_wei: 1_000, units: 0, load_ppm, overhead_ppm: 0 }
}

#[test]
fn load_raises_the_price_and_the_parts_add_up_to_it() {
    let mut rule = prepared("").unwrap();
    let (job, conditions) = (Arc::new(JobFacts::default()), Arc::new(Conditions::default()));
    let mut price = |load| {
        let quoted = rule.quote(&job, &ask(load), &conditions, 0).unwrap().unwrap();
        let parts = rule.explain(&job, &ask(load), &conditions, 0).unwrap().unwrap();
        let sum: i64 = parts.iter().map(|part| part.wei).sum();
        assert_eq!(1_000 + sum, i64::try_from(quoted.price_wei).unwrap());
        quoted.price_wei
    };
    assert_eq!(
        [price(0), price(500_000), price(750_000), price(1_000_000)],
        [1_000, 1_000, 1_250, 1_500]
    );
}

#[test]
fn a_charge_is_rounded_up_to_whole_wei_and_a_wrong_document_refused_by_name() {
    let mut rule = prepared("").unwrap();
    let job = Arc::new(JobFacts::default());
    let mut charge = |units| rule.charge(&job, 3, units, Meter::default()).unwrap().unwrap();
    assert_eq!([charge(1), charge(1_000_000), charge(1_000_001)], [1, 3, 4]);
    let refused = prepared(r#"{"load_from_ppm":1000000}"#).err().unwrap();
    assert!(refused.to_string().contains("load_from_ppm"), "{refused}");
}
