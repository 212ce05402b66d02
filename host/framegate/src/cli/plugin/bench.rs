//! `framegate plugin bench`: what a plugin's calls take in the engine that serves, and from which
//! size of fleet on a policy would be too slow for its plugin slot.

use std::sync::Arc;
use std::time::{Duration, Instant};

use device::{Device, DeviceConfig};
use domain::planes::PixelFormat;
use domain::price::Lot;
use plugin::code::Loader;
use plugin::limits::Limit;
use plugin::pipeline::{Pipeline, PipelineEngine};
use plugin::policy::pricing::{Basis, Conditions, Side};
use plugin::snapshot::CANDIDATES_MAX;
use plugin::{
    Allowed, Candidate, Fault, JobFacts, Limits, LoadError, Manifest, PolicyEngine, PricingRule,
    Scope, SelectionPolicy, Snapshot, Urgency, World,
};
use serde::Serialize;
use session::rehearsal::{Rehearsal, Show};

use super::{Common, Found, Which, not_loaded};
use crate::data::DataDir;
use crate::failure::{Exit, Failure, FaultReport};
use crate::out;
use crate::role::policies;
use crate::telemetry::Telemetry;

/// Guest time of a `pick` that the contract asks for: a choice is made while a client waits.
const PICK_BUDGET: Duration = Duration::from_micros(200);
/// Sizes of fleet that are always measured.
const FLEETS: [usize; 3] = [10, 100, 1_000];
/// Calls that a pair of percentiles rests on, unless they take longer than [`SERIES_TIME`].
const CALLS: usize = 2_000;
/// Calls at least: one in a hundred has to be among them.
const CALLS_MIN: usize = 100;
/// Time for one series of calls.
const SERIES_TIME: Duration = Duration::from_millis(500);
/// Calls whose median decides whether a fleet is too large.
const TRIALS: usize = 25;
/// Pictures of a pipeline's series: a second of 720p, the size that live jobs are sold by.
const PICTURES: usize = 150;

/// Which plugin.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// Its configuration or parameters, a JSON document
    #[arg(long, value_name = "JSON", default_value = "")]
    params: String,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Serialize)]
struct Report {
    plugin: String,
    version: String,
    digest: String,
    world: &'static str,
    engine: String,
    calls: Vec<Line>,
    /// The fleet from which on `pick` would break its budget; null for other worlds, and for a
    /// policy that keeps it at the largest snapshot.
    breaks_at: Option<Breaks>,
}

#[derive(Serialize)]
struct Line {
    call: &'static str,
    /// Candidates, or pictures' size.
    over: String,
    p50_us: f64,
    p99_us: f64,
}

#[derive(Serialize)]
struct Breaks {
    candidates: usize,
    /// `time` of the contract, or the limit that ended the call.
    by: String,
}

pub(super) fn main(args: &Args, common: &Common) -> Result<Exit, Failure> {
    let found = args.which.find()?;
    let Some(manifest) = &found.manifest else {
        let text = format!("`{}` has no plugin.toml beside it", found.path.display());
        return Err(Failure::usage(text).hint("name the folder that has both"));
    };
    let cache = DataDir::find(common.data_dir.as_deref()).ok().map(|data| data.cache());
    let loader = Loader::open(policies::compiler(), cache.as_deref(), Telemetry::sink());
    let mut report = Report {
        plugin: manifest.id.clone(),
        version: manifest.version.clone(),
        digest: plugin::Digest::of(&found.bytes).to_string(),
        world: manifest.world.name(),
        engine: String::new(),
        calls: Vec::new(),
        breaks_at: None,
    };
    let limits = found.search.limits_of(manifest);
    let subject = Subject { manifest, found: &found, limits, params: &args.params };
    match manifest.world {
        World::SelectionPolicy => selection(&subject, loader, &mut report)?,
        World::PricingRule => pricing(&subject, loader, &mut report)?,
        World::Pipeline => pipeline(&subject, loader, &mut report)?,
    }
    if args.json {
        out::json(&report)?
    } else {
        out::line(&text(&report))?
    }
    Ok(Exit::Ok)
}

struct Subject<'a> {
    manifest: &'a Manifest,
    found: &'a Found,
    limits: Limits,
    params: &'a str,
}

impl Subject<'_> {
    fn load<E, T>(
        &self,
        engine: &E,
        load: impl FnOnce(&E, &Manifest, &[u8], Limits) -> Result<T, LoadError>,
    ) -> Result<T, Failure> {
        let loaded = load(engine, self.manifest, &self.found.bytes, self.limits);
        loaded.map_err(|error| not_loaded(&error))
    }
}

fn policy_engine(loader: Loader, report: &mut Report) -> Result<PolicyEngine, Failure> {
    let engine = PolicyEngine::new().map_err(|error| Failure::from_error(error.class(), &error))?;
    report.engine = engine.describe();
    Ok(engine.with_loader(loader))
}

fn faulted(fault: &Fault) -> Failure {
    Failure::from_error(fault.class(), fault).fault(FaultReport {
        kind: fault.kind.name().to_owned(),
        plugin: fault.plugin.clone(),
        version: fault.version.clone(),
    })
}

