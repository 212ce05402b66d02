//! The command line: what can be asked of the program, and which module answers.
//!
//! Flags shape how this process runs; what it does is shaped by the configuration file.

mod check;
mod compile;
mod market;
mod plugin;
mod role;
pub(crate) mod run;
mod version;
mod worker;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::data::Role;
use crate::failure::{Exit, Failure};

/// Livepeer-compatible gateway and orchestrator whose policies, prices and pipelines are
/// WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "framegate", disable_version_flag = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Common {
    /// Folder for state [default: $FRAMEGATE_DATA, $STATE_DIRECTORY, ~/.local/share/framegate]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway: the front door that prices, selects and relays jobs
    Gateway(role::Args),
    /// Run the orchestrator: the compute that offers, admits and runs pipelines
    Orchestrator(role::Args),
    /// Run both roles from one file, each in its own process
    Up(role::UpArgs),
    /// Answer the webhooks of stock nodes with what our policies say
    Advise(role::Args),
    /// Check a configuration file and print what it comes to
    Check(check::Args),
    /// Send a file through a pipeline as a live job
    Run(run::Args),
    /// Check, inspect or measure a plugin
    Plugin(plugin::Args),
    /// List, add, drain, block and remove the orchestrators of a running gateway
    Orchestrators(market::OrchestratorsArgs),
    /// Tell how a job of a running gateway went, and why
    Explain(market::ExplainArgs),
    /// Tell why an orchestrator was not chosen by a running gateway
    Why(market::WhyArgs),
    /// Print versions of the program, its libraries and its devices
    Version(version::Args),
    /// Host the sessions of one device; started by an orchestrator
    #[command(hide = true)]
    Worker(worker::Args),
    /// Compile a component under limits; started by whatever loads a plugin
    #[command(hide = true)]
    Compile(compile::Args),
}

impl Cli {
    /// Returns whether the answer goes to a script.
    pub(crate) const fn json(&self) -> bool {
        match &self.command {
            Command::Check(args) => args.json,
            Command::Plugin(args) => args.json(),
            Command::Run(args) => args.json,
            Command::Version(args) => args.json,
            Command::Orchestrators(args) => args.json,
            Command::Explain(args) => args.json,
            Command::Why(args) => args.json,
            Command::Gateway(_)
            | Command::Orchestrator(_)
            | Command::Up(_)
            | Command::Advise(_)
            | Command::Worker(_)
            | Command::Compile(_) => false,
        }
    }
}

/// Does what was asked.
pub(crate) fn dispatch(cli: &Cli) -> Result<Exit, Failure> {
    match &cli.command {
        Command::Gateway(args) => role::main(Role::Gateway, args, &cli.common),
        Command::Orchestrator(args) => role::main(Role::Orchestrator, args, &cli.common),
        Command::Advise(args) => role::main(Role::Advise, args, &cli.common),
        Command::Up(args) => role::up(args, &cli.common),
        Command::Check(args) => check::main(args, &cli.common),
        Command::Run(args) => run::main(args, &cli.common),
        Command::Plugin(args) => plugin::main(args, &cli.common),
        Command::Orchestrators(args) => market::orchestrators(args, &cli.common),
        Command::Explain(args) => market::explain(args, &cli.common),
        Command::Why(args) => market::why(args, &cli.common),
        Command::Version(args) => version::main(args),
        Command::Worker(args) => worker::main(args, &cli.common),
        Command::Compile(args) => compile::main(args),
    }
}

#[cfg(test)]
#[test]
fn the_help_is_what_is_checked_in() {
    use clap::CommandFactory;

    let mut program = Cli::command();
    program.build();
    program.clone().debug_assert();
    let shown = program.get_subcommands().filter(|command| !command.is_hide_set());
    let names: Vec<String> = shown.map(|command| command.get_name().to_owned()).collect();
    let mut text = program.render_help().to_string();
    for name in names {
        let command = program.find_subcommand_mut(&name).expect("just listed");
        text.push_str(&format!("\n---- {name}\n\n{}", command.render_help()));
    }
    crate::snapshot::compare("snapshots/help.txt", &text);
}
