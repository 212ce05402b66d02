//! Writes a channel on another machine, segment by segment. A segment's body streams; the server
//! slows it when its readers are slow.
//!
//! **Invariant:** a segment of which the server may have taken a byte is never sent twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use domain::Class;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::client::{AnyBody, Client, ClientError, full};
use crate::header;

/// Time in which the server must take a chunk or answer a finished body. It may wait for its own
/// readers meanwhile, and drops them after a sixth of this.
pub const ACCEPT_WAIT: Duration = Duration::from_secs(60);
/// Tries to begin a segment of which no byte was sent.
const TRIES: usize = 4;
/// Pause between them, as stock publishers have it.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// Chunks between the writer and the connection: one waiting while one is sent.
const QUEUE_CHUNKS: usize = 1;

/// Bytes that did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The URL is none.
    #[error("`{url}` is no channel's URL")]
    Url {
        /// The URL.
        url: String,
    },
    /// No answer.
    #[error("publishing to `{url}`")]
    Send {
        /// The segment's URL.
        url: String,
        /// Why.
        source: Box<ClientError>,
    },
    /// The channel is closed or unknown.
    #[error("channel `{url}` is gone")]
    Gone {
        /// The channel's URL.
        url: String,
    },
    /// The segment's number was used; `latest` is the next free one.
    #[error("segment `{seq}` of `{url}` has ended (the next one is `{latest}`)")]
    Ended {
        /// The channel's URL.
        url: String,
        /// The number.
        seq: u64,
        /// The next free number.
        latest: u64,
    },
    /// Another answer.
    #[error("`{url}` answered {status}")]
    Refused {
        /// The segment's URL.
        url: String,
        /// The status.
        status: StatusCode,
    },
    /// The server took nothing for [`ACCEPT_WAIT`].
    #[error("`{url}` took no byte within {ACCEPT_WAIT:?}")]
    Stalled {
        /// The segment's URL.
        url: String,
    },
}

impl PublishError {
    /// Returns the class.
    pub const fn class(&self) -> Class {
        match self {
            Self::Url { .. } => Class::Invalid,
            Self::Send { source, .. } => source.class(),
            Self::Gone { .. } => Class::NotFound,
            Self::Ended { .. } => Class::Conflict,
            Self::Refused { .. } => Class::Unavailable,
            Self::Stalled { .. } => Class::TimedOut,
        }
    }
}

/// Writes one channel.
#[derive(Debug)]
pub struct Publisher {
    client: Client,
    url: String,
    content_type: String,
    next: u64,
    ahead: Option<SegmentPost>,
}

impl Publisher {
    /// Makes the publisher of the channel at `url`, beginning with segment 0.
    pub fn new(client: Client, url: &str, content_type: &str) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        Self { client, url, content_type: content_type.to_owned(), next: 0, ahead: None }
    }

    /// Creates the channel, where the server lets publishers do that.
    pub async fn create(&self) -> Result<(), PublishError> {
        let request = Request::post(&self.url).header(header::EXPECT_CONTENT, &self.content_type);
        self.exchange(request).await.map(drop)
    }

    /// Asks where the channel is, and goes on there; returns the number.
    pub async fn resume(&mut self) -> Result<u64, PublishError> {
        let answer = self.exchange(Request::get(format!("{}/next", self.url))).await?;
        if let Some(latest) = latest_in(answer.headers()) {
            self.next = latest;
        }
        Ok(self.next)
    }

    /// Begins the next segment.
    pub fn begin(&mut self) -> SegmentPost {
        let seq = self.next;
        self.next += 1;
        match self.ahead.take() {
            Some(post) if post.seq == seq => post,
            Some(_) | None => self.post(seq),
        }
    }

    /// Opens the request of the next segment ahead, so that its first byte need not wait for it.
    pub fn preconnect(&mut self) {
        if self.ahead.as_ref().is_none_or(|post| post.seq != self.next) {
            self.ahead = Some(self.post(self.next));
        }
    }

    /// Writes one whole segment; returns its number.
    pub async fn send(&mut self, bytes: Bytes) -> Result<u64, PublishError> {
        let mut post = self.begin();
        let seq = post.seq;
        post.write(bytes).await?;
        post.end().await?;
        Ok(seq)
    }

    /// Closes the channel. An unknown one counts as closed.
    pub async fn close(mut self) -> Result<(), PublishError> {
        self.ahead = None;
        match self.exchange(Request::delete(&self.url)).await {
            Ok(_) | Err(PublishError::Gone { .. }) => Ok(()),
            Err(PublishError::Refused { status, .. }) if status == StatusCode::BAD_REQUEST => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn post(&self, seq: u64) -> SegmentPost {
        let order = Order {
            client: self.client.clone(),
            channel: self.url.clone(),
            content_type: self.content_type.clone(),
        };
        let running = order.run(seq);
        SegmentPost { order, seq, running, held: Vec::new(), tries: 1 }
    }

    async fn exchange(
        &self,
        request: http::request::Builder,
    ) -> Result<Response<Bytes>, PublishError> {
        let url = || self.url.clone();
        let request = request.body(Bytes::new()).map_err(|_| PublishError::Url { url: url() })?;
        let answer = self.client.exchange(request).await;
        let answer =
            answer.map_err(|source| PublishError::Send { url: url(), source: source.into() })?;
        match answer.status() {
            status if status.is_success() => Ok(answer),
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(PublishError::Gone { url: url() }),
            status => Err(PublishError::Refused { url: url(), status }),
        }
    }
}

fn latest_in(headers: &http::HeaderMap) -> Option<u64> {
    headers.get(header::TRICKLE_LATEST)?.to_str().ok()?.parse().ok()
}

#[derive(Debug)]
struct Order {
    client: Client,
    channel: String,
    content_type: String,
}

#[derive(Debug)]
struct Running {
    chunks: Option<mpsc::Sender<Bytes>>,
    /// Set once the connection took a chunk: the server may have it.
    taken: Arc<AtomicBool>,
    /// Set once all chunks were handed over. A body that ends without it breaks off.
    whole: Arc<AtomicBool>,
    answer: JoinHandle<Result<Response<Incoming>, ClientError>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.answer.abort();
    }
}

