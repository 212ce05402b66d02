//! The offerings document, `GET /v1/offerings` on both roles: what can be bought, at which price,
//! and how good it was. Written exactly, read leniently: a field that is missing reads as unknown.
//!
//! **Invariant:** prices are whole numbers as decimal strings, with their unit beside them and once
//! more in words.

mod sign;

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use domain::price::{LIVE_UNIT, LIVE_UNITS_PER_SECOND};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use sign::{KeyError, SIGNATURE, SIGNER, SignatureError, Signer, check_signature};

/// Where the document is found.
pub const PATH: &str = "/v1/offerings";
/// Version of the form.
pub const FORMAT: u32 = 1;
/// Offerings in one document: a gateway knows a thousand orchestrators with a few models each.
pub const OFFERINGS_MAX: usize = 10_000;
/// Time for which a document stands: two rounds of discovery as they ship.
pub const STANDS: Duration = Duration::from_secs(10);
/// Characters of a text that a peer says of an offering: a digest has 71.
const TEXT_CHARS_MAX: usize = 256;

/// The document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Version of the form.
    pub format: u32,
    /// Role that says it: `gateway` or `orchestrator`.
    pub role: String,
    /// Its URL.
    #[serde(default)]
    pub url: String,
    /// When it was said, in seconds since 1970.
    #[serde(default)]
    pub issued_at: u64,
    /// Until when it stands, in the same.
    #[serde(default)]
    pub expires_at: u64,
    /// What is on offer.
    #[serde(default)]
    pub offerings: Vec<Entry>,
}

/// One offering.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// What is done: `live-video-to-video/sketch-video`.
    pub capability: String,
    /// Who does it, by name; empty: whoever says it.
    pub orchestrator: String,
    /// Its URL.
    pub uri: String,
    /// The model, or the pipeline's id.
    pub model: String,
    /// Digest of the pipeline's component, `sha256:…`; empty: not known.
    pub component: String,
    /// What it costs.
    pub price: Option<Price>,
    /// Where it is; empty: not known.
    pub region: String,
    /// Device behind it; empty: not known.
    pub hardware: String,
    /// Memory of the device.
    pub memory: Option<Memory>,
    /// Round trip and start of a job, as measured.
    pub latency: Option<Latency>,
    /// Parts per million of jobs that succeeded; none: too few to say.
    pub success_ppm: Option<u32>,
    /// Parts per million of the questions of the last 24 hours that were answered.
    pub availability_ppm: Option<u32>,
    /// Room for jobs.
    pub capacity: Option<Capacity>,
    /// Whether it can start at once.
    pub warm: bool,
    /// Whether the same input gives the same pictures, bit for bit; none: not known.
    pub deterministic: Option<bool>,
    /// Whether it is given work, and if not, why: `active`, `draining`, `blocked`, `suspended`.
    pub standing: String,
    /// Whether the last question to it failed, so that this is what it said before.
    pub stale: bool,
}

/// A price as exact integers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Wei, as a decimal string.
    pub wei: String,
    /// For so many units.
    pub per_units: u64,
    /// The unit.
    pub unit: String,
    /// The same in words.
    pub text: String,
}

/// Times in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// Smoothed round trip of a question.
    pub rtt_us: Option<u32>,
    /// Median time to start a job.
    pub start_p50_us: Option<u32>,
    /// 95 of 100 starts took less.
    pub start_p95_us: Option<u32>,
}

/// Room for jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capacity {
    /// Free slots.
    pub free: u32,
    /// All slots.
    pub total: u32,
}

/// Memory of a device in MiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Free memory.
    pub free_mib: u32,
    /// All memory.
    pub total_mib: u32,
}

impl Price {
    /// Writes a price of live video: wei for a lot of so many units.
    pub fn live(wei: u64, per_units: u64) -> Self {
        // Rounded for people; the exact figures stand beside it.
        let hour = u128::from(wei) * u128::from(LIVE_UNITS_PER_SECOND) * 3600
            / u128::from(per_units.max(1));
        let text = format!(
            "{wei} wei for {per_units} {LIVE_UNIT}, which is about {hour} wei an hour of live video"
        );
        Self { wei: wei.to_string(), per_units, unit: LIVE_UNIT.to_owned(), text }
    }
}

impl Document {
    /// Returns the tag that changes with what is on offer, and not with the time.
    pub fn etag(&self) -> String {
        let content = serde_json::to_vec(&self.offerings).unwrap_or_default();
        let digest = Sha256::digest(&content);
        format!("\"{}\"", crate::header::hex(&digest[..16]))
    }

