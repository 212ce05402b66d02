//! How a peer's certificate is judged, and the authorities that may vouch for one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use domain::Class;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::Fingerprint;

/// Where systems keep the authorities that they trust: Debian and its kin, Fedora and its kin, SUSE.
const SYSTEM_FILES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];

/// How a peer's certificate is judged.
#[derive(Debug, Clone, Default)]
pub enum Trust {
    /// The one that is seen first is remembered, and another one refused.
    #[default]
    FirstUse,
    /// Only this one is taken.
    Pinned(Fingerprint),
    /// Whatever these authorities vouch for, under the name that was called.
    Verified(Authorities),
    /// Anything: whoever stands between may read along.
    Unverified,
}

impl Trust {
    /// Returns the word of configuration and lists.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::FirstUse => "trust-on-first-use",
            Self::Pinned(_) => "pin",
            Self::Verified(_) => "verify",
            Self::Unverified => "insecure",
        }
    }
}

/// Authorities that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// The file could not be read.
    #[error("authorities in `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds no certificate.
    #[error("`{path}` holds no certificate of an authority")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The system has none where they are looked for.
    #[error("this system keeps no authorities in {}", SYSTEM_FILES.join(" or "))]
    None,
}

impl AuthoritiesError {
    /// Returns the class.
    pub const fn class(&self) -> Class {
        match self {
            Self::File { .. } | Self::None => Class::Unavailable,
            Self::Empty { .. } => Class::Invalid,
        }
    }
}

/// Certificates of authorities. Clones share them.
#[derive(Debug, Clone)]
pub struct Authorities(pub(crate) Arc<RootCertStore>);

impl Authorities {
    /// Reads the certificates in a PEM file. Blocks.
    pub fn read(path: &Path) -> Result<Self, AuthoritiesError> {
        let failed = |source| AuthoritiesError::File { path: path.to_owned(), source };
        let pem = fs::read(path).map_err(failed)?;
        let mut roots = RootCertStore::empty();
        // One that cannot be used leaves the others good.
        let readable = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok);
        let (added, _) = roots.add_parsable_certificates(readable);
        if added == 0 {
            return Err(AuthoritiesError::Empty { path: path.to_owned() });
        }
        Ok(Self(Arc::new(roots)))
    }

    /// Reads those of the system. Blocks.
    pub fn of_system() -> Result<Self, AuthoritiesError> {
        let found = SYSTEM_FILES.into_iter().map(Path::new).find(|path| path.is_file());
        Self::read(found.ok_or(AuthoritiesError::None)?)
    }
}
