//! TLS of both roles: the orchestrator's own certificate and the gateway's trust. Unless it is told
//! otherwise there is no authority between them: a gateway remembers the certificate that it saw first.
//!
//! **Invariant:** a handshake's signature is always verified, so whoever presents a certificate
//! holds its key.

mod identity;
mod pins;
mod trust;

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};

pub use identity::{Identity, IdentityError};
pub(crate) use pins::PinVerifier;
pub use pins::{CertificateChanged, PinError, Pins};
pub use rustls::ServerConfig;
pub use trust::{Authorities, AuthoritiesError, Trust};

/// SHA-256 of a certificate in DER form. Prints as 64 hexadecimal characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Returns the fingerprint of a certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate.as_ref()).into())
    }

    /// Reads 64 hexadecimal characters.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::header::hex(&self.0))
    }
}

/// Returns the one set of algorithms that both roles use.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
