//! A run as a live job: asked for at a gateway, published and read back over its channels.
//!
//! Decides which gateway is asked, and what counts as the last word about the job. The media are
//! bytes to it.
//!
//! **Invariant:** a job that was begun is ended: by the end of its input, or by [`Remote::cancel`].

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use domain::Class;
use http::{Method, Request, header};
use serde_json::Value;
use tokio::sync::{SetOnce, mpsc};
use tokio::time::timeout;
use url::Url;
use wire::client::{Client, ClientError, Config};
use wire::ended::Ended;
use wire::error::Refusal;
use wire::header::{MAX_PRICE, REQUEST_ID, RequestId};
use wire::livepeer::{LiveAnswer, LiveStart, absolute};
use wire::tls::Pins;
use wire::trickle::{Ask, PublishError, Publisher, SegmentPost, SubscribeError, Subscriber};

use super::Ends;
use super::record::{self, Record};
use super::report::Report;
use super::sink::Arrived;
use super::source::Piece;
use crate::cli::Common;
use crate::config::env;
use crate::data::{DataDir, Role};
use crate::failure::Failure;

/// Where a gateway listens unless told otherwise.
const GATEWAY: &str = "http://127.0.0.1:9935";
/// Time for a gateway to answer: a start may try several orchestrators, 5 s each.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Time for the last event after everything else has ended: as long as a session may drain, and
/// some.
const ENDED_MAX: Duration = Duration::from_secs(25);
/// Time for a gateway to take a job back from a client that is about to leave.
const CANCEL_MAX: Duration = Duration::from_secs(5);
/// Bytes of one event that are read; `ended` with every warning there is has less than 4 KiB.
const EVENT_BYTES_MAX: usize = 64 * 1024;
/// Bytes of the result that are handed on at once.
const CHUNK_BYTES_MAX: usize = 64 * 1024;
/// Media type of MPEG-TS, as the protocol spells it.
const MEDIA_TYPE: &str = "video/MP2T";

/// What is asked for.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    /// Pipeline, by its plugin's id.
    pub(super) pipeline: String,
    /// Its parameters, an object.
    pub(super) params: Value,
    /// Most that a lot may cost, in wei.
    pub(super) max_price_wei: Option<u64>,
}

/// A gateway to ask, and the job once it has one.
pub(super) struct Remote {
    client: Client,
    gateway: Url,
    wish: Wish,
    job: SetOnce<LiveAnswer>,
}

