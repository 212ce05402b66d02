//! Copying channels between this process and others, segment for segment and chunk for chunk. It
//! holds one chunk at a time: who is slow slows who comes before.
//!
//! **Invariant:** what is lost on the way is counted and the copying goes on; it ends early only
//! where the other side is gone.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use domain::session::EndReason;
use domain::{Class, chain};
use serde_json::{Map, Value};
use tokio::time::sleep;
use wire::trickle::{
    Ask, Channel, ChannelReader, ChannelWriter, Patience, PublishError, Publisher, SegmentPost,
    SubscribeError, Subscriber, WriteError,
};

use crate::ended::{self, Report};
use crate::given::Given;
use crate::replay::{Piece, Replay};
use crate::steer::Steer;

/// Longest event that is passed on; a last one with every warning there is has less than 4 KiB.
pub(crate) const EVENT_BYTES_MAX: usize = 64 << 10;
/// Segments in a row that may break off before the other side counts as gone. Each has been tried
/// for a second before.
const BREAKS_MAX: u32 = 3;
/// Pause after a segment broke off: a connection's trouble is over, or it is more than that.
const BREAK_PAUSE: Duration = Duration::from_millis(250);
/// How often an orchestrator's connection is tried: one that broke is made again at once, and one
/// that is refused is not there to wait for, since the job can go on elsewhere.
const PATIENCE: Patience = Patience { tries: 2, pause: Duration::from_millis(150) };
/// Name under which the gateway reads its own channels.
const READER: &str = "relay";

/// What went through a pump.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    bytes: AtomicU64,
    messages: AtomicU64,
    gaps: AtomicU64,
}

impl Tally {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// Counts how often something was lost on the way.
    pub(crate) fn gaps(&self) -> u64 {
        self.gaps.load(Ordering::Relaxed)
    }

    pub(crate) fn took(&self, bytes: &Bytes) {
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }

    pub(crate) fn message(&self) {
        self.messages.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn lost(&self, what: &str, detail: &str) {
        self.gaps.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(what, detail, "relay lost bytes");
    }
}

/// Why a pump cannot go on.
#[derive(Debug, Clone)]
pub(crate) struct Broken {
    /// For people.
    pub(crate) detail: String,
    /// Whether the orchestrator does not answer any more, as far as the connection tells; else it
    /// answers that a channel is gone, or it is the client's side that is.
    pub(crate) silent: bool,
}

impl Broken {
    fn of(error: &(dyn std::error::Error + 'static), class: Class) -> Self {
        let silent = matches!(class, Class::Unavailable | Class::TimedOut);
        Self { detail: chain(error), silent }
    }
}

/// What the pumps of a job let the clock see.
#[derive(Debug)]
pub(crate) struct Signs {
    /// Time of the last picture that the client was given; [`i64::MIN`]: none.
    picture: AtomicI64,
    /// Whether output waits for the client.
    waits: AtomicBool,
    /// Whether input waits for the orchestrator.
    feeding: AtomicBool,
    /// Whether output went to the client in which no picture was seen.
    opaque: AtomicBool,
    /// Microseconds from one key frame of the input to the next; 0: not known.
    segment_us: AtomicU64,
}

impl Default for Signs {
    fn default() -> Self {
        Self {
            picture: AtomicI64::new(i64::MIN),
            waits: AtomicBool::new(false),
            feeding: AtomicBool::new(false),
            opaque: AtomicBool::new(false),
            segment_us: AtomicU64::new(0),
        }
    }
}

impl Signs {
    /// Notes the last picture that the client was given; `None`: it was given bytes in which there
    /// is none.
    pub(crate) fn given(&self, picture: Option<i64>) {
        self.opaque.store(picture.is_none(), Ordering::Relaxed);
        self.picture.store(picture.unwrap_or(i64::MIN), Ordering::Relaxed);
    }

    /// Says whether the client was given something of which nobody knows where it goes on.
    pub(crate) fn is_opaque(&self) -> bool {
        self.opaque.load(Ordering::Relaxed)
    }

    fn last_given(&self) -> Option<i64> {
        Some(self.picture.load(Ordering::Relaxed)).filter(|time| *time != i64::MIN)
    }

    /// Notes that output waits for the client, until what this returns is dropped.
    pub(crate) fn wait_for_client(&self) -> Waits<'_> {
        self.waits.store(true, Ordering::Relaxed);
        Waits(&self.waits)
    }

    /// Notes that input waits for the orchestrator, until what this returns is dropped.
    fn wait_for_orchestrator(&self) -> Waits<'_> {
        self.feeding.store(true, Ordering::Relaxed);
        Waits(&self.feeding)
    }

