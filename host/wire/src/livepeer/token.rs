//! Tokens that tie a start to the quote that carried them. The secret lives as long as the
//! process: a token of an earlier one is refused, as its quotes are gone.
//!
//! **Invariant:** a token that verifies was issued by this process and has not expired.

use std::time::Duration;

use domain::Class;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::header::{random_bytes, random_hex};
use crate::proto::AuthToken;

/// Time that a token, and the quote behind it, holds.
pub const TOKEN_TTL: Duration = Duration::from_secs(30 * 60);

/// A token that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Issued by somebody else, or changed.
    #[error("the token is not one of ours")]
    Foreign,
    /// Too old.
    #[error("the token expired at {expired} (now {now})")]
    Expired {
        /// Unix seconds.
        expired: i64,
        /// Unix seconds.
        now: i64,
    },
}

impl TokenError {
    /// Returns the class.
    pub const fn class(&self) -> Class {
        match self {
            Self::Foreign | Self::Expired { .. } => Class::Denied,
        }
    }
}

/// Issues tokens and knows them again.
#[derive(Clone)]
pub struct Tokens {
    secret: [u8; 32],
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Self::new()
    }
}

impl Tokens {
    /// Makes an issuer with a fresh secret.
    pub fn new() -> Self {
        Self { secret: random_bytes() }
    }

    /// Issues a token with a fresh `session_id` at `now` in Unix seconds.
    pub fn issue(&self, now: i64) -> AuthToken {
        let session_id = random_hex::<4>();
        let ttl = i64::try_from(TOKEN_TTL.as_secs()).unwrap_or(i64::MAX);
        let expiration = now.saturating_add(ttl);
        let token = self.mac(&session_id, expiration).finalize().into_bytes().to_vec();
        AuthToken { token, session_id, expiration }
    }

    /// Verifies a token at `now` in Unix seconds.
    pub fn verify(&self, token: &AuthToken, now: i64) -> Result<(), TokenError> {
        let mac = self.mac(&token.session_id, token.expiration);
        mac.verify_slice(&token.token).map_err(|_| TokenError::Foreign)?;
        if token.expiration <= now {
            return Err(TokenError::Expired { expired: token.expiration, now });
        }
        Ok(())
    }

    fn mac(&self, session_id: &str, expiration: i64) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes a key of any length");
        mac.update(session_id.as_bytes());
        // As the network signs it: big-endian without leading zeros.
        let bytes = expiration.unsigned_abs().to_be_bytes();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        mac.update(&bytes[zeros..]);
        mac
    }
}

#[cfg(test)]
#[test]
fn a_token_holds_for_half_an_hour_and_only_where_it_was_issued() {
    let tokens = Tokens::new();
    let token = tokens.issue(1_000_000);
    assert_eq!((token.session_id.len(), token.expiration, token.token.len()), (8, 1_001_800, 32));
    assert_eq!(tokens.verify(&token, 1_001_799), Ok(()));
    let expired = TokenError::Expired { expired: 1_001_800, now: 1_001_800 };
    assert_eq!(tokens.verify(&token, 1_001_800), Err(expired));
    assert_eq!(Tokens::new().verify(&token, 1_000_000), Err(TokenError::Foreign));
    let longer = AuthToken { expiration: token.expiration + 1, ..token.clone() };
    assert_eq!(tokens.verify(&longer, 1_000_000), Err(TokenError::Foreign));
    let other = AuthToken { session_id: "00000000".into(), ..token };
    assert_eq!(tokens.verify(&other, 1_000_000), Err(TokenError::Foreign));
}
