//! Reading what a client asks for, and refusing what is wrong with it before anybody is asked.
//!
//! **Invariant:** a URL that a client gives is neither fetched nor resolved unless the operator
//! lists its host, and never fetched where its address is not allowed.

use std::time::Duration;

use domain::Class;
use domain::capability::{BadName, Capability};
use domain::resume::Resume;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::{Map, Value};
use tokio::time::timeout;
use url::Url;
use wire::allow::{AllowedHosts, NotAllowed};
use wire::error::{Reason, Refusal, Word};
use wire::header::{MAX_PRICE, REQUEST_ID, RequestId};
use wire::livepeer::{LiveStart, ParamsError};

use crate::config::{Caps, Config};
use crate::customers;

/// Time to resolve the host of a URL that a client gives.
const RESOLVE_MAX: Duration = Duration::from_secs(3);
/// Who refuses where it is no orchestrator.
pub(crate) const GATEWAY: &str = "gateway";

/// URLs that the client gives in place of channels of ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Given {
    /// Input is read from here.
    pub(crate) input: Option<Url>,
    /// Output is written here.
    pub(crate) output: Option<Url>,
    /// Control is read from here.
    pub(crate) control: Option<Url>,
    /// Events are written here.
    pub(crate) events: Option<Url>,
}

impl Given {
    fn all(&self) -> impl Iterator<Item = &Url> {
        [&self.input, &self.output, &self.control, &self.events].into_iter().flatten()
    }
}

/// What a client asks for.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// What is to be done.
    pub(crate) capability: Capability,
    /// The start as orchestrators get it.
    pub(crate) start: LiveStart,
    /// The most that a lot may cost, in wei.
    pub(crate) cap_wei: u64,
    /// Id that goes through the logs of both roles.
    pub(crate) request: String,
    /// URLs of the client's own.
    pub(crate) given: Given,
    /// Where the output goes on, if another orchestrator began it.
    pub(crate) resume: Option<Resume>,
    /// Whose job it is: its place in [`Config::customers`].
    pub(crate) customer: Option<usize>,
}

