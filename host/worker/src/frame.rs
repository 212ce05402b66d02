//! Messages as bytes: `length: u32 LE`, `kind: u8`, `session: u64 LE`, body.
//!
//! The length counts everything behind itself. Bodies are media as it is, or JSON.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::CHUNK_BYTES_MAX;
use crate::message::{FromWorker, ToWorker};

/// Bytes before the body: length, kind, session.
pub const HEADER_BYTES: usize = 13;
/// Longest message behind its length field. Parameters and schemas are the longest: 1 MiB each.
pub const MESSAGE_BYTES_MAX: usize = 2 << 20;

/// A message that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The length is outside what a message has.
    #[error("message of {length} bytes (9 to {MESSAGE_BYTES_MAX})")]
    Length {
        /// As found.
        length: usize,
    },
    /// No such kind.
    #[error("unknown message kind {0}")]
    Kind(u8),
    /// The body is not what the kind says.
    #[error("body of message kind {kind}")]
    Body {
        /// Kind of the message.
        kind: u8,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// A message of either direction.
pub trait Message: Sized {
    /// Splits into kind, session and body.
    fn encode(self) -> (u8, u64, Bytes);
    /// Reads the body of a message.
    fn decode(kind: u8, session: u64, body: Bytes) -> Result<Self, FrameError>;
}

fn json<T: Serialize>(value: &T) -> Bytes {
    // Serialising plain structs into memory fails only for maps with keys that are no strings.
    Bytes::from(serde_json::to_vec(value).expect("plain structs serialise"))
}

fn parse<T: DeserializeOwned>(kind: u8, body: &[u8]) -> Result<T, FrameError> {
    serde_json::from_slice(body).map_err(|source| FrameError::Body { kind, source })
}

impl Message for ToWorker {
    fn encode(self) -> (u8, u64, Bytes) {
        match self {
            Self::Describe { ticket, plugin, limits, grants } => {
                (1, ticket, json(&(plugin, limits, grants)))
            }
            Self::Open(session, spec) => (2, session, json(&spec)),
            Self::Input(session, bytes) => (3, session, bytes),
            Self::EndInput(session) => (4, session, Bytes::new()),
            Self::Abort(session) => (5, session, Bytes::new()),
            Self::Params(session, text) => (6, session, json(&text)),
            Self::Message(session, text) => (7, session, json(&text)),
            Self::Credit(session, bytes) => (8, session, json(&bytes)),
        }
    }

    fn decode(kind: u8, session: u64, body: Bytes) -> Result<Self, FrameError> {
        Ok(match kind {
            1 => {
                let (plugin, limits, grants) = parse(kind, &body)?;
                Self::Describe { ticket: session, plugin, limits, grants }
            }
            2 => Self::Open(session, parse(kind, &body)?),
            3 => Self::Input(session, body),
            4 => Self::EndInput(session),
            5 => Self::Abort(session),
            6 => Self::Params(session, parse(kind, &body)?),
            7 => Self::Message(session, parse(kind, &body)?),
            8 => Self::Credit(session, parse(kind, &body)?),
            _ => return Err(FrameError::Kind(kind)),
        })
    }
}

impl Message for FromWorker {
    fn encode(self) -> (u8, u64, Bytes) {
        match self {
            Self::Hello(hello) => (1, 0, json(&hello)),
            Self::Described(ticket, result) => (2, ticket, json(&result)),
            Self::Opened(session) => (3, session, Bytes::new()),
            Self::Credit(session, bytes) => (4, session, json(&bytes)),
            Self::Segment(session) => (5, session, Bytes::new()),
            Self::Output(session, bytes) => (6, session, bytes),
            Self::Event(session, text) => (7, session, json(&text)),
            Self::Log(session, level, text) => (8, session, json(&(level, text))),
            Self::Ended(session, report) => (9, session, json(&report)),
            Self::Metrics(session, changes) => (10, session, json(&changes)),
            Self::Replaced(session, how) => (11, session, json(&how)),
            Self::Code(fact) => (12, 0, json(&fact)),
        }
    }

    fn decode(kind: u8, session: u64, body: Bytes) -> Result<Self, FrameError> {
        Ok(match kind {
            1 => Self::Hello(parse(kind, &body)?),
            2 => Self::Described(session, parse(kind, &body)?),
            3 => Self::Opened(session),
            4 => Self::Credit(session, parse(kind, &body)?),
            5 => Self::Segment(session),
            6 => Self::Output(session, body),
            7 => Self::Event(session, parse(kind, &body)?),
            8 => {
                let (level, text) = parse(kind, &body)?;
                Self::Log(session, level, text)
            }
            9 => Self::Ended(session, parse(kind, &body)?),
            10 => Self::Metrics(session, parse(kind, &body)?),
            11 => Self::Replaced(session, parse(kind, &body)?),
            12 => Self::Code(parse(kind, &body)?),
            _ => return Err(FrameError::Kind(kind)),
        })
    }
}

/// Writes a message's header; the body follows as it is, so media is not copied.
pub fn header(kind: u8, session: u64, body_len: usize) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let mut out = header.as_mut_slice();
    out.put_u32_le(u32::try_from(body_len + 9).unwrap_or(u32::MAX));
    out.put_u8(kind);
    out.put_u64_le(session);
    header
}

