//! The orchestrator's certificate: made once, kept on disk, made anew only when the host it is
//! reached by is not in it. Clients pin it or use it as their root, so it must stay.
//!
//! **Invariant:** the key file is readable by its owner alone from the moment it exists.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::Class;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{Fingerprint, provider};

/// Names that the certificate always covers, beside the service host.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// Validity: a pinned certificate is replaced by hand, not by a calendar.
const VALID_FROM_YEAR: i32 = 2024;
const VALID_TO_YEAR: i32 = 2124;

/// A certificate that could not be loaded or made.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file could not be read or written.
    #[error("certificate file `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("`{path}` holds no usable {what}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// A certificate for this host cannot be made.
    #[error("certificate for host `{host}`")]
    Make {
        /// The host.
        host: String,
        /// Why.
        source: rcgen::Error,
    },
    /// The key does not fit the certificate.
    #[error("certificate and key do not fit")]
    Mismatch(#[source] rustls::Error),
}

impl IdentityError {
    /// Returns the class.
    pub const fn class(&self) -> Class {
        match self {
            Self::File { .. } => Class::Unavailable,
            Self::Unusable { .. } | Self::Mismatch(_) | Self::Make { .. } => Class::Invalid,
        }
    }
}

/// Certificate and key of an orchestrator.
#[derive(Debug)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    replaced: Option<Fingerprint>,
    made: bool,
}

impl Identity {
    /// Loads `<dir>/cert.pem` and `<dir>/key.pem`, or makes and stores them when they are absent
    /// or do not cover `host` (a DNS name or an IP address). Blocks on files.
    pub fn load_or_make(dir: &Path, host: &str) -> Result<Self, IdentityError> {
        let (cert_path, key_path) = (dir.join("cert.pem"), dir.join("key.pem"));
        let old = match read(&cert_path)? {
            Some(pem) => Some(parse_certificate(&cert_path, &pem)?),
            None => None,
        };
        if let Some(certificate) = &old
            && covers(certificate, host)
            && let Some(pem) = read(&key_path)?
        {
            let key = PrivateKeyDer::from_pem_slice(&pem)
                .map_err(|_| IdentityError::Unusable { path: key_path, what: "key" })?;
            return Ok(Self { certificate: certificate.clone(), key, replaced: None, made: false });
        }
        let (certificate, pem, key_pair) = make(host)?;
        fs::create_dir_all(dir)
            .map_err(|source| IdentityError::File { path: dir.to_owned(), source })?;
        write(&key_path, key_pair.serialize_pem().as_bytes(), 0o600)?;
        write(&cert_path, pem.as_bytes(), 0o644)?;
        let key = PrivateKeyDer::try_from(key_pair.serialize_der())
            .map_err(|_| IdentityError::Unusable { path: key_path, what: "key" })?;
        Ok(Self { certificate, key, replaced: old.as_ref().map(Fingerprint::of), made: true })
    }

    /// Returns its fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    /// Says whether it was made by this call.
    pub const fn was_made(&self) -> bool {
        self.made
    }

    /// Returns the fingerprint of the certificate it replaced, if it did.
    pub const fn replaced(&self) -> Option<Fingerprint> {
        self.replaced
    }

    /// Returns the certificate.
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Returns the server side of TLS with it: HTTP/2 and HTTP/1.1, no client certificates.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, IdentityError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(IdentityError::Mismatch)?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())
            .map_err(IdentityError::Mismatch)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn make(host: &str) -> Result<(CertificateDer<'static>, String, KeyPair), IdentityError> {
    let failed = |source| IdentityError::Make { host: host.to_owned(), source };
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let mut names = vec![host.to_owned()];
    names.extend(LOCAL_NAMES.iter().filter(|name| **name != host).map(|name| (*name).to_owned()));
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, "framegate orchestrator");
    // Clients that trust what they see first use the certificate as their root.
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = rcgen::date_time_ymd(VALID_FROM_YEAR, 1, 1);
    params.not_after = rcgen::date_time_ymd(VALID_TO_YEAR, 1, 1);
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok((certificate.der().clone(), certificate.pem(), key))
}

fn covers(certificate: &CertificateDer<'_>, host: &str) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    let Ok(Some(names)) = parsed.subject_alternative_name() else { return false };
    let address: Option<IpAddr> = host.parse().ok();
    names.value.general_names.iter().any(|name| match (name, address) {
        (GeneralName::DNSName(dns), None) => dns.eq_ignore_ascii_case(host),
        (GeneralName::IPAddress(bytes), Some(IpAddr::V4(v4))) => *bytes == v4.octets(),
        (GeneralName::IPAddress(bytes), Some(IpAddr::V6(v6))) => *bytes == v6.octets(),
        _ => false,
    })
}

fn parse_certificate(path: &Path, pem: &[u8]) -> Result<CertificateDer<'static>, IdentityError> {
    CertificateDer::from_pem_slice(pem)
        .map_err(|_| IdentityError::Unusable { path: path.to_owned(), what: "certificate" })
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, IdentityError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(IdentityError::File { path: path.to_owned(), source }),
    }
}

/// Writes a file whole or not at all.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), IdentityError> {
    replace(path, bytes, mode)
        .map_err(|source| IdentityError::File { path: path.to_owned(), source })
}

/// Replaces a file: temporary file, fsync, rename, fsync of the folder.
pub(super) fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = path.with_extension("new");
    // A leftover could have other permissions.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