/// What is wrong with a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IntakeError {
    #[error("the body is no JSON object that starts a job")]
    Body(#[source] serde_json::Error),
    #[error("the start names no pipeline, and the gateway has no default one")]
    NoPipeline,
    #[error(transparent)]
    Name(#[from] BadName),
    #[error(transparent)]
    Params(#[from] ParamsError),
    #[error("`{text}` is no price in whole wei")]
    Price { text: String },
    #[error("`{field}` is no `http` or `https` URL")]
    Url { field: &'static str },
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    #[error("host `{host}` cannot be resolved")]
    NoAddress { host: String },
}

impl IntakeError {
    /// Returns the class.
    pub(crate) const fn class(&self) -> Class {
        match self {
            Self::Body(_)
            | Self::NoPipeline
            | Self::Name(_)
            | Self::Params(_)
            | Self::Price { .. }
            | Self::Url { .. } => Class::Invalid,
            Self::NotAllowed(_) => Class::Denied,
            Self::NoAddress { .. } => Class::Unavailable,
        }
    }

    /// Returns what the client is told.
    pub(crate) fn refusal(&self) -> Refusal {
        let refusal = Refusal::new(Word::of(self.class()), domain::chain(self));
        if !matches!(self, Self::NotAllowed(_)) {
            return refusal;
        }
        refusal.with_reasons(vec![Reason {
            orchestrator: GATEWAY.to_owned(),
            class: "url-not-allowed".to_owned(),
            price_wei: None,
            cap_wei: None,
        }])
    }
}

/// Field for a cap, which Livepeer's starts do not have.
const MAX_PRICE_FIELD: &str = "max_price_wei";

/// Returns the id of a request: the client's own, from its header or its body, if it is one.
pub(crate) fn request_id(headers: &HeaderMap, body: &[u8]) -> String {
    if !headers.contains_key(REQUEST_ID)
        && let Ok(start) = serde_json::from_slice::<LiveStart>(body)
        && wire::header::is_id(&start.gateway_request_id)
    {
        return start.gateway_request_id;
    }
    RequestId::of(headers).as_str().to_owned()
}

/// Reads a start. URLs in it are judged by [`check_urls`].
pub(crate) fn read(
    config: &Config,
    caps: &Caps,
    headers: &HeaderMap,
    body: &[u8],
    request: &str,
) -> Result<Ask, IntakeError> {
    let start: LiveStart = serde_json::from_slice(body).map_err(IntakeError::Body)?;
    let fields: Map<String, Value> = serde_json::from_slice(body).map_err(IntakeError::Body)?;
    start.params_json()?;
    let pipeline = match (start.pipeline(), &config.default_pipeline) {
        ("", None) => return Err(IntakeError::NoPipeline),
        ("", Some(default)) => default.clone(),
        (named, _) => named.to_owned(),
    };
    let capability = Capability::live(&pipeline)?;
    let asked =
        [price_in(headers)?, price_of(fields.get(MAX_PRICE_FIELD))?].into_iter().flatten().min();
    let given = Given {
        input: url_in("subscribe_url", &start.subscribe_url)?,
        output: url_in("publish_url", &start.publish_url)?,
        control: url_in("control_url", &start.control_url)?,
        events: url_in("events_url", &start.events_url)?,
    };
    let customer = customers::find(&config.customers, bearer(headers));
    let tier = customer.and_then(|at| config.customers.get(at)).map_or("", |it| &it.tier);
    Ok(Ask {
        cap_wei: caps.wei(&capability, tier, asked),
        start: LiveStart {
            gateway_request_id: request.to_owned(),
            stream_id: start.stream_id,
            ..LiveStart::of(pipeline, start.params)
        },
        capability,
        request: request.to_owned(),
        given,
        resume: None,
        customer,
    })
}

/// Returns the key or token that a client presents.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").map(str::trim)
}

fn price_in(headers: &HeaderMap) -> Result<Option<u64>, IntakeError> {
    let Some(value) = headers.get(MAX_PRICE) else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    wei(&text).map(Some)
}

fn price_of(field: Option<&Value>) -> Result<Option<u64>, IntakeError> {
    match field {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => wei(text).map(Some),
        Some(other) => wei(&other.to_string()).map(Some),
    }
}

fn wei(text: &str) -> Result<u64, IntakeError> {
    let cut = || text.chars().take(64).collect();
    text.trim().parse().map_err(|_| IntakeError::Price { text: cut() })
}

fn url_in(field: &'static str, text: &str) -> Result<Option<Url>, IntakeError> {
    if text.is_empty() {
        return Ok(None);
    }
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.filter(Url::has_host).map(Some).ok_or(IntakeError::Url { field })
}

/// Judges every URL of the client's own, by host and by the addresses that it resolves to.
pub(crate) async fn check_urls(given: &Given, allowed: &AllowedHosts) -> Result<(), IntakeError> {
    for url in given.all() {
        let host = url.host_str().unwrap_or_default();
        allowed.check_host(host)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let port = url.port_or_known_default().unwrap_or(80);
        let resolving = tokio::net::lookup_host((bare, port));
        let Ok(Ok(addresses)) = timeout(RESOLVE_MAX, resolving).await else {
            return Err(IntakeError::NoAddress { host: host.to_owned() });
        };
        // Judged again for the very address that is connected to; here it is to be told early.
        for address in addresses {
            allowed.check_address(bare, address.ip())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn config() -> Config {
        Config {
            default_pipeline: Some("sketch-video".to_owned()),
            caps: crate::config::Caps::of(9),
            ..Config::new(Vec::new(), PathBuf::new())
        }
    }

    #[test]
    fn the_lowest_of_all_caps_counts_and_an_empty_name_means_the_default() {
        let mut headers = HeaderMap::new();
        let read = |headers: &HeaderMap, body: &str| {
            let ask = read(&config(), &config().caps, headers, body.as_bytes(), "r")
                .map_err(|it| it.to_string())?;
            Ok::<_, String>((ask.capability.to_string(), ask.cap_wei))
        };
        let sketch = "live-video-to-video/sketch-video".to_owned();
        assert_eq!(read(&headers, r#"{"model_id":""}"#), Ok((sketch.clone(), 9)));
        assert_eq!(read(&headers, r#"{"max_price_wei":7}"#), Ok((sketch.clone(), 7)));
        assert_eq!(read(&headers, r#"{"max_price_wei":"70"}"#), Ok((sketch.clone(), 9)));
        headers.insert(MAX_PRICE, 4.into());
        assert_eq!(read(&headers, r#"{"max_price_wei":7}"#), Ok((sketch, 4)));
        headers.insert(MAX_PRICE, "-1".parse().unwrap());
        assert_eq!(read(&headers, "{}"), Err("`-1` is no price in whole wei".to_owned()));
    }

    #[test]
    fn what_is_wrong_with_a_start_is_the_clients_to_mend() {
        let mut config = config();
        config.default_pipeline = None;
        for (body, text) in [
            ("[]", "the body is no JSON object that starts a job"),
            ("{}", "the start names no pipeline, and the gateway has no default one"),
            (
                r#"{"model_id":"x","publish_url":"ftp://a/b"}"#,
                "`publish_url` is no `http` or `https` URL",
            ),
            (
                r#"{"model_id":"x","params":[1]}"#,
                "`params` is neither a JSON object nor the text of one",
            ),
        ] {
            let error =
                read(&config, &config.caps, &HeaderMap::new(), body.as_bytes(), "r").unwrap_err();
            assert_eq!((error.to_string().as_str(), error.class()), (text, Class::Invalid));
        }
    }

    #[tokio::test]
    async fn a_url_is_refused_unless_the_operator_lists_its_host() {
        let given = Given { input: Url::parse("http://127.0.0.1:1/x").ok(), ..Given::default() };
        for hosts in [AllowedHosts::default(), AllowedHosts::new(["*"])] {
            let error = check_urls(&given, &hosts).await.unwrap_err();
            let refusal = error.refusal();
            assert_eq!(refusal.word(), Word::Denied);
            assert_eq!(refusal.reasons()[0].class, "url-not-allowed");
        }
        assert!(check_urls(&given, &AllowedHosts::new(["127.0.0.1"])).await.is_ok());
    }

    #[test]
    fn a_request_keeps_the_id_that_its_client_gave_it() {
        let mut headers = HeaderMap::new();
        assert_eq!(request_id(&headers, br#"{"gateway_request_id":"mine"}"#), "mine");
        assert_eq!(request_id(&headers, b"no json").len(), 16);
        headers.insert(REQUEST_ID, "theirs".parse().unwrap());
        assert_eq!(request_id(&headers, br#"{"gateway_request_id":"mine"}"#), "theirs");
    }
}
