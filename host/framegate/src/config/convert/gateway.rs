//! `[gateway]` as the role takes it.

use std::path::PathBuf;
use std::time::Duration;

use domain::capability::Capability;
use gateway::config::{
    Caps, Columns, CustomerConfig, DiscoveryConfig, Limits, OnFault, OrchestratorConfig,
    RecordsConfig, Security, SourcesConfig,
};
use plugin::World;
use wire::allow::AllowedHosts;
use wire::tls::Fingerprint;

use super::super::fallback::OnFault as Fallback;
use super::super::units::{Size, Time};
use super::super::{
    Config, Customer, Discovery, GatewayLimits, Listed, Problem, Records, Selection, Tls,
};
use super::{Chosen, Search, json_document, orchestrator_url, within};

/// Most orchestrators that one gateway asks: each costs a connection and a call an interval.
const ORCHESTRATORS_MAX: usize = 1000;
/// Shortest time between two questions to an orchestrator, and for an answer: what a call to the
/// far side of the world takes.
const INTERVAL_MIN: Time = Time(100);
/// Longest: beyond it an offering says nothing about the present.
const INTERVAL_MAX: Time = Time::secs(3600);
/// Longest time for an answer: a client's own patience.
const ANSWER_MAX: Time = Time::secs(60);
/// Most jobs at once: four channels each, and a process has a million descriptors at best.
const JOBS_MAX: usize = 100_000;
/// Least and most bytes of a start: some parameters, and what no document of them needs.
const BODY: std::ops::RangeInclusive<Size> = Size(1 << 10)..=Size(64 << 20);
/// Least and most bytes of a segment: a second of sound, an hour of video in one.
const SEGMENT: std::ops::RangeInclusive<Size> = Size(64 << 10)..=Size(64 << 30);
/// Least and most bytes held for a job: a few messages, and what no machine has for many jobs.
const BUFFERED: std::ops::RangeInclusive<Size> = Size(256 << 10)..=Size(4 << 30);

/// Least and most bytes of job records: some hundred, and a disk of their own.
const RECORDS: std::ops::RangeInclusive<Size> = Size(1 << 20)..=Size(1 << 40);
/// Longest time for which job records are kept: what books are kept for.
const KEPT_MAX: Time = Time::secs(10 * 366 * 86_400);

/// Everything that a gateway is built from and that the file decides.
#[derive(Debug, Clone)]
pub(crate) struct GatewayPlan {
    /// The orchestrators that the file names.
    pub(crate) orchestrators: Vec<OrchestratorConfig>,
    /// File of authorities; none: the system's.
    pub(crate) authorities: Option<PathBuf>,
    /// Least version that an orchestrator has to speak; empty: any.
    pub(crate) min_version: String,
    /// Where others come from.
    pub(crate) sources: SourcesConfig,
    /// How they are asked.
    pub(crate) discovery: DiscoveryConfig,
    /// How often they are told what is counted of them.
    pub(crate) feedback: Option<Duration>,
    /// The most that work may cost.
    pub(crate) caps: Caps,
    /// Columns of the operator's own.
    pub(crate) custom: Columns,
    /// Customers.
    pub(crate) customers: Vec<CustomerConfig>,
    /// Pipeline of a job that names none.
    pub(crate) default_pipeline: Option<String>,
    /// Who selects orchestrators for every job that no other is for; none: the native rule.
    pub(crate) selection: Option<Selecting>,
    /// Who selects them for jobs of single tiers and pipelines.
    pub(crate) selections: Vec<(JobsOf, Selecting)>,
    /// Hosts that URLs given by others may name.
    pub(crate) allowed_hosts: AllowedHosts,
    /// What URLs given to clients begin with.
    pub(crate) public_url: Option<String>,
    /// Limits at the front door.
    pub(crate) limits: Limits,
    /// How long and how much is kept of jobs.
    pub(crate) records: RecordsConfig,
}

