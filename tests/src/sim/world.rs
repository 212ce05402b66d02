//! One market from its first event to its last, and the promises about the whole of it.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use domain::session::EndReason;

use super::client::Client;
use super::gateway::Gateway;
use super::judge::{Judge, Rule};
use super::net::{Event, Fault, Message, Network, Node, TICK, Weather};
use super::orchestrator::Orchestrator;
use super::{Flaw, Summary, Violation};
use crate::rng::Rng;

/// A market in which clients are still not through after so long does not end.
const HORIZON: Duration = Duration::from_secs(3600);
/// After the last client everything is given back within this time: the longest life of a job that
/// nobody speaks to, and of the session that it may leave behind.
const SETTLE: Duration = Duration::from_secs(180);

/// How a client's ask came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// No one serves it.
    Refused(&'static str),
    /// It ran and ended.
    Ended(EndReason),
    /// The front door did not answer.
    Unanswered,
    /// The front door was killed and knows nothing of it.
    Forgotten,
    /// The client went without a word.
    Left,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(class) => write!(f, "refused: {class}"),
            Self::Ended(reason) => write!(f, "ended: {reason}"),
            Self::Unanswered => f.write_str("unanswered"),
            Self::Forgotten => f.write_str("forgotten"),
            Self::Left => f.write_str("left"),
        }
    }
}

/// What a party may touch while it acts.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) now: Duration,
    pub(super) judge: &'a mut Judge,
    start: Instant,
    calm: bool,
    net: &'a mut Network,
    rng: &'a mut Rng,
    outcomes: &'a mut BTreeSet<String>,
}

impl Context<'_> {
    /// Returns the time as domain wants it.
    pub(super) fn instant(&self) -> Instant {
        self.instant_of(self.now)
    }

    /// Returns another time as domain wants it.
    pub(super) fn instant_of(&self, time: Duration) -> Instant {
        self.start + time
    }

    pub(super) fn send(&mut self, from: Node, to: Node, message: Message) {
        self.net.send(self.rng, self.now, (from, to), message);
    }

    pub(super) fn promise(&mut self, kept: bool, rule: Rule, text: impl FnOnce() -> String) {
        self.judge.promise(kept, rule, text);
    }

    /// Notes how an ask came out.
    pub(super) fn came_out(&mut self, outcome: Outcome) {
        let unheard = matches!(outcome, Outcome::Unanswered | Outcome::Forgotten);
        let kept = !(self.calm && unheard);
        self.judge.promise(kept, Rule::ClientHears, || format!("{outcome} in calm weather"));
        self.outcomes.insert(outcome.to_string());
    }
}

/// Everything there is.
#[derive(Debug)]
pub(super) struct World {
    seed: u64,
    start: Instant,
    rng: Rng,
    calm: bool,
    net: Network,
    judge: Judge,
    clients: Vec<Client>,
    gateways: Vec<Gateway>,
    orchestrators: Vec<Orchestrator>,
    outcomes: BTreeSet<String>,
    trace: u64,
    steps: u64,
}

