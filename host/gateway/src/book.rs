//! What is known of each orchestrator: its last good answer, whether it answers, and how it did
//! with the jobs that this gateway gave it. It asks nobody and reads no clock.
//!
//! **Invariant:** a failed question never erases what an earlier one brought; an orchestrator is
//! left out only after [`MISSES_MAX`] failures in a row, or while it has never answered.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use domain::capability::Capability;
use domain::id::OrchestratorId;
use domain::offering::Offering;
use domain::select::{PassedOver, Reason};
use wire::livepeer::{Device, Quote, TOKEN_TTL};
use wire::proto::AuthToken;

/// Questions in a row that fail before an orchestrator counts as unreachable: one may be lost on
/// the way, and jobs that find it gone go on to the next.
pub(crate) const MISSES_MAX: u32 = 2;
/// Models of one orchestrator that are looked at: a machine has a handful loaded, and each makes a
/// snapshot of its own.
pub(crate) const MODELS_MAX: usize = 32;
/// Part of a new round trip in the smoothed one: as TCP smooths its own.
const RTT_PARTS: u64 = 8;

/// Names an orchestrator within this process: its place in the configuration.
pub(crate) type Seat = usize;

/// One orchestrator's offering with what a start of it needs.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Who.
    pub(crate) seat: Seat,
    /// What.
    pub(crate) offering: Offering,
    /// What ties a start to the price in the offering.
    pub(crate) token: Option<AuthToken>,
    /// The best device behind it.
    pub(crate) device: Option<Device>,
}

/// How a job, or the try to start one, went for the orchestrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It did what was asked of it.
    Served,
    /// It failed.
    Failed,
    /// Nothing can be said of it: it was full, or the client erred.
    Neither,
}

/// An orchestrator, for lists.
#[derive(Debug, Clone)]
pub struct OrchestratorRow {
    /// Who.
    pub id: OrchestratorId,
    /// Its address.
    pub uri: String,
    /// Whether it may be given work.
    pub reachable: bool,
    /// Why the last question to it failed; empty if it did not.
    pub detail: String,
    /// Time of its last answer.
    pub answered_at: Option<Instant>,
    /// Smoothed round trip in microseconds.
    pub rtt_us: Option<u32>,
    /// What it offers.
    pub capabilities: Vec<Capability>,
    /// Jobs of this gateway that run there.
    pub in_flight: u32,
    /// Jobs tried there whose outcome says something about it.
    pub attempts: u32,
    /// Of them, those that succeeded.
    pub successes: u32,
}

/// Whether an orchestrator's reachability changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) orchestrator: OrchestratorId,
    pub(crate) uri: String,
    pub(crate) reachable: bool,
    pub(crate) detail: String,
}

#[derive(Debug)]
struct Entry {
    id: OrchestratorId,
    named: bool,
    uri: String,
    quote: Quote,
    answered_at: Option<Instant>,
    misses: u32,
    trouble: String,
    rtt_us: Option<u32>,
    in_flight: u32,
    attempts: u32,
    successes: u32,
    failed_at: Option<Instant>,
    starts: u64,
    ends: u64,
    /// `starts` when the last answer came.
    starts_seen: u64,
    /// `ends` when the last answer was asked for.
    ends_seen: u64,
}

/// Everything that is known of the configured orchestrators.
#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: Vec<Entry>,
    changes: u64,
}

impl Book {
    /// Makes the book of orchestrators by `(name, address)`; without a name one is called by its
    /// host and port until its wallet is known.
    pub(crate) fn new(orchestrators: impl IntoIterator<Item = (Option<String>, String)>) -> Self {
        let entry = |(name, uri): (Option<String>, String)| {
            let named = name.is_some();
            let place = uri.split_once("://").map_or(&*uri, |(_, rest)| rest);
            let id = name.unwrap_or_else(|| place.trim_end_matches('/').to_owned());
            Entry::new(OrchestratorId(id), named, uri)
        };
        Self { entries: orchestrators.into_iter().map(entry).collect(), changes: 0 }
    }

    /// Counts what was noted so far.
    pub(crate) const fn changes(&self) -> u64 {
        self.changes
    }

    fn change(&mut self, seat: Seat) -> Option<&mut Entry> {
        self.changes += 1;
        self.entries.get_mut(seat)
    }

    /// Notes that a question is about to be asked; [`Book::answered`] takes what this returns.
    pub(crate) fn asking(&self, seat: Seat) -> u64 {
        self.entries.get(seat).map_or(0, |entry| entry.ends)
    }

