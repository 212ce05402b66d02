//! `framegate worker`: hosts the sessions of one device. Started by an orchestrator, with the
//! socket to it as standard input. Starts no runtime.

use crate::failure::{Exit, Failure};

/// Which device.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Device to own, such as `cpu-0`
    #[arg(long, value_name = "DEVICE")]
    device: String,
}

pub(super) fn main(args: &Args) -> Result<Exit, Failure> {
    todo!("{}", args.device)
}
