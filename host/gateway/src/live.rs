//! A running job: keeps its pumps going, watches both sides for signs of life, moves to another
//! orchestrator where one is lost, and has the last word. `domain::job` decides when it moves, when
//! it ends and why; this module does it.
//!
//! **Invariant:** whatever happens, the output closes, the last event is `ended`, the record has all
//! of it, and every orchestrator's slot is given back or is not reachable.

mod moving;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::event::Event;
use domain::job::{Job, Loss, State, Step};
use domain::session::EndReason;
use domain::stall::Flow;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use serde_json::{Map, Value};
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use wire::trickle::{Ask, ChannelWriter, Publisher, Subscriber};

use crate::book::{Outcome, Row};
use crate::bridge::Bridges;
use crate::channels::{Channels, JSON, MPEG_TS};
use crate::ended::{self, Leg};
use crate::given::Given;
use crate::pump::{self, Broken, Heard, Pump, Pumps, Signs, Tally};
use crate::record::AgreedPrice;
use crate::replay::Replay;
use crate::search::Search;
use crate::start::{Remote, release};
use crate::state::{self, now};
use crate::steer::{self, Steer};

/// How often signs of life are looked at; a fraction of every limit on them.
const TICK: Duration = Duration::from_millis(250);
/// Time for the report of an orchestrator whose channels have ended: it comes at once, or not at
/// all.
const ORPHAN_MAX: Duration = Duration::from_secs(2);
/// Time after which a client counts as gone whose publisher broke off and who reads nothing, so that
/// with a look at the clock its slot is free within a second.
const GONE_MAX: Duration = Duration::from_millis(500);
/// Time that a client may take nothing of the tail: longer than the stall after which the channel
/// drops it.
const TAIL_SILENCE: Duration = Duration::from_secs(15);
/// Time for the last bytes to reach URLs of the client's own.
const BRIDGE_MAX: Duration = Duration::from_secs(10);

/// Small work for others that a job finishes before it goes.
pub(crate) type Leftovers = FuturesUnordered<BoxFuture<'static, ()>>;

/// A job that an orchestrator serves.
pub(crate) struct Live {
    /// Who it is for, and who else could serve it.
    pub(crate) search: Search,
    pub(crate) channels: Channels,
    pub(crate) remote: Remote,
    /// What the orchestrator offered.
    pub(crate) row: Row,
    /// The orchestrator's place among the candidates of the job.
    pub(crate) candidate: usize,
    pub(crate) price: AgreedPrice,
    pub(crate) bridges: Bridges,
    pub(crate) stopping: watch::Receiver<bool>,
}

/// What everybody may look at.
#[derive(Debug, Default)]
struct Tallies {
    input: Tally,
    output: Tally,
    control: Tally,
    events: Tally,
    signs: Signs,
    steer: Steer,
}

/// What goes on where an orchestrator is lost.
struct Media {
    replay: Replay,
    given: Given,
    out: ChannelWriter,
    events: ChannelWriter,
    messages: mpsc::Receiver<Bytes>,
}

/// What was seen of a job at its present orchestrator.
#[derive(Debug)]
struct Seen {
    input_bytes: u64,
    output_bytes: u64,
    controls: u64,
    events: u64,
    answered_at: Option<Instant>,
    /// Since when the client has neither publisher nor reader.
    absent_since: Option<Instant>,
    /// Whether nobody waits for the rest of the output.
    unwanted: bool,
    /// Since when something at the orchestrator is broken, and what.
    broken: Option<(Instant, String)>,
    /// Whether the orchestrator was told to stop at once.
    released: bool,
    report: Option<Map<String, Value>>,
    flow: Flow,
    /// How the orchestrator was lost, if it was.
    loss: Loss,
    /// Whether the job left it.
    left: bool,
}

impl Seen {
    fn new(tallies: &Tallies) -> Self {
        Self {
            input_bytes: tallies.input.bytes(),
            output_bytes: tallies.output.bytes(),
            controls: tallies.control.messages(),
            events: tallies.events.messages(),
            answered_at: None,
            absent_since: None,
            unwanted: false,
            broken: None,
            released: false,
            report: None,
            flow: Flow::new(tallies.signs.segment()),
            loss: Loss::Silent,
            left: false,
        }
    }

    fn detail(&self) -> String {
        self.broken.as_ref().map_or_else(|| "it fell silent".to_owned(), |(_, it)| it.clone())
    }
}

impl Live {
    fn state(&self) -> &Arc<state::State> {
        &self.search.state
    }