    /// Notes an answer that took `round_trip`; says whether that makes the orchestrator reachable.
    pub(crate) fn answered(
        &mut self,
        seat: Seat,
        quote: Quote,
        round_trip: Duration,
        asked: u64,
        now: Instant,
    ) -> Option<Change> {
        let entry = self.change(seat)?;
        if let (false, Some(wallet)) = (entry.named, &quote.wallet) {
            entry.id = OrchestratorId(wallet.clone());
        }
        let us = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX);
        let smooth = entry
            .rtt_us
            .map_or(us, |old| (u64::from(old) * (RTT_PARTS - 1)).saturating_add(us) / RTT_PARTS);
        entry.rtt_us = Some(u32::try_from(smooth).unwrap_or(u32::MAX));
        entry.quote = quote;
        entry.starts_seen = entry.starts;
        entry.ends_seen = asked;
        entry.alive(now)
    }

    /// Notes an answer that said only that every slot is taken.
    pub(crate) fn capped(&mut self, seat: Seat, asked: u64, now: Instant) -> Option<Change> {
        let entry = self.change(seat)?;
        for model in &mut entry.quote.models {
            model.slots_free = 0;
        }
        entry.starts_seen = entry.starts;
        entry.ends_seen = asked;
        entry.alive(now)
    }

    /// Notes that a question failed; says whether that makes the orchestrator unreachable.
    pub(crate) fn missed(&mut self, seat: Seat, trouble: String) -> Option<Change> {
        let entry = self.change(seat)?;
        let (was, first) = (entry.reachable(), entry.trouble.is_empty());
        entry.misses = entry.misses.saturating_add(1);
        entry.trouble = trouble;
        let silent_from_the_start = entry.answered_at.is_none() && first;
        (was != entry.reachable() || silent_from_the_start).then(|| entry.change(false))
    }

    /// Notes that a job is tried there.
    pub(crate) fn begin(&mut self, seat: Seat) {
        if let Some(entry) = self.change(seat) {
            entry.in_flight += 1;
            entry.starts += 1;
        }
    }

    /// Notes that a job that was begun is over there.
    pub(crate) fn end(&mut self, seat: Seat, outcome: Outcome, now: Instant) {
        let Some(entry) = self.change(seat) else { return };
        entry.in_flight = entry.in_flight.saturating_sub(1);
        entry.ends += 1;
        match outcome {
            Outcome::Neither => {}
            Outcome::Served => {
                entry.attempts = entry.attempts.saturating_add(1);
                entry.successes = entry.successes.saturating_add(1);
            }
            Outcome::Failed => {
                entry.attempts = entry.attempts.saturating_add(1);
                entry.failed_at = Some(now);
            }
        }
    }

    /// Returns the time of an orchestrator's last answer.
    pub(crate) fn answered_at(&self, seat: Seat) -> Option<Instant> {
        self.entries.get(seat)?.answered_at
    }

    /// Returns all offerings of orchestrators that may be given work, by capability, in the order
    /// of the configuration.
    pub(crate) fn offerings(&self) -> BTreeMap<Capability, Vec<Row>> {
        let mut all: BTreeMap<Capability, Vec<Row>> = BTreeMap::new();
        for (seat, entry) in self.entries.iter().enumerate().filter(|(_, e)| e.reachable()) {
            let Some(answered_at) = entry.answered_at else { continue };
            for row in entry.rows(seat, answered_at) {
                all.entry(row.offering.capability.clone()).or_default().push(row);
            }
        }
        all
    }

    /// Brings the figures of `rows` that change from moment to moment up to date.
    pub(crate) fn refresh(&self, rows: &mut [Row]) {
        for row in rows {
            let Some(entry) = self.entries.get(row.seat) else { continue };
            row.offering.in_flight = entry.in_flight;
            row.offering.attempts = entry.attempts;
            row.offering.successes = entry.successes;
            row.offering.failed_at = entry.failed_at;
            let of_model = |m: &&wire::livepeer::Model| m.capability == row.offering.capability;
            if let Some(model) = entry.quote.models.iter().find(of_model) {
                row.offering.slots_free = Some(entry.slots_free(model));
            }
        }
    }

    /// Says of each orchestrator that is not in `rows` why it is not.
    pub(crate) fn absent(&self, rows: &[Row]) -> Vec<PassedOver> {
        let missing = |seat: &Seat| rows.iter().all(|row| row.seat != *seat);
        let entries = self.entries.iter().enumerate().filter(|(seat, _)| missing(seat));
        entries
            .map(|(_, entry)| PassedOver {
                orchestrator: entry.id.clone(),
                reason: match entry.reachable() {
                    true => Reason::NoCapability,
                    false => Reason::Unreachable { detail: entry.trouble().to_owned() },
                },
            })
            .collect()
    }

    /// Lists the orchestrators.
    pub(crate) fn rows(&self) -> Vec<OrchestratorRow> {
        let row = |entry: &Entry| OrchestratorRow {
            id: entry.id.clone(),
            uri: entry.uri.clone(),
            reachable: entry.reachable(),
            detail: entry.trouble.clone(),
            answered_at: entry.answered_at,
            rtt_us: entry.rtt_us,
            capabilities: entry.quote.models.iter().map(|m| m.capability.clone()).collect(),
            in_flight: entry.in_flight,
            attempts: entry.attempts,
            successes: entry.successes,
        };
        self.entries.iter().map(row).collect()
    }
}

