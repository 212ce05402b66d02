//! How failures look on the wire: one table from class to status and word, and one body that
//! every client world reads. It decides what a stranger may be told, not what went wrong.
//!
//! **Invariant:** the diagnostic text of an internal error or a plugin fault never leaves in a
//! body; the log has it, under the request id.

use axum::response::{IntoResponse, Response};
use domain::Class;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};

/// The words of JSON bodies and exit codes (see ARCHITECTURE.md): finer than a class where a
/// client must act differently, coarser where it must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// The request is wrong; the same one fails again.
    Invalid,
    /// Nobody offers the capability, or nothing goes by the name.
    NoCapability,
    /// Refused by a rule.
    Denied,
    /// Refused because every price lies above the cap.
    PriceOverCap,
    /// Every slot is taken.
    NoSlot,
    /// A peer cannot be reached or did not answer in time.
    Unreachable,
    /// A plugin failed.
    Fault,
    /// This program failed.
    Internal,
}

impl Word {
    /// Every word, in the order of [`Word::over_several`] and then of the table.
    pub const ALL: [Self; 8] = [
        Self::PriceOverCap,
        Self::NoSlot,
        Self::NoCapability,
        Self::Unreachable,
        Self::Denied,
        Self::Invalid,
        Self::Fault,
        Self::Internal,
    ];

    /// Returns the word for an error of `class`. A cap is a rule of the caller's, so
    /// [`Word::PriceOverCap`] is never derived: who refuses a price says so.
    pub const fn of(class: Class) -> Self {
        match class {
            Class::Invalid | Class::Conflict | Class::Cancelled => Self::Invalid,
            Class::Denied => Self::Denied,
            Class::NotFound => Self::NoCapability,
            Class::Exhausted => Self::NoSlot,
            Class::Unavailable | Class::TimedOut => Self::Unreachable,
            Class::PluginFault => Self::Fault,
            Class::Internal => Self::Internal,
        }
    }

    /// Returns the one word for a job that several orchestrators refused: the first that occurs
    /// in the order of [`Word::ALL`]; [`Word::NoCapability`] when there was nobody to ask.
    pub fn over_several(words: impl IntoIterator<Item = Self>) -> Self {
        let words: Vec<Self> = words.into_iter().collect();
        Self::ALL.into_iter().find(|word| words.contains(word)).unwrap_or(Self::NoCapability)
    }

    /// Finds a word by its spelling.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|word| word.name() == name)
    }

    /// Returns its spelling in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NoCapability => "no-capability",
            Self::Denied => "denied",
            Self::PriceOverCap => "price-over-cap",
            Self::NoSlot => "no-slot",
            Self::Unreachable => "unreachable",
            Self::Fault => "fault",
            Self::Internal => "internal",
        }
    }

    /// Returns the HTTP status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::NoCapability => StatusCode::NOT_FOUND,
            Self::Denied | Self::PriceOverCap => StatusCode::FORBIDDEN,
            Self::NoSlot => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unreachable => StatusCode::BAD_GATEWAY,
            Self::Fault | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Returns the code that the command line exits with.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Invalid => 3,
            Self::NoCapability | Self::Denied | Self::PriceOverCap | Self::NoSlot => 4,
            Self::Unreachable => 6,
            Self::Fault => 7,
            Self::Internal => 1,
        }
    }

    /// Returns the text for the words whose own text must not leave.
    const fn public_text(self) -> Option<&'static str> {
        match self {
            Self::Internal => Some("internal error"),
            Self::Fault => Some("the plugin failed"),
            Self::Invalid
            | Self::NoCapability
            | Self::Denied
            | Self::PriceOverCap
            | Self::NoSlot
            | Self::Unreachable => None,
        }
    }
}

/// Why one orchestrator did not get a job; the form of `reasons` and of `passed_over`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Its name or service URI.
    pub orchestrator: String,
    /// A [`Word`], or a finer one such as `url-not-allowed`.
    pub class: String,
    /// Asked price for one lot, in wei, as a decimal string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_wei: Option<String>,
    /// Cap for one lot, in wei, as a decimal string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap_wei: Option<String>,
}

/// A failure as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    word: Word,
    message: String,
    reasons: Vec<Reason>,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    #[serde(default)]
    detail: Detail,
    #[serde(default)]
    error: Inner,
    #[serde(default)]
    reasons: Vec<Reason>,
}

#[derive(Default, Serialize, Deserialize)]
struct Detail {
    #[serde(default)]
    msg: String,
}

#[derive(Default, Serialize, Deserialize)]
struct Inner {
    #[serde(default)]
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class: Option<Word>,
}

impl Refusal {
    /// Makes one; `message` is replaced where it must not leave.
    pub fn new(word: Word, message: impl Into<String>) -> Self {
        let message = word.public_text().map_or_else(|| message.into(), str::to_owned);
        Self { word, message, reasons: Vec::new() }
    }

