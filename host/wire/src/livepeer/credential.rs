//! The two headers that carry protobuf in base64: who asks, and what is paid.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::Class;
use http::{HeaderMap, HeaderName, HeaderValue};
use prost::Message;

use crate::header::{LIVEPEER_PAYMENT, LIVEPEER_SEGMENT};
use crate::proto::{Payment, SegData};

/// Characters of such a header: a payment of 100 tickets takes about 20 KiB.
pub const CREDENTIAL_BYTES_MAX: usize = 32 << 10;

/// A header that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The header is not there, or empty.
    #[error("header `{header}` is missing")]
    Missing {
        /// Its name.
        header: HeaderName,
    },
    /// The header is too long.
    #[error("header `{header}` has {bytes} bytes (limit {CREDENTIAL_BYTES_MAX})")]
    TooLong {
        /// Its name.
        header: HeaderName,
        /// Its length.
        bytes: usize,
    },
    /// The header is no base64 of the message.
    #[error("header `{header}` is malformed")]
    Malformed {
        /// Its name.
        header: HeaderName,
    },
}

impl CredentialError {
    /// Returns the class.
    pub const fn class(&self) -> Class {
        match self {
            Self::Missing { .. } => Class::Denied,
            Self::TooLong { .. } | Self::Malformed { .. } => Class::Invalid,
        }
    }
}

/// Reads `Livepeer-Segment`.
pub fn segment_in(headers: &HeaderMap) -> Result<SegData, CredentialError> {
    message_in(headers, LIVEPEER_SEGMENT)?
        .ok_or(CredentialError::Missing { header: LIVEPEER_SEGMENT })
}

/// Reads `Livepeer-Payment`; `None` when it is absent or empty, as it is off chain.
pub fn payment_in(headers: &HeaderMap) -> Result<Option<Payment>, CredentialError> {
    message_in(headers, LIVEPEER_PAYMENT)
}

/// Writes `Livepeer-Segment`.
pub fn segment_header(segment: &SegData) -> HeaderValue {
    encode(segment)
}

/// Writes `Livepeer-Payment`.
pub fn payment_header(payment: &Payment) -> HeaderValue {
    encode(payment)
}

fn encode(message: &impl Message) -> HeaderValue {
    let text = STANDARD.encode(message.encode_to_vec());
    HeaderValue::try_from(text).expect("base64 has only visible ASCII")
}

fn message_in<M: Message + Default>(
    headers: &HeaderMap,
    header: HeaderName,
) -> Result<Option<M>, CredentialError> {
    let Some(value) = headers.get(&header).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let bytes = value.len();
    if bytes > CREDENTIAL_BYTES_MAX {
        return Err(CredentialError::TooLong { header, bytes });
    }
    let decoded = STANDARD.decode(value.as_bytes()).ok();
    let message = decoded.and_then(|bytes| M::decode(bytes.as_slice()).ok());
    message.map(Some).ok_or(CredentialError::Malformed { header })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::AuthToken;

    #[test]
    fn credentials_survive_the_header() {
        let segment = SegData {
            auth_token: Some(AuthToken { session_id: "0a1b2c3d".into(), ..AuthToken::default() }),
            ..SegData::default()
        };
        let mut headers = HeaderMap::new();
        // Field 8, length 10: field 2, length 8, the text.
        assert_eq!(segment_header(&segment), "QgoSCDBhMWIyYzNk");
        headers.insert(LIVEPEER_SEGMENT, segment_header(&segment));
        assert_eq!(segment_in(&headers), Ok(segment));
        headers.insert(LIVEPEER_PAYMENT, HeaderValue::from_static(""));
        assert_eq!(payment_in(&headers), Ok(None));
    }

    #[test]
    fn bad_credentials_are_told_apart() {
        let mut headers = HeaderMap::new();
        let error = |headers: &HeaderMap| segment_in(headers).unwrap_err().to_string();
        assert_eq!(error(&headers), "header `livepeer-segment` is missing");
        headers.insert(LIVEPEER_SEGMENT, HeaderValue::from_static("no base64!"));
        assert_eq!(error(&headers), "header `livepeer-segment` is malformed");
        let long = "A".repeat(CREDENTIAL_BYTES_MAX + 4);
        headers.insert(LIVEPEER_SEGMENT, HeaderValue::try_from(long).unwrap());
        assert_eq!(error(&headers), "header `livepeer-segment` has 32772 bytes (limit 32768)");
    }
}
