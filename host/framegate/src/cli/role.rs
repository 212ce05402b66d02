//! `framegate gateway`, `orchestrator`, `up` and `advise`.

use std::path::PathBuf;

use super::Common;
use crate::data::Role;
use crate::failure::{Exit, Failure};
use crate::role;

/// How one role is started.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Configuration file; without it everything has its default
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Take listeners from the parent, over standard input
    #[arg(long, hide = true)]
    supervised: bool,
}

/// How both roles are started.
#[derive(Debug, clap::Args)]
pub(crate) struct UpArgs {
    /// Configuration file; without it everything has its default
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn main(role: Role, args: &Args, common: &Common) -> Result<Exit, Failure> {
    let ground = role::Ground::load(args.config.as_deref(), common.data_dir.as_deref())?;
    let ground = if args.supervised { ground.inherit()? } else { ground };
    match role {
        Role::Gateway => role::gateway(ground),
        Role::Orchestrator => role::orchestrator(ground),
        Role::Advise => role::advise(ground),
    }
}

pub(super) fn up(args: &UpArgs, common: &Common) -> Result<Exit, Failure> {
    role::up(role::Ground::load(args.config.as_deref(), common.data_dir.as_deref())?)
}