/// What a policy answers to its set-up document.
fn accepted<T, E: std::error::Error>(
    answer: Result<Result<T, E>, Fault>,
    class: impl FnOnce(&E) -> domain::Class,
) -> Result<T, Failure> {
    let answer = answer.map_err(|fault| faulted(&fault))?;
    answer.map_err(|error| Failure::from_error(class(&error), &error))
}

fn selection(subject: &Subject<'_>, loader: Loader, report: &mut Report) -> Result<(), Failure> {
    let engine = policy_engine(loader, report)?;
    let policy = subject.load(&engine, SelectionPolicy::load)?;
    let job = Arc::new(JobFacts::default());
    for count in FLEETS {
        let snapshot = fleet(count);
        let begun = Instant::now();
        let prepared = policy.prepare(Arc::clone(&snapshot), subject.params);
        let mut prepared = accepted(prepared, plugin::SetupError::class)?;
        let took = begun.elapsed();
        let over = format!("{count} candidates");
        report.calls.push(line("prepare", &over, &mut [took]));
        let mut seed = 0;
        let mut times = series(CALLS, || {
            seed += 1;
            let begun = Instant::now();
            // A policy may decline a fleet that is made up; that takes its time as well.
            let picked = prepared.pick(&job, snapshot.scope.taken_at_unix_ms, seed);
            picked.map(|_| begun.elapsed()).map_err(|fault| faulted(&fault))
        })?;
        report.calls.push(line("pick", &over, &mut times));
    }
    report.breaks_at = breaks_at(&policy, subject.params, &job);
    Ok(())
}

/// Finds the smallest fleet, to a sixteenth, over which a `pick` breaks the plugin slot's budget.
fn breaks_at(policy: &SelectionPolicy, params: &str, job: &Arc<JobFacts>) -> Option<Breaks> {
    let broken = |count: usize| -> Option<String> {
        let snapshot = fleet(count);
        let by = |fault: &Fault| fault.limit.map_or("fault", |hit| hit.name).to_owned();
        let prepared = match policy.prepare(Arc::clone(&snapshot), params) {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(refused)) => return Some(refused.to_string()),
            Err(fault) => return Some(by(&fault)),
        };
        let mut prepared = prepared;
        let mut times = Vec::with_capacity(TRIALS);
        for seed in 0..TRIALS as u64 {
            let begun = Instant::now();
            if let Err(fault) = prepared.pick(job, snapshot.scope.taken_at_unix_ms, seed) {
                return Some(by(&fault));
            }
            times.push(begun.elapsed());
        }
        times.sort();
        (times[TRIALS / 2] > PICK_BUDGET).then(|| "time".to_owned())
    };
    let (mut good, mut bad) = (0, FLEETS[0]);
    let mut by = loop {
        match broken(bad) {
            Some(by) => break by,
            None if bad == CANDIDATES_MAX => return None,
            None => (good, bad) = (bad, (bad * 2).min(CANDIDATES_MAX)),
        }
    };
    while bad - good > (bad / 16).max(1) {
        let middle = good + (bad - good) / 2;
        match broken(middle) {
            Some(how) => (bad, by) = (middle, how),
            None => good = middle,
        }
    }
    Some(Breaks { candidates: bad, by })
}

/// Makes up a fleet in which no two are alike, and all have room.
fn fleet(count: usize) -> Arc<Snapshot> {
    let scope = Scope::new("live-video-to-video/bench", Lot::live(), 1, 1_700_000_000_000);
    let candidates: Vec<_> = (0..count)
        .map(|number| {
            // A walk through odd residues: prices and delays that are in no order.
            let mixed = (number as u32).wrapping_mul(2_654_435_761);
            let name = format!("0x{number:040x}");
            let uri =
                format!("https://10.{}.{}.{}:8935", number >> 16, number >> 8 & 255, number & 255);
            Candidate {
                price_wei: 1_000 + u64::from(mixed >> 20),
                rtt_us: 1_000 + (mixed >> 16 & 0xffff),
                latency_p50_us: 40_000 + (mixed >> 12 & 0xffff),
                latency_p99_us: 120_000 + (mixed >> 8 & 0xffff),
                latency_score_ppm: 900_000,
                perf_score_ppm: 500_000 + (mixed >> 14 & 0xffff),
                attempts: 100,
                success_ppm: 900_000 + (mixed >> 16 & 0xffff),
                slots_total: 8,
                slots_free: 1 + mixed % 8,
                warm: mixed.is_multiple_of(2),
                ..Candidate::unknown(&name, &uri)
            }
        })
        .collect();
    Arc::new(Snapshot::new(scope, &candidates).expect("no more than a snapshot holds"))
}