    /// Says whether input waits for the orchestrator.
    pub(crate) fn waits_for_orchestrator(&self) -> bool {
        self.feeding.load(Ordering::Relaxed)
    }

    /// Says whether output waits for the client.
    pub(crate) fn waits_for_client(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// Returns the segment time of the input; zero while it is not known.
    pub(crate) fn segment(&self) -> Duration {
        Duration::from_micros(self.segment_us.load(Ordering::Relaxed))
    }
}

/// Media wait for the other side while this lives.
pub(crate) struct Waits<'a>(&'a AtomicBool);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Copies a job's input to its orchestrator, to its end, and closes it there. An error says why the
/// other side is gone.
pub(crate) async fn feed(
    replay: &mut Replay,
    mut publisher: Publisher,
    tally: &Tally,
    signs: &Signs,
) -> Result<(), Broken> {
    let mut breaks = 0;
    let mut post = None;
    while let Some(piece) = replay.next(signs.last_given()).await {
        let _waiting = signs.wait_for_orchestrator();
        let sent = match piece {
            Piece::Begin(missing) => {
                if missing {
                    tally.lost("segments of the channel", "the relay fell behind");
                }
                end(&mut post).await
            }
            Piece::Data(bytes) => {
                tally.took(&bytes);
                if let Some(length) = replay.segment() {
                    let us = u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
                    signs.segment_us.store(us, Ordering::Relaxed);
                }
                append(&mut publisher, &mut post, bytes).await
            }
            Piece::End => end(&mut post).await.inspect(|()| breaks = 0),
        };
        if let Err(error) = sent {
            post = None;
            broke(&error, &mut breaks, tally)?;
            recover(&mut publisher, &error).await;
        }
    }
    // The last segment has an end of its own.
    let closed = publisher.close().await;
    closed.map_err(|error| Broken::of(&error, error.class()))
}

async fn end(post: &mut Option<SegmentPost>) -> Result<(), PublishError> {
    match post.take() {
        Some(post) => post.end().await,
        None => Ok(()),
    }
}

/// Copies a channel of ours to another machine, to its end, and closes it there. An error says why
/// the other side is gone.
pub(crate) async fn push(
    channel: Arc<Channel>,
    mut publisher: Publisher,
    tally: &Tally,
) -> Result<(), Broken> {
    let mut reader = ChannelReader::new(channel, READER, Ask::Seq(0));
    let mut breaks = 0;
    while let Some(start) = reader.next_segment().await {
        if start.missing.is_some() || start.offset > 0 {
            tally.lost("segments of the channel", "the relay fell behind");
        }
        let mut post = None;
        while let Some(bytes) = reader.chunk().await {
            tally.took(&bytes);
            if let Err(error) = append(&mut publisher, &mut post, bytes).await {
                post = None;
                broke(&error, &mut breaks, tally)?;
                recover(&mut publisher, &error).await;
            }
        }
        match end(&mut post).await {
            Ok(()) => breaks = 0,
            Err(error) => {
                broke(&error, &mut breaks, tally)?;
                recover(&mut publisher, &error).await;
            }
        }
    }
    let closed = publisher.close().await;
    closed.map_err(|error| Broken::of(&error, error.class()))
}

async fn append(
    publisher: &mut Publisher,
    post: &mut Option<SegmentPost>,
    bytes: Bytes,
) -> Result<(), PublishError> {
    post.get_or_insert_with(|| publisher.begin()).write(bytes).await
}

/// Counts a segment that broke off; an error if the other side is gone.
fn broke(error: &PublishError, breaks: &mut u32, tally: &Tally) -> Result<(), Broken> {
    *breaks += 1;
    let gone = matches!(error, PublishError::Gone { .. } | PublishError::Url { .. });
    if gone || *breaks >= BREAKS_MAX {
        return Err(Broken::of(error, error.class()));
    }
    tally.lost("a segment to be sent", &chain(error));
    Ok(())
}

/// Finds out where the other side is, so that what follows goes on there.
async fn recover(publisher: &mut Publisher, error: &PublishError) {
    sleep(BREAK_PAUSE).await;
    if matches!(error, PublishError::Ended { .. }) {
        // If this fails too, the next segment tells.
        let _ = publisher.resume().await;
    }
}