    /// Runs the job to its end.
    pub(crate) async fn run(mut self, mut job: Job, leftovers: &mut Leftovers) {
        let tallies = Tallies::default();
        let (sender, messages) = steer::queue();
        let control = Arc::clone(&self.channels.control);
        let mut steering: Pump<'_, ()> = Box::pin(async {
            steer::read(control, sender, &tallies.control).await;
            std::future::pending().await
        });
        let mut media = Media {
            replay: Replay::new(Arc::clone(&self.channels.input)),
            given: Given::new(),
            out: ChannelWriter::new(Arc::clone(&self.channels.output)),
            events: ChannelWriter::new(Arc::clone(&self.channels.events)),
            messages,
        };
        let mut legs: Vec<Leg> = Vec::new();
        let (reason, seen) = loop {
            let served = self.serve(&mut job, &mut media, &tallies, &mut steering, leftovers).await;
            let mut seen = match served {
                (Some(reason), seen) => break (reason, seen),
                (None, seen) => seen,
            };
            seen.left = true;
            let leg = self.leave(&mut seen, &media, &legs);
            match self.move_on(job, &leg, &mut media, &tallies, leftovers).await {
                Ok(moved) => {
                    legs.push(leg);
                    job = moved;
                }
                Err(nobody) => {
                    seen.broken = Some((now(), nobody.refusal.message().to_owned()));
                    break (nobody.reason, Seen { report: leg.report, ..seen });
                }
            }
        };
        drop(steering);
        media.out.close();
        self.finish(reason, seen, &tallies, &legs, media.events).await;
    }

    /// Has the present orchestrator serve the job; returns why the job is over, or nothing if the
    /// orchestrator is lost and the job is to move.
    async fn serve(
        &mut self,
        job: &mut Job,
        media: &mut Media,
        tallies: &Tallies,
        steering: &mut Pump<'_, ()>,
        leftovers: &mut Leftovers,
    ) -> (Option<EndReason>, Seen) {
        let mut seen = Seen::new(tallies);
        let (remote, channels) = (self.remote.clone(), self.channels.clone());
        let mut pumps = pumps(self.state(), &remote, media, tallies);
        let mut clock = interval(TICK);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let relayed =
            self.relay(job, (&mut pumps, steering), tallies, &mut seen, &mut clock, leftovers);
        let reason = relayed.await;
        if reason.is_some() && seen.report.is_some() && !seen.released {
            tail(&channels, &mut pumps, tallies, &mut clock).await;
        }
        drop(pumps);
        if seen.report.is_none() {
            self.release(&mut seen, leftovers);
        }
        (reason, seen)
    }

    /// Relays until the job is over, and returns why it is, or until its orchestrator is lost.
    async fn relay(
        &mut self,
        job: &mut Job,
        (pumps, steering): (&mut Pumps<'_>, &mut Pump<'_, ()>),
        tallies: &Tallies,
        seen: &mut Seen,
        clock: &mut Interval,
        leftovers: &mut Leftovers,
    ) -> Option<EndReason> {
        let mut stopping = self.stopping.clone();
        let asked = Arc::clone(&self.search.asked);
        let mut stop_told = false;
        let mut output_closed = false;
        loop {
            let steps = tokio::select! {
                heard = pumps.next() => {
                    let mute = pumps.fetch.is_none() && pumps.hear.is_none();
                    job.bar_moves(tallies.signs.is_opaque());
                    self.heard(heard, mute, job, seen)
                }
                _ = clock.tick() => self.look(job, tallies, seen),
                () = asked.end.notified() => {
                    let unread = self.channels.output.stats().readers == 0;
                    seen.unwanted |= unread && !self.bridges.any();
                    job.end(EndReason::ClientGone, now())
                }
                () = asked.cancel.notified() => job.end(EndReason::Shutdown, now()),
                () = self.channels.output.closed(), if !output_closed => {
                    output_closed = true;
                    seen.unwanted = true;
                    job.end(EndReason::ClientGone, now())
                }
                _ = stopping.wait_for(|stop| *stop), if !stop_told => {
                    stop_told = true;
                    job.end(EndReason::Shutdown, now())
                }
                () = self.bridges.broken() => {
                    seen.unwanted = true;
                    job.end(EndReason::ClientGone, now())
                }
                () = &mut *steering => continue,
                Some(()) = leftovers.next() => continue,
            };
            for step in steps {
                match step {
                    Step::Leave(_) => return None,
                    Step::Stop(_) => self.stop(seen, leftovers),
                    Step::Settle(reason) => return Some(reason),
                    // Only a job that is being started has these.
                    Step::Start(_) | Step::Accept(_) | Step::Resume(_) | Step::Refuse => {}
                }
            }
        }
    }

    /// Takes what a pump says; `mute`: none is left that could say more about the orchestrator.
    fn heard(&self, heard: Heard, mute: bool, job: &mut Job, seen: &mut Seen) -> Vec<Step> {
        let now = now();
        // That events alone do not come is no loss as long as output does.
        let (broken, silent) = match heard {
            Heard::Report(reason, report) => {
                job.heard(now);
                let stopped = reason == EndReason::Shutdown;
                seen.loss = if stopped { Loss::Stopped } else { Loss::Worker };
                seen.broken.get_or_insert((now, format!("its session ended with `{reason}`")));
                seen.report = Some(report);
                return job.finished(self.candidate, reason, now);
            }
            Heard::Fed(Ok(())) => return job.end(EndReason::Eos, now),
            Heard::Fed(Err(broken)) | Heard::Fetched(Err(broken)) => {
                let silent = broken.silent;
                (broken, silent)
            }
            Heard::Mute(broken) => (broken, false),
            Heard::Fetched(Ok(())) => {
                let detail = "its output ended without a report".to_owned();
                (Broken { detail, silent: false }, false)
            }
        };
        tracing::debug!(detail = broken.detail, "a channel of the orchestrator ended");
        seen.loss = if silent || broken.silent { Loss::Connection } else { Loss::Closed };
        seen.broken.get_or_insert((now, broken.detail));
        if mute || silent { job.lost(now) } else { Vec::new() }
    }

    /// Ends the input for the orchestrator: what the client has sent already is still sent on, and
    /// then the channel is closed there as well. One that nobody waits for ends at once.
    fn stop(&self, seen: &mut Seen, leftovers: &Leftovers) {
        self.state().records().drain(self.search.id);
        self.channels.input.close();
        if seen.unwanted {
            self.release(seen, leftovers);
        }
    }

    /// Ends the session at the orchestrator at once.
    fn release(&self, seen: &mut Seen, leftovers: &Leftovers) {
        if std::mem::replace(&mut seen.released, true) {
            return;
        }
        let (client, remote) = (self.state().client.clone(), self.remote.clone());
        leftovers.push(Box::pin(async move { release(&client, &remote).await }));
    }

    /// Looks at the signs of life of both sides.
    fn look(&self, job: &mut Job, tallies: &Tallies, seen: &mut Seen) -> Vec<Step> {
        let now = now();
        let (input, output) = (tallies.input.bytes(), tallies.output.bytes());
        let (controls, events) = (tallies.control.messages(), tallies.events.messages());
        let answered_at = self.state().book().answered_at(self.row.seat);
        let taken = output != seen.output_bytes;
        let reading = taken || self.channels.output.stats().open_reads > 0;
        // Bytes that wait for the orchestrator while somebody reads are the client's sign of life:
        // it is held back, not silent. With nobody reading they prove nothing.
        let held_back = reading && self.channels.input.stats().buffered_bytes > 0;
        if input != seen.input_bytes || controls != seen.controls || held_back {
            job.input(now);
        }
        if taken || events != seen.events || answered_at > seen.answered_at {
            job.heard(now);
        }
        if taken {
            job.output(now);
        }
        if input != seen.input_bytes || tallies.signs.waits_for_orchestrator() {
            seen.flow.input(now);
        }
        seen.flow.segment(tallies.signs.segment());
        if taken {
            seen.flow.output(now);
        }
        if tallies.signs.waits_for_client() {
            seen.flow.excuse();
        }
        (seen.input_bytes, seen.output_bytes) = (input, output);
        (seen.controls, seen.events, seen.answered_at) = (controls, events, answered_at);
        job.bar_moves(tallies.signs.is_opaque());
        if seen.broken.as_ref().is_some_and(|(since, _)| now >= *since + ORPHAN_MAX) {
            return job.lost(now);
        }
        if let Some(waited) = seen.flow.stalled(now) {
            // Somebody else's chance is worth more than waiting; nobody's is not.
            if job.may_move(now) && self.search.has_others(self.row.seat) {
                seen.loss = Loss::Stalled;
                seen.broken = Some((now, format!("no output for {waited:.1?} while input flowed")));
                return job.lost(now);
            }
            seen.flow.excuse();
        }
        let steps = job.tick(now);
        if steps.is_empty() && self.is_gone(seen, reading, now) {
            // The orchestrator would go on for nobody until it noticed the silence by itself.
            seen.unwanted = true;
            if matches!(job.state(), State::Running { .. }) {
                return job.end(EndReason::ClientGone, now);
            }
        }
        steps
    }

    /// Says whether the client has left, as far as connections tell: its publisher broke off, and
    /// nobody reads.
    fn is_gone(&self, seen: &mut Seen, reading: bool, now: Instant) -> bool {
        let input = self.channels.input.stats();
        let cut = input.segments_cut > 0 && input.open_writes == 0;
        let heeded = reading || self.channels.events.stats().open_reads > 0;
        if !cut || heeded || self.bridges.any() {
            seen.absent_since = None;
            return false;
        }
        now >= *seen.absent_since.get_or_insert(now) + GONE_MAX
    }

    /// Says the last word, to everybody.
    async fn finish(
        mut self,
        reason: EndReason,
        seen: Seen,
        tallies: &Tallies,
        legs: &[Leg],
        mut events: ChannelWriter,
    ) {
        let state = Arc::clone(self.state());
        let id = self.search.id;
        // One that was left has had its say.
        if !seen.left {
            state.end(self.row.seat, outcome(reason, seen.report.is_some()));
        }
        let detail = seen.detail();
        let mut warnings = Vec::new();
        for (tally, warning) in [(&tallies.input, "input-lost"), (&tallies.output, "output-lost")] {
            if tally.gaps() > 0 {
                warnings.push(warning);
            }
        }
        if reason == EndReason::Lost && seen.report.is_none() {
            tracing::warn!(detail, "orchestrator lost");
        }
        let mut last = ended::last(reason, seen.report, &self.price, &detail, &warnings);
        ended::join(&mut last, legs);
        let text = serde_json::to_vec(&last).unwrap_or_default();
        let amount_wei = ended::amount_wei(&last);
        let customers = &state.config.customers;
        state.ledger().spend(customers, self.search.ask.customer, amount_wei, now());
        // The record first: who has read the event may look there.
        state.records().end(id, last, now());
        state.keep(id);
        drop(events.send(Bytes::from(text)).await);
        events.close();
        self.channels.end(&state.store);
        state.jobs.ended.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        state.sink.emit(Event::JobEnded { job: id, reason, amount_wei });
        if timeout(BRIDGE_MAX, self.bridges.drained()).await.is_err() {
            tracing::warn!(limit = ?BRIDGE_MAX, "a client's own URL did not take everything");
        }
    }
}

