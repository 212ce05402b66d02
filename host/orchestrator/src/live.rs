//! One live session: moves its media between channels and worker, watches its signs of life, and
//! has the last word about it.
//!
//! `domain::session` decides when it ends and why; this module does it.
//!
//! **Invariant:** whatever happens, the output channel closes and the last event is `ended`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::Class;
use domain::capability::Capability;
use domain::event::{Change, Event, Sink};
use domain::id::{LeaseId, SessionId};
use domain::lease::LeaseTable;
use domain::poison::Poisonous;
use domain::price::{Lot, Price, live_units};
use domain::session::{EndReason, Session, Step};
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{debug, info, warn};
use wire::trickle::{Ask, ChannelReader, ChannelWriter};
use worker::message::{MetricChange, MetricForm};
use worker::parent::{Input, Output, Outputs};
use worker::{Failure, SessionReport};

use crate::admit::lock;
use crate::channels::Channels;
use crate::presence::{Connections, Presence};
use crate::price::{Pricer, Usage};
use crate::report::{self, Bill};
use crate::suspect::{self, Watch};

/// How often a session's signs of life are looked at; a fraction of every limit on them.
const TICK: Duration = Duration::from_millis(200);
/// Longest control message: parameters with a prompt and a workflow fit many times.
const CONTROL_BYTES_MAX: usize = 256 << 10;
/// Time for the worker to report an aborted session, before it is reported without.
const ABORT_MAX: Duration = Duration::from_secs(3);
/// Name under which the session reads its own channels.
const READER: &str = "session";

/// What a live session is made of.
pub(crate) struct Live {
    /// The session's number.
    pub(crate) id: SessionId,
    /// Id that goes through the logs of both roles.
    pub(crate) request: String,
    /// What it does.
    pub(crate) capability: Capability,
    /// Its channels.
    pub(crate) channels: Channels,
    /// Its slot.
    pub(crate) lease: LeaseId,
    /// The device's slots.
    pub(crate) leases: Arc<Mutex<LeaseTable>>,
    /// Wei for one lot, as it was quoted.
    pub(crate) price_wei: u64,
    /// Works out the amount.
    pub(crate) pricer: Arc<Pricer>,
    /// Takes events.
    pub(crate) sink: Arc<dyn Sink>,
    /// What others may ask of it.
    pub(crate) ask: Arc<Asked>,
    /// Watches its input.
    pub(crate) watch: Mutex<Watch>,
}

/// What others may ask of a running session.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    cancel: Notify,
}

impl Asked {
    /// Ends the session at once.
    pub(crate) fn cancel(&self) {
        self.cancel.notify_one();
    }
}

/// Signs of life that the pumps leave for the clock.
#[derive(Debug, Default)]
struct Signs {
    input_bytes: AtomicU64,
    output_bytes: AtomicU64,
    kept_alive: AtomicBool,
}

/// How a session ended, as far as its worker could tell.
enum Finish {
    Report(Box<SessionReport>),
    Lost(String),
}

