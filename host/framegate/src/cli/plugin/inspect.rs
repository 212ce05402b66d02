//! `framegate plugin inspect`: what a plugin is and asks for. Runs none of its code.

use std::collections::BTreeMap;

use domain::Class;
use plugin::fit;
use plugin::level::LEVELS;
use plugin::{Digest, Limits};
use serde::Serialize;

use super::{Which, names_of, world_of};
use crate::failure::{Exit, Failure};
use crate::out;

/// Which plugin.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Serialize)]
struct Report {
    /// Of the manifest; null for a component by itself.
    id: Option<String>,
    version: Option<String>,
    world: &'static str,
    /// Level of the contract; a manifest that names another is not read.
    api: &'static str,
    component: String,
    digest: String,
    bytes: usize,
    imports: Vec<String>,
    /// Grants that it asks for.
    grants: Vec<String>,
    limits: BTreeMap<&'static str, LimitLine>,
    fits: bool,
    problems: Vec<String>,
}

#[derive(Serialize)]
struct LimitLine {
    /// What holds: the least of what the operator gives and the plugin asks for.
    value: String,
    /// What the plugin asks for, if it asks for less.
    asked: Option<String>,
}

pub(super) fn main(args: &Args) -> Result<Exit, Failure> {
    let found = args.which.find()?;
    let world = world_of(None, &found)?;
    let path = found.path.display().to_string();
    let fit = fit::fit(&found.bytes, world)
        .map_err(|error| Failure::new(Class::Invalid, format!("`{path}`: {error}")))?;
    let manifest = found.manifest.as_ref();
    let given = manifest.map_or_else(|| Limits::of(world), |it| found.search.limits_of(it));
    let asked = manifest.map(|it| it.limits.clone()).unwrap_or_default();
    let held = given.lowered_by(&asked);
    let limits = held.iter().map(|(limit, value)| {
        let asked = asked.iter().find(|(of, _)| **of == limit);
        let asked = asked.map(|(_, value)| limit.amount(*value).to_string());
        (limit.name(), LimitLine { value: limit.amount(value).to_string(), asked })
    });
    let report = Report {
        id: manifest.map(|it| it.id.clone()),
        version: manifest.map(|it| it.version.clone()),
        world: world.name(),
        api: LEVELS.current,
        component: path,
        digest: Digest::of(&found.bytes).to_string(),
        bytes: found.bytes.len(),
        grants: manifest.map(|it| names_of(&it.grants)).unwrap_or_default(),
        limits: limits.collect(),
        fits: fit.is_good(),
        problems: fit.problems(),
        imports: fit.imports,
    };
    if args.json {
        out::json(&report)?
    } else {
        out::line(&text(&report))?
    }
    Ok(Exit::Ok)
}

fn text(report: &Report) -> String {
    let name = match (&report.id, &report.version) {
        (Some(id), Some(version)) => format!("{id} {version}"),
        _ => format!("{} (no manifest)", report.component),
    };
    let none = |list: &[String]| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    let mut lines = vec![
        name,
        format!("  world      {} (API {})", report.world, report.api),
        format!("  component  {}", report.component),
        format!("  digest     {}", report.digest),
        format!("  size       {} KiB", report.bytes.div_ceil(1024)),
        format!("  grants     {}", none(&report.grants)),
        format!("  fits       {}", if report.fits { "yes" } else { "no" }),
    ];
    lines.extend(report.problems.iter().map(|problem| format!("    {problem}")));
    lines.push("  imports".to_owned());
    lines.extend(report.imports.iter().map(|import| format!("    {import}")));
    lines.push("  limits".to_owned());
    lines.extend(report.limits.iter().map(|(name, line)| {
        let asked = line.asked.as_ref().map(|asked| format!(" (asks for {asked})"));
        format!("    {name:<16} {}{}", line.value, asked.unwrap_or_default())
    }));
    lines.join("\n")
}
