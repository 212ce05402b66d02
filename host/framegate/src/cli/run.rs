//! `framegate run`: sends a file through a pipeline as a live job, or through a worker of its own.
//!
//! Decides the order of a run: everything is checked before anything is asked for, and the file is
//! written only when its job ended well. Which way the media takes is in [`remote`] and [`local`];
//! it links `media` to cut and rejoin, and decodes nothing.
//!
//! **Invariant:** a run that fails leaves no file, and one that is interrupted leaves no job.

mod local;
mod progress;
mod record;
mod remote;
mod report;
mod sink;
mod source;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use domain::Class;
use media::Rejoined;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{interval, timeout};

use self::progress::Progress;
use self::report::Report;
use self::sink::{Arrived, Stopped, Target};
use self::source::{Pace, Piece, Sent, Source};
use super::Common;
use crate::failure::{Exit, Failure};
use crate::out;

/// Time in which nothing may move before the run gives up: longer than a session may be without
/// input plus the time it has to flush its tail.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Time between two looks at whether anything moved.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time for the threads to end once their channels are closed; they only write what is held.
const FINISH_MAX: Duration = Duration::from_secs(30);

/// What is sent, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File to send: any container of pictures and sound
    input: PathBuf,
    /// Pipeline to send it through, by its plugin's id
    #[arg(long, value_name = "NAME")]
    pipeline: String,
    /// Parameters of the pipeline, a JSON object
    #[arg(long, value_name = "JSON", default_value = "{}")]
    params: String,
    /// File to write, `.mp4`
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Use a worker of this program instead of a gateway
    #[arg(long, conflicts_with_all = ["gateway", "max_price"])]
    local: bool,
    /// The gateway [default: $FRAMEGATE_GATEWAY, the one that runs here, http://127.0.0.1:9935]
    #[arg(long, value_name = "URL")]
    gateway: Option<String>,
    /// Most that a lot (1,000,000 lv2v-pixel-second) may cost, in wei
    #[arg(long, value_name = "WEI")]
    max_price: Option<u64>,
    /// Send at the speed at which it plays, not as fast as it is taken
    #[arg(long)]
    realtime: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Also write the JSON to this file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// The two ways of the media.
enum Way {
    Remote(Box<remote::Remote>),
    Local(Box<local::Local>),
}

/// Where a way takes media from and gives it to.
struct Ends {
    pieces: mpsc::Receiver<Piece>,
    arrived: mpsc::Sender<Arrived>,
}

/// The two threads of a run, as the run sees them.
struct Threads {
    sent: oneshot::Receiver<Result<Sent, Failure>>,
    written: oneshot::Receiver<Result<Rejoined, Stopped>>,
    /// Ends the file; dropped, it is given up.
    end: mpsc::Sender<Arrived>,
}

pub(super) fn main(args: &Args, common: &Common) -> Result<Exit, Failure> {
    let params = check_params(&args.params)?;
    let way = if args.local {
        Way::Local(Box::new(local::Local::prepare(&args.pipeline, &params, common)?))
    } else {
        let wish =
            remote::Wish { pipeline: args.pipeline.clone(), params, max_price_wei: args.max_price };
        Way::Remote(Box::new(remote::Remote::prepare(args.gateway.as_deref(), common, wish)?))
    };
    sink::check_name(&args.output)?;
    let source = Source::open(&args.input)?;
    let target = Target::create(&args.output, source.plan())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::from_error(Class::Internal, &error))?;
    let pace = if args.realtime { Pace::Realtime } else { Pace::Unbounded };
    let report = runtime.block_on(carry_out(way, source, target, pace))?;
    tell(args, &report)
}

/// Checks the parameters: a JSON object.
fn check_params(text: &str) -> Result<serde_json::Value, Failure> {
    let hint = r#"write a JSON object, such as `--params '{"strength": 0.5}'`"#;
    match serde_json::from_str(text) {
        Ok(value @ serde_json::Value::Object(_)) => Ok(value),
        Ok(_) => Err(Failure::usage("`--params` is no JSON object").hint(hint)),
        Err(error) => Err(Failure::usage(format!("`--params` is no JSON: {error}")).hint(hint)),
    }
}

async fn carry_out(
    way: Way,
    source: Source,
    target: Target,
    pace: Pace,
) -> Result<Report, Failure> {
    let begun = Instant::now();
    let leaves_tracks_out = source.leaves_tracks_out();
    let progress = Arc::new(Progress::new(source.frames_expected()));
    let (threads, ends) = start_threads(source, target, pace, &progress)?;
    // Owned, so that it is gone before the threads at its ends are waited for.
    let mut carrying = Box::pin(way.run(ends));
    let carried = tokio::select! {
        carried = &mut carrying => carried,
        failure = stopped(&progress) => {
            way.settle(carrying).await;
            Err(failure)
        }
    };
    if carried.is_err() {
        way.cancel().await;
    }
    let concluded = threads.conclude(carried).await;
    progress.finish();
    let mut report = concluded?;
    if leaves_tracks_out {
        report.warn("tracks-left-out");
    }
    report.wall_s = begun.elapsed().as_secs_f64();
    Ok(report)
}

/// Waits for what ends a run from outside, and says what it was.
async fn stopped(progress: &Progress) -> Failure {
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.map_or_else(
            |error| Failure::from_error(Class::Internal, &error),
            |()| Failure::new(Class::Cancelled, "interrupted"),
        ),
        () = silence(progress) => Failure::new(
            Class::TimedOut,
            format!("nothing moved for {} s", SILENCE_MAX.as_secs()),
        ),
    }
}

