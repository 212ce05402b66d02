//! Writing to standard output and standard error.
//!
//! The one place that prints. A reader that went away (`framegate … | head`) is no failure: what
//! was asked for has been done, and there is no one left to tell.

use std::io::{self, ErrorKind, Write};

use domain::Class;
use serde::Serialize;

use crate::failure::Failure;

/// Writes `text` and a line end to standard output.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    written(writeln!(io::stdout().lock(), "{text}"))
}

/// Writes `value` as JSON, one value a call, to standard output.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::from_error(Class::Internal, &error))?;
    line(&text)
}

/// Writes `text` as it is to standard error. That failing has no one to be told to.
pub(crate) fn complain(text: &str) {
    drop(io::stderr().lock().write_all(text.as_bytes()));
}

fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => {
            Err(Failure::new(Class::Internal, format!("writing to standard output: {error}")))
        }
    }
}