impl Order {
    fn url(&self, seq: u64) -> String {
        format!("{}/{seq}", self.channel)
    }

    fn run(&self, seq: u64) -> Running {
        let (sender, receiver) = mpsc::channel(QUEUE_CHUNKS);
        let (taken, whole) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let body = body(receiver, Arc::clone(&taken), Arc::clone(&whole));
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.url(seq))
            .header(CONTENT_TYPE, &self.content_type)
            .body(body);
        let (client, channel) = (self.client.clone(), self.channel.clone());
        let answer = tokio::spawn(async move {
            let request = request
                .map_err(|error| ClientError::Broken { peer: channel, source: error.into() })?;
            client.send(request, None).await
        });
        Running { chunks: Some(sender), taken, whole, answer }
    }
}

fn body(chunks: mpsc::Receiver<Bytes>, taken: Arc<AtomicBool>, whole: Arc<AtomicBool>) -> AnyBody {
    let state = Some((chunks, taken, whole));
    let frames = futures_util::stream::unfold(state, |state| async move {
        let (mut chunks, taken, whole) = state?;
        if let Some(chunk) = chunks.recv().await {
            taken.store(true, Ordering::Release);
            return Some((Ok(http_body::Frame::data(chunk)), Some((chunks, taken, whole))));
        }
        // The end of the body would be the end of the segment: whoever was dropped has not said so.
        let broken_off = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into();
        (!whole.load(Ordering::Acquire)).then(|| (Err(broken_off()), None))
    });
    http_body_util::StreamBody::new(frames).boxed_unsync()
}

/// A segment being written. Dropped without [`SegmentPost::end`], it is broken off.
#[derive(Debug)]
pub struct SegmentPost {
    order: Order,
    seq: u64,
    running: Running,
    /// Chunks handed over while none was taken, to be sent again if none is.
    held: Vec<Bytes>,
    tries: usize,
}

impl SegmentPost {
    /// Returns the segment's number.
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// Says whether the request has ended early; the next call tells why, or tries again.
    pub fn is_broken(&self) -> bool {
        self.running.answer.is_finished()
    }

    /// Appends bytes; waits while the server is slow.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), PublishError> {
        if self.running.taken.load(Ordering::Acquire) {
            self.held = Vec::new();
        } else {
            self.held.push(bytes.clone());
        }
        if self.hand_over(bytes).await? { Ok(()) } else { self.again().await }
    }

    /// Ends the segment and waits for the server's answer.
    pub async fn end(mut self) -> Result<(), PublishError> {
        loop {
            self.running.whole.store(true, Ordering::Release);
            self.running.chunks = None;
            match self.outcome().await {
                Err(PublishError::Send { .. }) if self.may_repeat() => self.again().await?,
                outcome => return outcome,
            }
        }
    }

    /// Hands a chunk to the connection; `false` if there is none any more.
    async fn hand_over(&self, chunk: Bytes) -> Result<bool, PublishError> {
        let Some(chunks) = &self.running.chunks else { return Ok(false) };
        match timeout(ACCEPT_WAIT, chunks.send(chunk)).await {
            Ok(sent) => Ok(sent.is_ok()),
            Err(_) => Err(PublishError::Stalled { url: self.order.url(self.seq) }),
        }
    }

    fn may_repeat(&self) -> bool {
        self.tries < TRIES && !self.running.taken.load(Ordering::Acquire)
    }

    /// Begins again after the request ended early, if nothing was sent; else says why it ended.
    async fn again(&mut self) -> Result<(), PublishError> {
        loop {
            if !self.running.answer.is_finished() || self.running.chunks.is_some() {
                self.running.chunks = None;
                let ended = match self.outcome().await {
                    Ok(()) => PublishError::Ended {
                        url: self.order.channel.clone(),
                        seq: self.seq,
                        latest: self.seq + 1,
                    },
                    Err(error) => error,
                };
                if !matches!(ended, PublishError::Send { .. }) || !self.may_repeat() {
                    return Err(ended);
                }
            }
            sleep(RETRY_PAUSE).await;
            self.tries += 1;
            self.running = self.order.run(self.seq);
            let mut sent = true;
            for chunk in self.held.clone() {
                sent = sent && self.hand_over(chunk).await?;
            }
            if sent {
                return Ok(());
            }
        }
    }

    async fn outcome(&mut self) -> Result<(), PublishError> {
        let url = self.order.url(self.seq);
        let answer = match timeout(ACCEPT_WAIT, &mut self.running.answer).await {
            Err(_) => return Err(PublishError::Stalled { url }),
            Ok(Err(_)) => return Err(PublishError::Stalled { url }),
            Ok(Ok(answer)) => answer
                .map_err(|source| PublishError::Send { url: url.clone(), source: source.into() })?,
        };
        let channel = self.order.channel.clone();
        match answer.status() {
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(PublishError::Gone { url: channel }),
            StatusCode::CONFLICT => Err(PublishError::Ended {
                url: channel,
                seq: self.seq,
                latest: latest_in(answer.headers()).unwrap_or(self.seq + 1),
            }),
            status => Err(PublishError::Refused { url, status }),
        }
    }
}

/// Makes an empty body.
pub(super) fn nothing() -> AnyBody {
    full(Bytes::new())
}
