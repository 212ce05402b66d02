//! Reads a channel on another machine, segment by segment, each as it is written. Follows the
//! protocol's jumps and tells what was lost.
//!
//! **Invariant:** bytes come in order and never twice, also over a broken connection.

use std::time::Duration;

use bytes::Bytes;
use domain::Class;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{sleep, timeout};

use super::publisher::nothing;
use super::server::{FIRST_BYTE_WAIT, OFFSET};
use super::{Ask, Missing, Start};
use crate::client::{Client, ClientError};
use crate::header;

/// Time in which an open segment must bring a byte or end: a peer that is gone is noticed by its
/// connection long before.
pub const BODY_SILENCE: Duration = Duration::from_secs(300);
/// Beyond the server's own wait, so that it speaks first.
const HEAD_WAIT: Duration = FIRST_BYTE_WAIT.saturating_add(Duration::from_secs(30));
/// Failures in a row before giving up, as stock subscribers have it.
const TRIES: usize = 6;
/// Pause between tries.
const RETRY_PAUSE: Duration = Duration::from_millis(300);

/// How often a subscriber tries a connection that fails, before it gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Failures in a row.
    pub tries: usize,
    /// Pause between two tries.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { tries: TRIES, pause: RETRY_PAUSE }
    }
}

/// A channel that cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// The URL is none.
    #[error("`{url}` is no channel's URL")]
    Url {
        /// The URL.
        url: String,
    },
    /// The connection failed again and again.
    #[error("reading `{url}`")]
    Send {
        /// The segment's URL.
        url: String,
        /// Why.
        source: Box<ClientError>,
    },
    /// The channel is unknown: it was closed a while ago, or never was.
    #[error("channel `{url}` is gone")]
    Gone {
        /// The channel's URL.
        url: String,
    },
    /// Another answer, again and again.
    #[error("`{url}` answered {status}")]
    Refused {
        /// The segment's URL.
        url: String,
        /// The status.
        status: StatusCode,
    },
    /// No byte for [`BODY_SILENCE`].
    #[error("`{url}` brought no byte within {BODY_SILENCE:?}")]
    Stalled {
        /// The segment's URL.
        url: String,
    },
}

impl SubscribeError {
    /// Returns the class.
    pub const fn class(&self) -> Class {
        match self {
            Self::Url { .. } => Class::Invalid,
            Self::Send { source, .. } => source.class(),
            Self::Gone { .. } => Class::NotFound,
            Self::Refused { .. } => Class::Unavailable,
            Self::Stalled { .. } => Class::TimedOut,
        }
    }
}

/// Reads one channel.
#[derive(Debug)]
pub struct Subscriber {
    client: Client,
    url: String,
    name: String,
    next: Ask,
    open: Option<Open>,
    missing: Option<Missing>,
    content_type: Option<String>,
    patience: Patience,
}

#[derive(Debug)]
struct Open {
    seq: u64,
    body: Incoming,
    /// Offset in the segment of the next byte given.
    given: u64,
    /// Bytes of the body that were given before, over another connection.
    skip: u64,
}

/// What a request for a segment found.
enum Found {
    Segment(Response<Incoming>, u64),
    Closed,
    /// Nothing yet under this number; ask again, from here.
    Elsewhere(Ask),
}

impl Subscriber {
    /// Makes a reader of the channel at `url`, beginning with segment `from`. It names itself, so
    /// that a lossless server keeps its place.
    pub fn new(client: Client, url: &str, from: Ask) -> Self {
        Self {
            client,
            url: url.trim_end_matches('/').to_owned(),
            name: header::random_hex::<8>(),
            next: from,
            open: None,
            missing: None,
            content_type: None,
            patience: Patience::default(),
        }
    }

    /// Sets how often a failing connection is tried.
    #[must_use]
    pub const fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// Returns the channel's media type, once a segment came.
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// Waits for the next segment's first byte; `None` when the channel is closed and read to its
    /// end. What remains of the segment before is given up.
    pub async fn next_segment(&mut self) -> Result<Option<Start>, SubscribeError> {
        self.open = None;
        match self.fetch(self.next).await? {
            None => Ok(None),
            Some((answer, seq)) => {
                if let Ask::Seq(asked) = self.next
                    && seq > asked
                {
                    self.note(Missing { from: asked, to: seq - 1 });
                }
                self.next = Ask::Seq(seq + 1);
                let told = text_in(answer.headers(), &header::MISSING).and_then(Missing::parse);
                if let Some(told) = told {
                    self.note(told);
                }
                let content_type = text_in(answer.headers(), &http::header::CONTENT_TYPE);
                self.content_type = content_type.map(str::to_owned);
                let offset = number_in(answer.headers(), &OFFSET).unwrap_or(0);
                let body = answer.into_body();
                self.open = Some(Open { seq, body, given: offset, skip: 0 });
                Ok(Some(Start { seq, missing: self.missing.take(), offset }))
            }
        }
    }

