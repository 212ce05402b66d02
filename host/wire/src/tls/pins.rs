//! The gateway's memory of certificates, by `host:port`: the first one seen is trusted, another one
//! is refused until the operator removes the pin.
//!
//! **Invariant:** a pin is learnt only after a handshake that the holder of the key completed, and
//! is on disk before the connection is used.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::{fs, io};

use domain::Class;
use http::Uri;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};

use super::{Fingerprint, Trust, identity};
use crate::client::peer_of_uri;

/// Pins kept. Far above any network; a full store refuses new hosts.
const PINS_MAX: usize = 100_000;

/// A peer presents another certificate than before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{peer}` presents certificate `{presented}`, pinned is `{pinned}`")]
pub struct CertificateChanged {
    /// `host:port`.
    pub peer: String,
    /// The one remembered.
    pub pinned: Fingerprint,
    /// The one seen.
    pub presented: Fingerprint,
}

/// The store of pins failed.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The certificate is not the pinned one.
    #[error(transparent)]
    Changed(#[from] CertificateChanged),
    /// The file could not be read or written.
    #[error("pins file `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not a JSON object of `host:port` to fingerprint.
    #[error("pins file `{path}` is not a map of `host:port` to fingerprint")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// There are as many pins as there may be.
    #[error("{PINS_MAX} certificates are pinned already")]
    Full,
}

impl PinError {
    /// Returns the class.
    pub const fn class(&self) -> Class {
        match self {
            Self::Changed(_) => Class::Denied,
            Self::File { .. } => Class::Unavailable,
            Self::Malformed { .. } => Class::Invalid,
            Self::Full => Class::Exhausted,
        }
    }
}

/// Remembered certificates, and whose are judged otherwise. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Pins {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    path: Option<PathBuf>,
    known: Mutex<BTreeMap<String, Fingerprint>>,
    trusts: Mutex<BTreeMap<String, Trust>>,
}

impl Pins {
    /// Loads the pins in a file, none if it does not exist. Blocks.
    pub fn load(path: &Path) -> Result<Self, PinError> {
        let malformed = || PinError::Malformed { path: path.to_owned() };
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => b"{}".to_vec(),
            Err(source) => return Err(PinError::File { path: path.to_owned(), source }),
        };
        let texts: BTreeMap<String, String> =
            serde_json::from_slice(&text).map_err(|_| malformed())?;
        let mut known = BTreeMap::new();
        for (peer, text) in texts {
            known.insert(peer, Fingerprint::parse(&text).ok_or_else(malformed)?);
        }
        let path = Some(path.to_owned());
        Ok(Self { shared: Arc::new(Shared { path, known: known.into(), ..Shared::default() }) })
    }

    /// Judges the certificate of whoever answers at `uri` by `trust` from here on.
    pub fn judge(&self, uri: &Uri, trust: Trust) {
        let mut trusts = self.shared.trusts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(peer) = peer_of_uri(uri) {
            trusts.insert(peer, trust);
        }
    }

    /// Returns how the certificate of `host:port` is judged.
    pub fn trust(&self, peer: &str) -> Trust {
        let trusts = self.shared.trusts.lock().unwrap_or_else(PoisonError::into_inner);
        trusts.get(peer).cloned().unwrap_or_default()
    }

    /// Returns the certificate that is taken at `uri`, as far as it is known, and how it is judged.
    pub fn at(&self, uri: &Uri) -> (Option<Fingerprint>, Trust) {
        let Some(peer) = peer_of_uri(uri) else { return (None, Trust::default()) };
        match self.trust(&peer) {
            trust @ Trust::FirstUse => (self.get(&peer), trust),
            trust @ Trust::Pinned(pin) => (Some(pin), trust),
            trust @ (Trust::Verified(_) | Trust::Unverified) => (None, trust),
        }
    }

    /// Forgets the certificate that was remembered of `uri`; says whether there was one. Blocks on the
    /// file.
    pub fn forget(&self, uri: &Uri) -> Result<bool, PinError> {
        peer_of_uri(uri).map_or(Ok(false), |peer| self.remove(&peer))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Fingerprint>> {
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the pin of `host:port`.
    pub fn get(&self, peer: &str) -> Option<Fingerprint> {
        self.lock().get(peer).copied()
    }

    /// Returns every pin.
    pub fn all(&self) -> BTreeMap<String, Fingerprint> {
        self.lock().clone()
    }

    /// Compares a certificate with the pin of `host:port`, and remembers it if there is none; says
    /// whether it was new. Blocks on the file.
    pub fn learn(&self, peer: &str, presented: Fingerprint) -> Result<bool, PinError> {
        let mut known = self.lock();
        match known.get(peer) {
            Some(pinned) if *pinned == presented => return Ok(false),
            Some(pinned) => {
                let (peer, pinned) = (peer.to_owned(), *pinned);
                return Err(CertificateChanged { peer, pinned, presented }.into());
            }
            None if known.len() >= PINS_MAX => return Err(PinError::Full),
            None => {}
        }
        known.insert(peer.to_owned(), presented);
        if let Err(error) = self.store(&known) {
            known.remove(peer);
            return Err(error);
        }
        Ok(true)
    }

    /// Forgets the pin of `host:port`; says whether there was one. Blocks on the file.
    pub fn remove(&self, peer: &str) -> Result<bool, PinError> {
        let mut known = self.lock();
        let Some(old) = known.remove(peer) else { return Ok(false) };
        if let Err(error) = self.store(&known) {
            known.insert(peer.to_owned(), old);
            return Err(error);
        }
        Ok(true)
    }

    fn store(&self, known: &BTreeMap<String, Fingerprint>) -> Result<(), PinError> {
        let Some(path) = &self.shared.path else { return Ok(()) };
        let texts: BTreeMap<&String, String> =
            known.iter().map(|(peer, pin)| (peer, pin.to_string())).collect();
        let mut text =
            serde_json::to_vec_pretty(&texts).expect("a map of strings always serialises");
        text.push(b'\n');
        let failed = |source| PinError::File { path: path.clone(), source };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        identity::replace(path, &text, 0o644).map_err(failed)
    }
}

/// Verifies one connection's peer by the pin known when it began.
#[derive(Debug)]
pub(crate) struct PinVerifier {
    peer: String,
    pinned: Option<Fingerprint>,
    provider: Arc<CryptoProvider>,
    /// Set when the peer was refused: rustls passes on no errors of ours.
    refused: OnceLock<CertificateChanged>,
}

impl PinVerifier {
    pub(crate) fn new(
        peer: String,
        pinned: Option<Fingerprint>,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        Self { peer, pinned, provider, refused: OnceLock::new() }
    }

    /// Returns why the peer was refused, if it was.
    pub(crate) fn refused(&self) -> Option<CertificateChanged> {
        self.refused.get().cloned()
    }
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let presented = Fingerprint::of(end_entity);
        match self.pinned {
            Some(pinned) if pinned != presented => {
                let changed = CertificateChanged { peer: self.peer.clone(), pinned, presented };
                let changed = self.refused.get_or_init(|| changed);
                let other = OtherError(Arc::new(changed.clone()));
                Err(rustls::Error::InvalidCertificate(CertificateError::Other(other)))
            }
            Some(_) | None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
