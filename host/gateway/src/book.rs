//! What is known of each orchestrator: its last good answer, whether it answers, and how it did
//! with the jobs that this gateway gave it. It asks nobody and reads no clock.
//!
//! **Invariant:** a failed question never erases what an earlier one brought; an orchestrator is
//! left out only after [`MISSES_MAX`] failures in a row, or while it has never answered.

mod rows;
mod said;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use domain::capability::Capability;
use domain::facts::{Availability, Samples};
use domain::id::OrchestratorId;
use domain::offering::Offering;
use domain::select::{PassedOver, Reason};
use domain::standing::{Suspension, Wish};
use http::Uri;
use wire::livepeer::{Quote, TOKEN_TTL};

use rows::UNFIT;
pub use rows::{AddError, ORCHESTRATORS_MAX, OrchestratorRow};
pub(crate) use rows::{Change, Outcome, Row};
pub(crate) use said::{Said, Spoken};

/// Questions in a row that fail before an orchestrator counts as unreachable: one may be lost on
/// the way, and jobs that find it gone go on to the next.
pub(crate) const MISSES_MAX: u32 = 2;
/// Models of one orchestrator that are looked at: a machine has a handful loaded, and each makes a
/// snapshot of its own.
pub(crate) const MODELS_MAX: usize = 32;
/// Answers in a row that name free slots of which none is to be had, before that suspends: two may be
/// other gateways' jobs that were quicker.
const EMPTY_WORDS_MAX: u32 = 3;
/// Part of a new round trip in the smoothed one: as TCP smooths its own.
const RTT_PARTS: u64 = 8;

/// Names an orchestrator within this process: its place in the configuration.
pub(crate) type Seat = usize;

#[derive(Debug)]
struct Entry {
    id: OrchestratorId,
    named: bool,
    uri: String,
    /// The same, to be asked at; `None`: it is no address.
    origin: Option<Uri>,
    source: &'static str,
    /// In whose answer it was found.
    named_by: Option<Seat>,
    wish: Wish,
    /// Whether it is to be forgotten; its seat is kept for jobs that still run there.
    removed: bool,
    suspension: Suspension,
    starts_us: Samples,
    availability: Option<Availability>,
    quote: Quote,
    /// Why it cannot be given work, whatever it offers; empty: it can.
    unfit: String,
    /// What it says of each capability in its own document.
    said: BTreeMap<String, Said>,
    /// Whether it has no such document, and when that was found out.
    mute_at: Option<Instant>,
    answered_at: Option<Instant>,
    misses: u32,
    trouble: String,
    rtt_us: Option<u32>,
    in_flight: u32,
    attempts: u32,
    successes: u32,
    failed_at: Option<Instant>,
    /// Answers in a row that named free slots of which none was to be had, and the last of them.
    empty_words: u32,
    empty_word_at: Option<Instant>,
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
    /// Names, addresses and wallets that get no work, in lower case and without `0x`.
    blocklist: Vec<String>,
}

impl Book {
    /// Makes the book of orchestrators by `(name, address)`; without a name one is called by its
    /// host and port until its wallet is known.
    pub(crate) fn new(orchestrators: impl IntoIterator<Item = (Option<String>, String)>) -> Self {
        let entry = |(name, uri): (Option<String>, String)| {
            let named = name.is_some();
            let id = name.unwrap_or_else(|| place(&uri).to_owned());
            Entry::new(OrchestratorId(id), named, uri, "config")
        };
        let entries = orchestrators.into_iter().map(entry).collect();
        Self { entries, changes: 0, blocklist: Vec::new() }
    }

    /// Blocks everybody whose name, address or wallet is in `list`, now and later.
    pub(crate) fn block(&mut self, list: &[String]) {
        self.blocklist = list.iter().map(|name| plain(name)).collect();
        for seat in 0..self.entries.len() {
            self.block_listed(seat);
        }
    }

    fn block_listed(&mut self, seat: Seat) {
        let Some(entry) = self.entries.get_mut(seat) else { return };
        let names = [plain(&entry.id.0), plain(&entry.uri), plain(place(&entry.uri))];
        if names.iter().any(|name| self.blocklist.contains(name)) {
            entry.wish = Wish::Block;
        }
    }

