//! Moves the body of a POST into its segment: at the pace of the channel's readers, until either
//! side ends. It answers nothing; [`super::server`] does.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use tokio::time::{Instant, timeout};

use super::channel::SegmentWriter;
use super::{CLOSE_GRACE, CLOSE_SILENCE, WriteError};

/// Time that a POST may bring nothing, preconnected ones included.
const BODY_SILENCE: Duration = Duration::from_secs(300);

/// Why a body was not taken to its end.
pub(super) enum Stopped {
    /// The channel took no more.
    Refused(WriteError),
    /// Nothing came for [`BODY_SILENCE`].
    Silent,
    /// The connection broke, or what came is no body.
    Broken,
}

/// Moves a body into a segment until either ends.
pub(super) async fn receive<B>(writer: SegmentWriter, mut body: B) -> Result<(), Stopped>
where
    B: Body<Data = Bytes> + Unpin,
{
    loop {
        let frame = poll_fn(|cx| {
            // What is there counts before a close does.
            match Pin::new(&mut body).poll_frame(cx) {
                Poll::Ready(frame) => Poll::Ready(Some(frame)),
                Poll::Pending => writer.poll_stopped(cx).map(|()| None),
            }
        });
        match timeout(BODY_SILENCE, frame).await {
            Err(_) => return Err(Stopped::Silent),
            Ok(None) => break,
            Ok(Some(None)) => {
                writer.end();
                return Ok(());
            }
            Ok(Some(Some(Err(_)))) => return Err(Stopped::Broken),
            Ok(Some(Some(Ok(frame)))) => {
                if let Ok(data) = frame.into_data() {
                    writer.write(data).await.map_err(Stopped::Refused)?;
                }
            }
        }
        if writer.channel().is_closed() {
            break;
        }
    }
    after_close(writer, body).await
}

/// Takes what was under way when the channel was closed: a publisher that closes behind its last
/// bytes must not lose them, and readers must not wait for one that goes on.
async fn after_close<B>(writer: SegmentWriter, mut body: B) -> Result<(), Stopped>
where
    B: Body<Data = Bytes> + Unpin,
{
    let channel = Arc::clone(writer.channel());
    let until = Instant::now() + CLOSE_GRACE;
    let mut room = channel.options().window_bytes;
    while room > 0 && Instant::now() < until {
        let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
        match timeout(CLOSE_SILENCE, frame).await {
            Ok(None) => {
                writer.end();
                return Ok(());
            }
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                room = room.saturating_sub(data.len());
                writer.write(data).await.map_err(Stopped::Refused)?;
            }
            Ok(Some(Err(_))) | Err(_) => break,
        }
    }
    let latest = channel.next_write();
    let error = if channel.is_closed() {
        WriteError::Closed { channel: channel.name().to_owned() }
    } else {
        WriteError::Ended { seq: writer.seq(), latest }
    };
    Err(Stopped::Refused(error))
}
