//! What a gateway tells an orchestrator of itself: for how many jobs it was a candidate, how many it
//! served, and why not the others. `POST /v1/feedback` on the orchestrator's port; one that does not
//! know it answers 404.
//!
//! **Invariant:** what is read is bounded: a name, and a few reasons with whole numbers.

use std::collections::BTreeMap;

use domain::Class;
use serde::{Deserialize, Serialize};

/// Where it is sent.
pub const PATH: &str = "/v1/feedback";
/// Bytes of a body: some dozen reasons with room.
pub const BYTES_MAX: usize = 16 << 10;
/// Reasons: more than there are words for.
const REASONS_MAX: usize = 32;
/// Bytes of a name or a word.
const NAME_BYTES_MAX: usize = 256;

/// How far prices were over their caps, in wei a lot, as decimal strings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distance {
    /// The least.
    pub min: String,
    /// The most.
    pub max: String,
}

/// What is counted of one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// How often it was the reason.
    pub count: u64,
    /// By how much, where that can be said.
    #[serde(default)]
    pub wei_over: Option<Distance>,
}

/// What is counted of one orchestrator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Jobs for which it was a candidate.
    pub jobs: u64,
    /// Of them, those that it served.
    pub served: u64,
    /// Why it did not serve the others.
    #[serde(default)]
    pub reasons: BTreeMap<String, Counted>,
}

/// What one gateway tells one orchestrator, counted since that gateway's start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// How the gateway calls itself: its URL.
    pub gateway: String,
    /// The counts.
    #[serde(flatten)]
    pub counts: Counts,
}

/// A body that is no feedback.
#[derive(Debug, thiserror::Error)]
pub enum FeedbackError {
    /// It has another form.
    #[error("the body is no feedback")]
    Form(#[from] serde_json::Error),
    /// It says more than it may.
    #[error("{what} is over the limit of {limit}")]
    TooLong {
        /// What.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

impl FeedbackError {
    /// Returns the class.
    pub const fn class(&self) -> Class {
        Class::Invalid
    }
}

impl Feedback {
    /// Reads a body.
    pub fn read(body: &[u8]) -> Result<Self, FeedbackError> {
        let read: Self = serde_json::from_slice(body)?;
        let over = |what, limit| Err(FeedbackError::TooLong { what, limit });
        if read.counts.reasons.len() > REASONS_MAX {
            return over("the number of reasons", REASONS_MAX);
        }
        let counted = read.counts.reasons.values();
        let distances = counted.filter_map(|it| it.wei_over.as_ref());
        let distances = distances.flat_map(|it| [&it.min, &it.max]);
        let texts = read.counts.reasons.keys().chain([&read.gateway]).chain(distances);
        let longest = texts.map(String::len).max().unwrap_or(0);
        if longest > NAME_BYTES_MAX {
            return over("the length of a text", NAME_BYTES_MAX);
        }
        Ok(read)
    }
}

impl Counts {
    /// Adds what another gateway counted.
    pub fn add(&mut self, other: &Self) {
        self.jobs = self.jobs.saturating_add(other.jobs);
        self.served = self.served.saturating_add(other.served);
        for (reason, counted) in &other.reasons {
            let sum = self.reasons.entry(reason.clone()).or_default();
            sum.count = sum.count.saturating_add(counted.count);
            let (Some(far), Some(other)) = (&mut sum.wei_over, &counted.wei_over) else {
                sum.wei_over = sum.wei_over.take().or_else(|| counted.wei_over.clone());
                continue;
            };
            let wei = |text: &str| text.parse::<u128>().unwrap_or(0);
            if wei(&other.min) < wei(&far.min) {
                far.min.clone_from(&other.min);
            }
            if wei(&other.max) > wei(&far.max) {
                far.max.clone_from(&other.max);
            }
        }
    }
}

#[cfg(test)]
#[test]
fn counts_of_gateways_add_up_and_what_is_too_much_is_refused() {
    let over = |count, min: &str, max: &str| {
        let distance = Distance { min: min.to_owned(), max: max.to_owned() };
        let counted = Counted { count, wei_over: Some(distance) };
        let reasons = BTreeMap::from([("price-over-cap".to_owned(), counted)]);
        Counts { jobs: count + 1, served: 1, reasons }
    };
    let mut sum = Counts::default();
    sum.add(&over(2, "3", "10"));
    sum.add(&over(5, "9", "9"));
    assert_eq!(sum, Counts { jobs: 9, served: 2, ..over(7, "3", "10") });
    let told = Feedback { gateway: "http://g:9935".to_owned(), counts: sum };
    let text = serde_json::to_vec(&told).unwrap();
    assert_eq!(Feedback::read(&text).unwrap(), told);
    let nothing = br#"{"gateway":"g","orchestrator":"o","jobs":0,"served":0,"reasons":{}}"#;
    assert_eq!(Feedback::read(nothing).unwrap().counts, Counts::default());
    assert!(Feedback::read(b"[]").is_err());
    let long = format!(r#"{{"gateway":"{}","jobs":0,"served":0}}"#, "g".repeat(257));
    assert!(Feedback::read(long.as_bytes()).unwrap_err().to_string().contains("limit of 256"));
}