/// A plugin that selects orchestrators, as the file names it.
#[derive(Debug, Clone)]
pub(crate) struct Selecting {
    /// The key that names it.
    pub(crate) key: String,
    /// The plugin.
    pub(crate) chosen: Chosen,
    /// What happens when it faults.
    pub(crate) on_fault: OnFault,
    /// Selects where it does not, if anything but the native rule.
    pub(crate) previous: Option<Chosen>,
    /// The key of its document, and the document.
    pub(crate) document: (String, String),
}

/// The jobs that a plugin selects for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum JobsOf {
    /// Those of customers of a tier.
    Tier(String),
    /// Those that need a capability.
    Capability(Capability),
}

impl GatewayPlan {
    pub(super) fn new(config: &Config, search: &Search, problems: &mut Vec<Problem>) -> Self {
        let own = &config.gateway;
        let count = own.orchestrators.len();
        within("gateway.orchestrators", count, 0..=ORCHESTRATORS_MAX, problems);
        for (at, uri) in own.orchestrators.iter().enumerate().take(ORCHESTRATORS_MAX) {
            orchestrator_url(&format!("gateway.orchestrators[{at}]"), uri, problems);
        }
        if !own.default_pipeline.is_empty()
            && let Err(error) = Capability::live(&own.default_pipeline)
        {
            problems.push(Problem::new("gateway.default_pipeline", error.to_string()));
        }
        let general = Selection {
            plugin: own.selection.clone(),
            config: own.selection_config.clone(),
            on_fault: own.selection_on_fault,
            previous: own.selection_previous.clone(),
            ..Selection::default()
        };
        let keys = ["", "_config", "_previous"].map(|key| format!("gateway.selection{key}"));
        let selection = selecting(keys, &general, search, problems);
        let plain = own.orchestrators.iter().map(OrchestratorConfig::at);
        Self {
            orchestrators: plain.chain(listed(config, problems)).collect(),
            authorities: filled(&own.authorities).map(Into::into),
            min_version: min_version(&own.min_version, problems),
            sources: sources(&config.discovery, problems),
            discovery: discovery(&config.discovery, problems),
            feedback: feedback(config.discovery.feedback, problems),
            caps: caps(config, problems),
            custom: custom(config, problems),
            customers: customers(config, problems),
            default_pipeline: filled(&own.default_pipeline),
            selection,
            selections: selections(config, search, problems),
            allowed_hosts: AllowedHosts::new(&own.allowed_hosts),
            public_url: public_url(&own.public_url, problems),
            limits: limits(&config.gateway_limits, problems),
            records: records(&config.records, problems),
        }
    }
}

fn selecting(
    [key, config, previous]: [String; 3],
    set: &Selection,
    search: &Search,
    problems: &mut Vec<Problem>,
) -> Option<Selecting> {
    let world = World::SelectionPolicy;
    let chosen = search.named(&key, &set.plugin, world, problems);
    let wanted = set.on_fault == Fallback::PreviousVersion;
    let previous = search.previous(&previous, &set.previous, world, wanted, problems);
    json_document(&config, &set.config, problems);
    Some(Selecting {
        key,
        chosen: chosen?,
        on_fault: set.on_fault.into(),
        previous,
        document: (config, set.config.clone()),
    })
}

fn selections(
    config: &Config,
    search: &Search,
    problems: &mut Vec<Problem>,
) -> Vec<(JobsOf, Selecting)> {
    let mut all: Vec<(JobsOf, Selecting)> = Vec::new();
    for (name, set) in &config.selections {
        let key = format!("gateway.selections.{name}");
        let whose = match (set.tier.is_empty(), set.pipeline.is_empty()) {
            (false, true) => Ok(JobsOf::Tier(set.tier.clone())),
            (true, false) => Capability::live(&set.pipeline)
                .map(JobsOf::Capability)
                .map_err(|error| Problem::new(format!("{key}.pipeline"), error.to_string())),
            (true, true) | (false, false) => {
                Err(Problem::new(&*key, "it is for either a `tier` or a `pipeline`"))
            }
        };
        if set.plugin.is_empty() {
            problems.push(Problem::new(format!("{key}.plugin"), "it names no plugin"));
        }
        let keys = ["plugin", "config", "previous"].map(|own| format!("{key}.{own}"));
        let selecting = selecting(keys, set, search, problems);
        match (whose, selecting) {
            (Ok(whose), _) if all.iter().any(|(other, _)| *other == whose) => {
                problems.push(Problem::new(key, "another one is for the same jobs"));
            }
            (Ok(whose), Some(selecting)) => all.push((whose, selecting)),
            (Ok(_), None) => {}
            (Err(problem), _) => problems.push(problem),
        }
    }
    all
}