impl Way {
    /// Carries the media both ways and returns what the session came to.
    async fn run(&self, ends: Ends) -> Result<Report, Failure> {
        match self {
            Self::Remote(remote) => remote.run(ends).await,
            Self::Local(local) => local.run(ends).await,
        }
    }

    /// Lets a run that is stopped come to where it can be cancelled.
    async fn settle(&self, carrying: impl Future<Output = Result<Report, Failure>>) {
        match self {
            Self::Remote(remote) => remote.settle(carrying).await,
            Self::Local(_) => {}
        }
    }

    /// Ends what a run that failed began.
    async fn cancel(&self) {
        match self {
            Self::Remote(remote) => remote.cancel().await,
            // The worker ends with the socket to it.
            Self::Local(_) => {}
        }
    }
}

impl Threads {
    /// Finishes the file of a job that ended well, and gives up any other.
    async fn conclude(self, carried: Result<Report, Failure>) -> Result<Report, Failure> {
        let Self { sent, written, end } = self;
        let good = match carried {
            Ok(report) => check_sent(report, sent).await,
            Err(failure) => Err(failure),
        };
        if good.is_ok() {
            // A thread that is gone has left its reason.
            let _ = end.send(Arrived::End).await;
        }
        drop(end);
        match (good, ended("writing the result", written).await?) {
            // A result that cannot be written ends the job: then that is the failure.
            (_, Err(Stopped::Failed(failure))) | (Err(failure), _) => Err(failure),
            (Ok(report), Ok(rejoined)) => Ok(check_written(report, &rejoined)),
            (Ok(_), Err(Stopped::GivenUp)) => Err(not_taken()),
        }
    }
}

/// Compares what the job says with what was sent.
async fn check_sent(
    mut report: Report,
    sent: oneshot::Receiver<Result<Sent, Failure>>,
) -> Result<Report, Failure> {
    let sent = ended("reading the input", sent).await??;
    if sent.truncated {
        report.warn("input-truncated");
    }
    if report.frames.input == 0 {
        return Err(Failure::new(Class::Invalid, "no picture of the input can be decoded"));
    }
    Ok(report)
}

/// Compares what the job says with what came.
fn check_written(mut report: Report, rejoined: &Rejoined) -> Report {
    if rejoined.frames < report.frames.out {
        report.frames.dropped += report.frames.out - rejoined.frames;
        report.frames.out = rejoined.frames;
        report.warn("result-incomplete");
    }
    report
}

/// What a way says when the thread that writes the result is gone; that thread says why.
fn not_taken() -> Failure {
    Failure::new(Class::Internal, "the result is not taken any more")
}

/// Makes the failure that a session ended with from the word of its class.
fn failure_of(class: &str, message: &str) -> Failure {
    const CLASSES: [Class; 10] = [
        Class::Invalid,
        Class::Denied,
        Class::NotFound,
        Class::Conflict,
        Class::Exhausted,
        Class::Unavailable,
        Class::TimedOut,
        Class::Cancelled,
        Class::PluginFault,
        Class::Internal,
    ];
    let found = CLASSES.into_iter().find(|known| known.name() == class);
    Failure::new(found.unwrap_or(Class::Internal), message)
}

/// Waits for a thread's answer.
async fn ended<T>(what: &str, answer: oneshot::Receiver<T>) -> Result<T, Failure> {
    match timeout(FINISH_MAX, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(Failure::new(Class::Internal, format!("{what}: its thread is gone"))),
        Err(_) => Err(Failure::new(Class::Internal, format!("{what}: its thread hangs"))),
    }
}

fn start_threads(
    source: Source,
    target: Target,
    pace: Pace,
    progress: &Arc<Progress>,
) -> Result<(Threads, Ends), Failure> {
    let (pieces, taken) = mpsc::channel(source::PIECES_MAX);
    let (arrived, arriving) = mpsc::channel(sink::PIECES_MAX);
    let (tell_sent, sent) = oneshot::channel();
    let (tell_written, written) = oneshot::channel();
    let (feeding, collecting) = (Arc::clone(progress), Arc::clone(progress));
    // Where nobody waits for an answer any more the run has failed already.
    let feed = move || drop(tell_sent.send(source.send(&pieces, pace, &feeding)));
    let collect = move || drop(tell_written.send(target.write(arriving, &collecting)));
    let failed = |error| Failure::from_error(Class::Internal, &error);
    thread::Builder::new().name("run-feed".to_owned()).spawn(feed).map_err(failed)?;
    thread::Builder::new().name("run-collect".to_owned()).spawn(collect).map_err(failed)?;
    let threads = Threads { sent, written, end: arrived.clone() };
    Ok((threads, Ends { pieces: taken, arrived }))
}

/// Ends when nothing has moved for [`SILENCE_MAX`].
async fn silence(progress: &Progress) {
    let mut look = interval(LOOK_EVERY);
    let (mut steps, mut moved) = (progress.steps(), Instant::now());
    while moved.elapsed() < SILENCE_MAX {
        look.tick().await;
        if progress.steps() != steps {
            (steps, moved) = (progress.steps(), Instant::now());
        }
    }
}

/// Prints what came of it and says how the command ended.
fn tell(args: &Args, report: &Report) -> Result<Exit, Failure> {
    if let Some(path) = &args.report {
        let text = serde_json::to_vec_pretty(report)
            .map_err(|error| Failure::from_error(Class::Internal, &error))?;
        fs::write(path, text)
            .map_err(|error| Failure::usage(format!("report `{}`: {error}", path.display())))?;
    }
    if args.json {
        out::json(report)?;
    } else {
        out::line(report.table().trim_end())?;
    }
    Ok(if report.frames.dropped > 0 { Exit::FramesLost } else { Exit::Ok })
}
