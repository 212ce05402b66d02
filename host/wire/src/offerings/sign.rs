//! The signature of an offerings document: ed25519 over the very bytes of the body, in two headers of
//! the answer. It says who wrote the document, however it was passed on.
//!
//! **Invariant:** a key is read from a file that its owner wrote; none is made here.

use std::path::{Path, PathBuf};
use std::{fs, io};

use domain::Class;
use http::HeaderMap;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

/// Header with the signature, 128 hexadecimal digits.
pub const SIGNATURE: &str = "framegate-signature";
/// Header with the public key, 64 hexadecimal digits.
pub const SIGNER: &str = "framegate-signer";
/// Digits of a key: 32 bytes.
const KEY_DIGITS: usize = 64;

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file could not be read.
    #[error("key file `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds no key.
    #[error("`{path}` holds no ed25519 key ({KEY_DIGITS} hexadecimal digits)")]
    Form {
        /// The file.
        path: PathBuf,
    },
}

impl KeyError {
    /// Returns the class.
    pub const fn class(&self) -> Class {
        match self {
            Self::File { .. } => Class::Unavailable,
            Self::Form { .. } => Class::Invalid,
        }
    }
}

/// Signs documents.
pub struct Signer(Ed25519KeyPair);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Signer").field(&self.key()).finish()
    }
}

impl Signer {
    /// Reads a key of 32 random bytes, written as 64 hexadecimal digits. Blocks.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::File { path: path.to_owned(), source };
        let text = fs::read_to_string(path).map_err(failed)?;
        let form = || KeyError::Form { path: path.to_owned() };
        let seed = bytes(text.trim()).filter(|seed| seed.len() == KEY_DIGITS / 2);
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed.ok_or_else(form)?);
        pair.map(Self).map_err(|_| form())
    }

    /// Returns the public key, 64 hexadecimal digits.
    pub fn key(&self) -> String {
        crate::header::hex(self.0.public_key().as_ref())
    }

    /// Signs the bytes of a document.
    pub(super) fn sign(&self, document: &[u8]) -> String {
        crate::header::hex(self.0.sign(document).as_ref())
    }
}

/// A document that is not signed as it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature where one is needed.
    #[error("it is not signed")]
    Missing,
    /// Another key signed it.
    #[error("it is signed by `{found}` and not by `{wanted}`")]
    Signer {
        /// Whose signature it has.
        found: String,
        /// Whose it should have.
        wanted: String,
    },
    /// The signature is not of this document.
    #[error("its signature is not of this document")]
    Wrong,
}

/// Checks the signature in the headers of an answer over its body. One that is there has to be right;
/// with `wanted`, a public key, it has to be there and of that key.
pub fn check_signature(
    headers: &HeaderMap,
    body: &[u8],
    wanted: Option<&str>,
) -> Result<(), SignatureError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(signature), Some(signer)) = (text(SIGNATURE), text(SIGNER)) else {
        return wanted.map_or(Ok(()), |_| Err(SignatureError::Missing));
    };
    if let Some(wanted) = wanted
        && !signer.eq_ignore_ascii_case(wanted)
    {
        let found = signer.chars().take(KEY_DIGITS).collect();
        return Err(SignatureError::Signer { found, wanted: wanted.to_owned() });
    }
    let (key, signature) = bytes(signer).zip(bytes(signature)).ok_or(SignatureError::Wrong)?;
    let key = UnparsedPublicKey::new(&ED25519, key);
    key.verify(body, &signature).map_err(|_| SignatureError::Wrong)
}

/// Reads hexadecimal digits.
fn bytes(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    let pairs = (0..text.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
#[test]
fn a_signature_is_of_one_document_and_one_key() {
    use crate::offerings::{Document, FORMAT};
    let folder = tempfile::tempdir().unwrap();
    let signer = |name: &str, digit: &str| {
        let path = folder.path().join(name);
        fs::write(&path, digit.repeat(KEY_DIGITS)).unwrap();
        Signer::load(&path)
    };
    let (own, other) = (signer("a", "1").unwrap(), signer("b", "2").unwrap());
    assert!(matches!(signer("c", "x"), Err(KeyError::Form { .. })));
    let document = Document {
        format: FORMAT,
        role: "orchestrator".to_owned(),
        url: String::new(),
        issued_at: 1,
        expires_at: 2,
        offerings: Vec::new(),
    };
    let headers = document.answer(&HeaderMap::new(), Some(&own)).headers().clone();
    let body = serde_json::to_vec(&document).unwrap();
    let check = |body: &[u8], wanted: Option<&str>| check_signature(&headers, body, wanted);
    assert_eq!(check(&body, None), Ok(()));
    assert_eq!(check(&body, Some(&own.key())), Ok(()));
    assert_eq!(check(b"{}", None), Err(SignatureError::Wrong));
    assert!(matches!(check(&body, Some(&other.key())), Err(SignatureError::Signer { .. })));
    assert_eq!(check_signature(&HeaderMap::new(), &body, None), Ok(()));
    let missing = check_signature(&HeaderMap::new(), &body, Some(&own.key()));
    assert_eq!(missing, Err(SignatureError::Missing));
}