/// The name under `max_price_wei_of` for every pipeline that is not named.
const OTHERS: &str = "default";

fn caps(config: &Config, problems: &mut Vec<Problem>) -> Caps {
    let own = &config.gateway;
    let mut caps = Caps::of(own.max_price_wei);
    caps.by_tier.clone_from(&own.max_price_wei_of_tier);
    caps.others_wei = own.max_price_wei_of.get(OTHERS).copied();
    for (id, wei) in own.max_price_wei_of.iter().filter(|(id, _)| *id != OTHERS) {
        match Capability::live(id) {
            Ok(capability) => drop(caps.by_capability.insert(capability, *wei)),
            Err(error) => {
                let key = format!("gateway.max_price_wei_of.{id}");
                problems.push(Problem::new(key, error.to_string()));
            }
        }
    }
    caps
}

fn custom(config: &Config, problems: &mut Vec<Problem>) -> Columns {
    let mut columns = Columns::default();
    for (name, column) in &config.custom {
        if let Err(error) = columns.put(name, column.clone()) {
            problems.push(Problem::new(format!("custom.{name}"), error.to_string()));
        }
    }
    columns
}

fn customers(config: &Config, problems: &mut Vec<Problem>) -> Vec<CustomerConfig> {
    let customer = |(name, set): (&String, &Customer)| {
        let key = set.key_sha256.to_ascii_lowercase();
        let digits = key.bytes().all(|byte| byte.is_ascii_hexdigit());
        if key.len() != 64 || !digits {
            let message = format!("`{}` is no SHA-256 (64 hexadecimal digits)", set.key_sha256);
            let problem = Problem::new(format!("customers.{name}.key_sha256"), message);
            problems.push(problem.hint("`printf %s KEY | sha256sum` prints one"));
        }
        CustomerConfig {
            name: name.clone(),
            key_sha256: key,
            tier: set.tier.clone(),
            budget_wei: (set.budget_wei > 0).then_some(set.budget_wei),
            period: set.period.duration(),
        }
    };
    config.customers.iter().map(customer).collect()
}

fn listed(config: &Config, problems: &mut Vec<Problem>) -> Vec<OrchestratorConfig> {
    let mut one = |(name, set): (&String, &Listed)| {
        let key = |key: &str| format!("orchestrators.{name}.{key}");
        orchestrator_url(&key("uri"), &set.uri, problems);
        let plain =
            OrchestratorConfig { name: Some(name.clone()), ..OrchestratorConfig::at(&set.uri) };
        let pin = Fingerprint::parse(&set.certificate);
        if !set.certificate.is_empty() && pin.is_none() {
            let text = format!("`{}` is no SHA-256 (64 hexadecimal digits)", set.certificate);
            problems.push(Problem::new(key("certificate"), text));
        }
        if (set.tls == Tls::Pin) == set.certificate.is_empty() {
            let text = "`tls = \"pin\"` and `certificate` need each other".to_owned();
            problems.push(Problem::new(key("tls"), text));
        }
        let security = match (plain.security, set.tls, pin) {
            (Security::Cleartext, _, _) => Security::Cleartext,
            (_, Tls::Pin, Some(pin)) => Security::Pinned(pin),
            (_, Tls::Pin | Tls::TrustOnFirstUse, _) => Security::FirstUse,
            (_, Tls::Verify, _) => Security::Verified,
            (_, Tls::Insecure, _) => Security::Unverified,
        };
        OrchestratorConfig { security, ..plain }
    };
    config.listed.iter().map(&mut one).collect()
}

