//! The last event of a job, and the forms inside it that job records and reports share: written by
//! an orchestrator, passed on by a gateway, read by clients. Forms only; what the figures are and
//! which reason counts is decided elsewhere.
//!
//! **Invariant:** reading is lenient, so that a peer that says less is still understood; writing
//! says everything.

use serde::{Deserialize, Serialize};

/// Value of `type` in the last event.
const TYPE: &str = "ended";

/// What became of a job. Wei are decimal strings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// Why it ended, as `domain::session::EndReason` names it.
    pub reason: String,
    /// Pictures.
    #[serde(default)]
    pub frames: Frames,
    /// SHA-256 over the pictures sent out, before encoding, in hexadecimal.
    #[serde(default)]
    pub frames_sha256: String,
    /// Guest time of a picture.
    #[serde(default)]
    pub guest_us: GuestTime,
    /// Memory of the worker.
    #[serde(default)]
    pub resources: Resources,
    /// Length of the stream in milliseconds, as it was charged.
    #[serde(default)]
    pub stream_ms: u64,
    /// Agreed price.
    #[serde(default)]
    pub price: Option<Price>,
    /// What it came to.
    #[serde(default)]
    pub amount_wei: String,
    /// Names of what was odd.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Why it did not end well, if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Trouble>,
}

/// Counts of pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frames {
    /// Decoded.
    #[serde(rename = "in")]
    pub input: u64,
    /// Sent out.
    pub out: u64,
    /// Left out.
    pub dropped: u64,
}

/// Guest time of a picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestTime {
    /// Half of the pictures took less, in microseconds.
    pub p50: u64,
    /// 99 of 100 took less, in microseconds.
    pub p99: u64,
}

/// Memory of the worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// After the first second of pictures, in MiB.
    pub rss_warm_mib: u64,
    /// At the end, in MiB.
    pub rss_end_mib: u64,
}

/// A price.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Wei for a lot, in decimals.
    pub wei: String,
    /// Units in a lot.
    pub per_units: u64,
    /// Name of the unit.
    pub unit: String,
}

/// Why a session did not end well.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Word of the error class.
    #[serde(default)]
    pub class: String,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// The plugin's fault, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<PluginFault>,
}

/// Which plugin faulted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginFault {
    /// Kind of the fault, such as `trap`.
    pub kind: String,
    /// Plugin's id.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// The call during which it happened.
    #[serde(default)]
    pub call: String,
}

#[derive(Serialize)]
struct Event<'a> {
    r#type: &'static str,
    #[serde(flatten)]
    ended: &'a Ended,
}

impl Ended {
    /// Writes the event as one JSON document.
    ///
    /// # Panics
    /// Never: plain structs serialise.
    pub fn to_event(&self) -> String {
        let event = Event { r#type: TYPE, ended: self };
        serde_json::to_string(&event).expect("plain structs serialise")
    }

    /// Reads an event; `None` for one of another type.
    pub fn of_event(message: &[u8]) -> Option<Self> {
        let event: serde_json::Value = serde_json::from_slice(message).ok()?;
        (event["type"] == TYPE).then(|| serde_json::from_value(event).ok()).flatten()
    }
}

#[cfg(test)]
#[test]
fn what_is_written_is_read_back_and_other_events_are_not_taken_for_it() {
    let frames = Frames { input: 3, out: 2, dropped: 0 };
    let ended = Ended { reason: "eos".to_owned(), frames, ..Ended::default() };
    let event = ended.to_event();
    assert!(event.starts_with(r#"{"type":"ended","reason":"eos","frames":{"in":3,"#), "{event}");
    assert!(!event.contains("error"), "{event}");
    assert_eq!(Ended::of_event(event.as_bytes()), Some(ended));
    assert_eq!(Ended::of_event(br#"{"type":"status","reason":"eos"}"#), None);
    assert!(Ended::of_event(br#"{"type":"ended","reason":"lost"}"#).is_some());
}
