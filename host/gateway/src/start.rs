//! Asking one orchestrator to start a job, and telling one that it is not wanted any more.
//!
//! **Invariant:** the channels that an orchestrator names are its own, or on a host that the
//! operator lists: an answer cannot make the gateway call anybody else.

use std::time::Duration;

use bytes::Bytes;
use domain::Class;
use domain::chain;
use domain::select::Reason;
use futures_util::future::join_all;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use tokio::time::timeout;
use url::Url;
use wire::allow::AllowedHosts;
use wire::client::{Client, ClientError};
use wire::error::{Refusal, Word};
use wire::header::{REQUEST_ID, resume_in, write_resume};
use wire::livepeer::{LiveAnswer, absolute, start_headers};

use crate::book::Row;
use crate::channels::JSON;
use crate::intake::Ask;

/// Where live jobs are started, on either role.
pub(crate) const PATH: &str = "/live-video-to-video";
/// Time for an orchestrator to take in that it is not wanted any more; it notices by itself later.
const RELEASE_MAX: Duration = Duration::from_secs(2);

/// The channels of a job at its orchestrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    /// Input is written here.
    pub(crate) input: Url,
    /// Output is read from here.
    pub(crate) output: Url,
    /// Control is written here, if it takes any.
    pub(crate) control: Option<Url>,
    /// Events are read from here, if it tells any.
    pub(crate) events: Option<Url>,
    /// Whether it goes on where it was asked to.
    pub(crate) resumes: bool,
}

/// A try that failed.
#[derive(Debug, Clone)]
pub(crate) struct NotStarted {
    /// Why, as the job sees it.
    pub(crate) reason: Reason,
    /// What the orchestrator said, if it said anything.
    pub(crate) told: Option<Refusal>,
}

impl NotStarted {
    fn unreachable(detail: String) -> Self {
        Self { reason: Reason::Unreachable { detail }, told: None }
    }
}

/// Asks the orchestrator of `row` to start what `ask` says, at the price quoted in `row`.
pub(crate) async fn start(
    client: &Client,
    row: &Row,
    ask: &Ask,
    allowed: &AllowedHosts,
) -> Result<Remote, NotStarted> {
    let peer = Url::parse(&row.offering.uri)
        .map_err(|error| NotStarted::unreachable(error.to_string()))?;
    let answer = exchange(client, &peer, row, ask).await;
    let answer = answer.map_err(|error| not_started(&error))?;
    if answer.status() != StatusCode::OK {
        return Err(refused(Refusal::from_response(answer.status(), answer.body())));
    }
    let resumes = ask.resume.is_some() && resume_in(answer.headers()) == ask.resume;
    let answer: LiveAnswer = serde_json::from_slice(answer.body()).map_err(|error| {
        NotStarted::unreachable(format!("its answer has another form: {error}"))
    })?;
    channels(&peer, &answer, allowed).map(|remote| Remote { resumes, ..remote })
}

async fn exchange(
    client: &Client,
    peer: &Url,
    row: &Row,
    ask: &Ask,
) -> Result<http::Response<Bytes>, ClientError> {
    let bad = |error: Box<dyn std::error::Error + Send + Sync>| ClientError::Broken {
        peer: peer.to_string(),
        source: error,
    };
    let body = serde_json::to_vec(&ask.start).map_err(|error| bad(error.into()))?;
    let url = peer.join(PATH).map_err(|error| bad(error.into()))?;
    let mut request = Request::post(url.as_str())
        .header(CONTENT_TYPE, JSON)
        .header(REQUEST_ID, &ask.request)
        .body(Bytes::from(body))
        .map_err(|error| bad(error.into()))?;
    request.headers_mut().extend(start_headers(row.token.as_ref(), &ask.capability));
    if let Some(resume) = ask.resume {
        write_resume(resume, request.headers_mut());
    }
    client.exchange(request).await
}

fn not_started(error: &ClientError) -> NotStarted {
    let detail = chain(error);
    match error.class() {
        Class::Denied => NotStarted { reason: Reason::Refused { detail }, told: None },
        _ => NotStarted::unreachable(detail),
    }
}