fn min_version(text: &str, problems: &mut Vec<Problem>) -> String {
    if !text.is_empty() && !wire::livepeer::version_reaches(text, text) {
        let problem = Problem::new("gateway.min_version", format!("`{text}` is no version"));
        problems.push(problem.hint("such as `0.8.0`"));
    }
    text.to_owned()
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn discovery(set: &Discovery, problems: &mut Vec<Problem>) -> DiscoveryConfig {
    let key = "gateway.discovery";
    within(&format!("{key}.interval"), set.interval, INTERVAL_MIN..=INTERVAL_MAX, problems);
    within(&format!("{key}.window"), set.window, Time(1)..=ANSWER_MAX, problems);
    within(&format!("{key}.timeout"), set.timeout, INTERVAL_MIN..=ANSWER_MAX, problems);
    within(&format!("{key}.extra_nodes"), set.extra_nodes, 0..=ORCHESTRATORS_MAX, problems);
    DiscoveryConfig {
        interval: set.interval.duration(),
        window: set.window.duration(),
        hard_stop: set.timeout.duration(),
        extra_nodes: set.extra_nodes,
    }
}

fn feedback(every: Time, problems: &mut Vec<Problem>) -> Option<Duration> {
    if every == Time(0) {
        return None;
    }
    within("gateway.discovery.feedback", every, INTERVAL_MIN..=INTERVAL_MAX, problems);
    Some(every.duration())
}

fn sources(set: &Discovery, problems: &mut Vec<Problem>) -> SourcesConfig {
    let mut url = |key: &str, text: &str| {
        let good = |url: url::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        if !text.is_empty() && !url::Url::parse(text).is_ok_and(good) {
            let key = format!("gateway.discovery.{key}");
            problems.push(Problem::new(key, format!("`{text}` is no HTTP URL")));
        }
        filled(text)
    };
    SourcesConfig {
        webhook: url("webhook", &set.webhook),
        gateway: url("gateway", &set.gateway),
        file: filled(&set.file).map(Into::into),
    }
}

fn limits(set: &GatewayLimits, problems: &mut Vec<Problem>) -> Limits {
    let key = "gateway.limits";
    within(&format!("{key}.jobs"), set.jobs, 1..=JOBS_MAX, problems);
    within(&format!("{key}.jobs_per_client"), set.jobs_per_client, 1..=JOBS_MAX, problems);
    within(&format!("{key}.body"), set.body, BODY, problems);
    within(&format!("{key}.segment"), set.segment, SEGMENT, problems);
    within(&format!("{key}.buffered"), set.buffered, BUFFERED, problems);
    // In their bounds these fit the machine's word; out of them the plan is thrown away.
    let bytes = |size: Size| usize::try_from(size.0).unwrap_or(usize::MAX);
    Limits {
        jobs_max: set.jobs,
        jobs_per_client_max: set.jobs_per_client,
        segment_bytes_max: set.segment.0,
        body_bytes_max: bytes(set.body),
        buffered_bytes_max: bytes(set.buffered),
    }
}

fn records(set: &Records, problems: &mut Vec<Problem>) -> RecordsConfig {
    within("gateway.records.kept", set.kept, INTERVAL_MIN..=KEPT_MAX, problems);
    within("gateway.records.size", set.size, RECORDS, problems);
    RecordsConfig { kept: set.kept.duration(), bytes_max: set.size.0 }
}

fn public_url(text: &str, problems: &mut Vec<Problem>) -> Option<String> {
    let good = |url: url::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    if !text.is_empty() && !url::Url::parse(text).is_ok_and(good) {
        let problem = Problem::new("gateway.public_url", format!("`{text}` is no HTTP URL"));
        problems.push(problem.hint("such as `https://gateway.example`"));
    }
    filled(text.trim_end_matches('/'))
}
