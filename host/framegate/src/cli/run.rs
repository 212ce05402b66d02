//! `framegate run`: sends a file through a pipeline as a live job.

use super::Common;
use crate::failure::{Exit, Failure};

/// What is sent, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn main(_args: &Args, _common: &Common) -> Result<Exit, Failure> {
    Ok(Exit::Ok)
}
