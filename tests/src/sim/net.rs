//! The network: what is sent arrives later, in any order, twice, or not at all.
//!
//! It also carries each node's own clock ticks, so that one queue is the order of everything.
//! **Invariant:** two events never compare equal, so the order is a function of the seed.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::id::JobId;
use domain::price::UnitPrice;
use domain::select::Reason;
use domain::session::EndReason;

use crate::rng::Rng;

/// Time between two looks at the clock of one node; what it is late by counts in every bound.
pub(super) const TICK: Duration = Duration::from_secs(1);
/// Longest time a message takes that arrives at all, in milliseconds.
pub(super) const DELAY_MS_MAX: u64 = 900;

/// A party of the market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Node {
    Client(usize),
    Gateway(usize),
    Orchestrator(usize),
}

/// What parties say to each other.
#[derive(Debug, Clone)]
pub(super) enum Message {
    // Client to gateway.
    Ask { ask: u64, cap_wei: u64 },
    Input { job: JobId, second: u64 },
    Close { job: JobId },
    Read { job: JobId },
    Poll { job: JobId },
    // Gateway to client.
    Accepted { ask: u64, job: JobId },
    Refused { ask: u64, class: &'static str },
    Status { job: JobId, life: Life },
    // Gateway to orchestrator.
    Discover,
    Start { job: JobId, quote: u64 },
    Feed { job: JobId, second: u64 },
    Stop { job: JobId },
    Taken { job: JobId },
    // Orchestrator to gateway.
    Offer(Terms),
    Started { job: JobId },
    NotStarted { job: JobId, reason: Reason },
    Alive { job: JobId },
    Report { job: JobId, reason: EndReason },
}

/// What a gateway says of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Goes,
    Over(EndReason),
    Unknown,
}

/// What an orchestrator says of itself when it is asked.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) capable: bool,
    pub(super) price: Option<UnitPrice>,
    pub(super) quote: u64,
    pub(super) slots_free: Option<u32>,
}

/// What happens next.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Tick(Node),
    Deliver { from: Node, to: Node, message: Message },
    Fault(Fault),
}

/// What goes wrong, besides lost messages.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// The worker of an orchestrator is gone and comes back at once; its sessions are lost.
    WorkerLost(usize),
    /// An orchestrator is killed and comes back knowing nothing.
    OrchestratorKilled(usize),
    /// A gateway is killed and comes back knowing nothing.
    GatewayKilled(usize),
    /// An orchestrator is asked to stop: it drains what it has and takes no more.
    OrchestratorStops(usize),
    /// No message reaches or leaves a node for some time.
    Cut(Node, Duration),
}

/// How unkind the network is, in millionths.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    pub(super) lost_ppm: u64,
    pub(super) twice_ppm: u64,
    pub(super) slow_ppm: u64,
}

/// The queue of everything that is still to happen.
#[derive(Debug)]
pub(super) struct Network {
    weather: Weather,
    queue: BTreeMap<(Duration, u64), Event>,
    sent: u64,
    cut: BTreeMap<Node, Duration>,
}

impl Network {
    pub(super) const fn new(weather: Weather) -> Self {
        Self { weather, queue: BTreeMap::new(), sent: 0, cut: BTreeMap::new() }
    }

    /// Puts `event` at a time of its own.
    pub(super) fn at(&mut self, time: Duration, event: Event) {
        self.sent += 1;
        self.queue.insert((time, self.sent), event);
    }

    /// Sends a message at `now`.
    pub(super) fn send(
        &mut self,
        rng: &mut Rng,
        now: Duration,
        (from, to): (Node, Node),
        message: Message,
    ) {
        let copies = 1 + u32::from(rng.chance(self.weather.twice_ppm));
        for _ in 0..copies {
            let slow = rng.chance(self.weather.slow_ppm);
            let delay = if slow { rng.time(100, DELAY_MS_MAX) } else { rng.time(1, 60) };
            if !rng.chance(self.weather.lost_ppm) {
                self.at(now + delay, Event::Deliver { from, to, message: message.clone() });
            }
        }
    }

    /// Cuts `node` off until `until`.
    pub(super) fn cut(&mut self, node: Node, until: Duration) {
        self.cut.insert(node, until);
    }

    /// Takes what happens next that nothing keeps from happening.
    pub(super) fn next(&mut self) -> Option<(Duration, Event)> {
        loop {
            let ((time, _), event) = self.queue.pop_first()?;
            let off = |node: &Node| self.cut.get(node).is_some_and(|until| time < *until);
            match &event {
                Event::Deliver { from, to, .. } if off(from) || off(to) => {}
                Event::Deliver { .. } | Event::Tick(_) | Event::Fault(_) => {
                    return Some((time, event));
                }
            }
        }
    }
}
