//! Asking orchestrators what they offer, in the background and all at once, and keeping the
//! snapshots in step with what they say.
//!
//! **Invariants:** a slow orchestrator holds up nobody's answer but its own; answers are in the
//! snapshots before the round that brought them counts as finished.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::capability::Capability;
use domain::chain;
use domain::event::Event;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use http::Uri;
use tokio::time::{sleep_until, timeout, timeout_at};
use wire::client::{ClientError, Measured};
use wire::livepeer::{Quote, ask_for_everything, is_capped};

use crate::book::{Change, MODELS_MAX, Seat};
use crate::market::{self, Market, Markets};
use crate::state::{State, now};

/// Shortest time between two rounds that jobs ask for: who asks for what nobody offers must not
/// make the gateway ask everybody each time.
const AGAIN_MIN: Duration = Duration::from_secs(1);

/// How far discovery is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Round {
    /// Rounds that are over.
    pub(crate) finished: u64,
    /// Number of the last snapshots.
    pub(crate) generation: u64,
    /// Changes of the book that are in them.
    pub(crate) seen: u64,
}

/// What one question brought.
struct Heard {
    seat: Seat,
    /// What [`crate::book::Book::asking`] gave.
    asked: u64,
    answer: Result<Measured, Trouble>,
}

enum Trouble {
    Client(ClientError),
    Slow(Duration),
}

/// Asks all the time; never ends.
pub(crate) async fn run(state: Arc<State>) {
    let mut asks = FuturesUnordered::new();
    let mut begun_at = now();
    let mut next = begun_at;
    let mut asking = false;
    loop {
        let mut dirty = false;
        tokio::select! {
            Some(heard) = asks.next() => {
                apply(&state, heard);
                dirty = true;
            }
            () = state.changed.notified() => dirty = true,
            () = state.nudge.notified(), if !asking => next = next.min(begun_at + AGAIN_MIN),
            () = sleep_until(next.into()), if !asking => {
                begun_at = now();
                next = begun_at + state.config.discovery.interval;
                asking = true;
                let known = state.book().asked();
                asks.extend(known.into_iter().map(|(seat, origin)| ask(&state, seat, origin)));
            }
        }
        while let Some(Some(heard)) = asks.next().now_or_never() {
            apply(&state, heard);
        }
        if dirty {
            rebuild(&state).await;
        }
        if asking && asks.is_empty() {
            asking = false;
            state.rounds.send_modify(|round| round.finished += 1);
        }
    }
}

async fn ask(state: &State, seat: Seat, origin: Uri) -> Heard {
    let asked = state.book().asking(seat);
    let limit = state.config.discovery.hard_stop;
    let call = state.client.get_orchestrator(origin, ask_for_everything());
    let answer = match timeout(limit, call).await {
        Ok(answer) => answer.map_err(Trouble::Client),
        Err(_) => Err(Trouble::Slow(limit)),
    };
    Heard { seat, asked, answer }
}

fn apply(state: &State, heard: Heard) {
    let Heard { seat, asked, answer } = heard;
    let now = now();
    let mut book = state.book();
    let change = match answer {
        Ok(measured) => match Quote::of(&measured.info, MODELS_MAX) {
            Some(quote) => {
                let all = state.config.transcoding;
                let quote = if all { quote.with_transcoding() } else { quote };
                book.answered(seat, quote, measured.round_trip, asked, now)
            }
            None => book.missed(seat, "it says that it does not work".to_owned(), now),
        },
        Err(Trouble::Client(error)) if is_capped(&error) => book.capped(seat, asked, now),
        Err(Trouble::Client(error)) => book.missed(seat, chain(&error), now),
        Err(Trouble::Slow(limit)) => book.missed(seat, format!("no answer within {limit:?}"), now),
    };
    drop(book);
    if let Some(Change { orchestrator, uri, reachable, detail }) = change {
        state.sink.emit(Event::OrchestratorChanged { orchestrator, uri, reachable, detail });
    }
}

/// Makes the snapshots anew.
async fn rebuild(state: &Arc<State>) {
    let (offerings, seen) = {
        let book = state.book();
        (book.offerings(), book.changes())
    };
    let custom = state.custom().clone();
    let generation = state.rounds.borrow().generation + 1;
    let (owner, at) = (Arc::clone(state), now());
    let built = tokio::task::spawn_blocking(move || {
        let (selections, customers) = (&owner.config.selections, &owner.config.customers);
        let own = market::Own { customers, custom };
        market::build(offerings, selections, own, generation, at, &*owner.sink)
    });
    let markets: Markets = match built.await {
        Ok(markets) => markets,
        Err(error) => {
            tracing::error!(error = %error, "snapshots not built");
            return;
        }
    };
    state.markets.store(Arc::new(markets));
    state.rounds.send_modify(|round| (round.generation, round.seen) = (generation, seen));
}

/// Returns the snapshot of `capability`, asking afresh where there is none. Looks after each window
/// of [`crate::config::DiscoveryConfig::window`], doubled each time, so that a slow orchestrator
/// does not hold up what a quick one can do; ends with the round, or at `until`.
pub(crate) async fn find(
    state: &State,
    capability: &Capability,
    until: Instant,
) -> Option<Arc<Market>> {
    let look = || state.markets.load().get(capability).cloned();
    let mut rounds = state.rounds.subscribe();
    let before = *rounds.borrow_and_update();
    if let Some(market) = look() {
        return Some(market);
    }
    // An orchestrator may have begun to offer it since the last round, however short ago that was:
    // its pipelines load one after the other.
    state.nudge.notify_one();
    let mut window = state.config.discovery.window;
    let mut window_end = now() + window;
    while now() < until {
        let over = rounds.wait_for(|round| round.finished > before.finished);
        match timeout_at(window_end.min(until).into(), over).await {
            Ok(_) => return look(),
            Err(_) => {
                if let Some(market) = look() {
                    return Some(market);
                }
            }
        }
        window = window.saturating_mul(2);
        window_end = now() + window;
    }
    None
}

/// Waits until everything that is known by now is in the snapshots, or until `until`; says whether
/// it was not before.
pub(crate) async fn caught_up(state: &State, until: Instant) -> bool {
    let known = state.book().changes();
    let mut rounds = state.rounds.subscribe();
    if rounds.borrow_and_update().seen >= known {
        return false;
    }
    state.changed.notify_one();
    let _ = timeout_at(until.into(), rounds.wait_for(|round| round.seen >= known)).await;
    true
}
