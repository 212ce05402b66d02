//! `framegate check`: the checks of a start, without starting.

use std::path::PathBuf;

use serde::Serialize;

use super::Common;
use crate::config::convert::{self, Search};
use crate::config::{Config, Problem};
use crate::data::{DataDir, Role};
use crate::failure::{Exit, Failure};
use crate::{config, out, role};

/// What is checked.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Configuration file; without it the defaults are checked
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Check for one role alone; without it, for both together
    #[arg(long, value_name = "ROLE")]
    role: Option<Role>,
    /// Print every key with its explanation and its default, and check nothing
    #[arg(long, conflicts_with = "config")]
    defaults: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Serialize)]
struct Report {
    ok: bool,
    problems: Vec<Problem>,
    effective: serde_json::Value,
}

pub(super) fn main(args: &Args, common: &Common) -> Result<Exit, Failure> {
    if args.defaults {
        return out::line(config::defaults().trim_end()).map(|()| Exit::Ok);
    }
    let file = args.config.as_deref();
    let (config, mut problems) =
        Config::load(file).map_err(|error| role::unreadable(file, &error))?;
    DataDir::find(common.data_dir.as_deref()).map_err(|error| role::no_data_dir(&error))?;
    problems.extend(convert::check(&config, &Search::new(&config), args.role));
    let ok = problems.is_empty();
    if args.json {
        out::json(&Report { ok, problems, effective: config.effective() })?;
    } else if ok {
        out::line(&config.to_string())?;
        out::line("# ok")?;
    } else {
        for problem in &problems {
            out::line(&role::place_and_fact(file, problem))?;
            if !problem.hint.is_empty() {
                out::line(&format!("hint: {}", problem.hint))?;
            }
        }
    }
    Ok(if ok { Exit::Ok } else { Exit::Usage })
}
