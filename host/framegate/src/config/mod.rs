//! The configuration file: one TOML document, read whole, refused whole.
//!
//! Decides what the file says and whether that can be meant. Does not know what a role makes of
//! it: [`convert`] hands each role its own `Config`.
//!
//! **Invariant:** nothing listens before the file has no problem left.

mod advise;
pub(crate) mod convert;
mod default_file;
pub(crate) mod env;
mod fallback;
mod gateway;
mod grants;
pub(crate) mod log;
mod orchestrator;
mod plugins;
mod section;
pub(crate) mod units;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Serialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(crate) use advise::Advise;
pub(crate) use default_file::text as defaults;
pub(crate) use gateway::{
    Customer, Discovery, Gateway, GatewayLimits, Listed, Records, Selection, Tls,
};
pub(crate) use grants::{GrantSet, SecretSource};
pub(crate) use log::Log;
pub(crate) use orchestrator::{Callers, Encoder, Limits, Orchestrator, Pipeline};
pub(crate) use plugins::{Plugins, SetLimits};
pub(crate) use section::Problem;
use section::{Findings, Reader, Section};

/// Greatest size of a file in bytes; one with a thousand pipelines has 60 KiB.
const BYTES_MAX: u64 = 1024 * 1024;
/// Most pipelines that one orchestrator offers, plugins with limits of their own, and customers: what
/// a table still shows.
const IDS_MAX: usize = 256;
/// Tables of the file, outer before inner.
const TABLES: [&str; 19] = [
    "advise",
    "custom",
    "customers",
    "orchestrators",
    "gateway",
    "gateway.discovery",
    "gateway.limits",
    "gateway.selections",
    "gateway.records",
    "orchestrator",
    "orchestrator.callers",
    "orchestrator.encoder",
    "orchestrator.limits",
    "orchestrator.pipelines",
    "plugins",
    "plugins.limits",
    "plugins.grants",
    "plugins.secrets",
    "log",
];

/// The file as it stands, defaults filled in.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Config {
    /// `[gateway]`
    pub(crate) gateway: Gateway,
    /// `[gateway.discovery]`
    pub(crate) discovery: Discovery,
    /// `[gateway.limits]`
    pub(crate) gateway_limits: GatewayLimits,
    /// `[gateway.selections.NAME]`
    pub(crate) selections: BTreeMap<String, Selection>,
    /// `[gateway.records]`
    pub(crate) records: Records,
    /// `[orchestrators.NAME]`
    pub(crate) listed: BTreeMap<String, Listed>,
    /// `[customers.NAME]`
    pub(crate) customers: BTreeMap<String, Customer>,
    /// `[custom.NAME]`
    pub(crate) custom: BTreeMap<String, BTreeMap<String, i64>>,
    /// `[advise]`
    pub(crate) advise: Advise,
    /// `[orchestrator]`
    pub(crate) orchestrator: Orchestrator,
    /// `[orchestrator.callers]`
    pub(crate) callers: Callers,
    /// `[orchestrator.encoder]`
    pub(crate) encoder: Encoder,
    /// `[orchestrator.limits]`
    pub(crate) limits: Limits,
    /// `[orchestrator.pipelines.ID]`
    pub(crate) pipelines: BTreeMap<String, Pipeline>,
    /// `[plugins]`
    pub(crate) plugins: Plugins,
    /// `[plugins.limits.ID]`
    pub(crate) plugin_limits: BTreeMap<String, SetLimits>,
    /// `[plugins.grants.ID]`
    pub(crate) plugin_grants: BTreeMap<String, GrantSet>,
    /// `[plugins.secrets.NAME]`
    pub(crate) secrets: BTreeMap<String, SecretSource>,
    /// `[log]`
    pub(crate) log: Log,
}

impl Config {
    /// Reads the file at `path`, or the defaults where there is none, under the environment.
    pub(crate) fn load(path: Option<&Path>) -> io::Result<(Self, Vec<Problem>)> {
        let text = path.map_or_else(|| Ok(String::new()), read_bounded)?;
        Ok(Self::parse(&text, env::value))
    }

