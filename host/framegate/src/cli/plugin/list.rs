//! `framegate plugin list`: every plugin that is found, and what it is granted. Runs none of their
//! code.

use std::path::PathBuf;

use domain::chain;
use plugin::{Digest, Limit, Manifest, load};
use serde::Serialize;

use super::{configured, names_of};
use crate::config::Config;
use crate::config::convert::{Search, allowed};
use crate::failure::{Exit, Failure};
use crate::out;

/// Whose configuration names folders, limits and grants.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Configuration file; it names folders of plugins, their limits and their grants
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Serialize)]
struct Report {
    plugins: Vec<Line>,
    /// Why a plugin that lies there is none.
    unreadable: Vec<String>,
}

#[derive(Serialize)]
struct Line {
    id: String,
    version: String,
    world: &'static str,
    digest: String,
    component: String,
    /// The most that it may use.
    memory: String,
    /// Grants that it asks for.
    asked: Vec<String>,
    /// Those among them that the operator allows, so that it has them.
    granted: Vec<String>,
}

pub(super) fn main(args: &Args) -> Result<Exit, Failure> {
    let config = configured(args.config.as_deref())?;
    let search = Search::new(&config);
    let mut report = Report { plugins: Vec::new(), unreadable: Vec::new() };
    for found in search.all() {
        let line = found
            .map_err(|error| chain(&error))
            .and_then(|manifest| line(&manifest, &search, &config));
        match line {
            Ok(line) => report.plugins.push(line),
            Err(why) => report.unreadable.push(why),
        }
    }
    if args.json {
        out::json(&report)?
    } else {
        out::line(&text(&report))?
    }
    Ok(Exit::Ok)
}

fn line(manifest: &Manifest, search: &Search, config: &Config) -> Result<Line, String> {
    let bytes = load::read(manifest).map_err(|error| chain(&error))?;
    let limits = search.limits_of(manifest).lowered_by(&manifest.limits);
    let granted = manifest.grants.and(&allowed(config, &manifest.id));
    Ok(Line {
        id: manifest.id.clone(),
        version: manifest.version.clone(),
        world: manifest.world.name(),
        digest: Digest::of(&bytes).to_string(),
        component: manifest.component.display().to_string(),
        memory: Limit::Memory.amount(limits.get(Limit::Memory)).to_string(),
        asked: names_of(&manifest.grants),
        granted: names_of(&granted),
    })
}

fn text(report: &Report) -> String {
    let none = |list: &[String]| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    let mut lines = Vec::new();
    for line in &report.plugins {
        lines.push(format!("{} {} ({})", line.id, line.version, line.world));
        lines.push(format!("  component  {}", line.component));
        lines.push(format!("  digest     {}", line.digest));
        lines.push(format!("  memory     {}", line.memory));
        lines.push(format!(
            "  grants     {} (asks for {})",
            none(&line.granted),
            none(&line.asked)
        ));
    }
    lines.extend(report.unreadable.iter().map(|why| format!("unreadable: {why}")));
    if lines.is_empty() { "no plugins".to_owned() } else { lines.join("\n") }
}
