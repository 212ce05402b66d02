//! `framegate compile`: turns the component on standard input into machine code on standard output,
//! under limits of its own. Started by whatever loads a plugin; see `plugin::code`.

use std::io;

use domain::Class;
use plugin::World;
use plugin::code::compile_for_parent;
use plugin::engine::EngineSetup;

use crate::failure::{Exit, Failure};

/// For whom.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Engine that is to run the code
    #[arg(long)]
    engine: String,
    /// World that the component is to fit
    #[arg(long)]
    world: String,
    /// Key that the parent expects the code to have
    #[arg(long)]
    key: String,
}

pub(super) fn main(args: &Args) -> Result<Exit, Failure> {
    let unknown = |what: &str, name: &str| Failure::usage(format!("no {what} is called `{name}`"));
    let setup = EngineSetup::from_name(&args.engine);
    let setup = setup.ok_or_else(|| unknown("engine", &args.engine))?;
    let world = World::from_name(&args.world).ok_or_else(|| unknown("world", &args.world))?;
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    compile_for_parent(setup, world, &args.key, &mut input, &mut output)
        .map(|()| Exit::Ok)
        .map_err(|error| Failure::from_error(Class::Internal, &error))
}