    /// Reads `text`, with `variable` looking up the environment.
    pub(crate) fn parse(
        text: &str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> (Self, Vec<Problem>) {
        let mut findings = Findings::new(text, variable);
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            findings.note(Problem::new("", error.message()), error.span().map(|span| span.start));
        }
        let root = document.get_ref();
        Reader::new("", Some(root), inner_of(""), &mut findings).refuse_others(&[]);
        let config = Self {
            gateway: read(root, "gateway", &mut findings),
            discovery: read(root, "gateway.discovery", &mut findings),
            gateway_limits: read(root, "gateway.limits", &mut findings),
            records: read(root, "gateway.records", &mut findings),
            custom: read_by_id(root, "custom", &mut findings, |it| it.take_all()),
            advise: read(root, "advise", &mut findings),
            orchestrator: read(root, "orchestrator", &mut findings),
            callers: read(root, "orchestrator.callers", &mut findings),
            encoder: read(root, "orchestrator.encoder", &mut findings),
            limits: read(root, "orchestrator.limits", &mut findings),
            selections: read_by_id(root, "gateway.selections", &mut findings, Selection::read),
            listed: read_by_id(root, "orchestrators", &mut findings, Listed::read),
            customers: read_by_id(root, "customers", &mut findings, Customer::read),
            pipelines: read_by_id(root, "orchestrator.pipelines", &mut findings, Pipeline::read),
            plugins: read(root, "plugins", &mut findings),
            plugin_limits: read_by_id(root, "plugins.limits", &mut findings, read_limits),
            plugin_grants: read_by_id(root, "plugins.grants", &mut findings, GrantSet::read),
            secrets: read_by_id(root, "plugins.secrets", &mut findings, SecretSource::read),
            log: read(root, "log", &mut findings),
        };
        (config, findings.problems)
    }

    /// Returns the whole configuration in the shape of the file, secrets left out.
    pub(crate) fn effective(&self) -> serde_json::Value {
        let mut gateway = tree(&self.gateway);
        gateway.insert("discovery".to_owned(), tree(&self.discovery).into());
        gateway.insert("limits".to_owned(), tree(&self.gateway_limits).into());
        gateway.insert("selections".to_owned(), tree(&self.selections).into());
        gateway.insert("records".to_owned(), tree(&self.records).into());
        let mut orchestrator = tree(&self.orchestrator);
        orchestrator.insert("callers".to_owned(), tree(&self.callers).into());
        orchestrator.insert("encoder".to_owned(), tree(&self.encoder).into());
        orchestrator.insert("limits".to_owned(), tree(&self.limits).into());
        orchestrator.insert("pipelines".to_owned(), tree(&self.pipelines).into());
        let mut plugins = tree(&self.plugins);
        plugins.insert("limits".to_owned(), tree(&self.plugin_limits).into());
        plugins.insert("grants".to_owned(), tree(&self.plugin_grants).into());
        plugins.insert("secrets".to_owned(), tree(&self.secrets).into());
        serde_json::json!({
            "gateway": gateway,
            "orchestrators": tree(&self.listed),
            "customers": tree(&self.customers),
            "custom": tree(&self.custom),
            "advise": tree(&self.advise),
            "orchestrator": orchestrator,
            "plugins": plugins,
            "log": tree(&self.log),
        })
    }
}

