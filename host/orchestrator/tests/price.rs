//! Pricing rules that fault and that ask too much, in the real engine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use domain::breaker::OnFault;
use domain::capability::Capability;
use domain::event::{Event, Sink};
use domain::price::{Lot, Price, charge};
use orchestrator::price::{Percents, Pricer, PricingConfig, Situation, Usage};
use plugin::{Limits, PolicyEngine, PricingRule};

// The guests are built by the one build that the plugin crate's tests use.
#[path = "../../plugin/tests/conformance/build.rs"]
mod build;

const BASE: u64 = 1000;
const USED: Usage = Usage { units: 27_648_001, elapsed: Duration::from_secs(1) };

#[derive(Default)]
struct Seen(Mutex<Vec<Event>>);

impl Sink for Seen {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Seen {
    fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.0.lock().unwrap().iter().filter(|event| is(event)).count()
    }
}

fn capability() -> Capability {
    Capability::live("sketch-video").unwrap()
}

fn load(folder: PathBuf) -> PricingRule {
    PricingRule::load_folder(&PolicyEngine::new().unwrap(), &folder, Limits::policy()).unwrap()
}

fn config(rule: PricingRule, document: &str, on_fault: OnFault) -> PricingConfig {
    let (config, bounds) = (document.to_owned(), Percents::default());
    PricingConfig { rule, config, on_fault, previous: None, bounds }
}

fn pricer(document: &str, on_fault: OnFault, sink: &dyn Sink) -> Pricer {
    let config = config(load(build::guest("price-wild")), document, on_fault);
    Pricer::with_rule(config, &[capability()], sink).unwrap()
}

fn quote(pricer: &Pricer, slots_free: u32, sink: &dyn Sink) -> Option<u64> {
    pricer.quote(&capability(), BASE, Situation { slots_free, slots_total: 4 }, sink)
}

#[test]
fn a_quote_is_brought_back_into_the_operators_bounds_and_counted() {
    let seen = Seen::default();
    let rule = r#"{"idle_percent": 0, "busy_percent": 500000}"#;
    let pricer = pricer(rule, OnFault::Native, &seen);
    assert_eq!(quote(&pricer, 4, &seen), Some(BASE / 10), "the floor is a tenth");
    let busy: Vec<_> = (0..11).filter_map(|_| quote(&pricer, 0, &seen)).collect();
    let steps: Vec<_> = (1..=9).map(|n| BASE / 10 + n * BASE).chain([10 * BASE; 2]).collect();
    assert_eq!(busy, steps, "at most the price itself from quote to quote, at most ten times it");
    let corrected = |word| move |event: &Event| matches!(event, Event::PriceCorrected { bound, .. } if *bound == word);
    let counts = ["floor", "step", "ceiling"].map(|bound| seen.count(corrected(bound)));
    assert_eq!(counts, [1, 9, 2]);
}

#[test]
fn each_fail_mode_prices_as_it_says_and_a_charge_is_always_made() {
    let native = charge(&Price { wei: BASE, lot: Lot::live() }, USED.units).unwrap();
    let rule = r#"{"trap_quote": true, "trap_charge": true}"#;
    for (on_fault, quoted, served) in
        [(OnFault::Native, Some(BASE), "native"), (OnFault::Refuse, None, "nobody")]
    {
        let seen = Seen::default();
        let pricer = pricer(rule, on_fault, &seen);
        assert_eq!(quote(&pricer, 4, &seen), quoted);
        assert_eq!(pricer.charge(&capability(), BASE, USED, &seen), native);
        let by =
            |event: &Event| matches!(event, Event::FellBack { served: by, .. } if *by == served);
        assert!(seen.count(by) >= 1, "{:?}", seen.0.lock().unwrap());
        assert_eq!(seen.count(|it| matches!(it, Event::PluginFaulted { kind: "trap", .. })), 2);
        for _ in 0..4 {
            quote(&pricer, 4, &seen);
        }
        let state = pricer.versions().next().unwrap().state();
        assert_eq!(state.name(), "open", "two faults and three more");
        assert_eq!(quote(&pricer, 4, &seen), quoted);
    }
}

#[test]
fn the_previous_version_prices_where_the_active_one_faults() {
    let seen = Seen::default();
    let mut config = config(load(build::guest("trap-quote")), "", OnFault::PreviousVersion);
    config.previous = Some(load(build::plugin("price-job")));
    let pricer = Pricer::with_rule(config, &[capability()], &seen).unwrap();
    assert_eq!(quote(&pricer, 0, &seen), Some(BASE * 3 / 2), "the shipped surcharge at full load");
    let by = |event: &Event| matches!(event, Event::FellBack { served: "previous-version", .. });
    assert_eq!(seen.count(by), 1);
}

#[test]
fn a_charge_is_never_more_than_the_lots_begun_at_the_agreed_price() {
    let seen = Seen::default();
    let pricer = pricer(r#"{"charge_percent": 300}"#, OnFault::Native, &seen);
    assert_eq!(pricer.charge(&capability(), BASE, USED, &seen), 28 * BASE);
    let corrected = |event: &Event| {
        matches!(event, Event::PriceCorrected { bound: "ceiling", quoted_wei: 82_945, .. })
    };
    assert_eq!(seen.count(corrected), 1, "{:?}", seen.0.lock().unwrap());
}
