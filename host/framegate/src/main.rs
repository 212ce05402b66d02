//! The binary `framegate`: command line, one configuration file, start-up, drain.
//!
//! Decides how a process of the product begins and ends. What a role does is in its own crate.

mod admin;
mod cli;
mod config;
mod data;
mod failure;
mod listen;
mod out;
mod role;
#[cfg(test)]
mod snapshot;
mod supervise;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::cli::Cli;
use crate::failure::{Exit, Failure};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse_arguments(&error),
    };
    let json = cli.json();
    match cli::dispatch(&cli) {
        Ok(exit) => exit.into(),
        Err(failure) => report(&failure, json),
    }
}

/// Tells a failure in the forms asked for and returns its exit code.
fn report(failure: &Failure, json: bool) -> ExitCode {
    out::complain(&failure.text());
    if json && let Err(unwritten) = out::json(&failure.json()) {
        out::complain(&unwritten.text());
    }
    failure.exit().into()
}

/// Prints what clap has to say: help and version are answers, everything else is a failure.
fn refuse_arguments(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        drop(error.print());
        return Exit::Ok.into();
    }
    let text = error.to_string().replacen("error: ", "framegate: ", 1);
    out::complain(&text);
    // The flag cannot be asked of a command line that was not understood.
    if std::env::args_os().any(|arg| arg == "--json") {
        let message = text.lines().next().unwrap_or_default().trim_start_matches("framegate: ");
        drop(out::json(&Failure::usage(message).json()));
    }
    Exit::Usage.into()
}