impl Remote {
    /// Finds the gateway: the flag, the environment, the one that runs here, the usual address.
    /// Asks nothing of it yet.
    pub(super) fn prepare(
        flag: Option<&str>,
        common: &Common,
        wish: Wish,
    ) -> Result<Self, Failure> {
        let text = flag
            .map(str::to_owned)
            .or_else(|| env::value(env::GATEWAY))
            .or_else(|| running_here(common))
            .unwrap_or_else(|| GATEWAY.to_owned());
        let gateway = Url::parse(&text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                Failure::usage(format!("`{text}` is no gateway's URL"))
                    .hint(format!("write one such as `--gateway {GATEWAY}`"))
            })?;
        let config = Config { answer: ANSWER_MAX, ..Config::default() };
        let client = Client::new(Pins::default(), config);
        Ok(Self { client, gateway, wish, job: SetOnce::new() })
    }

    /// Carries the media through a live job and returns what it came to.
    pub(super) async fn run(&self, ends: Ends) -> Result<Report, Failure> {
        // A run begins once.
        let _ = self.job.set(self.start().await?);
        let job = self.job.wait().await;
        let Ends { pieces, arrived } = ends;
        let input = self.publish(self.url(&job.publish_url)?, pieces);
        let output = self.subscribe(self.url(&job.subscribe_url)?, arrived);
        let mut moving = pin!(async { tokio::try_join!(input, output) });
        let mut events = pin!(self.last_event(self.url(&job.events_url)?));
        let (moved, ended) = tokio::select! {
            moved = &mut moving => (Some(moved), timeout(ENDED_MAX, events).await.ok().flatten()),
            ended = &mut events => (None, ended),
        };
        let record = self.record(job).await?;
        // The job's own last word says more than what its end did to the channels.
        let ended = ended.or_else(|| record.ended());
        if let Some(failure) = ended.as_ref().and_then(record::failure) {
            return Err(failure);
        }
        // What has been made and not been read yet still comes.
        let moved = match moved {
            Some(moved) => moved,
            None => moving.await,
        };
        let ((), missing) = moved?;
        let ended = ended.ok_or_else(|| {
            let text = format!("job `{}` ended without its last word", job.job);
            Failure::new(Class::Unavailable, text)
        })?;
        let mut report = record.report(&job.job, &ended);
        if missing {
            report.warn("result-incomplete");
        }
        Ok(report)
    }

    /// Lets a start that is on its way be answered: a job of which nothing is known yet could not be
    /// taken back.
    pub(super) async fn settle(&self, carrying: impl Future) {
        let settled = async {
            tokio::select! {
                _ = carrying => {}
                _ = self.job.wait() => {}
            }
        };
        // A gateway that is slower than this ends the job when its input stays away.
        let _ = timeout(CANCEL_MAX, settled).await;
    }

    /// Takes the job back, if there is one.
    pub(super) async fn cancel(&self) {
        let Some(job) = self.job.get() else { return };
        // A gateway that does not answer ends the job when its input stays away.
        let _ = timeout(CANCEL_MAX, self.ask(Method::DELETE, job)).await;
    }

    async fn start(&self) -> Result<LiveAnswer, Failure> {
        let internal = |error: &dyn std::error::Error| Failure::from_error(Class::Internal, error);
        let params = serde_json::value::to_raw_value(&self.wish.params);
        let params = params.map_err(|error| internal(&error))?;
        let start = LiveStart::of(&self.wish.pipeline, Some(params));
        let body = serde_json::to_vec(&start).map_err(|error| internal(&error))?;
        let mut request = Request::post(self.url("/live-video-to-video")?.as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .header(REQUEST_ID, RequestId::random().as_str());
        if let Some(wei) = self.wish.max_price_wei {
            request = request.header(MAX_PRICE, wei);
        }
        let answer = self.exchange(request.body(body.into())).await?;
        serde_json::from_slice(&answer).map_err(|error| self.nonsense(&error))
    }

    async fn record(&self, job: &LiveAnswer) -> Result<Record, Failure> {
        let answer = self.ask(Method::GET, job).await?;
        serde_json::from_slice(&answer).map_err(|error| self.nonsense(&error))
    }

    async fn ask(&self, method: Method, job: &LiveAnswer) -> Result<Bytes, Failure> {
        let url = self.url(&format!("/v1/jobs/{}", job.job))?;
        let request = Request::builder()
            .method(method)
            .uri(url.as_str())
            .header(header::AUTHORIZATION, format!("Bearer {}", job.job_token))
            .body(Bytes::new());
        self.exchange(request).await
    }

    /// Sends a request and returns the body of a good answer; any other is a failure.
    async fn exchange(&self, request: http::Result<Request<Bytes>>) -> Result<Bytes, Failure> {
        let request = request.map_err(|error| Failure::from_error(Class::Internal, &error))?;
        let answer = self.client.exchange(request).await.map_err(|error| self.no_answer(&error))?;
        if answer.status().is_success() {
            return Ok(answer.into_body());
        }
        let refusal = Refusal::from_response(answer.status(), answer.body());
        let reasons = refusal.reasons().iter().filter_map(|it| serde_json::to_value(it).ok());
        Err(Failure::with_word(refusal.word().name(), refusal.message()).reasons(reasons.collect()))
    }

    /// Writes the pieces into the channel, segment by segment, and closes it.
    async fn publish(
        &self,
        channel: Url,
        mut pieces: mpsc::Receiver<Piece>,
    ) -> Result<(), Failure> {
        let failed = |error: PublishError| Failure::from_error(error.class(), &error);
        let mut publisher = Publisher::new(self.client.clone(), channel.as_str(), MEDIA_TYPE);
        let mut open: Option<SegmentPost> = None;
        while let Some(piece) = pieces.recv().await {
            match piece {
                Piece::Segment => {
                    if let Some(segment) = open.take() {
                        segment.end().await.map_err(failed)?;
                    }
                }
                Piece::Data(bytes) => {
                    let segment = open.get_or_insert_with(|| publisher.begin());
                    segment.write(bytes).await.map_err(failed)?;
                }
            }
        }
        if let Some(segment) = open {
            segment.end().await.map_err(failed)?;
        }
        publisher.close().await.map_err(failed)
    }

    /// Hands on what comes out of the channel until it is closed. Returns whether any is missing.
    async fn subscribe(
        &self,
        channel: Url,
        arrived: mpsc::Sender<Arrived>,
    ) -> Result<bool, Failure> {
        let failed = |error: SubscribeError| Failure::from_error(error.class(), &error);
        let mut subscriber = Subscriber::new(self.client.clone(), channel.as_str(), Ask::Seq(0));
        let mut missing = false;
        while let Some(segment) = subscriber.next_segment().await.map_err(failed)? {
            missing |= segment.missing.is_some() || segment.offset > 0;
            while let Some(mut bytes) = subscriber.chunk().await.map_err(failed)? {
                while !bytes.is_empty() {
                    let piece = bytes.split_to(bytes.len().min(CHUNK_BYTES_MAX));
                    let taken = arrived.send(Arrived::Data(piece)).await;
                    taken.map_err(|_| super::not_taken())?;
                }
            }
        }
        Ok(missing)
    }

    /// Reads events until the channel is closed and returns the last word, if there was one.
    async fn last_event(&self, channel: Url) -> Option<Ended> {
        let mut subscriber = Subscriber::new(self.client.clone(), channel.as_str(), Ask::Seq(0));
        // Events that cannot be read are no reason to fail: the job's record says the same.
        while let Ok(Some(message)) = subscriber.message(EVENT_BYTES_MAX).await {
            if let Some(ended) = Ended::of_event(&message) {
                return Some(ended);
            }
        }
        None
    }

    /// Makes a URL of the gateway absolute.
    fn url(&self, text: &str) -> Result<Url, Failure> {
        absolute(&self.gateway, text).ok_or_else(|| {
            let text = format!("gateway `{}` names a channel `{text}`", self.name());
            Failure::new(Class::Unavailable, text)
        })
    }

    /// The gateway's URL as it was given, without the slash that parsing adds.
    fn name(&self) -> &str {
        self.gateway.as_str().trim_end_matches('/')
    }

    fn no_answer(&self, error: &ClientError) -> Failure {
        let text = format!("gateway `{}`: {}", self.name(), domain::chain(error));
        Failure::new(error.class(), text).hint("start one with `framegate up`")
    }

    fn nonsense(&self, error: &serde_json::Error) -> Failure {
        let text = format!("gateway `{}` answers in another form: {error}", self.name());
        Failure::new(Class::Unavailable, text)
    }
}

/// Returns the URL of the gateway that runs on this machine, if one says that it does.
fn running_here(common: &Common) -> Option<String> {
    let data = DataDir::find(common.data_dir.as_deref()).ok()?;
    let roles = data.running().ok()?;
    roles.get(Role::Gateway.name()).map(|entry| entry.url.clone())
}