    /// Makes one from an error and its class, with all the causes of the error where its text
    /// may leave.
    pub fn from_error(class: Class, error: &dyn std::error::Error) -> Self {
        Self::new(Word::of(class), domain::chain(error))
    }

    /// Adds why each orchestrator did not get the job.
    #[must_use]
    pub fn with_reasons(mut self, reasons: Vec<Reason>) -> Self {
        self.reasons = reasons;
        self
    }

    /// Returns the word.
    pub const fn word(&self) -> Word {
        self.word
    }

    /// Returns the text.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the reasons.
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    /// Writes the body `{"detail":{"msg"},"error":{"message","class"},"reasons":[…]}`: both
    /// client worlds find their text in it.
    pub fn to_json(&self) -> String {
        let wire = Wire {
            detail: Detail { msg: self.message.clone() },
            error: Inner { message: self.message.clone(), class: Some(self.word) },
            reasons: self.reasons.clone(),
        };
        serde_json::to_string(&wire).expect("strings and closed enums always serialise")
    }

    /// Reads a peer's error body: ours, either client world's, or plain text, cut at 1,024
    /// characters. The word is the body's, else the status's.
    pub fn from_response(status: StatusCode, body: &[u8]) -> Self {
        const CHARS_MAX: usize = 1024;
        let by_status = match status {
            StatusCode::NOT_FOUND => Word::NoCapability,
            StatusCode::UNAUTHORIZED | StatusCode::PAYMENT_REQUIRED | StatusCode::FORBIDDEN => {
                Word::Denied
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Word::NoSlot,
            other if other.is_client_error() => Word::Invalid,
            _ => Word::Unreachable,
        };
        let cut = |text: &str| text.trim().chars().take(CHARS_MAX).collect::<String>();
        let Ok(wire) = serde_json::from_slice::<Wire>(body) else {
            let message = cut(&String::from_utf8_lossy(body));
            return Self { word: by_status, message, reasons: Vec::new() };
        };
        let message = [&wire.error.message, &wire.detail.msg].into_iter().find(|m| !m.is_empty());
        Self {
            word: wire.error.class.unwrap_or(by_status),
            message: cut(message.map_or("", String::as_str)),
            reasons: wire.reasons,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.word.status(), [(CONTENT_TYPE, "application/json")], self.to_json()).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_the_status_and_exit_code_that_scripts_rely_on() {
        let table: Vec<String> = Word::ALL
            .iter()
            .map(|w| format!("{} {} {}", w.name(), w.status().as_u16(), w.exit_code()))
            .collect();
        assert_eq!(
            table,
            [
                "price-over-cap 403 4",
                "no-slot 503 4",
                "no-capability 404 4",
                "unreachable 502 6",
                "denied 403 4",
                "invalid 400 3",
                "fault 500 7",
                "internal 500 1",
            ]
        );
        for word in Word::ALL {
            let json = serde_json::to_string(&word).unwrap();
            assert_eq!(json, format!("\"{}\"", word.name()));
        }
    }

    #[test]
    fn over_several_refusals_the_price_speaks_first() {
        let words = [Word::Unreachable, Word::NoSlot, Word::PriceOverCap];
        assert_eq!(Word::over_several(words), Word::PriceOverCap);
        assert_eq!(Word::over_several([Word::Unreachable, Word::NoCapability]), Word::NoCapability);
        assert_eq!(Word::over_several([]), Word::NoCapability);
    }

    #[test]
    fn the_body_is_read_by_both_client_worlds_and_comes_back_whole() {
        let refusal =
            Refusal::new(Word::PriceOverCap, "no price under the cap").with_reasons(vec![Reason {
                orchestrator: "a".into(),
                class: "price-over-cap".into(),
                price_wei: Some("5".into()),
                cap_wei: Some("4".into()),
            }]);
        let json = refusal.to_json();
        assert_eq!(
            json,
            r#"{"detail":{"msg":"no price under the cap"},"error":{"message":"no price under the cap","class":"price-over-cap"},"reasons":[{"orchestrator":"a","class":"price-over-cap","price_wei":"5","cap_wei":"4"}]}"#
        );
        assert_eq!(Refusal::from_response(StatusCode::FORBIDDEN, json.as_bytes()), refusal);
        let stock = Refusal::from_response(
            StatusCode::SERVICE_UNAVAILABLE,
            br#"{"error":{"message":"insufficient capacity"}}"#,
        );
        assert_eq!((stock.word(), stock.message()), (Word::NoSlot, "insufficient capacity"));
        let plain = Refusal::from_response(StatusCode::BAD_REQUEST, b"nope\n");
        assert_eq!((plain.word(), plain.message()), (Word::Invalid, "nope"));
    }

    #[test]
    fn an_internal_error_tells_a_stranger_nothing() {
        let cause = std::io::Error::other("/home/someone/secret");
        for class in [Class::Internal, Class::PluginFault] {
            assert!(!Refusal::from_error(class, &cause).to_json().contains("secret"));
        }
        assert!(Refusal::from_error(Class::Invalid, &cause).to_json().contains("secret"));
    }
}