/// Copies a channel of another machine into one of ours, to its end. An error says why the other
/// side is gone.
pub(crate) async fn pull(
    mut subscriber: Subscriber,
    writer: &mut ChannelWriter,
    tally: &Tally,
) -> Result<(), Broken> {
    let failed = |error: SubscribeError| Broken::of(&error, error.class());
    let ours = |error: WriteError| Broken::of(&error, error.class());
    while let Some(start) = subscriber.next_segment().await.map_err(failed)? {
        if start.missing.is_some() || start.offset > 0 {
            tally.lost("segments received", "the other side does not have them any more");
        }
        writer.begin_segment().map_err(ours)?;
        while let Some(bytes) = subscriber.chunk().await.map_err(failed)? {
            tally.took(&bytes);
            writer.write(bytes).await.map_err(ours)?;
        }
        writer.end_segment();
    }
    Ok(())
}

/// Copies the output of an orchestrator to the client, to its end, as far as the client does not
/// have it. An error says why the other side is gone.
pub(crate) async fn fetch(
    subscriber: Subscriber,
    writer: &mut ChannelWriter,
    given: &mut Given,
    tally: &Tally,
    signs: &Signs,
) -> Result<(), Broken> {
    let mut subscriber = subscriber.with_patience(PATIENCE);
    let failed = |error: SubscribeError| Broken::of(&error, error.class());
    let ours = |error: WriteError| Broken::of(&error, error.class());
    given.flush(writer, signs).await.map_err(ours)?;
    while let Some(start) = subscriber.next_segment().await.map_err(failed)? {
        if start.missing.is_some() || start.offset > 0 {
            tally.lost("segments received", "the other side does not have them any more");
        }
        given.begin();
        while let Some(bytes) = subscriber.chunk().await.map_err(failed)? {
            tally.took(&bytes);
            given.take(bytes);
            given.flush(writer, signs).await.map_err(ours)?;
        }
        given.end();
        given.flush(writer, signs).await.map_err(ours)?;
    }
    Ok(())
}

/// Passes events on until the last one, which is returned; `None`: they ended without it.
pub(crate) async fn hear(
    subscriber: Subscriber,
    writer: &mut ChannelWriter,
    steer: &Steer,
    tally: &Tally,
) -> Result<Option<Report>, Broken> {
    let mut subscriber = subscriber.with_patience(PATIENCE);
    loop {
        let message = subscriber.message(EVENT_BYTES_MAX + 1).await;
        let message = message.map_err(|error| Broken::of(&error, error.class()))?;
        let Some(message) = message else { return Ok(None) };
        tally.message();
        if message.len() > EVENT_BYTES_MAX {
            tally.lost("an event", "it is longer than events may be");
            continue;
        }
        if let Some(last) = ended::report(&message) {
            return Ok(Some(last));
        }
        steer.heard(&message);
        // The channel is lossy, so this waits for nobody; it is closed only by the job's end.
        drop(writer.send(Bytes::from(message)).await);
    }
}

/// A pump at work.
pub(crate) type Pump<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a pump of a job has to say.
pub(crate) enum Heard {
    /// Input is at its end, and the orchestrator knows, or is gone.
    Fed(Result<(), Broken>),
    /// Output is at its end, or the orchestrator is gone.
    Fetched(Result<(), Broken>),
    /// The orchestrator reports the end of the session.
    Report(EndReason, Map<String, Value>),
    /// No more events come.
    Mute(Broken),
}

/// The pumps of a job.
pub(crate) struct Pumps<'a> {
    pub(crate) feed: Option<Pump<'a, Result<(), Broken>>>,
    pub(crate) fetch: Option<Pump<'a, Result<(), Broken>>>,
    pub(crate) hear: Option<Pump<'a, Result<Option<Report>, Broken>>>,
    pub(crate) control: Option<Pump<'a, ()>>,
}

impl Pumps<'_> {
    /// Works until one has something to say; for ever once all have.
    pub(crate) async fn next(&mut self) -> Heard {
        poll_fn(|cx| {
            if let Some(Poll::Ready(end)) = self.feed.as_mut().map(|it| it.as_mut().poll(cx)) {
                self.feed = None;
                return Poll::Ready(Heard::Fed(end));
            }
            if let Some(Poll::Ready(end)) = self.fetch.as_mut().map(|it| it.as_mut().poll(cx)) {
                self.fetch = None;
                return Poll::Ready(Heard::Fetched(end));
            }
            if let Some(Poll::Ready(())) = self.control.as_mut().map(|it| it.as_mut().poll(cx)) {
                self.control = None;
            }
            if let Some(Poll::Ready(end)) = self.hear.as_mut().map(|it| it.as_mut().poll(cx)) {
                self.hear = None;
                return Poll::Ready(match end {
                    Ok(Some((reason, report))) => Heard::Report(reason, report),
                    Ok(None) => Heard::Mute(Broken {
                        detail: "its events ended without a report".to_owned(),
                        silent: false,
                    }),
                    Err(broken) => Heard::Mute(broken),
                });
            }
            Poll::Pending
        })
        .await
    }
}