    /// Takes in an orchestrator that `source` names. One that was removed comes back as it was.
    pub(crate) fn add(
        &mut self,
        name: Option<String>,
        uri: &str,
        source: &'static str,
    ) -> Result<OrchestratorId, AddError> {
        let same = |entry: &&mut Entry| place(&entry.uri) == place(uri);
        if let Some(entry) = self.entries.iter_mut().find(same) {
            if !entry.removed {
                return Err(AddError::Known { uri: uri.to_owned(), id: entry.id.clone() });
            }
            (entry.removed, entry.wish, entry.source) = (false, Wish::Use, source);
            self.changes += 1;
            return Ok(entry.id.clone());
        }
        let named = name.is_some();
        let id = OrchestratorId(name.unwrap_or_else(|| place(uri).to_owned()));
        if let Some(entry) = self.entries.iter().find(|it| !it.removed && it.id == id) {
            return Err(AddError::Named { id, uri: entry.uri.clone() });
        }
        let entry = Entry::new(id.clone(), named, uri.to_owned(), source);
        let spare = |it: &Entry| it.removed && it.in_flight == 0;
        let seat = if self.entries.len() < ORCHESTRATORS_MAX {
            self.entries.push(entry);
            self.entries.len() - 1
        } else {
            let seat = self.entries.iter().position(spare).ok_or(AddError::Full)?;
            self.entries[seat] = entry;
            seat
        };
        self.block_listed(seat);
        self.changes += 1;
        Ok(id)
    }

    /// Takes over what `source` names: what is new is added, what it names no more is removed unless
    /// somebody else named it. Says whether anything changed.
    pub(crate) fn sync(&mut self, source: &'static str, uris: &[String]) -> bool {
        let before = self.changes;
        for uri in uris {
            // One that is known is another source's, or ours already.
            let _ = self.add(None, uri, source);
        }
        let mut gone = 0;
        for entry in &mut self.entries {
            let listed = || uris.iter().any(|uri| place(uri) == place(&entry.uri));
            if entry.source == source && !entry.removed && !listed() {
                entry.removed = true;
                gone += 1;
            }
        }
        self.changes += gone;
        self.changes != before
    }

    fn named(&mut self, name: &str) -> Option<&mut Entry> {
        self.changes += 1;
        self.entries.iter_mut().find(|entry| !entry.removed && entry.is_called(name))
    }

    /// Notes what the operator wants of the orchestrator of this name or address; `false`: there is
    /// none.
    pub(crate) fn wish(&mut self, name: &str, wish: Wish) -> bool {
        self.named(name).map(|entry| entry.wish = wish).is_some()
    }

    /// Ends a suspension; `false`: there is no such orchestrator.
    pub(crate) fn lift(&mut self, name: &str) -> bool {
        self.named(name).map(|entry| entry.suspension.lift()).is_some()
    }

