//! The documents of `POST /live-video-to-video`: what starts a live job and what answers it.
//! Clients differ in what they leave out, so reading is lenient; writing is exact.

use domain::Class;
use serde::de::Deserializer;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use url::Url;

/// Asks for a live job.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LiveStart {
    /// Pipeline; empty means the default.
    #[serde(default, deserialize_with = "text")]
    pub model_id: String,
    /// Parameters: an object, or its JSON text as a string. See [`LiveStart::params_json`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Box<RawValue>>,
    /// Id for the logs.
    #[serde(default, deserialize_with = "text")]
    pub gateway_request_id: String,
    /// The client's name of the stream, for the logs.
    #[serde(default, deserialize_with = "text")]
    pub stream_id: String,
    /// Where the input is read from; empty: a channel is made for it.
    #[serde(default, deserialize_with = "text")]
    pub subscribe_url: String,
    /// Where the output is written to; empty: a channel is made for it.
    #[serde(default, deserialize_with = "text")]
    pub publish_url: String,
    /// Where control is read from; empty: a channel is made for it.
    #[serde(default, deserialize_with = "text")]
    pub control_url: String,
    /// Where events are written to; empty: a channel is made for it.
    #[serde(default, deserialize_with = "text")]
    pub events_url: String,
}

/// Answers a start. The client writes to `publish_url` and reads `subscribe_url`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveAnswer {
    /// Id of the job at whoever answers.
    #[serde(default, deserialize_with = "text")]
    pub manifest_id: String,
    /// Where the client writes.
    #[serde(default, deserialize_with = "text")]
    pub publish_url: String,
    /// What the client reads.
    #[serde(default, deserialize_with = "text")]
    pub subscribe_url: String,
    /// Where the client changes parameters.
    #[serde(default, deserialize_with = "text")]
    pub control_url: String,
    /// What tells the client how the job goes.
    #[serde(default, deserialize_with = "text")]
    pub events_url: String,
    /// The gateway's own id of the job.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    pub job: String,
    /// Opens the job's record.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    pub job_token: String,
}

/// Parameters that are no object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`params` is neither a JSON object nor the text of one")]
pub struct ParamsError;

impl ParamsError {
    /// Returns the class.
    pub const fn class(&self) -> Class {
        Class::Invalid
    }
}

impl LiveStart {
    /// Asks for the pipeline `id` with `params`, an object; everything else is left to the peer.
    pub fn of(id: impl Into<String>, params: Option<Box<RawValue>>) -> Self {
        Self { model_id: id.into(), params, ..Self::default() }
    }

    /// Returns the id of the pipeline; empty means the default.
    pub fn pipeline(&self) -> &str {
        &self.model_id
    }

    /// Returns the parameters as the JSON text of an object; `None` when there are none.
    pub fn params_json(&self) -> Result<Option<String>, ParamsError> {
        let Some(raw) = &self.params else { return Ok(None) };
        let text = match raw.get().as_bytes().first() {
            Some(b'"') => serde_json::from_str::<String>(raw.get()).map_err(|_| ParamsError)?,
            Some(_) | None => raw.get().to_owned(),
        };
        match text.trim() {
            "" | "null" => Ok(None),
            object if object.starts_with('{') => {
                serde_json::from_str::<&RawValue>(object).map_err(|_| ParamsError)?;
                Ok(Some(object.to_owned()))
            }
            _ => Err(ParamsError),
        }
    }
}

/// Makes a peer's URL absolute: one without a host is the peer's own. `None` if it is no URL of
/// scheme `http` or `https`.
pub fn absolute(peer: &Url, url: &str) -> Option<Url> {
    let url = peer.join(url).ok()?;
    matches!(url.scheme(), "http" | "https").then_some(url)
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_of_every_known_client_are_read() {
        let read = |text: &str| serde_json::from_str::<LiveStart>(text).unwrap();
        let bare = read("{}");
        assert!(bare.model_id.is_empty() && bare.params_json() == Ok(None));
        let speakeasy = read(
            r#"{"subscribe_url":"http://a/in","publish_url":"http://a/out","control_url":"","events_url":"","model_id":"","extra":1}"#,
        );
        assert_eq!(speakeasy.subscribe_url, "http://a/in");
        let python =
            read(r#"{"model_id":"sketch-video","params":{"b":1,"a":2.0},"stream_id":null}"#);
        assert_eq!(python.params_json(), Ok(Some(r#"{"b":1,"a":2.0}"#.to_owned())));
        let texted = read(r#"{"params":"{\"a\":1}"}"#);
        assert_eq!(texted.params_json(), Ok(Some(r#"{"a":1}"#.to_owned())));
        for none in [r#"{"params":null}"#, r#"{"params":""}"#] {
            assert_eq!(read(none).params_json(), Ok(None));
        }
        for bad in [r#"{"params":[1]}"#, r#"{"params":"{"}"#, r#"{"params":3}"#] {
            assert_eq!(read(bad).params_json(), Err(ParamsError));
        }
    }

    #[test]
    fn a_peers_url_without_a_host_is_its_own() {
        let peer = Url::parse("https://orch:8935/live-video-to-video").unwrap();
        let url = |text| absolute(&peer, text).map(String::from);
        assert_eq!(url("/ai/trickle/x").as_deref(), Some("https://orch:8935/ai/trickle/x"));
        assert_eq!(url("http://b/x").as_deref(), Some("http://b/x"));
        assert_eq!(url("file:///etc/passwd"), None);
    }

    #[test]
    fn an_answer_has_our_extras_only_where_they_say_something() {
        let answer = LiveAnswer { manifest_id: "m".into(), ..LiveAnswer::default() };
        assert_eq!(
            serde_json::to_string(&answer).unwrap(),
            r#"{"manifest_id":"m","publish_url":"","subscribe_url":"","control_url":"","events_url":""}"#
        );
    }
}
