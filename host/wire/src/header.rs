//! Names and forms of the HTTP headers: Livepeer's, the trickle protocol's and our own, and the
//! request id that ties the logs of both roles together. It knows no request.
//!
//! **Invariant:** names are lower case, as HTTP/2 requires and HTTP/1.1 does not mind.

use std::fmt;

use domain::resume::Resume;
use http::{HeaderMap, HeaderName};

/// Payment of a request: base64 of a protobuf `Payment`. May be empty off chain.
pub const LIVEPEER_PAYMENT: HeaderName = HeaderName::from_static("livepeer-payment");
/// Credentials of a request: base64 of a protobuf `SegData`.
pub const LIVEPEER_SEGMENT: HeaderName = HeaderName::from_static("livepeer-segment");
/// Number of the segment served or written.
pub const TRICKLE_SEQ: HeaderName = HeaderName::from_static("lp-trickle-seq");
/// Number of the next segment to be written, at the time of the answer.
pub const TRICKLE_LATEST: HeaderName = HeaderName::from_static("lp-trickle-latest");
/// Present with value [`TERMINATED`] once a channel is closed.
pub const TRICKLE_CLOSED: HeaderName = HeaderName::from_static("lp-trickle-closed");
/// On a POST: end every segment of a lower number.
pub const TRICKLE_RESET: HeaderName = HeaderName::from_static("lp-trickle-reset");
/// On a creating POST: media type of the channel.
pub const EXPECT_CONTENT: HeaderName = HeaderName::from_static("expect-content");
/// Value of [`TRICKLE_CLOSED`].
pub const TERMINATED: &str = "terminated";

/// Ties the log lines of one request across roles.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("framegate-request-id");
/// Names the reader of a channel, so that its place is kept between segments.
pub const READER: HeaderName = HeaderName::from_static("framegate-reader");
/// On answers about a lossless channel: bytes that may wait unread in it.
pub const WINDOW: HeaderName = HeaderName::from_static("framegate-window");
/// On a start: the most that one lot may cost, in wei, where the client wants less than the
/// operator's cap.
pub const MAX_PRICE: HeaderName = HeaderName::from_static("framegate-max-price");
/// On a start that takes a job over: time of the last picture that the client was given, in ticks of
/// 1/90,000 s on the source's clock. Nothing up to it is sent, and the output begins with a picture
/// where decoding can begin. The answer repeats it: without, the peer does not know it.
pub const RESUME_PTS: HeaderName = HeaderName::from_static("framegate-resume-pts");
/// The same for sound, where the client was given any.
pub const RESUME_AUDIO_PTS: HeaderName = HeaderName::from_static("framegate-resume-audio-pts");
/// On a GET: what the reader did not get before this segment, as [`crate::trickle::Missing`]
/// prints it.
pub const MISSING: HeaderName = HeaderName::from_static("framegate-missing");

/// Characters of a request id or a reader's name that a peer may choose. A UUID has 36.
pub const ID_CHARS_MAX: usize = 64;

/// Names one request in the logs of both roles.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(String);

impl RequestId {
    /// Makes one of 64 random bits, in hexadecimal.
    pub fn random() -> Self {
        Self(random_hex::<8>())
    }

    /// Takes over the id in `headers` if it is one ([`is_id`]), else makes one.
    pub fn of(headers: &HeaderMap) -> Self {
        id_in(headers, &REQUEST_ID).map_or_else(Self::random, |id| Self(id.to_owned()))
    }

    /// Returns its text: letters, digits, `-`, `_`, `.` only.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the header `name` if its value is an id ([`is_id`]).
pub fn id_in<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| is_id(text))
}

/// Returns whether `text` may name a request or a reader: 1 to [`ID_CHARS_MAX`] letters, digits,
/// `-`, `_`, `.`, so that it can stand in a log line, a header or a path unescaped.
pub fn is_id(text: &str) -> bool {
    (1..=ID_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// Reads where an output goes on from the headers of a start or of its answer; `None` if it begins
/// anew.
pub fn resume_in(headers: &HeaderMap) -> Option<Resume> {
    let time = |name| headers.get(name)?.to_str().ok()?.parse().ok();
    Some(Resume { picture: time(&RESUME_PTS)?, audio: time(&RESUME_AUDIO_PTS) })
}

/// Writes where an output goes on into the headers of a start or of its answer.
pub fn write_resume(resume: Resume, headers: &mut HeaderMap) {
    headers.insert(RESUME_PTS, resume.picture.into());
    if let Some(audio) = resume.audio {
        headers.insert(RESUME_AUDIO_PTS, audio.into());
    }
}

/// Returns `N` random bytes as `2 N` hexadecimal characters.
///
/// # Panics
/// When the system has no randomness to give: nothing could be kept secret then.
pub fn random_hex<const N: usize>() -> String {
    hex(&random_bytes::<N>())
}

/// Returns `N` random bytes fit for secrets.
///
/// # Panics
/// As [`random_hex`].
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system always has randomness once it has booted");
    bytes
}

/// Compares a secret that was given with the right one, without telling by its time how much of it
/// was right. Its length is no secret.
pub fn is_same_secret(given: &str, expected: &str) -> bool {
    let pairs = given.bytes().zip(expected.bytes());
    let differences = pairs.fold(0, |found, (given, expected)| found | (given ^ expected));
    given.len() == expected.len() && std::hint::black_box(differences) == 0
}

/// Writes bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
#[test]
fn a_peers_request_id_is_kept_only_if_it_can_stand_in_a_log_line() {
    let given = |text: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, text.parse().unwrap());
        RequestId::of(&headers).to_string()
    };
    assert_eq!(given("req-1.A_b"), "req-1.A_b");
    for bad in ["", "a b", "a\"b", &"x".repeat(ID_CHARS_MAX + 1)] {
        let made = given(bad);
        assert!(made != bad && made.len() == 16 && is_id(&made), "{made}");
    }
}

#[cfg(test)]
#[test]
fn a_secret_is_the_same_only_whole() {
    assert!(is_same_secret("secret", "secret"));
    for other in ["", "secre", "secrets", "Secret", "secreT"] {
        assert!(!is_same_secret(other, "secret"), "{other}");
    }
    assert!(!is_same_secret("secret", ""));
}