    /// Reads a document that a peer said. Fails if it has another form.
    pub fn read(bytes: &[u8]) -> Result<Self, FormError> {
        let mut document: Self = serde_json::from_slice(bytes).map_err(FormError::Json)?;
        if document.format != FORMAT {
            return Err(FormError::Format { format: document.format });
        }
        document.offerings.truncate(OFFERINGS_MAX);
        for entry in &mut document.offerings {
            for text in [&mut entry.region, &mut entry.component, &mut entry.hardware] {
                *text = text.chars().take(TEXT_CHARS_MAX).collect();
            }
        }
        Ok(document)
    }

    /// Answers a request with the document, signed where there is a `signer`, or that the one that the
    /// caller has still stands.
    pub fn answer(&self, headers: &HeaderMap, signer: Option<&Signer>) -> Response {
        let tag = self.etag();
        let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        let age = format!("max-age={}", STANDS.as_secs());
        if known.is_some_and(|known| known.split(',').any(|known| known.trim() == tag)) {
            return (StatusCode::NOT_MODIFIED, [(ETAG, tag), (CACHE_CONTROL, age)]).into_response();
        }
        let body = serde_json::to_string(self).unwrap_or_default();
        let signed = signer.map(|signer| (signer.sign(body.as_bytes()), signer.key()));
        let form =
            [(CONTENT_TYPE, "application/json".to_owned()), (ETAG, tag), (CACHE_CONTROL, age)];
        let mut response = (form, body).into_response();
        if let Some((signature, key)) = signed {
            for (name, value) in [(SIGNATURE, signature), (SIGNER, key)] {
                let value = HeaderValue::from_str(&value).expect("hexadecimal digits are text");
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// A document that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// It is no such JSON.
    #[error("it is no offerings document")]
    Json(#[source] serde_json::Error),
    /// It is of another version.
    #[error("its format is `{format}` and not `{FORMAT}`")]
    Format {
        /// The version.
        format: u32,
    },
}

#[cfg(test)]
#[test]
fn the_schema_names_every_field_and_no_other() {
    let schema = include_str!("../../../docs/offerings.schema.json");
    let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
    let entry = Entry {
        price: Some(Price::live(1, 1)),
        latency: Some(Latency::default()),
        capacity: Some(Capacity::default()),
        memory: Some(Memory::default()),
        ..Entry::default()
    };
    let (role, url) = ("gateway".to_owned(), String::new());
    let document =
        Document { format: FORMAT, role, url, issued_at: 1, expires_at: 2, offerings: vec![entry] };
    let document = serde_json::to_value(&document).unwrap();
    let compare = |schema: &serde_json::Value, value: &serde_json::Value| {
        let names = |it: &serde_json::Value| -> Vec<String> {
            it.as_object().unwrap().keys().cloned().collect()
        };
        assert_eq!(names(&schema["properties"]), names(value));
    };
    compare(&schema, &document);
    let (offering, written) = (&schema["$defs"]["offering"], &document["offerings"][0]);
    compare(offering, written);
    for part in ["price", "latency", "capacity", "memory"] {
        compare(&schema["$defs"][part], &written[part]);
    }
}

#[cfg(test)]
#[test]
fn a_document_keeps_its_tag_while_the_offer_stands_and_unknown_columns_read_as_unknown() {
    let entry = Entry { capability: "live-video-to-video/x".to_owned(), ..Entry::default() };
    let document = Document {
        format: FORMAT,
        role: "gateway".to_owned(),
        url: String::new(),
        issued_at: 1,
        expires_at: 2,
        offerings: vec![entry],
    };
    let later = Document { issued_at: 9, expires_at: 10, ..document.clone() };
    assert_eq!(document.etag(), later.etag());
    let dearer = Entry { price: Some(Price::live(1000, 1_000_000)), ..Entry::default() };
    assert_ne!(Document { offerings: vec![dearer.clone()], ..later.clone() }.etag(), later.etag());
    assert_eq!(
        dearer.price.unwrap().text,
        "1000 wei for 1000000 lv2v-pixel-second, which is about 99532800 wei an hour of live video"
    );
    let read =
        Document::read(br#"{"format":1,"role":"x","offerings":[{"capability":"c"}],"more":1}"#);
    let read = read.unwrap();
    assert_eq!((read.offerings[0].price.clone(), read.offerings[0].deterministic), (None, None));
    let error = Document::read(br#"{"format":2,"role":"x"}"#).unwrap_err();
    assert_eq!(error.to_string(), "its format is `2` and not `1`");
}