impl Entry {
    fn new(id: OrchestratorId, named: bool, uri: String) -> Self {
        Self {
            id,
            named,
            uri,
            quote: Quote::default(),
            answered_at: None,
            misses: 0,
            trouble: String::new(),
            rtt_us: None,
            in_flight: 0,
            attempts: 0,
            successes: 0,
            failed_at: None,
            starts: 0,
            ends: 0,
            starts_seen: 0,
            ends_seen: 0,
        }
    }

    const fn reachable(&self) -> bool {
        self.answered_at.is_some() && self.misses < MISSES_MAX
    }

    fn trouble(&self) -> &str {
        if self.trouble.is_empty() { "it has not been asked yet" } else { &self.trouble }
    }

    fn alive(&mut self, now: Instant) -> Option<Change> {
        let was = self.reachable();
        self.answered_at = Some(now);
        self.misses = 0;
        self.trouble.clear();
        (!was).then(|| self.change(true))
    }

    fn change(&self, reachable: bool) -> Change {
        Change {
            orchestrator: self.id.clone(),
            uri: self.uri.clone(),
            reachable,
            detail: self.trouble.clone(),
        }
    }

    /// Free slots by the last answer and by what this gateway has begun and ended there since. In
    /// doubt it is too many: the orchestrator has the last word, and a job refused on stale figures
    /// would have had none.
    fn slots_free(&self, model: &wire::livepeer::Model) -> u32 {
        let since = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let ended = since(self.ends - self.ends_seen);
        let begun = since(self.starts - self.starts_seen);
        let all = model.slots_free.saturating_add(model.slots_used);
        model.slots_free.saturating_add(ended).saturating_sub(begun).min(all)
    }

    fn rows(&self, seat: Seat, answered_at: Instant) -> impl Iterator<Item = Row> {
        let devices = self.quote.devices.iter().cloned().chain(std::iter::repeat(None));
        self.quote.models.iter().zip(devices).map(move |(model, device)| Row {
            seat,
            token: self.quote.token.clone(),
            offering: Offering {
                orchestrator: self.id.clone(),
                uri: self.uri.clone(),
                capability: model.capability.clone(),
                price: model.price,
                slots_free: Some(self.slots_free(model)),
                slots_total: Some(model.slots_free.saturating_add(model.slots_used)),
                warm: model.warm,
                hardware: device.as_ref().map(|it| it.name.clone()).unwrap_or_default(),
                rtt_us: self.rtt_us,
                in_flight: self.in_flight,
                attempts: self.attempts,
                successes: self.successes,
                failed_at: self.failed_at,
                expires_at: answered_at + TOKEN_TTL,
            },
            device,
        })
    }
}

#[cfg(test)]
mod tests {
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
        let first = book.missed(0, "connecting failed".into()).unwrap();
        assert!(!first.reachable, "one that never answered is told once");
        assert_eq!(book.missed(0, "connecting failed".into()), None);
        assert_eq!(book.absent(&[])[0].reason.class(), "unreachable");
        let asked = book.asking(0);
        let change = book.answered(0, quote(1, 0), Duration::from_millis(8), asked, now);
        assert!(change.is_some_and(|change| change.reachable && change.orchestrator.0 == "a:8935"));
        assert_eq!(book.missed(0, "late".into()), None);
        assert_eq!(free(&book), [Some(1)]);
        assert!(book.missed(0, "late".into()).is_some_and(|change| !change.reachable));
        assert_eq!(free(&book), []);
        book.answered(0, quote(1, 0), Duration::from_millis(16), 0, now);
        assert_eq!(book.rows()[0].rtt_us, Some(9000), "round trips are smoothed");
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
        let row = &book.rows()[0];
        assert_eq!((row.in_flight, row.attempts, row.successes), (0, 1, 1));
    }
}
