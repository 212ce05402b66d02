//! `framegate plugin check`: everything by which a component does not fit a world, at once.

use domain::Class;
use plugin::fit::{self, Fit, Missing};
use serde::Serialize;

use super::{Which, world_of};
use crate::failure::{Exit, Failure};
use crate::out;

/// Which component, and what it should be.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// World to compare it with [default: that of its manifest, else of what it exports]
    #[arg(long, value_name = "WORLD")]
    world: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    world: &'a str,
    /// What it is instead, or as well.
    is: Option<&'a str>,
    missing_imports: Vec<String>,
    missing_exports: Vec<String>,
    mismatched_types: &'a [String],
}

pub(super) fn main(args: &Args) -> Result<Exit, Failure> {
    let found = args.which.find()?;
    let world = world_of(args.world.as_deref(), &found)?;
    let path = found.path.display();
    let fit = fit::fit(&found.bytes, world)
        .map_err(|error| Failure::new(Class::Invalid, format!("`{path}`: {error}")))?;
    if args.json {
        out::json(&Report {
            world: world.name(),
            is: fit.is.map(plugin::World::name),
            missing_imports: told(&fit.missing_imports),
            missing_exports: told(&fit.missing_exports),
            mismatched_types: &fit.mismatched_types,
        })?;
    } else if fit.is_good() {
        out::line(&format!("`{path}` fits the world `{world}`"))?;
    } else {
        out::line(&text(&fit, &format!("`{path}` does not fit the world `{world}`")))?;
    }
    Ok(if fit.is_good() { Exit::Ok } else { Exit::Input })
}

fn told(missing: &[Missing]) -> Vec<String> {
    missing.iter().map(Missing::to_string).collect()
}

fn text(fit: &Fit, title: &str) -> String {
    let lists = [
        ("missing import ", told(&fit.missing_imports)),
        ("missing export ", told(&fit.missing_exports)),
        ("mismatched type", fit.mismatched_types.clone()),
    ];
    let mut lines = vec![title.to_owned()];
    for (what, names) in lists {
        lines.extend(names.iter().map(|name| format!("  {what}  {name}")));
    }
    if let Some(is) = fit.is.filter(|_| !fit.missing_exports.is_empty()) {
        lines.push(format!("hint: it is a `{is}`"));
    }
    lines.join("\n")
}