fn refused(told: Refusal) -> NotStarted {
    let detail = told.message().to_owned();
    let reason = match told.word() {
        Word::NoSlot => Reason::NoSlot,
        Word::NoCapability => Reason::NoCapability,
        Word::Unreachable => Reason::Unreachable { detail },
        Word::Denied | Word::PriceOverCap | Word::Invalid | Word::Fault | Word::Internal => {
            Reason::Refused { detail }
        }
    };
    NotStarted { reason, told: Some(told) }
}

fn channels(peer: &Url, answer: &LiveAnswer, allowed: &AllowedHosts) -> Result<Remote, NotStarted> {
    let own = |url: &Url| {
        url.host() == peer.host() && url.port_or_known_default() == peer.port_or_known_default()
    };
    let channel = |text: &str| {
        let url = absolute(peer, text)
            .ok_or_else(|| NotStarted::unreachable(format!("it names a channel `{text}`")))?;
        let listed = url.host_str().is_some_and(|host| allowed.check_host(host).is_ok());
        if own(&url) || listed {
            return Ok(url);
        }
        let detail = format!("it names a channel `{url}`, whose host is not allowed");
        Err(NotStarted { reason: Reason::Refused { detail }, told: None })
    };
    let required = |text: &str| match text {
        "" => Err(NotStarted::unreachable("it names no channel".to_owned())),
        text => channel(text),
    };
    let optional = |text: &str| if text.is_empty() { Ok(None) } else { channel(text).map(Some) };
    Ok(Remote {
        input: required(&answer.publish_url)?,
        output: required(&answer.subscribe_url)?,
        control: optional(&answer.control_url)?,
        events: optional(&answer.events_url)?,
        resumes: false,
    })
}

/// Ends a job at its orchestrator at once: a session whose output is closed has nobody to work for.
pub(crate) async fn release(client: &Client, remote: &Remote) {
    let close = |url: &Url| {
        let request = Request::delete(url.as_str()).body(Bytes::new());
        async move {
            match request {
                Ok(request) => client.exchange(request).await.map(drop),
                Err(_) => Ok(()),
            }
        }
    };
    let closing = join_all([&remote.output, &remote.input].map(close));
    match timeout(RELEASE_MAX, closing).await {
        Ok(closed) => {
            for error in closed.into_iter().filter_map(Result::err) {
                tracing::debug!(error = %chain(&error), "orchestrator not told of the end");
            }
        }
        Err(_) => tracing::debug!(limit = ?RELEASE_MAX, "orchestrator not told of the end in time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(publish: &str, control: &str) -> LiveAnswer {
        LiveAnswer {
            publish_url: publish.into(),
            subscribe_url: "/ai/trickle/x-out".into(),
            control_url: control.into(),
            ..LiveAnswer::default()
        }
    }

    #[test]
    fn an_orchestrator_may_name_channels_of_its_own_only() {
        let peer = Url::parse("https://orch:8935").unwrap();
        let none = AllowedHosts::default();
        let remote = channels(&peer, &answer("https://orch:8935/ai/trickle/x", ""), &none).unwrap();
        assert_eq!(remote.output.as_str(), "https://orch:8935/ai/trickle/x-out");
        assert_eq!((remote.control, remote.events), (None, None));
        for elsewhere in ["https://orch:22/x", "http://169.254.169.254/x", "https://other:8935/x"] {
            let error = channels(&peer, &answer(elsewhere, ""), &none).unwrap_err();
            assert_eq!(error.reason.class(), "denied", "{elsewhere}");
        }
        let listed = AllowedHosts::new(["other"]);
        assert!(channels(&peer, &answer("https://other/x", "https://other/c"), &listed).is_ok());
        let error = channels(&peer, &answer("", ""), &none).unwrap_err();
        assert_eq!(error.reason.class(), "unreachable");
    }

    #[test]
    fn what_an_orchestrator_says_is_told_apart_from_its_silence() {
        let class = |word| refused(Refusal::new(word, "no")).reason.class();
        assert_eq!(class(Word::NoSlot), "no-slot");
        assert_eq!(class(Word::Invalid), "denied");
        let silent = ClientError::TimedOut { peer: "a".into(), limit: RELEASE_MAX };
        assert_eq!(not_started(&silent).reason.class(), "unreachable");
    }
}
