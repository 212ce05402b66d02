//! Asking orchestrators what they offer, in the background and all at once, and keeping the
//! snapshots in step with what they say.
//!
//! **Invariants:** a slow orchestrator holds up nobody's answer but its own; answers are in the
//! snapshots before the round that brought them counts as finished.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::capability::Capability;
use domain::chain;
use domain::event::Event;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use http::{Request, Response, StatusCode, Uri};
use tokio::time::{sleep_until, timeout, timeout_at};
use wire::allow::AllowedHosts;
use wire::client::{ClientError, Measured};
use wire::livepeer::{Quote, ask_for_everything, is_capped, version_reaches};
use wire::offerings::{Document, Entry, check_signature};

use crate::book::{Change, MODELS_MAX, Said, Seat, Spoken};
use crate::config::OrchestratorConfig;
use crate::intake::{self, Given};
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
enum Heard {
    /// What is offered.
    Answer {
        seat: Seat,
        /// What [`crate::book::Book::asking`] gave.
        asked: u64,
        answer: Box<Result<Measured, Trouble>>,
        /// Addresses in the answer that may be called.
        nodes: Vec<String>,
    },
    /// What an orchestrator's own document says.
    Document { seat: Seat, spoken: Spoken },
}

enum Trouble {
    Client(ClientError),
    Slow(Duration),
}

/// Asks all the time; never ends.
pub(crate) async fn run(state: Arc<State>) {
    let mut asks: FuturesUnordered<BoxFuture<'_, Heard>> = FuturesUnordered::new();
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
                for (seat, origin) in known {
                    if state.book().may_speak(seat, begun_at) {
                        asks.push(Box::pin(listen(&state, seat, origin.clone())));
                    }
                    asks.push(Box::pin(ask(&state, seat, origin)));
                }
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
    let call = state.client.get_orchestrator(origin.clone(), ask_for_everything());
    let answer = match timeout(limit, call).await {
        Ok(answer) => answer.map_err(Trouble::Client),
        Err(_) => Err(Trouble::Slow(limit)),
    };
    let most = state.config.discovery.extra_nodes;
    let nodes = match &answer {
        Ok(measured) if most > 0 => {
            nodes(&origin, &measured.info.nodes, most, &state.config.allowed_hosts).await
        }
        Ok(_) | Err(_) => Vec::new(),
    };
    Heard::Answer { seat, asked, answer: Box::new(answer), nodes }
}

/// Returns those of the `named` addresses that may be called: on the host of who names them, or on one
/// that the operator lists.
async fn nodes(by: &Uri, named: &[String], most: usize, allowed: &AllowedHosts) -> Vec<String> {
    let mut good = Vec::new();
    for uri in named.iter().take(most) {
        let Ok(url) = crate::origin(&OrchestratorConfig::at(uri)) else { continue };
        let own = url.host().is_some() && url.host() == by.host();
        let given = Given { input: url::Url::parse(uri).ok(), ..Given::default() };
        let judged = if own { Ok(()) } else { intake::check_urls(&given, allowed).await };
        match judged {
            Ok(()) => good.push(uri.clone()),
            Err(error) => tracing::debug!(uri, error = %chain(&error), "node left out"),
        }
    }
    good
}

/// Reads an orchestrator's own offerings document.
async fn listen(state: &State, seat: Seat, origin: Uri) -> Heard {
    let url = format!("{}{}", origin.to_string().trim_end_matches('/'), wire::offerings::PATH);
    let limit = state.config.discovery.hard_stop;
    let asking = async {
        let request = Request::get(url).body(Bytes::new()).ok()?;
        timeout(limit, state.client.exchange(request)).await.ok()?.ok()
    };
    let spoken = asking.await.map_or(Spoken::Unheard, |answer| {
        read(&answer).map_or_else(
            |why| {
                tracing::debug!(%origin, why, "no document of its own");
                Spoken::Mute
            },
            Spoken::Said,
        )
    });
    Heard::Document { seat, spoken }
}

/// Reads the answer to a question for an orchestrator's own document; an error says why there is none.
fn read(answer: &Response<Bytes>) -> Result<BTreeMap<String, Said>, String> {
    if answer.status() != StatusCode::OK {
        return Err(format!("it answered {}", answer.status()));
    }
    check_signature(answer.headers(), answer.body(), None).map_err(|error| error.to_string())?;
    let document = Document::read(answer.body()).map_err(|error| chain(&error))?;
    let said = |it: Entry| {
        let Entry { capability, region, component, deterministic, .. } = it;
        (capability, Said { region, component, deterministic })
    };
    Ok(document.offerings.into_iter().take(MODELS_MAX).map(said).collect())
}

fn apply(state: &State, heard: Heard) {
    let now = now();
    let mut book = state.book();
    let (seat, asked, answer, nodes) = match heard {
        Heard::Answer { seat, asked, answer, nodes } => (seat, asked, answer, nodes),
        Heard::Document { seat, spoken } => return book.spoken(seat, spoken, now),
    };
    for uri in nodes {
        if book.add_node(seat, &uri, state.config.discovery.extra_nodes) {
            state.nudge.notify_one();
        }
    }
    let change = match *answer {
        Ok(measured) => match Quote::of(&measured.info, MODELS_MAX) {
            Some(quote) => {
                let all = state.config.transcoding;
                let quote = if all { quote.with_transcoding() } else { quote };
                book.judged(seat, unfit(&quote, &state.config.min_version));
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

/// Says why an orchestrator cannot be given work, whatever it offers; empty: it can.
fn unfit(quote: &Quote, min_version: &str) -> String {
    if version_reaches(&quote.version, min_version) {
        return String::new();
    }
    let version = if quote.version.is_empty() { "unknown" } else { &quote.version };
    format!("its version `{version}` is below `{min_version}`")
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

#[cfg(test)]
#[tokio::test]
async fn nodes_are_called_on_the_host_of_who_names_them_or_on_listed_ones_only() {
    let by: Uri = "https://127.0.0.1:8935".parse().unwrap();
    let named = ["https://127.0.0.1:8936", "https://127.0.0.2:8935", "ftp://127.0.0.1", "rubbish"];
    let named = named.map(str::to_owned);
    let none = AllowedHosts::default();
    assert_eq!(nodes(&by, &named, 10, &none).await, &named[..1]);
    assert_eq!(nodes(&by, &named, 10, &AllowedHosts::new(["127.0.0.2"])).await, &named[..2]);
    assert_eq!(nodes(&by, &named, 10, &AllowedHosts::new(["*"])).await, &named[..1]);
    assert!(nodes(&by, &named, 0, &none).await.is_empty());
}
