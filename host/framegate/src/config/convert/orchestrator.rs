//! `[orchestrator]` as the role takes it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use device::SimdLevel;
use domain::capability::Capability;
use orchestrator::config::{Callers, PipelineConfig, SessionLimits};
use orchestrator::price::Percents;
use plugin::{Limit, Manifest, World};
use worker::message::EncodeSpec;

use super::super::fallback::{OnFailure, OnFault};
use super::super::orchestrator::Simd;
use super::super::units::Size;
use super::super::{Config, Encoder, Limits, Orchestrator, Pipeline, Problem, env};
use super::{Chosen, Search, json_document, orchestrator_url, within};

/// Most percent of a price that a bound may be: a thousand times the price is none any more.
const PERCENT_MAX: u32 = 100_000;
/// Most sessions at a time on one device: beyond it a worker's threads are the limit.
const SLOTS_MAX: u32 = 1024;
/// Most threads of the CPU backend: beyond the cores of any machine.
const THREADS_MAX: usize = 1024;
/// Longest name of an orchestrator in bytes: a wallet's address has 42.
const NAME_BYTES_MAX: usize = 128;
/// Worst quality that libx264 knows.
const QUALITY_MAX: u32 = 51;
/// Most threads of one encoder: libx264 gains nothing from more at 1080p.
const ENCODER_THREADS_MAX: u32 = 64;
/// Most frames between key frames: ten seconds at 60 a second, beyond which a reader gives up.
const GOP_FRAMES_MAX: u32 = 600;
/// Least memory for pictures: a few of 1080p.
const SURFACES_MIN: Size = Size(32 << 20);
/// Most memory for pictures of one session: that of a whole large card.
const SURFACES_MAX: Size = Size(80 << 30);

/// Everything that an orchestrator is built from and that the file decides.
#[derive(Debug, Clone)]
pub(crate) struct OrchestratorPlan {
    /// Name that gateways know it by.
    pub(crate) name: String,
    /// Who may use it.
    pub(crate) callers: Callers,
    /// What it offers, at base prices.
    pub(crate) pipelines: Vec<PipelineConfig>,
    /// Who turns base prices into quotes.
    pub(crate) pricing: PricingPlan,
    /// How pictures are encoded.
    pub(crate) encode: EncodeSpec,
    /// Limits of one session.
    pub(crate) limits: SessionLimits,
    /// Environment of its worker.
    pub(crate) worker_env: Vec<(String, String)>,
    /// What is worth a line at the start, and no reason not to start.
    pub(crate) warnings: Vec<String>,
}

/// Who turns base prices into quotes.
#[derive(Debug, Clone)]
pub(crate) struct PricingPlan {
    /// The rule; none: base prices are the quotes.
    pub(crate) rule: Option<Chosen>,
    /// Prices where that one faults, if anything but the base price.
    pub(crate) previous: Option<Chosen>,
    /// Bounds of quotes.
    pub(crate) bounds: Percents,
}

impl PricingPlan {
    pub(super) fn new(own: &Orchestrator, search: &Search, problems: &mut Vec<Problem>) -> Self {
        json_document("orchestrator.pricing_config", &own.pricing_config, problems);
        let world = World::PricingRule;
        let rule = search.named("orchestrator.pricing", &own.pricing, world, problems);
        let previous = search.previous(
            "orchestrator.pricing_previous",
            &own.pricing_previous,
            world,
            own.pricing_on_fault == OnFault::PreviousVersion,
            problems,
        );
        Self { rule, previous, bounds: bounds(own, problems) }
    }
}

