//! `framegate version`: what this binary is made of and what it can use here.

use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::out;

/// How it is printed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
    commit: &'static str,
    wasmtime: &'static str,
}

pub(super) fn main(args: &Args) -> Result<Exit, Failure> {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        commit: env!("FRAMEGATE_COMMIT"),
        wasmtime: env!("FRAMEGATE_WASMTIME"),
    };
    if args.json {
        out::json(&version)?;
    } else {
        out::line(&format!("framegate {} ({})", version.version, version.commit))?;
        out::line(&format!("wasmtime {}", version.wasmtime))?;
    }
    Ok(Exit::Ok)
}