impl Live {
    /// Runs the session to its end. `stopping` becomes true when the role stops.
    pub(crate) async fn run(
        self,
        input: Input,
        mut outputs: Outputs,
        mut stopping: watch::Receiver<bool>,
    ) {
        let opened_at = Instant::now();
        let mut life = Session::open(opened_at);
        life.opened();
        let signs = Signs::default();
        let mut poison = None;
        let mut out = ChannelWriter::new(Arc::clone(&self.channels.output));
        let mut events = ChannelWriter::new(Arc::clone(&self.channels.events));
        let finish = {
            let feed = self.feed(&input, &signs);
            let drain = self.drain(&mut outputs, &mut out, &mut events, &signs);
            let control = self.control(&input, &signs);
            tokio::pin!(feed, drain, control);
            let mut clock = interval(TICK);
            clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut seen = Seen::default();
            let (mut feeding, mut controlled, mut stop_told) = (true, true, false);
            loop {
                let step = tokio::select! {
                    finish = &mut drain => break finish,
                    fed = &mut feed, if feeding => {
                        feeding = false;
                        poison = fed.err();
                        let reason = poison.as_ref().map_or(EndReason::Eos, |_| EndReason::Fault);
                        life.end(reason, Instant::now())
                    }
                    () = &mut control, if controlled => {
                        controlled = false;
                        Step::Wait
                    }
                    _ = clock.tick() => self.look(&mut life, &signs, &mut seen),
                    () = self.ask.cancel.notified() => {
                        life.abort(EndReason::Shutdown, Instant::now())
                    }
                    // The reader of a closed output has gone for good.
                    () = self.channels.output.closed() => {
                        life.abort(EndReason::ClientGone, Instant::now())
                    }
                    _ = stopping.changed(), if !stop_told => {
                        stop_told = true;
                        life.end(EndReason::Shutdown, Instant::now())
                    }
                };
                match step {
                    Step::Wait => {}
                    // A worker that is gone says so through its outputs.
                    Step::EndInput => drop(input.end().await),
                    Step::Abort => {
                        drop(input.abort().await);
                        let told = timeout(ABORT_MAX, &mut drain).await;
                        break told.unwrap_or_else(|_| Finish::Lost("no report".to_owned()));
                    }
                }
            }
        };
        let finish = match poison {
            Some(poison) => self.refused(finish, &poison),
            None => self.blamed(finish, &input),
        };
        self.finish(life, finish, out, events, opened_at).await;
    }

