//! Plugin slots: who answers, what is counted against whom, and how a version comes back.

use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use domain::breaker::{BreakerState, FAULTS_MAX, SHADOW_CALLS};
use domain::event::{Event, Sink};
use domain::price::Lot;
use plugin::policy::audit::Question;
use plugin::policy::ready::READY_MAX;
use plugin::{
    Because, Candidate, JobFacts, Limits, PluginSlot, PolicyEngine, PreparedSelection, Scope,
    SelectionPolicy, Snapshot,
};

use crate::build;

const NAME: &str = "selection/test";

#[derive(Default)]
struct Seen(Mutex<Vec<Event>>);

impl Sink for Seen {
    fn emit(&self, event: Event) {
        self.0.lock().expect("nobody panics with it").push(event);
    }
}

impl Seen {
    fn states(&self) -> Vec<&'static str> {
        let events = self.0.lock().expect("nobody panics with it");
        let state = |event: &Event| match event {
            Event::BreakerChanged { state, .. } => Some(*state),
            _ => None,
        };
        events.iter().filter_map(state).collect()
    }
}

fn slot(guest: &str, document: &str, sink: &dyn Sink) -> PluginSlot<PreparedSelection> {
    let engine = PolicyEngine::new().expect("an engine");
    let policy = SelectionPolicy::load_folder(&engine, &build::guest(guest), Limits::policy());
    let policy = policy.expect("a policy");
    let row = Candidate { price_wei: 1, ..Candidate::unknown("0x1", "https://one") };
    let scope = Scope::new("live-video-to-video/test", Lot::live(), 1, 0);
    let snapshot = Arc::new(Snapshot::new(scope, &[row]).expect("a snapshot"));
    let mut slot = PluginSlot::new(NAME);
    slot.add(policy.standing(), policy.ready(snapshot, document), Instant::now(), sink);
    slot
}

fn question(job: &str) -> Question {
    let job = Arc::new(JobFacts { id: job.to_owned(), ..JobFacts::default() });
    Question { job, now_unix_ms: 1, seed: 1 }
}

#[test]
fn a_version_that_does_well_again_comes_back_and_one_that_does_not_stays_out() {
    let seen = Seen::default();
    let slot = slot("trap-seldom", r#"{"one_in": 2}"#, &seen);
    let (good, bad) = (question("job-1"), question("job-2"));
    let now = Instant::now();
    for _ in 0..FAULTS_MAX {
        let because = slot.ask(now, &seen, |policy| bad.ask(policy)).err().unwrap();
        assert_eq!((because.class(), because.why().as_str()), ("fault", "trap in `pick`"));
    }
    let because = slot.ask(now, &seen, |policy| good.ask(policy)).err().unwrap();
    assert!(matches!(&because, Because::LeftOut { state: BreakerState::Open(_), .. }), "{because}");
    for _ in 1..SHADOW_CALLS {
        slot.shadow(now, &seen, |policy| good.ask(policy));
    }
    slot.shadow(now, &seen, |policy| bad.ask(policy));
    for _ in 1..SHADOW_CALLS {
        slot.shadow(now, &seen, |policy| good.ask(policy));
    }
    assert!(slot.ask(now, &seen, |policy| good.ask(policy)).is_err(), "one short of enough");
    slot.shadow(now, &seen, |policy| good.ask(policy));
    assert!(slot.ask(now, &seen, |policy| good.ask(policy)).is_ok());
    assert_eq!(seen.states(), ["open", "closed"]);
}

/// Asks for an instance while it holds one, until there is none left.
fn take_all(slot: &PluginSlot<PreparedSelection>, seen: &Seen, depth: &Cell<usize>) {
    let asked = slot.ask(Instant::now(), seen, |policy| {
        depth.set(depth.get() + 1);
        take_all(slot, seen, depth);
        question("job-1").ask(policy)
    });
    if let Err(because) = asked {
        let Because::Faulted(fault) = &because else { panic!("{because}") };
        assert!(!fault.is_the_plugins(), "{fault}");
    }
}

#[test]
fn a_want_of_room_is_never_counted_against_the_plugin() {
    let seen = Seen::default();
    let slot = slot("pick-first", "", &seen);
    for _ in 0..2 * FAULTS_MAX {
        let depth = Cell::new(0);
        take_all(&slot, &seen, &depth);
        assert_eq!(depth.get(), READY_MAX);
    }
    assert_eq!(slot.versions()[0].standing().state(), BreakerState::Closed);
    assert_eq!(seen.states(), [""; 0]);
}