impl OrchestratorPlan {
    pub(super) fn new(config: &Config, search: &Search, problems: &mut Vec<Problem>) -> Self {
        let own = &config.orchestrator;
        within("orchestrator.slots", own.slots, 1..=SLOTS_MAX, problems);
        within("orchestrator.threads", own.threads, 0..=THREADS_MAX, problems);
        check_service_uri(config, problems);
        check_device(&own.device, problems);
        let simd = check_simd(own.simd, problems);
        let mut warnings = Vec::new();
        let pipelines = pipelines(config, search, problems, &mut warnings);
        Self {
            name: name(&own.name, problems),
            callers: callers(config, problems),
            pipelines,
            pricing: PricingPlan::new(own, search, problems),
            encode: encode(&config.encoder, problems),
            limits: SessionLimits { surface_bytes_max: config.limits.surfaces.0 },
            worker_env: vec![
                (env::THREADS.to_owned(), own.threads.to_string()),
                (env::SIMD.to_owned(), simd.map_or("auto", SimdLevel::name).to_owned()),
            ],
            warnings,
        }
    }
}

/// Checks how pictures are encoded. Whether the encoder is there is known to the worker alone.
pub(super) fn encode(set: &Encoder, problems: &mut Vec<Problem>) -> EncodeSpec {
    within("orchestrator.encoder.quality", set.quality, 0..=QUALITY_MAX, problems);
    within("orchestrator.encoder.threads", set.threads, 1..=ENCODER_THREADS_MAX, problems);
    within("orchestrator.encoder.gop_frames", set.gop_frames, 1..=GOP_FRAMES_MAX, problems);
    if set.codec.is_empty() {
        problems.push(Problem::new("orchestrator.encoder.codec", "no encoder is named"));
    }
    EncodeSpec {
        codec: set.codec.clone(),
        preset: set.preset.clone(),
        quality: set.quality,
        threads: set.threads,
        gop_frames_max: set.gop_frames,
        low_latency: set.low_latency,
    }
}

/// Returns the limits of a pipeline that has none of its own.
fn limits(set: &Limits, problems: &mut Vec<Problem>) -> plugin::Limits {
    let key = "orchestrator.limits";
    within(&format!("{key}.surfaces"), set.surfaces, SURFACES_MIN..=SURFACES_MAX, problems);
    let mut limits = plugin::Limits::pipeline();
    for (limit, value) in [
        (Limit::FrameBudget, set.frame_budget.0.saturating_mul(1000)),
        (Limit::Frames, set.frames),
        (Limit::Ops, set.ops),
    ] {
        if let Err(message) = limits.set(limit, value) {
            problems.push(Problem::new(format!("{key}.{}", limit.name()), message));
        }
    }
    limits
}

fn bounds(own: &Orchestrator, problems: &mut Vec<Problem>) -> Percents {
    let Orchestrator { price_floor_percent: floor, price_ceiling_percent: ceiling, .. } = *own;
    let step = own.price_step_percent;
    within("orchestrator.price_floor_percent", floor, 0..=100, problems);
    within("orchestrator.price_ceiling_percent", ceiling, 100..=PERCENT_MAX, problems);
    within("orchestrator.price_step_percent", step, 1..=PERCENT_MAX, problems);
    Percents { floor, ceiling, step }
}

/// Returns the name of this machine's orchestrator.
pub(super) fn name(configured: &str, problems: &mut Vec<Problem>) -> String {
    let name = if configured.is_empty() {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        name.trim().to_owned()
    } else {
        configured.to_owned()
    };
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let message = format!("a name has 1 to {NAME_BYTES_MAX} bytes and no control characters");
        problems.push(Problem::new("orchestrator.name", message));
    }
    name
}

fn check_service_uri(config: &Config, problems: &mut Vec<Problem>) {
    let (own, key) = (&config.orchestrator, "orchestrator.service_uri");
    if own.cleartext && !own.listen.ip().is_loopback() {
        let message = format!("{} is not on loopback: cleartext is refused there", own.listen);
        problems.push(Problem::new("orchestrator.cleartext", message));
    }
    if !own.service_uri.is_empty() {
        orchestrator_url(key, &own.service_uri, problems);
    } else if own.listen.ip().is_unspecified() {
        let message = format!("{} is no address that a gateway can call", own.listen);
        let hint = format!("such as `https://this-host.example:{}`", own.listen.port());
        problems.push(Problem::new(key, message).hint(hint));
    }
}