    /// Moves the client's media to the worker until the client closes its channel, or sends what is
    /// known to be poison.
    async fn feed(&self, input: &Input, signs: &Signs) -> Result<(), Poisonous> {
        let channel = Arc::clone(&self.channels.input);
        let mut reader = ChannelReader::new(channel, READER, Ask::Seq(0));
        while let Some(start) = reader.next_segment().await {
            if let Some(missing) = start.missing {
                warn!(%missing, "input segments were lost");
            }
            lock(&self.watch).begin();
            loop {
                let bytes = reader.chunk().await;
                let last = bytes.is_none();
                let passed = match bytes {
                    Some(bytes) => {
                        signs.input_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                        lock(&self.watch).look(bytes)?
                    }
                    None => lock(&self.watch).end()?,
                };
                for bytes in passed {
                    if input.write(bytes).await.is_err() {
                        // The worker's loss is reported by its outputs, which end the session.
                        return std::future::pending().await;
                    }
                }
                if last {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Moves the worker's media and events to the client until the worker has said its last.
    async fn drain(
        &self,
        outputs: &mut Outputs,
        out: &mut ChannelWriter,
        events: &mut ChannelWriter,
        signs: &Signs,
    ) -> Finish {
        while let Some(output) = outputs.next().await {
            match output {
                Output::Opened => {}
                // A client that closed the output is noticed by the loop above.
                Output::Segment => drop(out.begin_segment()),
                Output::Data(bytes) => {
                    let len = bytes.len() as u64;
                    if out.write(bytes).await.is_ok() {
                        signs.output_bytes.fetch_add(len, Ordering::Relaxed);
                    }
                }
                Output::Metrics(changes) => self.measured(changes),
                Output::Event(json) => drop(events.send(Bytes::from(json)).await),
                Output::Log { level, text } => log(&level, &text),
                Output::Replaced(how) => {
                    self.sink.emit(report::faulted(&how.fault, &how.message));
                    self.sink.emit(Event::PipelineReplaced {
                        session: self.id,
                        pipeline: self.capability.live_id().unwrap_or_default().to_owned(),
                        by: report::replaced_by(&how.by),
                    });
                }
                Output::Ended(report) => return Finish::Report(report),
                Output::Lost(how) => return Finish::Lost(how),
            }
        }
        Finish::Lost("the worker is gone".to_owned())
    }

    /// Takes parameters, messages and signs of life from the client, one JSON document a segment.
    async fn control(&self, input: &Input, signs: &Signs) {
        let channel = Arc::clone(&self.channels.control);
        let mut reader = ChannelReader::new(channel, READER, Ask::Seq(0));
        while let Some(message) = reader.message(CONTROL_BYTES_MAX).await {
            let sent = match Control::parse(&message) {
                Control::KeepAlive => {
                    signs.kept_alive.store(true, Ordering::Relaxed);
                    Ok(())
                }
                Control::Message(text) => input.message(text).await,
                Control::Params(json) => input.params(json).await,
                Control::Nothing => {
                    debug!(bytes = message.len(), "control message ignored");
                    Ok(())
                }
            };
            if sent.is_err() {
                return;
            }
        }
    }

    /// Looks at the signs of life.
    fn look(&self, life: &mut Session, signs: &Signs, seen: &mut Seen) -> Step {
        let now = Instant::now();
        let input = signs.input_bytes.load(Ordering::Relaxed);
        let output = signs.output_bytes.load(Ordering::Relaxed);
        let kept = signs.kept_alive.swap(false, Ordering::Relaxed);
        let taken = output != seen.output_bytes;
        let read = taken || self.channels.output.stats().open_reads > 0;
        // Bytes that wait for the worker while somebody reads are the client's sign of life: it is
        // held back, not silent. With nobody reading they prove nothing.
        let held_back = read && self.channels.input.stats().buffered_bytes > 0;
        let fed = input != seen.input_bytes || held_back;
        (seen.input_bytes, seen.output_bytes) = (input, output);
        if fed || kept {
            life.input(now);
        }
        if taken {
            life.output(now);
        }
        if seen.presence.is_gone(Connections::of(&self.channels), now) {
            debug!("gateway gone");
            return life.abort(EndReason::ClientGone, now);
        }
        if fed || kept || read {
            let mut leases = lock(&self.leases);
            // One that expired meanwhile is collected, and announced, by the sweep.
            let _ = leases.renew(self.lease, now);
        }
        life.tick(now)
    }

    /// Says that the input was refused, whatever else became of the session.
    fn refused(&self, finish: Finish, poison: &Poisonous) -> Finish {
        let mut report = match finish {
            Finish::Report(report) => report,
            Finish::Lost(_) => Box::default(),
        };
        let (class, message) = (Class::Invalid.name().to_owned(), poison.to_string());
        report.failure = Some(Failure { class, message, fault: None });
        Finish::Report(report)
    }

    /// Blames what was in work if the session ended by a fault of its plugin or with its worker.
    fn blamed(&self, finish: Finish, input: &Input) -> Finish {
        let watch = lock(&self.watch);
        match &finish {
            Finish::Report(report) => {
                let plugin_fault = Class::PluginFault.name();
                if report.failure.as_ref().is_some_and(|failure| failure.class == plugin_fault) {
                    watch.blame(report.input_bytes, report.input_bytes);
                }
            }
            Finish::Lost(_) => {
                let told = watch.passed().saturating_sub(input.unread() as u64);
                watch.blame(told, watch.passed().min(told + suspect::UNTOLD));
            }
        }
        finish
    }

    /// Closes the session: the output, then the last event, then everything else.
    async fn finish(
        self,
        mut life: Session,
        finish: Finish,
        out: ChannelWriter,
        mut events: ChannelWriter,
        opened_at: Instant,
    ) {
        let (report, found) = match finish {
            Finish::Report(report) => {
                let found = reason_of(&report);
                (*report, found)
            }
            Finish::Lost(how) => {
                warn!(how, "session lost its worker");
                (SessionReport::default(), EndReason::Lost)
            }
        };
        let reason = life.finished(found);
        let bill = self.bill(&report, opened_at.elapsed());
        out.close();
        let last = report::ended(reason, &report, &bill);
        // The channel is lossy, so this waits for nobody.
        drop(events.send(Bytes::from(last)).await);
        events.close();
        self.channels.close();
        lock(&self.leases).release(self.lease);
        self.announce(reason, &report, opened_at);
    }

    fn measured(&self, changes: Vec<MetricChange>) {
        for MetricChange { name, form, help, values } in changes {
            let only = values.first().copied().unwrap_or_default();
            let change = match form {
                MetricForm::Counter => Change::Add(only),
                MetricForm::Gauge => Change::Set(only),
                MetricForm::Histogram => Change::Observe(values),
            };
            self.sink.emit(Event::PluginMeasured { name, help, change });
        }
    }

    fn bill(&self, report: &SessionReport, lasted: Duration) -> Bill {
        let units = live_units(report.stream_ms);
        let usage = Usage { units, elapsed: lasted };
        let amount_wei = self.pricer.charge(&self.capability, self.price_wei, usage, &*self.sink);
        Bill { price: Price { wei: self.price_wei, lot: Lot::live() }, amount_wei }
    }

    fn announce(&self, reason: EndReason, report: &SessionReport, opened_at: Instant) {
        let pipeline = self.capability.live_id().unwrap_or_default().to_owned();
        if let Some(failure) = &report.failure {
            info!(class = failure.class, error = failure.message, "session failed");
            if let Some(fault) = &failure.fault {
                self.sink.emit(report::faulted(fault, &failure.message));
            }
        }
        self.sink.emit(Event::SessionEnded {
            session: self.id,
            pipeline,
            reason,
            frames_in: report.frames_in,
            frames_out: report.frames_out,
            frames_dropped: report.frames_dropped,
            lasted: opened_at.elapsed(),
        });
    }
}

/// What was seen at the last look.
#[derive(Debug, Default)]
struct Seen {
    input_bytes: u64,
    output_bytes: u64,
    presence: Presence,
}

/// A message on the control channel.
#[derive(Debug, PartialEq, Eq)]
enum Control {
    KeepAlive,
    Message(String),
    Params(String),
    Nothing,
}

impl Control {
    /// Reads a message: an object is the new parameters, except `{"keep":"alive"}` and
    /// `{"message":"…"}`.
    fn parse(bytes: &[u8]) -> Self {
        let Ok(serde_json::Value::Object(object)) = serde_json::from_slice(bytes) else {
            return Self::Nothing;
        };
        let only = |key: &str| if object.len() == 1 { object.get(key)?.as_str() } else { None };
        if only("keep") == Some("alive") {
            return Self::KeepAlive;
        }
        match (only("message"), std::str::from_utf8(bytes)) {
            (Some(text), _) => Self::Message(text.to_owned()),
            (None, Ok(json)) => Self::Params(json.to_owned()),
            (None, Err(_)) => Self::Nothing,
        }
    }
}

fn reason_of(report: &SessionReport) -> EndReason {
    match report.failure.as_ref().map(|failure| failure.class.as_str()) {
        None => EndReason::Eos,
        Some("exhausted") => EndReason::Limit,
        // The worker was told to abort; why is what this side knows.
        Some("cancelled") => EndReason::Lost,
        Some(_) => EndReason::Fault,
    }
}

/// A plugin's line goes into the role's log at its own level, marked as the plugin's.
fn log(level: &str, text: &str) {
    match level {
        "error" => tracing::error!(plugin_log = true, "{text}"),
        "warn" => warn!(plugin_log = true, "{text}"),
        "info" => info!(plugin_log = true, "{text}"),
        _ => debug!(plugin_log = true, "{text}"),
    }
}

#[cfg(test)]
#[test]
fn an_object_on_control_is_parameters_unless_it_says_otherwise() {
    assert_eq!(Control::parse(br#"{"keep":"alive"}"#), Control::KeepAlive);
    assert_eq!(Control::parse(br#"{"message":"hi"}"#), Control::Message("hi".to_owned()));
    let both = r#"{"message":"hi","strength":3}"#;
    assert_eq!(Control::parse(both.as_bytes()), Control::Params(both.to_owned()));
    assert_eq!(Control::parse(b"[1]"), Control::Nothing);
    assert_eq!(Control::parse(b"\xff"), Control::Nothing);
}