/// Takes the next whole message out of `buffer`, if there is one.
pub fn take<M: Message>(buffer: &mut BytesMut) -> Result<Option<M>, FrameError> {
    if buffer.len() < HEADER_BYTES {
        return Ok(None);
    }
    let length = (&buffer[..4]).get_u32_le() as usize;
    if !(9..=MESSAGE_BYTES_MAX).contains(&length) {
        return Err(FrameError::Length { length });
    }
    if buffer.len() < 4 + length {
        buffer.reserve(4 + length - buffer.len());
        return Ok(None);
    }
    let mut message = buffer.split_to(4 + length).freeze();
    message.advance(4);
    let kind = message.get_u8();
    let session = message.get_u64_le();
    M::decode(kind, session, message).map(Some)
}

/// Cuts media into pieces of at most [`CHUNK_BYTES_MAX`].
pub fn chunks(mut bytes: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        (!bytes.is_empty()).then(|| bytes.split_to(bytes.len().min(CHUNK_BYTES_MAX)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of<M: Message>(message: M) -> BytesMut {
        let (kind, session, body) = message.encode();
        let mut out = BytesMut::from(&header(kind, session, body.len())[..]);
        out.extend_from_slice(&body);
        out
    }

    #[test]
    fn a_message_cut_anywhere_is_read_once_it_is_whole() {
        let sent = ToWorker::Input(7, Bytes::from_static(b"some media"));
        let whole = bytes_of(sent.clone());
        for cut in 0..whole.len() {
            let mut buffer = BytesMut::from(&whole[..cut]);
            assert!(take::<ToWorker>(&mut buffer).expect("no error").is_none());
            buffer.extend_from_slice(&whole[cut..]);
            assert_eq!(take::<ToWorker>(&mut buffer).expect("whole"), Some(sent.clone()));
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn rubbish_is_refused_with_what_was_found() {
        let mut long = BytesMut::from(&[0xff; 20][..]);
        assert!(matches!(take::<ToWorker>(&mut long), Err(FrameError::Length { .. })));
        let mut unknown = BytesMut::from(&header(99, 1, 0)[..]);
        assert!(matches!(take::<FromWorker>(&mut unknown), Err(FrameError::Kind(99))));
        let mut body = BytesMut::from(&header(1, 1, 2)[..]);
        body.extend_from_slice(b"{]");
        assert!(matches!(take::<FromWorker>(&mut body), Err(FrameError::Body { kind: 1, .. })));
    }
}
