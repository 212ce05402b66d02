//! The book's tests.

use wire::livepeer::Model;

use super::*;

fn quote(free: u32, used: u32) -> Quote {
    let model = Model {
        capability: Capability::live("sketch-video").unwrap(),
        warm: true,
        slots_free: free,
        slots_used: used,
        price: None,
    };
    Quote { models: vec![model], devices: vec![None], ..Quote::default() }
}

fn free(book: &Book) -> Vec<Option<u32>> {
    book.offerings().into_values().flatten().map(|row| row.offering.slots_free).collect()
}

#[test]
fn one_lost_question_leaves_an_orchestrator_on_offer_and_two_do_not() {
    let now = Instant::now();
    let mut book = Book::new([(None, "https://a:8935".to_owned())]);
    let first = book.missed(0, "connecting failed".into(), now).unwrap();
    assert!(!first.reachable, "one that never answered is told once");
    assert_eq!(book.missed(0, "connecting failed".into(), now), None);
    assert_eq!(book.absent(&[])[0].reason.class(), "unreachable");
    let asked = book.asking(0);
    let change = book.answered(0, quote(1, 0), Duration::from_millis(8), asked, now);
    assert!(change.is_some_and(|change| change.reachable && change.orchestrator.0 == "a:8935"));
    assert_eq!(book.missed(0, "late".into(), now), None);
    assert_eq!(free(&book), [Some(1)]);
    assert!(book.missed(0, "late".into(), now).is_some_and(|change| !change.reachable));
    assert_eq!(free(&book), []);
    book.answered(0, quote(1, 0), Duration::from_millis(16), 0, now);
    assert_eq!(book.rows(now)[0].rtt_us, Some(9000), "round trips are smoothed");
}

#[test]
fn a_slot_that_came_back_since_the_answer_is_on_offer_again() {
    let now = Instant::now();
    let mut book = Book::new([(Some("a".to_owned()), "https://a:8935".to_owned())]);
    book.begin(0);
    let asked = book.asking(0);
    book.answered(0, quote(0, 1), Duration::ZERO, asked, now);
    assert_eq!(free(&book), [Some(0)]);
    book.end(0, Outcome::Served, now);
    assert_eq!(free(&book), [Some(1)]);
    book.begin(0);
    assert_eq!(free(&book), [Some(0)]);
    book.end(0, Outcome::Neither, now);
    let row = &book.rows(now)[0];
    assert_eq!((row.in_flight, row.attempts, row.successes), (0, 1, 1));
}

#[test]
fn who_is_drained_blocked_or_removed_gets_no_work_and_says_so() {
    let now = Instant::now();
    let mut book = Book::new([(Some("a".to_owned()), "https://a:8935".to_owned())]);
    let id = book.add(None, "https://b:8935/", "admin").unwrap();
    assert_eq!(id.0, "b:8935");
    assert!(matches!(book.add(None, "https://a:8935", "admin"), Err(AddError::Known { .. })));
    let named = book.add(Some("a".to_owned()), "https://c:8935", "admin");
    assert!(matches!(named, Err(AddError::Named { .. })));
    for seat in [0, 1] {
        book.answered(seat, quote(1, 0), Duration::from_millis(1), 0, now);
    }
    assert_eq!(free(&book).len(), 2);
    assert!(book.wish("a", Wish::Drain) && book.wish("https://b:8935/", Wish::Block));
    assert_eq!(free(&book), []);
    let absent = book.absent(&[]);
    let classes: Vec<_> = absent.iter().map(|it| it.reason.class()).collect();
    assert_eq!(classes, ["draining", "blocked"]);
    assert!(book.wish("a", Wish::Use) && !book.wish("nobody", Wish::Use));
    assert_eq!(free(&book).len(), 1);
    assert!(book.remove("a"));
    assert_eq!((free(&book), book.rows(now).len(), book.asked().len()), (vec![], 1, 1));
    book.add(None, "https://a:8935", "admin").unwrap();
    assert_eq!(free(&book).len(), 1, "it is as it was");
}

#[test]
fn failures_suspend_and_successes_or_the_operator_end_it() {
    let now = Instant::now();
    let mut book = Book::new([(None, "https://a:8935".to_owned())]);
    book.answered(0, quote(1, 0), Duration::from_millis(1), 0, now);
    let suspended = |book: &mut Book| book.rows(now)[0].standing() == "suspended";
    book.begin(0);
    book.end(0, Outcome::Neither, now);
    assert!(!suspended(&mut book), "what the client did counts for nobody");
    book.begin(0);
    book.end(0, Outcome::Failed, now);
    assert!(suspended(&mut book) && free(&book).len() == 1, "it stays a last resort");
    assert!(book.lift("a:8935") && !suspended(&mut book));
    book.end(0, Outcome::Failed, now);
    book.end(0, Outcome::Served, now);
    assert!(!suspended(&mut book));
}

#[test]
fn a_source_adds_and_removes_its_own_and_a_block_list_knows_names_addresses_and_wallets() {
    let now = Instant::now();
    let mut book = Book::new([(None, "https://a:8935".to_owned())]);
    let uris = |names: &[&str]| -> Vec<String> {
        names.iter().map(|name| format!("https://{name}:8935")).collect()
    };
    assert!(book.sync("webhook", &uris(&["a", "b", "c"])));
    assert!(!book.sync("webhook", &uris(&["a", "b", "c"])), "nothing is new");
    assert_eq!(book.rows(now).len(), 3);
    assert!(book.sync("webhook", &uris(&["c"])));
    let left: Vec<String> = book.rows(now).into_iter().map(|row| row.id.0).collect();
    assert_eq!(left, ["a:8935", "c:8935"], "the configured one stays");
    book.block(&["https://C:8935/".to_owned(), "0xAB".to_owned()]);
    assert_eq!(book.rows(now)[1].standing(), "blocked");
    let wallet = Quote { wallet: Some("0xab".to_owned()), ..quote(1, 0) };
    book.answered(0, wallet, Duration::from_millis(1), 0, now);
    assert_eq!((book.rows(now)[0].standing(), free(&book)), ("blocked", vec![]));
}