    /// Forgets an orchestrator; what runs there goes on. `false`: there is none.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        self.named(name).map(|entry| entry.removed = true).is_some()
    }

    /// Lists who is to be asked.
    pub(crate) fn asked(&self) -> Vec<(Seat, Uri)> {
        let entries = self.entries.iter().enumerate().filter(|(_, entry)| !entry.removed);
        entries.filter_map(|(seat, entry)| Some((seat, entry.origin.clone()?))).collect()
    }

    /// Notes how long the start of a job took.
    pub(crate) fn started(&mut self, seat: Seat, took: Duration) {
        if let Some(entry) = self.change(seat) {
            entry.starts_us.add(took);
        }
    }

    /// Notes that something changed that snapshots are made of beside the book.
    pub(crate) const fn touch(&mut self) {
        self.changes += 1;
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
        let known_as = quote.wallet.clone().filter(|wallet| !entry.named && entry.id.0 != *wallet);
        if let Some(wallet) = known_as {
            entry.id = OrchestratorId(wallet);
            self.block_listed(seat);
        }
        let entry = self.entries.get_mut(seat)?;
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

    /// Returns the address of the orchestrator of this name or address.
    pub(crate) fn origin(&self, name: &str) -> Option<Uri> {
        let entry = self.entries.iter().find(|entry| !entry.removed && entry.is_called(name))?;
        entry.origin.clone()
    }

    /// Notes an answer that said only that every slot is taken.
    pub(crate) fn capped(&mut self, seat: Seat, asked: u64, now: Instant) -> Option<Change> {
        let entry = self.change(seat)?;
        entry.fill();
        entry.starts_seen = entry.starts;
        entry.ends_seen = asked;
        entry.alive(now)
    }

    /// Notes that a question failed; says whether that makes the orchestrator unreachable.
    pub(crate) fn missed(&mut self, seat: Seat, trouble: String, now: Instant) -> Option<Change> {
        let entry = self.change(seat)?;
        entry.was_asked(false, now);
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
            Outcome::Full => entry.was_full(now),
            Outcome::Served => {
                entry.suspension.served();
                entry.empty_words = 0;
                entry.attempts = entry.attempts.saturating_add(1);
                entry.successes = entry.successes.saturating_add(1);
            }
            Outcome::Failed => {
                entry.attempts = entry.attempts.saturating_add(1);
                entry.failed_at = Some(now);
                entry.suspension.failed(now);
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
        for (seat, entry) in self.entries.iter().enumerate().filter(|(_, e)| e.is_used()) {
            let Some(answered_at) = entry.answered_at else { continue };
            for row in entry.rows(seat, answered_at) {
                all.entry(row.offering.capability.clone()).or_default().push(row);
            }
        }
        all
    }

    /// Brings the figures of `rows` that change from moment to moment up to date.
    pub(crate) fn refresh(&self, rows: &mut [Row], now: Instant) {
        for row in rows {
            let Some(entry) = self.entries.get(row.seat) else { continue };
            row.offering.in_flight = entry.in_flight;
            row.offering.attempts = entry.attempts;
            row.offering.successes = entry.successes;
            row.offering.failed_at = entry.failed_at;
            row.offering.suspended = entry.suspension.left(now);
            let of_model = |m: &&wire::livepeer::Model| m.capability == row.offering.capability;
            if let Some(model) = entry.quote.models.iter().find(of_model) {
                row.offering.slots_free = Some(entry.slots_free(model));
            }
        }
    }

    /// Says of each orchestrator that is not in `rows` why it is not.
    pub(crate) fn absent(&self, rows: &[Row]) -> Vec<PassedOver> {
        let missing = |seat: &Seat| rows.iter().all(|row| row.seat != *seat);
        let known = self.entries.iter().enumerate().filter(|(_, entry)| !entry.removed);
        let entries = known.filter(|(seat, _)| missing(seat));
        entries
            .map(|(_, entry)| PassedOver {
                orchestrator: entry.id.clone(),
                reason: match (entry.wish, entry.reachable()) {
                    (Wish::Use, _) if !entry.unfit.is_empty() => {
                        Reason::Withheld { standing: UNFIT, detail: entry.unfit.clone() }
                    }
                    (Wish::Use, true) => Reason::NoCapability,
                    (Wish::Use, false) => {
                        Reason::Unreachable { detail: entry.trouble().to_owned() }
                    }
                    (wish, _) => Reason::Withheld { standing: wish.name(), detail: String::new() },
                },
            })
            .collect()
    }

    /// Lists every offering of every orchestrator, also of those that get no work.
    pub(crate) fn all_offerings(&mut self, now: Instant) -> Vec<(OrchestratorRow, Vec<Row>)> {
        let rows = self.rows(now);
        let known = self.entries.iter().enumerate().filter(|(_, entry)| !entry.removed);
        let offered = known.map(|(seat, entry)| {
            let answered_at = entry.answered_at.unwrap_or(now);
            entry.rows(seat, answered_at).collect()
        });
        rows.into_iter().zip(offered).collect()
    }

    /// Lists the orchestrators.
    pub(crate) fn rows(&mut self, now: Instant) -> Vec<OrchestratorRow> {
        let ids: Vec<OrchestratorId> = self.entries.iter().map(|it| it.id.clone()).collect();
        let row = |entry: &mut Entry| OrchestratorRow {
            named_by: entry.named_by.and_then(|by| ids.get(by).cloned()),
            unfit: entry.unfit.clone(),
            version: entry.quote.version.clone(),
            region: entry.said.values().map(|it| it.region.clone()).next().unwrap_or_default(),
            // Certificates are not the book's.
            tls: "",
            certificate: None,
            wish: entry.wish,
            suspended: entry.suspension.left(now),
            failures_in_a_row: entry.suspension.in_a_row(),
            starts_us: [500, 950, 990].map(|mille| entry.starts_us.within_us(mille)),
            availability_ppm: entry.availability.as_mut().and_then(|it| it.ppm(now)),
            source: entry.source,
            id: entry.id.clone(),
            uri: entry.uri.clone(),
            reachable: entry.reachable(),
            detail: if entry.trouble.is_empty() { &entry.unfit } else { &entry.trouble }.clone(),
            answered_at: entry.answered_at,
            rtt_us: entry.rtt_us,
            capabilities: entry.quote.models.iter().map(|m| m.capability.clone()).collect(),
            in_flight: entry.in_flight,
            attempts: entry.attempts,
            successes: entry.successes,
        };
        self.entries.iter_mut().filter(|entry| !entry.removed).map(row).collect()
    }
}

/// Returns a name as block lists compare it.
fn plain(name: &str) -> String {
    let name = name.trim().to_ascii_lowercase();
    name.strip_prefix("0x").unwrap_or(&name).trim_end_matches('/').to_owned()
}

/// Returns host and port of an address.
pub(crate) fn place(uri: &str) -> &str {
    uri.split_once("://").map_or(uri, |(_, rest)| rest).trim_end_matches('/')
}

impl Entry {
    fn new(id: OrchestratorId, named: bool, uri: String, source: &'static str) -> Self {
        Self {
            id,
            named,
            origin: uri.parse().ok(),
            uri,
            source,
            named_by: None,
            wish: Wish::Use,
            removed: false,
            suspension: Suspension::default(),
            starts_us: Samples::default(),
            availability: None,
            quote: Quote::default(),
            unfit: String::new(),
            said: BTreeMap::new(),
            mute_at: None,
            answered_at: None,
            misses: 0,
            trouble: String::new(),
            rtt_us: None,
            in_flight: 0,
            attempts: 0,
            successes: 0,
            failed_at: None,
            empty_words: 0,
            empty_word_at: None,
            starts: 0,
            ends: 0,
            starts_seen: 0,
            ends_seen: 0,
        }
    }

    fn is_called(&self, name: &str) -> bool {
        self.id.0 == name || self.uri == name || place(&self.uri) == name
    }

    const fn reachable(&self) -> bool {
        self.answered_at.is_some() && self.misses < MISSES_MAX
    }

    const fn is_used(&self) -> bool {
        let fit = self.unfit.is_empty();
        self.reachable() && fit && !self.removed && matches!(self.wish, Wish::Use)
    }

    fn was_asked(&mut self, answered: bool, now: Instant) {
        self.availability.get_or_insert_with(|| Availability::new(now)).asked(answered, now);
    }

    fn trouble(&self) -> &str {
        if self.trouble.is_empty() { "it has not been asked yet" } else { &self.trouble }
    }

    fn alive(&mut self, now: Instant) -> Option<Change> {
        let was = self.reachable();
        self.was_asked(true, now);
        self.answered_at = Some(now);
        self.misses = 0;
        self.trouble.clear();
        (!was).then(|| self.change(true))
    }

    /// Notes that every slot is taken.
    fn fill(&mut self) {
        for model in &mut self.quote.models {
            model.slots_used = model.slots_used.saturating_add(model.slots_free);
            model.slots_free = 0;
        }
    }

    /// Notes that a start found no slot. Once says that somebody else was quicker; answer after answer
    /// it is what the orchestrator says of itself that is wrong.
    fn was_full(&mut self, now: Instant) {
        self.fill();
        if self.empty_word_at.is_some() && self.empty_word_at == self.answered_at {
            return;
        }
        self.empty_word_at = self.answered_at;
        self.empty_words = self.empty_words.saturating_add(1);
        if self.empty_words >= EMPTY_WORDS_MAX {
            self.failed_at = Some(now);
            self.suspension.failed(now);
        }
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
            said: self.said.get(model.capability.as_str()).cloned().unwrap_or_default(),
            starts_us: (self.starts_us.within_us(500), self.starts_us.within_us(990)),
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
                suspended: None,
                expires_at: answered_at + TOKEN_TTL,
            },
            device,
        })
    }
}

#[cfg(test)]
mod tests;