/// Says what a job's end tells of its orchestrator.
fn outcome(reason: EndReason, reported: bool) -> Outcome {
    match reason {
        EndReason::Lost => Outcome::Failed,
        EndReason::Eos | EndReason::ClientGone if reported => Outcome::Served,
        // An input that makes a plugin fault does so everywhere, and a client that leaves says
        // nothing about who served it.
        EndReason::Eos
        | EndReason::ClientGone
        | EndReason::Fault
        | EndReason::Limit
        | EndReason::Shutdown => Outcome::Neither,
    }
}

fn pumps<'a>(
    state: &state::State,
    remote: &Remote,
    media: &'a mut Media,
    tallies: &'a Tallies,
) -> Pumps<'a> {
    let Media { replay, given, out, events, messages } = media;
    let publisher =
        |url: &url::Url, media| Publisher::new(state.client.clone(), url.as_str(), media);
    let subscriber =
        |url: &url::Url| Subscriber::new(state.client.clone(), url.as_str(), Ask::Seq(0));
    let signs = &tallies.signs;
    let feed = pump::feed(replay, publisher(&remote.input, MPEG_TS), &tallies.input, signs);
    let fetch = pump::fetch(subscriber(&remote.output), out, given, &tallies.output, signs);
    let control = remote.control.as_ref().map(|url| {
        let publisher = publisher(url, JSON);
        steer::write(messages, &tallies.steer, publisher, &tallies.control, &tallies.input)
    });
    let hear = remote
        .events
        .as_ref()
        .map(|url| pump::hear(subscriber(url), events, &tallies.steer, &tallies.events));
    Pumps {
        feed: Some(Box::pin(feed)),
        fetch: Some(Box::pin(fetch)),
        hear: hear.map(|pump| Box::pin(pump) as _),
        control: control.map(|pump| Box::pin(pump) as _),
    }
}

/// Waits until the client has the rest of the output, or takes nothing of it any more.
async fn tail(channels: &Channels, pumps: &mut Pumps<'_>, tallies: &Tallies, clock: &mut Interval) {
    let (mut bytes, mut since) = (tallies.output.bytes(), now());
    while pumps.fetch.is_some() && !channels.output.is_closed() {
        tokio::select! {
            _ = pumps.next() => {}
            _ = clock.tick() => {
                let (seen, now) = (tallies.output.bytes(), now());
                if seen != bytes {
                    (bytes, since) = (seen, now);
                } else if now >= since + TAIL_SILENCE {
                    tracing::warn!(limit = ?TAIL_SILENCE, "tail not taken");
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
#[test]
fn only_what_an_orchestrator_did_itself_counts_for_or_against_it() {
    assert_eq!(outcome(EndReason::Eos, true), Outcome::Served);
    assert_eq!(outcome(EndReason::Lost, false), Outcome::Failed);
    assert_eq!(outcome(EndReason::ClientGone, true), Outcome::Served);
    assert_eq!(outcome(EndReason::ClientGone, false), Outcome::Neither);
    assert_eq!(outcome(EndReason::Fault, true), Outcome::Neither);
}