fn pricing(subject: &Subject<'_>, loader: Loader, report: &mut Report) -> Result<(), Failure> {
    let engine = policy_engine(loader, report)?;
    let rule = subject.load(&engine, PricingRule::load)?;
    let prepared = rule.prepare(fleet(1), subject.params);
    let mut prepared = accepted(prepared, plugin::SetupError::class)?;
    let (job, conditions) = (Arc::new(JobFacts::default()), Arc::new(Conditions::default()));
    let mut load_ppm = 0;
    let mut times = series(CALLS, || {
        load_ppm = (load_ppm + 1_009) % 1_000_000;
        let basis = Basis {
            side: Side::Ask,
            urgency: Urgency::Live,
            tier: 0,
            base_wei: 1_000_000,
            units: 0,
            load_ppm,
            overhead_ppm: 0,
        };
        let begun = Instant::now();
        let quoted = prepared.quote(&job, &basis, &conditions, 0);
        quoted.map(|_| begun.elapsed()).map_err(|fault| faulted(&fault))
    })?;
    report.calls.push(line("quote", "1 job", &mut times));
    let mut units = 0;
    let mut times = series(CALLS, || {
        units += 27_648_000;
        let begun = Instant::now();
        let charged =
            prepared.charge(&job, 1_000_000, units, plugin::policy::pricing::Meter::default());
        charged.map(|_| begun.elapsed()).map_err(|fault| faulted(&fault))
    })?;
    report.calls.push(line("charge", "1 s of live video more each", &mut times));
    Ok(())
}

fn pipeline(subject: &Subject<'_>, loader: Loader, report: &mut Report) -> Result<(), Failure> {
    let engine =
        PipelineEngine::new().map_err(|error| Failure::from_error(error.class(), &error))?;
    report.engine = engine.describe();
    let engine = engine.with_loader(loader);
    // What it asks for is granted: the question here is what its calls take.
    let allowed = Allowed { grants: subject.manifest.grants.clone(), stores: None };
    let load = |engine: &PipelineEngine, manifest: &Manifest, bytes: &[u8], limits| {
        Pipeline::load(engine, manifest, bytes, limits, &allowed)
    };
    let pipeline = subject.load(&engine, load)?;
    let failed = |error: &session::SessionError| {
        let refused = error.failure();
        let failure = Failure::with_word(&refused.class, refused.message);
        match refused.fault {
            Some(fault) => failure.fault(FaultReport {
                kind: fault.kind,
                plugin: fault.plugin,
                version: fault.version,
            }),
            None => failure,
        }
    };
    let device = Device::open("cpu-0", &DeviceConfig::default())
        .map_err(|error| Failure::from_error(error.class(), &error))?;
    let show =
        Show { format: PixelFormat::Yuv420p, width: 1280, height: 720, frame_rate_milli: 30_000 };
    let mut rehearsal = Rehearsal::open(&pipeline, &device, &show, subject.params)
        .map_err(|error| failed(&error))?;
    let picture = show.gradient();
    let mut guest = Vec::with_capacity(PICTURES);
    let mut whole = series(PICTURES, || {
        let begun = Instant::now();
        rehearsal.frame(&picture).map_err(|error| failed(&error))?;
        guest.push(rehearsal.guest_time());
        Ok(begun.elapsed())
    })?;
    let over = format!("{}x{} on {}", show.width, show.height, device.name());
    report.calls.push(line("on-frame, guest", &over, &mut guest));
    report.calls.push(line("on-frame, whole", &over, &mut whole));
    let budget = pipeline.limits().time(Limit::FrameBudget);
    report.calls.push(line("on-frame, limit", "guest time", &mut [budget]));
    Ok(())
}

/// Takes `most` times, or as many as there is time for.
fn series(
    most: usize,
    mut call: impl FnMut() -> Result<Duration, Failure>,
) -> Result<Vec<Duration>, Failure> {
    let begun = Instant::now();
    let mut times = Vec::with_capacity(most);
    while times.len() < most && (times.len() < CALLS_MIN || begun.elapsed() < SERIES_TIME) {
        times.push(call()?);
    }
    Ok(times)
}

fn line(call: &'static str, over: &str, times: &mut [Duration]) -> Line {
    times.sort();
    let at = |permille: usize| {
        let time = times[(times.len() * permille / 1000).min(times.len() - 1)];
        (time.as_secs_f64() * 1e7).round() / 10.0
    };
    Line { call, over: over.to_owned(), p50_us: at(500), p99_us: at(990) }
}

fn text(report: &Report) -> String {
    let mut lines = vec![
        format!("{} {} ({}) {}", report.plugin, report.version, report.world, report.digest),
        format!("  {}", report.engine),
        format!("  {:<16} {:<28} {:>10} {:>10}", "call", "over", "p50 us", "p99 us"),
    ];
    lines.extend(report.calls.iter().map(|line| {
        format!("  {:<16} {:<28} {:>10.1} {:>10.1}", line.call, line.over, line.p50_us, line.p99_us)
    }));
    if report.world == World::SelectionPolicy.name() {
        let budget = PICK_BUDGET.as_micros();
        lines.push(match &report.breaks_at {
            Some(Breaks { candidates, by }) => format!(
                "  from about {candidates} candidates on it breaks its plugin slot's budget: {by} \
                 (a pick has {budget} us)"
            ),
            None => format!("  a pick keeps its {budget} us at {CANDIDATES_MAX} candidates"),
        });
    }
    lines.join("\n")
}
