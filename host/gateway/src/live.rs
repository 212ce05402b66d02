//! A running job: keeps its pumps going, watches both sides for signs of life, and has the last
//! word. `domain::job` decides when it ends and why; this module does it.
//!
//! **Invariant:** whatever happens, the output closes, the last event is `ended`, the record has all
//! of it, and the orchestrator's slot is given back or is not reachable.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::event::Event;
use domain::id::JobId;
use domain::job::{Job, State, Step};
use domain::session::EndReason;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use wire::trickle::{Ask, ChannelWriter, Publisher, Subscriber};

use crate::book::{Outcome, Seat};
use crate::bridge::Bridges;
use crate::channels::{Channels, JSON, MPEG_TS};
use crate::ended;
use crate::pump::{self, Heard, Pumps, Tally};
use crate::record::{AgreedPrice, Asked};
use crate::start::{Remote, release};
use crate::state::{self, now};

/// How often signs of life are looked at; a fraction of every limit on them.
const TICK: Duration = Duration::from_millis(250);
/// Time for the report of an orchestrator whose channels have ended or cannot be reached: it comes
/// at once, or not at all.
const ORPHAN_MAX: Duration = Duration::from_secs(5);
/// Time after which a client counts as gone whose publisher broke off and who reads nothing: one
/// that tries again does so within a second.
const GONE_MAX: Duration = Duration::from_secs(2);
/// Time that a client may take nothing of the tail: longer than the stall after which the channel
/// drops it.
const TAIL_SILENCE: Duration = Duration::from_secs(15);
/// Time for the last bytes to reach URLs of the client's own.
const BRIDGE_MAX: Duration = Duration::from_secs(10);

/// Small work for others that a job finishes before it goes.
pub(crate) type Leftovers = FuturesUnordered<BoxFuture<'static, ()>>;

/// A job that an orchestrator serves.
pub(crate) struct Live {
    pub(crate) state: Arc<state::State>,
    pub(crate) id: JobId,
    pub(crate) channels: Channels,
    pub(crate) remote: Remote,
    pub(crate) seat: Seat,
    /// The orchestrator's place among the candidates of the job.
    pub(crate) candidate: usize,
    pub(crate) price: AgreedPrice,
    pub(crate) asked: Arc<Asked>,
    pub(crate) bridges: Bridges,
    pub(crate) stopping: watch::Receiver<bool>,
}

/// What went through the pumps.
#[derive(Debug, Default)]
struct Tallies {
    input: Tally,
    output: Tally,
    control: Tally,
    events: Tally,
}

/// What was seen of a job so far.
#[derive(Debug, Default)]
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
}

impl Live {
    /// Runs the job to its end.
    pub(crate) async fn run(mut self, mut job: Job, leftovers: &mut Leftovers) {
        let mut out = ChannelWriter::new(Arc::clone(&self.channels.output));
        let mut events = ChannelWriter::new(Arc::clone(&self.channels.events));
        let (tallies, mut seen) = (Tallies::default(), Seen::default());
        let (remote, channels) = (self.remote.clone(), self.channels.clone());
        let mut pumps = pumps(&self.state, &remote, &channels, &tallies, &mut out, &mut events);
        let mut clock = interval(TICK);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let reason = self.relay(&mut job, &mut pumps, &tallies, &mut seen, &mut clock, leftovers);
        let reason = reason.await;
        if seen.report.is_some() && !seen.released {
            tail(&channels, &mut pumps, &tallies, &mut clock).await;
        }
        drop(pumps);
        if seen.report.is_none() && !seen.released {
            self.release(&mut seen, leftovers);
        }
        out.close();
        self.finish(reason, seen, &tallies, events).await;
    }

    /// Relays until the job is over; returns why it is.
    async fn relay(
        &mut self,
        job: &mut Job,
        pumps: &mut Pumps<'_>,
        tallies: &Tallies,
        seen: &mut Seen,
        clock: &mut Interval,
        leftovers: &mut Leftovers,
    ) -> EndReason {
        let mut stopping = self.stopping.clone();
        let mut stop_told = false;
        let mut output_closed = false;
        loop {
            let steps = tokio::select! {
                heard = pumps.next() => {
                    let mute = pumps.fetch.is_none() && pumps.hear.is_none();
                    self.heard(heard, mute, job, seen)
                }
                _ = clock.tick() => self.look(job, tallies, seen),
                () = self.asked.end.notified() => {
                    let unread = self.channels.output.stats().readers == 0;
                    seen.unwanted |= unread && !self.bridges.any();
                    job.end(EndReason::ClientGone, now())
                }
                () = self.asked.cancel.notified() => job.end(EndReason::Shutdown, now()),
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
                Some(()) = leftovers.next() => continue,
            };
            for step in steps {
                match step {
                    Step::Stop(_) => self.stop(seen, leftovers),
                    Step::Settle(reason) => return reason,
                    // Only a job that is being started has these.
                    Step::Start(_) | Step::Accept(_) | Step::Refuse => {}
                }
            }
        }
    }