fn callers(config: &Config, problems: &mut Vec<Problem>) -> Callers {
    let (set, key) = (&config.callers, "orchestrator.callers");
    let rules = [set.any, !set.secret.0.is_empty(), !set.addresses.is_empty()];
    let listen: SocketAddr = config.orchestrator.listen;
    match rules.iter().filter(|rule| **rule).count() {
        0 if !listen.ip().is_loopback() => {
            let message = format!("{listen} can be called by others, and nothing says by whom");
            let hint = "`[orchestrator.callers]` with `secret`, `addresses` or `any = true`";
            problems.push(Problem::new("orchestrator.listen", message).hint(hint));
        }
        0 | 1 => {}
        many => problems.push(Problem::new(key, format!("{many} rules are given; one counts"))),
    }
    if !set.secret.0.is_empty() {
        Callers::Secret(set.secret.0.clone())
    } else if !set.addresses.is_empty() {
        let here = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        Callers::Addresses(set.addresses.iter().copied().chain(here).collect())
    } else {
        Callers::Any
    }
}

fn check_device(device: &str, problems: &mut Vec<Problem>) {
    let numbered =
        |name: &str| name.strip_prefix("cuda-").is_some_and(|it| it.parse::<u8>().is_ok());
    if !matches!(device, "auto" | "cpu" | "cpu-0" | "cuda") && !numbered(device) {
        let problem =
            Problem::new("orchestrator.device", format!("no device is called `{device}`"));
        problems.push(problem.hint("`cpu-0`, `cuda-0` or `auto`"));
    }
}

fn check_simd(simd: Simd, problems: &mut Vec<Problem>) -> Option<SimdLevel> {
    let level = match simd {
        Simd::Auto => return None,
        Simd::Scalar => SimdLevel::Scalar,
        Simd::Avx2 => SimdLevel::Avx2,
        Simd::Avx512 => SimdLevel::Avx512,
    };
    if !level.is_supported() {
        let message = format!("this CPU has no `{level}`");
        let hint = format!("`auto` takes `{}`", SimdLevel::best());
        problems.push(Problem::new("orchestrator.simd", message).hint(hint));
    }
    Some(level)
}

fn pipelines(
    config: &Config,
    search: &Search,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> Vec<PipelineConfig> {
    let shipped = config.orchestrator.price_wei;
    let defaults = limits(&config.limits, problems);
    let offer = |chosen: Chosen, set: &Pipeline, previous: Option<Chosen>| PipelineConfig {
        folder: folder(&chosen.manifest),
        grants: super::grants::of(config, &chosen.manifest.id),
        id: chosen.manifest.id,
        price_wei: if set.price_wei == 0 { shipped } else { set.price_wei },
        limits: chosen.limits,
        deterministic: set.deterministic,
        on_failure: set.on_failure.into(),
        previous: previous.map(|it| folder(&it.manifest)),
    };
    if config.pipelines.is_empty() {
        let found = search.find_all(World::Pipeline, warnings);
        if found.is_empty() {
            let problem = Problem::new("plugins.folders", "there is no pipeline to offer");
            problems.push(problem.hint(search.hint()));
        }
        let set = Pipeline::default();
        let found = found.into_iter().map(|manifest| search.chosen(manifest, defaults));
        return found.map(|chosen| offer(chosen, &set, None)).collect();
    }
    let mut offers = Vec::new();
    for (id, pipeline) in &config.pipelines {
        let key = format!("orchestrator.pipelines.{id}");
        if let Err(error) = Capability::live(id) {
            problems.push(Problem::new(key, error.to_string()));
            continue;
        }
        let previous = search.previous(
            &format!("{key}.previous"),
            &pipeline.previous,
            World::Pipeline,
            pipeline.on_failure == OnFailure::PreviousVersion,
            problems,
        );
        if let Some(manifest) = search.find(&key, id, World::Pipeline, problems) {
            offers.push(offer(search.chosen(manifest, defaults), pipeline, previous));
        }
    }
    offers
}

/// Returns the folder that a plugin was found in.
fn folder(manifest: &Manifest) -> PathBuf {
    manifest.component.parent().map(Into::into).unwrap_or_default()
}
