//! The admin token: made once, kept in a file that only its owner reads.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::data;

/// Random bytes of a token: beyond guessing.
const BYTES: usize = 32;

/// Returns the token in the file at `path`, making it where there is none.
pub(super) fn load(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => {
            fs::set_permissions(path, PermissionsExt::from_mode(0o600))?;
            Ok(text.trim().to_owned())
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(_) | Err(_) => {
            let mut bytes = [0; BYTES];
            getrandom::fill(&mut bytes).map_err(io::Error::other)?;
            let token = URL_SAFE_NO_PAD.encode(bytes);
            data::replace(path, format!("{token}\n").as_bytes(), 0o600)?;
            Ok(token)
        }
    }
}