    /// Takes what a pump says; `mute`: none is left that could say more about the orchestrator.
    fn heard(&self, heard: Heard, mute: bool, job: &mut Job, seen: &mut Seen) -> Vec<Step> {
        let now = now();
        let detail = match heard {
            Heard::Report(reason, report) => {
                job.heard(now);
                seen.report = Some(report);
                return job.finished(self.candidate, reason, now);
            }
            Heard::Fed(Ok(())) => return job.end(EndReason::Eos, now),
            Heard::Fed(Err(detail)) | Heard::Fetched(Err(detail)) | Heard::Mute(detail) => detail,
            Heard::Fetched(Ok(())) => "its output ended without a report".to_owned(),
        };
        tracing::debug!(detail, "a channel of the orchestrator ended");
        seen.broken.get_or_insert((now, detail));
        if mute { job.end(EndReason::Lost, now) } else { Vec::new() }
    }

    /// Ends the input for the orchestrator: what the client has sent already is still sent on, and
    /// then the channel is closed there as well. One that nobody waits for ends at once.
    fn stop(&self, seen: &mut Seen, leftovers: &Leftovers) {
        self.state.records().drain(self.id);
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
        let (client, remote) = (self.state.client.clone(), self.remote.clone());
        leftovers.push(Box::pin(async move { release(&client, &remote).await }));
    }

    /// Looks at the signs of life of both sides.
    fn look(&self, job: &mut Job, tallies: &Tallies, seen: &mut Seen) -> Vec<Step> {
        let now = now();
        let (input, output) = (tallies.input.bytes(), tallies.output.bytes());
        let (controls, events) = (tallies.control.messages(), tallies.events.messages());
        let answered_at = self.state.book().answered_at(self.seat);
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
        (seen.input_bytes, seen.output_bytes) = (input, output);
        (seen.controls, seen.events, seen.answered_at) = (controls, events, answered_at);
        if seen.broken.as_ref().is_some_and(|(since, _)| now >= *since + ORPHAN_MAX) {
            return job.end(EndReason::Lost, now);
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
        mut events: ChannelWriter,
    ) {
        self.state.end(self.seat, outcome(reason, seen.report.is_some()));
        let detail = seen.broken.map_or_else(|| "it fell silent".to_owned(), |(_, detail)| detail);
        let mut warnings = Vec::new();
        for (tally, warning) in [(&tallies.input, "input-lost"), (&tallies.output, "output-lost")] {
            if tally.gaps() > 0 {
                warnings.push(warning);
            }
        }
        if reason == EndReason::Lost && seen.report.is_none() {
            tracing::warn!(detail, "orchestrator lost");
        }
        let last = ended::last(reason, seen.report, &self.price, &detail, &warnings);
        let text = serde_json::to_vec(&last).unwrap_or_default();
        let amount_wei = ended::amount_wei(&last);
        // The record first: who has read the event may look there.
        self.state.records().end(self.id, last, now());
        drop(events.send(Bytes::from(text)).await);
        events.close();
        self.channels.end(&self.state.store);
        self.state.jobs.ended.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.state.sink.emit(Event::JobEnded { job: self.id, reason, amount_wei });
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
    channels: &Channels,
    tallies: &'a Tallies,
    out: &'a mut ChannelWriter,
    events: &'a mut ChannelWriter,
) -> Pumps<'a> {
    let publisher =
        |url: &url::Url, media| Publisher::new(state.client.clone(), url.as_str(), media);
    let subscriber =
        |url: &url::Url| Subscriber::new(state.client.clone(), url.as_str(), Ask::Seq(0));
    let input = Arc::clone(&channels.input);
    let feed = pump::push(input, publisher(&remote.input, MPEG_TS), &tallies.input);
    let fetch = pump::pull(subscriber(&remote.output), out, &tallies.output);
    let control = remote.control.as_ref().map(|url| {
        let channel = Arc::clone(&channels.control);
        pump::control(channel, publisher(url, JSON), &tallies.control, &tallies.input)
    });
    let hear =
        remote.events.as_ref().map(|url| pump::hear(subscriber(url), events, &tallies.events));
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
