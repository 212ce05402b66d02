//! Where orchestrators come from beside the configuration: a webhook, a watched file, another
//! gateway's offerings document.
//!
//! **Invariants:** a source that fails changes nothing: what it said last stands, and is shown as
//! stale; one source never removes what another named.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::chain;
use http::Request;
use serde::Deserialize;
use tokio::time::{MissedTickBehavior, interval, timeout};
use wire::client::{Client, Config};
use wire::offerings::Document;
use wire::tls::Pins;

use crate::book::ORCHESTRATORS_MAX;
use crate::config::OrchestratorConfig;
use crate::state::{State, now};

/// Time between two questions to a webhook or a gateway: as long as the network's gateways keep an
/// answer.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// Time for an answer, as the network's gateways have it.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// Time between two looks at a file: soon after an editor has written it.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Bytes of a file; a thousand orchestrators have 100 KiB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where orchestrators come from beside the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourcesConfig {
    /// URL that answers `[{"address": "https://…", "score": 1.0}]`.
    pub webhook: Option<String>,
    /// File of the same form, or with one URL on each line.
    pub file: Option<PathBuf>,
    /// URL of a gateway whose offerings document names them.
    pub gateway: Option<String>,
}

/// How a source is.
#[derive(Debug, Clone)]
pub struct SourceRow {
    /// Its name.
    pub name: &'static str,
    /// Orchestrators that it named last.
    pub named: usize,
    /// When it last said so.
    pub said_at: Option<Instant>,
    /// Why it said nothing when it was asked last; empty: it did.
    pub trouble: String,
}

/// How each source is.
pub(crate) type Sources = BTreeMap<&'static str, SourceRow>;

/// One entry of a webhook's answer or of a file.
#[derive(Debug, Deserialize)]
struct Named {
    address: String,
}

/// Asks every source all the time; ends only if there is none.
pub(crate) async fn run(state: Arc<State>) {
    let config = state.config.sources.clone();
    let client = Client::new(Pins::default(), Config { answer: ANSWER_MAX, ..Config::default() });
    let ask = |name: &'static str, url: Option<String>| {
        let (state, client) = (&state, &client);
        async move {
            let Some(url) = url else { return };
            let mut clock = interval(ASK_EVERY);
            clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                clock.tick().await;
                let heard = fetch(client, &url).await.and_then(|bytes| match name {
                    "webhook" => list(&bytes),
                    _ => document(&bytes),
                });
                take(state, name, heard);
            }
        }
    };
    let watch = async {
        let Some(path) = config.file.clone() else { return };
        let mut clock = interval(LOOK_EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = None;
        loop {
            clock.tick().await;
            let read = read(&path).await;
            if last.as_ref() != Some(&read) {
                take(&state, "file", read.clone().and_then(|text| list(text.as_bytes())));
                last = Some(read);
            }
        }
    };
    let url =
        |gateway: String| format!("{}{}", gateway.trim_end_matches('/'), wire::offerings::PATH);
    let webhook = ask("webhook", config.webhook.clone());
    let gateway = ask("gateway", config.gateway.clone().map(url));
    tokio::join!(webhook, gateway, watch);
}

async fn fetch(client: &Client, url: &str) -> Result<Bytes, String> {
    let request = Request::get(url).body(Bytes::new()).map_err(|error| error.to_string())?;
    let answer = client.exchange(request).await.map_err(|error| chain(&error))?;
    let status = answer.status();
    if !status.is_success() {
        return Err(format!("it answered {status}"));
    }
    Ok(answer.into_body())
}

async fn read(path: &std::path::Path) -> Result<String, String> {
    let text = |error: std::io::Error| error.to_string();
    let reading = async {
        let length = tokio::fs::metadata(path).await.map_err(text)?.len();
        if length > FILE_BYTES_MAX {
            return Err(format!("it has {length} bytes, over the limit of {FILE_BYTES_MAX}"));
        }
        tokio::fs::read_to_string(path).await.map_err(text)
    };
    timeout(ANSWER_MAX, reading)
        .await
        .unwrap_or_else(|_| Err("it cannot be read in time".to_owned()))
}

/// Reads a list: JSON entries with an `address`, or one URL on each line.
fn list(bytes: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?.trim();
    let named: Vec<String> = if text.starts_with('[') {
        let entries: Vec<Named> = serde_json::from_str(text)
            .map_err(|error| format!("it is no list of orchestrators: {error}"))?;
        entries.into_iter().map(|entry| entry.address).collect()
    } else {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
    };
    bounded(named)
}

fn document(bytes: &[u8]) -> Result<Vec<String>, String> {
    let document = Document::read(bytes).map_err(|error| chain(&error))?;
    let used = document.offerings.into_iter().filter(|it| it.standing != "blocked");
    let mut named: Vec<String> = used.map(|it| it.uri).filter(|uri| !uri.is_empty()).collect();
    named.sort();
    named.dedup();
    bounded(named)
}

fn bounded(named: Vec<String>) -> Result<Vec<String>, String> {
    match named.len() {
        over if over > ORCHESTRATORS_MAX => {
            Err(format!("it names {over} orchestrators, over the limit of {ORCHESTRATORS_MAX}"))
        }
        _ => Ok(named),
    }
}

/// Takes what a source said, or that it said nothing.
fn take(state: &State, name: &'static str, heard: Result<Vec<String>, String>) {
    let mut row = state.sources().get(name).cloned().unwrap_or(SourceRow {
        name,
        named: 0,
        said_at: None,
        trouble: String::new(),
    });
    match heard {
        Ok(named) => {
            let good = |uri: &String| match crate::origin(&OrchestratorConfig::at(uri)) {
                Ok(_) => true,
                Err(error) => {
                    tracing::warn!(source = name, error = %chain(&error), "orchestrator left out");
                    false
                }
            };
            let named: Vec<String> = named.into_iter().filter(good).collect();
            (row.named, row.said_at, row.trouble) = (named.len(), Some(now()), String::new());
            if state.book().sync(name, &named) {
                tracing::info!(source = name, orchestrators = named.len(), "orchestrators named");
                state.nudge.notify_one();
                state.changed.notify_one();
            }
        }
        Err(trouble) => {
            if row.trouble != trouble {
                tracing::warn!(source = name, trouble, "source of orchestrators failed");
            }
            row.trouble = trouble;
        }
    }
    state.sources().insert(name, row);
}

#[cfg(test)]
#[test]
fn a_list_is_read_in_either_form_and_nonsense_is_named() {
    let two = ["https://a:8935".to_owned(), "https://b:8935".to_owned()];
    let json = br#"[{"address":"https://a:8935","score":1.0},{"address":"https://b:8935"}]"#;
    assert_eq!(list(json).as_deref(), Ok(&two[..]));
    let lines = b"# ours\nhttps://a:8935\n\nhttps://b:8935 # the new one\n";
    assert_eq!(list(lines).as_deref(), Ok(&two[..]));
    assert!(list(b"[{\"uri\":1}]").unwrap_err().starts_with("it is no list of orchestrators"));
    let text = br#"{"format":1,"role":"gateway","offerings":[
        {"uri":"https://b:8935"},{"uri":"https://a:8935"},{"uri":"https://a:8935"},
        {"uri":"https://c:8935","standing":"blocked"}]}"#;
    assert_eq!(document(text).as_deref(), Ok(&two[..]));
    let many = "https://a:1\n".repeat(1001);
    assert!(list(many.as_bytes()).unwrap_err().contains("over the limit of 1000"));
}