impl World {
    pub(super) fn new(seed: u64, flaw: Flaw) -> Self {
        let mut rng = Rng::new(seed);
        let calm = rng.chance(150_000);
        let worst = if calm { 0 } else { rng.between(0, 300_000) };
        let weather =
            Weather { lost_ppm: worst, twice_ppm: worst / 2, slow_ppm: rng.between(0, 500_000) };
        let (clients, gateways, orchestrators) =
            (rng.between(1, 16), rng.between(1, 2), rng.between(1, 5));
        let count = |of: u64| usize::try_from(of).expect("few");
        let (clients, gateways, orchestrators) =
            (count(clients), count(gateways), count(orchestrators));
        let mut world = Self {
            seed,
            start: Instant::now(),
            calm,
            net: Network::new(weather),
            judge: Judge::default(),
            clients: (0..clients).map(|i| Client::new(i, gateways, &mut rng)).collect(),
            gateways: (0..gateways)
                .map(|i| Gateway::new(i, orchestrators, flaw, &mut rng))
                .collect(),
            orchestrators: (0..orchestrators)
                .map(|i| Orchestrator::new(i, flaw, &mut rng))
                .collect(),
            outcomes: BTreeSet::new(),
            trace: 0xcbf2_9ce4_8422_2325,
            steps: 0,
            rng,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        let nodes = (0..self.clients.len()).map(Node::Client);
        let nodes = nodes.chain((0..self.gateways.len()).map(Node::Gateway));
        let nodes = nodes.chain((0..self.orchestrators.len()).map(Node::Orchestrator));
        let nodes: Vec<Node> = nodes.collect();
        for node in &nodes {
            let first = self.rng.time(0, 1000);
            self.net.at(first, Event::Tick(*node));
        }
        if self.calm {
            return;
        }
        for _ in 0..self.rng.below(8) {
            let at = self.rng.time(5_000, 240_000);
            let orchestrator = self.rng.index(self.orchestrators.len());
            let fault = match self.rng.below(10) {
                0..3 => Fault::WorkerLost(orchestrator),
                3..5 => Fault::OrchestratorKilled(orchestrator),
                5 => Fault::GatewayKilled(self.rng.index(self.gateways.len())),
                6 => Fault::OrchestratorStops(orchestrator),
                _ => {
                    let node = nodes[self.rng.index(nodes.len())];
                    Fault::Cut(node, self.rng.time(1_000, 40_000))
                }
            };
            self.net.at(at, Event::Fault(fault));
        }
    }

    /// Lets everything happen and returns what came of it.
    pub(super) fn run(mut self) -> Result<Summary, Violation> {
        let mut now = Duration::ZERO;
        let mut through = None;
        while let Some((time, event)) = self.net.next() {
            now = time;
            if through.is_some_and(|at| now > at + SETTLE) {
                break;
            }
            self.note(now, &event);
            self.step(now, event);
            if through.is_none() && self.clients.iter().all(Client::is_done) {
                through = Some(now);
            }
            let endless = through.is_none() && now > HORIZON;
            self.judge.promise(!endless, Rule::ClientHears, || "clients never get through".into());
            if self.judge.broken.is_some() {
                break;
            }
        }
        let idle = self.gateways.iter().all(Gateway::is_idle)
            && self.orchestrators.iter().all(Orchestrator::is_idle);
        self.judge.promise(idle, Rule::Quiet, || "something is still held".into());
        if let Some((rule, text)) = self.judge.broken {
            return Err(Violation { seed: self.seed, at: now, rule, text });
        }
        Ok(Summary {
            trace: self.trace,
            steps: self.steps,
            sessions: self.judge.sessions,
            outcomes: self.outcomes,
        })
    }

    fn step(&mut self, now: Duration, event: Event) {
        let Self { start, calm, net, rng, judge, outcomes, .. } = self;
        let mut context = Context { now, start: *start, calm: *calm, net, rng, judge, outcomes };
        let context = &mut context;
        match event {
            Event::Tick(node) => {
                context.net.at(now + TICK, Event::Tick(node));
                match node {
                    Node::Client(index) => self.clients[index].tick(context),
                    Node::Gateway(index) => self.gateways[index].tick(context),
                    Node::Orchestrator(index) => self.orchestrators[index].tick(context),
                }
            }
            Event::Deliver { from, to, message } => match to {
                Node::Client(index) => self.clients[index].take(context, &message),
                Node::Gateway(index) => self.gateways[index].take(context, from, &message),
                Node::Orchestrator(index) => {
                    self.orchestrators[index].take(context, from, &message);
                }
            },
            Event::Fault(fault) => match fault {
                Fault::WorkerLost(index) => self.orchestrators[index].lose_worker(context),
                Fault::OrchestratorKilled(index) => self.orchestrators[index].restart(context),
                Fault::GatewayKilled(index) => self.gateways[index].restart(context),
                Fault::OrchestratorStops(index) => self.orchestrators[index].stop(context),
                Fault::Cut(node, time) => context.net.cut(node, now + time),
            },
        }
    }

    /// Mixes an event into the trace (FNV-1a over its text).
    fn note(&mut self, now: Duration, event: &Event) {
        self.steps += 1;
        for byte in format!("{now:?} {event:?}").bytes() {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
