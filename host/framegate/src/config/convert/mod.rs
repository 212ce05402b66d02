//! From the file's words to what each role is built from.
//!
//! Decides what cannot be meant: values out of range, plugins that are not there, ports in each
//! other's way, a cap under our own price. All of it is told at once, before anything listens.

mod advise;
mod gateway;
mod grants;
mod orchestrator;
mod plugins;

use std::net::SocketAddr;

use ::orchestrator::config::Callers;
use worker::message::EncodeSpec;

pub(crate) use advise::{AdvisePlan, is_wallet};
pub(crate) use gateway::{GatewayPlan, JobsOf, Selecting};
pub(crate) use grants::{of as allowed, with_secrets};
pub(crate) use orchestrator::{OrchestratorPlan, PricingPlan};
pub(crate) use plugins::{Chosen, Search};

use super::orchestrator::Encoder;
use super::{Config, Problem};
use crate::data::Role;
use crate::telemetry;

/// Threads of one session's decoder: with one it hands out each picture at once, and 720p H.264 is
/// decoded ten times faster than it plays.
pub(crate) const DECODE_THREADS: u32 = 1;

/// Returns how pictures are encoded unless the file says otherwise.
pub(crate) fn encode() -> EncodeSpec {
    orchestrator::encode(&Encoder::default(), &mut Vec::new())
}

/// Checks what the gateway asks for and returns what it is built from.
pub(crate) fn gateway(config: &Config, search: &Search) -> Result<GatewayPlan, Vec<Problem>> {
    let mut problems = common(config, &[Role::Gateway]);
    search.check_limits(&mut problems);
    grants::check(config, search, &mut problems);
    let plan = GatewayPlan::new(config, search, &mut problems);
    finish(plan, problems)
}

/// Checks what the orchestrator asks for and returns what it is built from.
pub(crate) fn orchestrator(
    config: &Config,
    search: &Search,
) -> Result<OrchestratorPlan, Vec<Problem>> {
    let mut problems = common(config, &[Role::Orchestrator]);
    search.check_limits(&mut problems);
    grants::check(config, search, &mut problems);
    let plan = OrchestratorPlan::new(config, search, &mut problems);
    finish(plan, problems)
}

/// Checks what the side-car asks for and returns what it is built from.
pub(crate) fn advise(config: &Config, search: &Search) -> Result<AdvisePlan, Vec<Problem>> {
    let mut problems = common(config, &[Role::Advise]);
    search.check_limits(&mut problems);
    grants::check(config, search, &mut problems);
    let plan = AdvisePlan::new(config, search, &mut problems);
    finish(plan, problems)
}

/// Returns the name of the orchestrator that runs from the same file.
pub(crate) fn own_name(config: &Config) -> String {
    orchestrator::name(&config.orchestrator.name, &mut Vec::new())
}

/// Checks what `role` asks for; without one, what both do.
pub(crate) fn check(config: &Config, search: &Search, role: Option<Role>) -> Vec<Problem> {
    match role {
        Some(Role::Gateway) => gateway(config, search).err().unwrap_or_default(),
        Some(Role::Orchestrator) => orchestrator(config, search).err().unwrap_or_default(),
        Some(Role::Advise) => advise(config, search).err().unwrap_or_default(),
        None => check_both(config, search),
    }
}

/// Checks everything that both roles and their being together ask for.
pub(crate) fn check_both(config: &Config, search: &Search) -> Vec<Problem> {
    let mut problems = common(config, &Role::ALL);
    search.check_limits(&mut problems);
    grants::check(config, search, &mut problems);
    GatewayPlan::new(config, search, &mut problems);
    let orchestrator = OrchestratorPlan::new(config, search, &mut problems);
    let cap = config.gateway.max_price_wei;
    // The dearest one: a cap that admits it admits all.
    let dearest = orchestrator.pipelines.iter().max_by_key(|pipeline| pipeline.price_wei);
    if let Some(dearest) = dearest.filter(|pipeline| pipeline.price_wei > cap) {
        let (price, id) = (dearest.price_wei, &dearest.id);
        let message = format!("{cap} is below {price}, the price of our own pipeline `{id}`");
        let problem = Problem::new("gateway.max_price_wei", message);
        problems.push(problem.hint(format!("`max_price_wei = {price}` at least")));
    }
    if matches!(orchestrator.callers, Callers::Secret(_)) {
        let message = "the gateway of the same file would be refused: it presents no secret";
        let problem = Problem::new("orchestrator.callers.secret", message);
        problems.push(problem.hint("`addresses`, which always has this machine"));
    }
    problems
}

fn finish<T>(plan: T, problems: Vec<Problem>) -> Result<T, Vec<Problem>> {
    if problems.is_empty() { Ok(plan) } else { Err(problems) }
}

/// Checks logging, and the addresses of `roles` against each other.
fn common(config: &Config, roles: &[Role]) -> Vec<Problem> {
    let all = [
        (Role::Gateway, "gateway.http", config.gateway.http),
        (Role::Gateway, "gateway.admin", config.gateway.admin),
        (Role::Orchestrator, "orchestrator.listen", config.orchestrator.listen),
        (Role::Orchestrator, "orchestrator.admin", config.orchestrator.admin),
        (Role::Advise, "advise.http", config.advise.http),
        (Role::Advise, "advise.admin", config.advise.admin),
    ];
    let used: Vec<_> = all.iter().filter(|(role, _, _)| roles.contains(role)).collect();
    let mut problems: Vec<Problem> = telemetry::check(&config.log).into_iter().collect();
    for (at, (_, key, address)) in used.iter().enumerate() {
        let other = used[..at].iter().find(|(_, _, other)| clash(*other, *address));
        if let Some((_, other, _)) = other {
            let message = format!("{address} is the address of `{other}` as well");
            problems.push(Problem::new(*key, message).hint("give each a port of its own"));
        }
    }
    problems
}

fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    let (here, there) = (a.ip(), b.ip());
    a.port() == b.port()
        && a.port() != 0
        && (here == there || here.is_unspecified() || there.is_unspecified())
}

/// Checks a number against its bounds.
fn within<T: PartialOrd + std::fmt::Display>(
    key: &str,
    value: T,
    bounds: std::ops::RangeInclusive<T>,
    problems: &mut Vec<Problem>,
) {
    if !bounds.contains(&value) {
        let (least, most) = (bounds.start(), bounds.end());
        problems.push(Problem::new(key, format!("{value} is not within {least} and {most}")));
    }
}

/// Checks a document for a plugin: JSON, or nothing. What it may say is the plugin's to know.
fn json_document(key: &str, text: &str, problems: &mut Vec<Problem>) {
    if !text.is_empty()
        && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text)
    {
        problems.push(Problem::new(key, format!("it is no JSON: {error}")));
    }
}

/// Checks the URL of an orchestrator: `https://host[:port]`, or `http://` to this machine.
fn orchestrator_url(key: &str, text: &str, problems: &mut Vec<Problem>) {
    let wrong = |what: String| {
        let hint = "such as `https://orchestrator.example:8935`";
        Problem::new(key, format!("`{text}` {what}")).hint(hint)
    };
    let url = match url::Url::parse(text) {
        Ok(url) => url,
        Err(error) => return problems.push(wrong(format!("is no URL: {error}"))),
    };
    let loopback = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => return problems.push(wrong("has no host".to_owned())),
    };
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => problems.push(wrong("is cleartext to another machine".to_owned())),
        scheme => problems.push(wrong(format!("has scheme `{scheme}`"))),
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() {
        problems.push(wrong("has more than a host and a port".to_owned()));
    }
}

#[cfg(test)]
mod tests;
