//! Copying channels between this process and others, segment for segment and chunk for chunk. It
//! holds one chunk at a time: who is slow slows who comes before.
//!
//! **Invariant:** what is lost on the way is counted and the copying goes on; it ends early only
//! where the other side is gone.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use domain::chain;
use domain::session::EndReason;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};
use wire::trickle::{
    Ask, Channel, ChannelReader, ChannelWriter, PublishError, Publisher, SegmentPost, Subscriber,
};

use crate::ended::{self, Report};

/// Longest control message that is passed on: parameters with a prompt and a workflow.
pub(crate) const CONTROL_BYTES_MAX: usize = 256 << 10;
/// Longest event that is passed on; a last one with every warning there is has less than 4 KiB.
pub(crate) const EVENT_BYTES_MAX: usize = 64 << 10;
/// Segments in a row that may break off before the other side counts as gone. Each has been tried
/// for a second before.
const BREAKS_MAX: u32 = 3;
/// Pause after a segment broke off: a connection's trouble is over, or it is more than that.
const BREAK_PAUSE: Duration = Duration::from_millis(250);
/// How often an orchestrator is told that its client lives while it says nothing: as the network's
/// gateways do.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// What it is told.
const ALIVE: &[u8] = br#"{"keep":"alive"}"#;
/// Control messages between reading and writing: one is written while the next is read.
const CONTROL_QUEUE: usize = 1;
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

    fn took(&self, bytes: &Bytes) {
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }

    fn message(&self) {
        self.messages.fetch_add(1, Ordering::Relaxed);
    }

    fn lost(&self, what: &str, detail: &str) {
        self.gaps.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(what, detail, "relay lost bytes");
    }
}

/// Copies a channel of ours to another machine, to its end, and closes it there. An error says why
/// the other side is gone.
pub(crate) async fn push(
    channel: Arc<Channel>,
    mut publisher: Publisher,
    tally: &Tally,
) -> Result<(), String> {
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
        if let Some(post) = post.take() {
            match post.end().await {
                Ok(()) => breaks = 0,
                Err(error) => {
                    broke(&error, &mut breaks, tally)?;
                    recover(&mut publisher, &error).await;
                }
            }
        }
    }
    publisher.close().await.map_err(|error| chain(&error))
}

async fn append(
    publisher: &mut Publisher,
    post: &mut Option<SegmentPost>,
    bytes: Bytes,
) -> Result<(), PublishError> {
    post.get_or_insert_with(|| publisher.begin()).write(bytes).await
}

/// Counts a segment that broke off; an error if the other side is gone.
fn broke(error: &PublishError, breaks: &mut u32, tally: &Tally) -> Result<(), String> {
    *breaks += 1;
    let gone = matches!(error, PublishError::Gone { .. } | PublishError::Url { .. });
    if gone || *breaks >= BREAKS_MAX {
        return Err(chain(error));
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
) -> Result<(), String> {
    let failed = |error: wire::trickle::SubscribeError| chain(&error);
    while let Some(start) = subscriber.next_segment().await.map_err(failed)? {
        if start.missing.is_some() || start.offset > 0 {
            tally.lost("segments received", "the other side does not have them any more");
        }
        writer.begin_segment().map_err(|error| chain(&error))?;
        while let Some(bytes) = subscriber.chunk().await.map_err(failed)? {
            tally.took(&bytes);
            writer.write(bytes).await.map_err(|error| chain(&error))?;
        }
        writer.end_segment();
    }
    Ok(())
}

/// Passes events on until the last one, which is returned; `None`: they ended without it.
pub(crate) async fn hear(
    mut subscriber: Subscriber,
    writer: &mut ChannelWriter,
    tally: &Tally,
) -> Result<Option<Report>, String> {
    loop {
        let message = subscriber.message(EVENT_BYTES_MAX + 1).await;
        let Some(message) = message.map_err(|error| chain(&error))? else { return Ok(None) };
        tally.message();
        if message.len() > EVENT_BYTES_MAX {
            tally.lost("an event", "it is longer than events may be");
            continue;
        }
        if let Some(last) = ended::report(&message) {
            return Ok(Some(last));
        }
        // The channel is lossy, so this waits for nobody; it is closed only by the job's end.
        drop(writer.send(Bytes::from(message)).await);
    }
}

/// Passes control messages on; `alive` tells an orchestrator without any that its client lives,
/// while input flows. Ends when either side closes.
pub(crate) async fn control(
    channel: Arc<Channel>,
    mut publisher: Publisher,
    tally: &Tally,
    input: &Tally,
) {
    let mut reader = ChannelReader::new(channel, READER, Ask::Seq(0));
    let (sender, mut messages) = mpsc::channel(CONTROL_QUEUE);
    let read = async move {
        while let Some(message) = reader.message(CONTROL_BYTES_MAX + 1).await {
            tally.message();
            if message.len() > CONTROL_BYTES_MAX {
                tally.lost("a control message", "it is longer than control messages may be");
            } else if sender.send(Bytes::from(message)).await.is_err() {
                break;
            }
        }
    };
    let write = async move {
        let mut clock = interval(KEEP_ALIVE);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        clock.reset();
        let mut seen = input.bytes();
        loop {
            let message = tokio::select! {
                message = messages.recv() => match message {
                    Some(message) => message,
                    None => break,
                },
                _ = clock.tick() => {
                    let flowing = input.bytes() != seen;
                    seen = input.bytes();
                    if !flowing {
                        continue;
                    }
                    Bytes::from_static(ALIVE)
                }
            };
            match publisher.send(message).await {
                Ok(_) => clock.reset(),
                Err(PublishError::Gone { .. }) => break,
                Err(error) => tally.lost("a control message", &chain(&error)),
            }
        }
    };
    tokio::join!(read, write);
}

/// A pump at work.
pub(crate) type Pump<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a pump of a job has to say.
pub(crate) enum Heard {
    /// Input is at its end, and the orchestrator knows, or is gone.
    Fed(Result<(), String>),
    /// Output is at its end, or the orchestrator is gone.
    Fetched(Result<(), String>),
    /// The orchestrator reports the end of the session.
    Report(EndReason, Map<String, Value>),
    /// No more events come.
    Mute(String),
}

/// The pumps of a job.
pub(crate) struct Pumps<'a> {
    pub(crate) feed: Option<Pump<'a, Result<(), String>>>,
    pub(crate) fetch: Option<Pump<'a, Result<(), String>>>,
    pub(crate) hear: Option<Pump<'a, Result<Option<Report>, String>>>,
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
                    Ok(None) => Heard::Mute("its events ended without a report".to_owned()),
                    Err(detail) => Heard::Mute(detail),
                });
            }
            Poll::Pending
        })
        .await
    }
}