    /// Gives the next bytes of the segment; `None` at its end. A segment that cannot be read on is
    /// ended, and told as missing with the next.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, SubscribeError> {
        let mut tries = 0;
        loop {
            let Some(open) = &mut self.open else { return Ok(None) };
            let url = format!("{}/{}", self.url, open.seq);
            match timeout(BODY_SILENCE, open.body.frame()).await {
                Err(_) => return Err(SubscribeError::Stalled { url }),
                Ok(None) => {
                    self.open = None;
                    return Ok(None);
                }
                Ok(Some(Ok(frame))) => {
                    let Ok(mut data) = frame.into_data() else { continue };
                    let skipped = open.skip.min(data.len() as u64);
                    open.skip -= skipped;
                    let _ = data.split_to(usize::try_from(skipped).unwrap_or(data.len()));
                    if !data.is_empty() {
                        open.given += data.len() as u64;
                        return Ok(Some(data));
                    }
                }
                Ok(Some(Err(_))) if tries < self.patience.tries => {
                    tries += 1;
                    self.reopen().await?;
                }
                Ok(Some(Err(error))) => {
                    let source =
                        Box::new(ClientError::Broken { peer: url.clone(), source: error.into() });
                    return Err(SubscribeError::Send { url, source });
                }
            }
        }
    }

    /// Gives a whole segment of at most `bytes_max` bytes: for messages. `None` at the end of the
    /// channel; longer ones are cut.
    pub async fn message(&mut self, bytes_max: usize) -> Result<Option<Vec<u8>>, SubscribeError> {
        if self.next_segment().await?.is_none() {
            return Ok(None);
        }
        let mut message = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            let room = bytes_max - message.len();
            message.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
        Ok(Some(message))
    }

    /// Goes on with the open segment over a new connection, where the old one broke.
    async fn reopen(&mut self) -> Result<(), SubscribeError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let (seq, given) = (open.seq, open.given);
        drop(open);
        let again = match self.ask(Ask::Seq(seq)).await {
            Ok(Found::Segment(answer, found)) if found == seq => answer,
            Ok(Found::Segment(..) | Found::Closed | Found::Elsewhere(_)) => {
                self.note(Missing { from: seq, to: seq });
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let offset = number_in(again.headers(), &OFFSET).unwrap_or(0);
        if offset > given {
            self.note(Missing { from: seq, to: seq });
        }
        let skip = given.saturating_sub(offset);
        self.open = Some(Open { seq, body: again.into_body(), given: given.max(offset), skip });
        Ok(())
    }

    fn note(&mut self, missing: Missing) {
        let known = self.missing.unwrap_or(missing);
        let (from, to) = (known.from.min(missing.from), known.to.max(missing.to));
        self.missing = Some(Missing { from, to });
    }

    /// Asks until there is a segment, following jumps; `None` when the channel is closed.
    async fn fetch(
        &mut self,
        ask: Ask,
    ) -> Result<Option<(Response<Incoming>, u64)>, SubscribeError> {
        let mut ask = ask;
        loop {
            match self.ask(ask).await? {
                Found::Segment(answer, seq) => return Ok(Some((answer, seq))),
                Found::Closed => return Ok(None),
                Found::Elsewhere(there) => {
                    // Ahead of the writer, or a wait that the server ended.
                    if there == ask {
                        sleep(RETRY_PAUSE).await;
                    }
                    ask = there;
                }
            }
        }
    }

    async fn ask(&self, ask: Ask) -> Result<Found, SubscribeError> {
        let url = format!("{}/{ask}", self.url);
        let mut tries = 1;
        loop {
            let request = Request::get(&url)
                .header(header::READER, &self.name)
                .body(nothing())
                .map_err(|_| SubscribeError::Url { url: url.clone() })?;
            let error = match self.client.send(request, Some(HEAD_WAIT)).await {
                Ok(answer) => match self.judge(ask, answer) {
                    Ok(found) => return Ok(found),
                    Err(error @ (SubscribeError::Gone { .. } | SubscribeError::Url { .. })) => {
                        return Err(error);
                    }
                    Err(error) => error,
                },
                Err(source) => SubscribeError::Send { url: url.clone(), source: source.into() },
            };
            if tries >= self.patience.tries
                || matches!(error.class(), Class::Denied | Class::Invalid)
            {
                return Err(error);
            }
            tries += 1;
            sleep(self.patience.pause).await;
        }
    }

    fn judge(&self, ask: Ask, answer: Response<Incoming>) -> Result<Found, SubscribeError> {
        let seq = number_in(answer.headers(), &header::TRICKLE_SEQ);
        let asked = match ask {
            Ask::Seq(seq) => Some(seq),
            Ask::Next | Ask::Current => None,
        };
        match answer.status() {
            StatusCode::OK if answer.headers().contains_key(header::TRICKLE_CLOSED) => {
                Ok(Found::Closed)
            }
            StatusCode::OK => Ok(Found::Segment(answer, seq.or(asked).unwrap_or(0))),
            StatusCode::NOT_FOUND => Err(SubscribeError::Gone { url: self.url.clone() }),
            status if status.as_u16() == 470 => {
                let latest = number_in(answer.headers(), &header::TRICKLE_LATEST);
                // Behind the writer: jump. Ahead of it: ask for the same again.
                let there = match (asked, latest) {
                    (Some(asked), Some(latest)) => Ask::Seq(asked.max(latest)),
                    (Some(asked), None) => Ask::Seq(asked),
                    (None, Some(latest)) => Ask::Seq(latest),
                    (None, None) => ask,
                };
                Ok(Found::Elsewhere(there))
            }
            status => Err(SubscribeError::Refused { url: format!("{}/{ask}", self.url), status }),
        }
    }
}

fn text_in<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn number_in(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    text_in(headers, name)?.parse().ok()
}