impl fmt::Display for Config {
    /// Prints the effective configuration as TOML.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&toml::to_string_pretty(&self.effective()).map_err(|_| fmt::Error)?)
    }
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > BYTES_MAX {
        return Err(io::Error::other(format!("it is over the limit of {BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// Returns the names of the tables right below `path`.
fn inner_of(path: &str) -> Vec<&'static str> {
    let below = |table: &&'static str| match path {
        "" => Some(*table),
        _ => table.strip_prefix(path)?.strip_prefix('.'),
    };
    TABLES.iter().filter_map(below).filter(|name| !name.contains('.')).collect()
}

/// Finds the table at `path`; something else in its place is a problem.
fn table_at<'a>(
    root: &'a DeTable<'a>,
    path: &str,
    findings: &mut Findings,
) -> Option<&'a DeTable<'a>> {
    let mut table = root;
    for name in path.split('.') {
        let (_, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
        // An outer table that is none has been noted when it was read itself.
        table = if path.rsplit('.').next() == Some(name) {
            as_table(path, value, findings)?
        } else {
            value.get_ref().as_table()?
        };
    }
    Some(table)
}

fn as_table<'a>(
    path: &str,
    value: &'a Spanned<DeValue<'a>>,
    findings: &mut Findings,
) -> Option<&'a DeTable<'a>> {
    let table = value.get_ref().as_table();
    if table.is_none() {
        let message = format!("expected a table, found {}", value.get_ref().type_str());
        findings.note(Problem::new(path, message), Some(value.span().start));
    }
    table
}

fn read<S: Section>(root: &DeTable<'_>, path: &str, findings: &mut Findings) -> S {
    let table = table_at(root, path, findings);
    S::read(&mut Reader::new(path, table, inner_of(path), findings))
}

/// Reads the tables below `path`, each by its id.
fn read_by_id<T>(
    root: &DeTable<'_>,
    path: &str,
    findings: &mut Findings,
    read: impl Fn(&mut Reader<'_>) -> T,
) -> BTreeMap<String, T> {
    let Some(table) = table_at(root, path, findings) else { return BTreeMap::new() };
    if table.len() > IDS_MAX {
        let message = format!("{} tables, over the limit of {IDS_MAX}", table.len());
        findings.note(Problem::new(path, message), None);
        return BTreeMap::new();
    }
    let entries = table.iter().map(|(key, value)| {
        let path = format!("{path}.{}", key.get_ref());
        let inner = as_table(&path, value, findings);
        let entry = read(&mut Reader::new(path, inner, Vec::new(), findings));
        (key.get_ref().to_string(), entry)
    });
    entries.collect()
}

fn read_limits(reader: &mut Reader<'_>) -> SetLimits {
    let names = plugin::Limit::ALL.map(plugin::Limit::name);
    let mut set = SetLimits::new();
    for name in names {
        let mut value = None;
        reader.take(name, &mut value);
        set.extend(value.map(|value| (name.to_owned(), value)));
    }
    reader.refuse_others(&names);
    set
}

fn tree(value: &impl Serialize) -> serde_json::Map<String, serde_json::Value> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::Object(map)) => map,
        _ => serde_json::Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str, set: &[(&str, &str)]) -> Vec<String> {
        let variable = |name: &str| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let (_, problems) = Config::parse(text, variable);
        let tell = |problem: &Problem| {
            let line = problem.line.unwrap_or_default();
            format!("{line} {}: {} [{}]", problem.key, problem.message, problem.hint)
        };
        problems.iter().map(tell).collect()
    }

    #[test]
    fn every_problem_of_a_file_is_told_at_once_with_its_key_and_line() {
        let text = "[gateway]\nhtp = 1\nadmin = 5935\n\n[gateway.discovery]\ninterval = \"5\"\n\
                    [orchestrator]\nslots = -1\npipelines.sketch-video.price = 3\n\
                    [plugin]\n[log]\nformat = \"xml\"\nlevel = \"info\"\n";
        assert_eq!(
            problems(text, &[]),
            [
                "10 plugin: unknown key [`plugins` is one]",
                "3 gateway.admin: invalid type: integer `5935`, expected socket address []",
                "2 gateway.htp: unknown key [`gateway.http` is one]",
                "6 gateway.discovery.interval: `5` is no time (a whole number and one of d, h, min, s, ms) []",
                "8 orchestrator.slots: invalid value: integer `-1`, expected u32 []",
                "9 orchestrator.pipelines.sketch-video.price: unknown key [known here: price_wei, deterministic, on_failure, previous]",
                "12 log.format: unknown variant `xml`, expected `text` or `json` []",
            ]
        );
    }

    #[test]
    fn broken_syntax_does_not_hide_what_else_is_wrong() {
        let found = problems("[gateway]\nhttp = \nslots = 1\n[log\n", &[]);
        assert!(found.iter().any(|line| line.starts_with("2 ")), "{found:?}");
        assert!(found.iter().any(|line| line.starts_with("4 ")), "{found:?}");
        assert!(found.iter().any(|line| line.contains("gateway.slots: unknown key")), "{found:?}");
    }

    #[test]
    fn something_else_in_the_place_of_a_table_is_told_once() {
        assert_eq!(
            problems("gateway = 1\n[orchestrator]\npipelines.a = 2\n", &[]),
            [
                "1 gateway: expected a table, found integer []",
                "3 orchestrator.pipelines.a: expected a table, found integer []",
            ]
        );
    }

    #[test]
    fn a_variable_replaces_its_key_and_is_blamed_for_its_own_value() {
        let set =
            [("FRAMEGATE_THREADS", "2"), ("FRAMEGATE_SIMD", "avx2"), ("FRAMEGATE_LOG", "debug")];
        let variable = |name: &str| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let (config, found) = Config::parse("[orchestrator]\nthreads = 7\n", variable);
        assert_eq!(found, []);
        assert_eq!(config.orchestrator.threads, 2);
        assert_eq!(config.orchestrator.simd, orchestrator::Simd::Avx2);
        assert_eq!(config.log.level, "debug");
        let found = problems("", &[("FRAMEGATE_SIMD", "mmx")]);
        assert_eq!(
            found,
            [
                "0 FRAMEGATE_SIMD: unknown variant `mmx`, expected one of `auto`, `scalar`, `avx2`, `avx512` [it overrides `orchestrator.simd`]"
            ]
        );
    }

    #[test]
    fn the_effective_configuration_has_every_key_and_no_secret() {
        let text = "[orchestrator.callers]\nsecret = \"tell no one\"\n";
        let (config, found) = Config::parse(text, |_| None);
        assert_eq!(found, []);
        assert!(!config.to_string().contains("no one"), "{config}");
        let effective = config.effective();
        assert_eq!(effective["orchestrator"]["callers"]["secret"], "(set)");
        assert_eq!(effective["gateway"]["discovery"]["interval"], "5s");
    }
}
