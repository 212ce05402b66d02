//! The first stage: bytes in, decoded pictures and untouched packets out.
//!
//! Runs on a thread of its own and waits where the next stage is full, which in turn holds the
//! credit of the client back.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use media::{Container, DecodeConfig, Decoder, Demuxer, Kind, Packet, Picture, Track};

use crate::SessionError;
use crate::control::Mailbox;
use crate::queue::ByteReader;

/// Pictures and packets between decoder and pipeline. A picture of 1080p takes 3 MB, so this is
/// some 24 MB; more would only add delay.
const QUEUE_ITEMS: usize = 8;

/// What the first stage hands on, in order of the stream.
pub(crate) enum Item {
    /// The tracks of the input; the first item.
    Tracks(Arc<Tracks>),
    /// A decoded picture.
    Picture(Picture),
    /// A packet of another track, as it came.
    Packet(Packet),
    /// The input is at its end; the last item, unless it failed.
    End(InputFacts),
    /// The input cannot be read on; the last item.
    Failed(SessionError),
}

/// The tracks that a session works with.
#[derive(Debug)]
pub(crate) struct Tracks {
    /// The video that is processed.
    pub(crate) video: Track,
    /// Sound, passed on untouched.
    pub(crate) audio: Vec<Track>,
}

/// What was found out about the input by its end.
#[derive(Debug, Clone, Default)]
pub(crate) struct InputFacts {
    /// Errors of the decoder.
    pub(crate) errors: u64,
    /// Names of what was odd.
    pub(crate) warnings: Vec<String>,
}

/// Makes the queue between the first and the second stage.
pub(crate) fn queue() -> (SyncSender<Item>, Receiver<Item>) {
    sync_channel(QUEUE_ITEMS)
}

/// Reads `bytes` to its end.
pub(crate) fn run(bytes: ByteReader, threads: u32, mailbox: &Mailbox, out: &SyncSender<Item>) {
    let last = match read(bytes, threads, mailbox, out) {
        Ok(facts) => Item::End(facts),
        Err(error) => Item::Failed(error),
    };
    // A pipeline that ended before its input does not care how the input goes on.
    let _ = out.send(last);
}

fn read(
    bytes: ByteReader,
    threads: u32,
    mailbox: &Mailbox,
    out: &SyncSender<Item>,
) -> Result<InputFacts, SessionError> {
    let mut demuxer = Demuxer::open(Box::new(bytes), Container::MpegTs)
        .map_err(|error| unless(mailbox, error))?;
    let Some(video) = demuxer.video().cloned() else {
        return Err(SessionError::NoPicture { errors: 0 });
    };
    let of_kind = |track: &&Track| track.kind == Kind::Audio;
    let audio: Vec<Track> = demuxer.tracks().iter().filter(of_kind).cloned().collect();
    let audio_indices: Vec<usize> = audio.iter().map(|track| track.index).collect();
    let mut decoder = Decoder::open(&video, DecodeConfig { threads })?;
    let video_index = video.index;
    send(out, Item::Tracks(Arc::new(Tracks { video, audio })))?;
    while let Some(packet) = demuxer.next_packet()? {
        if mailbox.aborted() {
            return Err(SessionError::Aborted);
        }
        if packet.track() == video_index {
            decoder.send(&packet)?;
            drain(&mut decoder, out)?;
        } else if audio_indices.contains(&packet.track()) {
            send(out, Item::Packet(packet))?;
        }
    }
    decoder.finish()?;
    drain(&mut decoder, out)?;
    if mailbox.aborted() {
        return Err(SessionError::Aborted);
    }
    Ok(facts(&demuxer, &decoder))
}

/// What was odd about the input. Damage at the very end means that it was cut; damage before it is
/// named by itself.
fn facts(demuxer: &Demuxer, decoder: &Decoder) -> InputFacts {
    let stats = decoder.stats();
    let damaged = stats.errors + stats.corrupt + demuxer.stats().corrupt + demuxer.stats().errors;
    let truncated = demuxer.truncated() || stats.damaged_at_end();
    let mut warnings = Vec::new();
    if truncated {
        warnings.push("input-truncated".to_owned());
    }
    if damaged > 0 && !truncated {
        warnings.push("input-damaged".to_owned());
    }
    InputFacts { errors: stats.errors, warnings }
}

/// An aborted session sees its input cut off; that is no fault of the input.
fn unless(mailbox: &Mailbox, error: media::OpenError) -> SessionError {
    if mailbox.aborted() { SessionError::Aborted } else { SessionError::Open(error) }
}

fn drain(decoder: &mut Decoder, out: &SyncSender<Item>) -> Result<(), SessionError> {
    while let Some(picture) = decoder.next_picture()? {
        send(out, Item::Picture(picture))?;
    }
    Ok(())
}

/// The next stage hangs up only once it has ended by itself.
fn send(out: &SyncSender<Item>, item: Item) -> Result<(), SessionError> {
    out.send(item).map_err(|_| SessionError::Aborted)
}
