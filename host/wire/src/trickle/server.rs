//! Trickle over HTTP: reads a path, a method and a few headers, and moves bytes between bodies and
//! channels. Which segment is there, and who waits, the channel decides.
//!
//! **Invariant:** a body is copied nowhere: readers share the chunks that the writer's connection
//! read.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use tokio::time::timeout;

use super::channel::{Begun, Channel, Get};
use super::receive::{Stopped, receive};
use super::store::{Store, StoreError};
use super::{Access, Ask, NAME_BYTES_MAX, Options, ReadError, WriteError};
use crate::header;

/// Time that a GET waits for the first byte before it is told to ask again. Below the five
/// minutes after which the stock Python client breaks a request off.
pub const FIRST_BYTE_WAIT: Duration = Duration::from_secs(240);
/// Offset of the first byte served, where the front of a long segment is not kept any more.
pub const OFFSET: http::HeaderName = http::HeaderName::from_static("framegate-offset");

/// Body of a trickle answer.
#[derive(Debug)]
pub enum TrickleBody {
    /// A short text, or nothing.
    Text(Option<Bytes>),
    /// A segment, as it is written.
    Segment(Get),
}

impl Body for TrickleBody {
    type Data = Bytes;
    type Error = ReadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReadError>>> {
        match self.get_mut() {
            Self::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Segment(get) => {
                get.poll_chunk(cx).map(|chunk| chunk.map(|bytes| bytes.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Text(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Self::Segment(get) => {
                get.remaining().map_or_else(SizeHint::default, SizeHint::with_exact)
            }
        }
    }
}

/// An answer.
pub type Answer = Response<TrickleBody>;

/// Answers a request whose path begins with `base` (such as `/ai/trickle/`).
pub async fn answer<B>(store: &Store, base: &str, request: Request<B>) -> Answer
where
    B: Body<Data = Bytes> + Unpin,
{
    let version = request.version();
    let mut answer = route(store, base, request).await;
    // HTTP/2 has no connections of one request.
    if version == Version::HTTP_2 {
        answer.headers_mut().remove(CONNECTION);
    }
    answer
}

async fn route<B>(store: &Store, base: &str, request: Request<B>) -> Answer
where
    B: Body<Data = Bytes> + Unpin,
{
    let path = request.uri().path().strip_prefix(base).unwrap_or_default().trim_matches('/');
    let (name, index) = path.split_once('/').map_or((path, None), |(n, i)| (n, Some(i)));
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return text(StatusCode::NOT_FOUND, "no such channel");
    }
    let (name, index) = (name.to_owned(), index.map(str::to_owned));
    match (request.method(), index.as_deref()) {
        (&Method::POST | &Method::PUT, None) => create(store, &name, request.headers()),
        (&Method::DELETE, None) => delete(store, &name),
        (&Method::GET, Some("next")) => next(store, &name),
        (&Method::GET, Some(index)) => read(store, &name, index, request.headers()).await,
        (&Method::POST | &Method::PUT, Some(index)) => write(store, &name, index, request).await,
        (&Method::DELETE, Some(index)) => delete_segment(store, &name, index),
        _ => text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
    }
}

fn text(status: StatusCode, message: impl Into<String>) -> Answer {
    let mut message = message.into();
    message.push('\n');
    let mut answer = Response::new(TrickleBody::Text(Some(Bytes::from(message))));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    answer
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(TrickleBody::Text(None));
    *answer.status_mut() = status;
    answer
}

fn with_seq(mut answer: Answer, seq: u64) -> Answer {
    answer.headers_mut().insert(header::TRICKLE_SEQ, seq.into());
    answer
}

fn with_latest(mut answer: Answer, latest: u64) -> Answer {
    answer.headers_mut().insert(header::TRICKLE_LATEST, latest.into());
    answer
}

fn with_closed(mut answer: Answer) -> Answer {
    let value = HeaderValue::from_static(header::TERMINATED);
    answer.headers_mut().insert(header::TRICKLE_CLOSED, value);
    answer
}

fn hang_up(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

fn unknown() -> Answer {
    text(StatusCode::NOT_FOUND, "no such channel")
}

fn forbidden() -> Answer {
    hang_up(text(StatusCode::FORBIDDEN, "not allowed on this channel"))
}

/// The status of the protocol for a segment outside what is kept.
fn absent(seq: u64, latest: u64) -> Answer {
    let status = StatusCode::from_u16(470).expect("470 is a three-digit number");
    with_latest(with_seq(text(status, "Entry not found"), seq), latest)
}

fn create(store: &Store, name: &str, headers: &HeaderMap) -> Answer {
    let Some(options) = &store.limits().create_by_post else { return unknown() };
    let content_type = headers.get(header::EXPECT_CONTENT).and_then(|value| value.to_str().ok());
    match create_as(store, name, options, content_type) {
        Ok(_) => empty(StatusCode::OK),
        Err(error) => not_created(&error),
    }
}

/// Creates a channel, or finds the one there is.
fn create_as(
    store: &Store,
    name: &str,
    options: &Options,
    content_type: Option<&str>,
) -> Result<Arc<Channel>, StoreError> {
    let mut options = options.clone();
    if let Some(content_type) = content_type {
        content_type.clone_into(&mut options.content_type);
    }
    store.create(name, options).or_else(|error| match error {
        StoreError::Exists { .. } => store.get(name).ok_or(error),
        StoreError::BadName { .. } | StoreError::Full { .. } => Err(error),
    })
}

fn not_created(error: &StoreError) -> Answer {
    match error {
        // Closed and forgotten between two looks.
        StoreError::Exists { .. } => unknown(),
        StoreError::BadName { .. } => text(StatusCode::BAD_REQUEST, error.to_string()),
        StoreError::Full { .. } => text(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

fn delete(store: &Store, name: &str) -> Answer {
    match store.get(name) {
        Some(channel) if channel.options().access == Access::Read => forbidden(),
        Some(channel) if !channel.is_closed() => {
            store.close(name);
            empty(StatusCode::OK)
        }
        Some(_) | None => text(StatusCode::BAD_REQUEST, "no such channel"),
    }
}

fn delete_segment(store: &Store, name: &str, index: &str) -> Answer {
    let Some(channel) = store.get(name) else {
        return text(StatusCode::BAD_REQUEST, "no such channel");
    };
    if channel.options().access == Access::Read {
        return forbidden();
    }
    match Ask::parse(index) {
        Some(Ask::Seq(seq)) if channel.end_segment(seq) => empty(StatusCode::OK),
        Some(_) | None => text(StatusCode::BAD_REQUEST, "no such segment"),
    }
}

fn next(store: &Store, name: &str) -> Answer {
    let Some(channel) = store.get(name) else { return unknown() };
    let latest = channel.next_write();
    let answer = with_latest(text(StatusCode::OK, latest.to_string()), latest);
    if channel.is_closed() { with_closed(answer) } else { answer }
}

async fn read(store: &Store, name: &str, index: &str, headers: &HeaderMap) -> Answer {
    let Some(ask) = Ask::parse(index) else {
        return text(StatusCode::BAD_REQUEST, "not a segment number");
    };
    let Some(channel) = store.get(name) else { return unknown() };
    if channel.options().access == Access::Write {
        return forbidden();
    }
    let reader = header::id_in(headers, &header::READER);
    let begun = match channel.open(ask, reader) {
        Ok(mut get) => match timeout(FIRST_BYTE_WAIT, get.begun()).await {
            Ok(Ok(begun)) => Ok((get, begun)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ReadError::TimedOut { seq: get.seq(), latest: channel.next_write() }),
        },
        Err(error) => Err(error),
    };
    match begun {
        Ok((get, begun)) => segment(&channel, get, begun),
        Err(ReadError::Absent { seq, latest } | ReadError::TimedOut { seq, latest }) => {
            absent(seq, latest)
        }
        Err(ReadError::Behind { seq }) => absent(seq, channel.next_write()),
        Err(ReadError::Closed { seq }) => with_closed(with_seq(empty(StatusCode::OK), seq)),
        Err(error @ ReadError::TooManyReaders) => {
            text(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
        }
    }
}

fn segment(channel: &Channel, get: Get, begun: Begun) -> Answer {
    let options = channel.options();
    let (seq, missing) = (get.seq(), get.missing());
    let mut answer = with_seq(Response::new(TrickleBody::Segment(get)), seq);
    let headers = answer.headers_mut();
    if let Ok(content_type) = HeaderValue::from_str(&options.content_type) {
        headers.insert(CONTENT_TYPE, content_type);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !options.lossy {
        headers.insert(header::WINDOW, options.window_bytes.into());
    }
    if begun.offset > 0 {
        headers.insert(OFFSET, begun.offset.into());
    }
    if let Some(missing) =
        missing.and_then(|missing| HeaderValue::try_from(missing.to_string()).ok())
    {
        headers.insert(header::MISSING, missing);
    }
    if begun.remaining == Some(0) || begun.latest > seq + 1 {
        return with_latest(answer, begun.latest);
    }
    answer
}

async fn write<B>(store: &Store, name: &str, index: &str, request: Request<B>) -> Answer
where
    B: Body<Data = Bytes> + Unpin,
{
    let at = match Ask::parse(index) {
        Some(Ask::Seq(seq)) => Some(seq),
        Some(Ask::Next) => None,
        Some(Ask::Current) | None => {
            return hang_up(text(StatusCode::BAD_REQUEST, "not a segment number"));
        }
    };
    let channel = match (store.get(name), &store.limits().create_by_post) {
        (Some(channel), _) => channel,
        (None, None) => return hang_up(unknown()),
        (None, Some(options)) => {
            let content_type = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
            match create_as(store, name, options, content_type) {
                Ok(channel) => channel,
                Err(error) => return hang_up(not_created(&error)),
            }
        }
    };
    if channel.options().access == Access::Read {
        return forbidden();
    }
    let reset = request.headers().contains_key(header::TRICKLE_RESET);
    let writer = match channel.begin(at, reset) {
        Ok(writer) => writer,
        Err(error) => return refused(&error),
    };
    let seq = writer.seq();
    match receive(writer, request.into_body()).await {
        Ok(()) => with_seq(empty(StatusCode::OK), seq),
        Err(Stopped::Refused(error)) => with_seq(refused(&error), seq),
        Err(Stopped::Silent) => {
            with_seq(hang_up(text(StatusCode::REQUEST_TIMEOUT, "the body went silent")), seq)
        }
        Err(Stopped::Broken) => {
            with_seq(hang_up(text(StatusCode::BAD_REQUEST, "the body is malformed")), seq)
        }
    }
}

fn refused(error: &WriteError) -> Answer {
    let status = match error {
        WriteError::Closed { .. } => StatusCode::NOT_FOUND,
        WriteError::Ended { .. } => StatusCode::CONFLICT,
        WriteError::TooManyOpen => StatusCode::TOO_MANY_REQUESTS,
        WriteError::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
    };
    let answer = hang_up(text(status, error.to_string()));
    match error {
        WriteError::Closed { .. } => with_closed(answer),
        WriteError::Ended { latest, .. } => with_latest(answer, *latest),
        WriteError::TooManyOpen | WriteError::TooLong { .. } => answer,
    }
}
