//! A gateway: collects offerings, binds jobs to orchestrators, passes media on, tells clients.
//!
//! The decisions are domain's (`Job`, `rank`, `passed_over`); here is only what an edge does with
//! them. What ranks may be the native rule or something that is wrong in every way a component can.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use domain::capability::Capability;
use domain::id::{JobId, OrchestratorId};
use domain::job::{self, Job};
use domain::offering::Offering;
use domain::select::{self, PassedOver, Reason};
use domain::session::EndReason;

use super::Flaw;
use super::net::{Life, Message, Node, Terms};
use super::world::Context;
use crate::rng::Rng;

/// Time between two rounds of asking all orchestrators, as `discovery.interval` ships.
const DISCOVER_EVERY: Duration = Duration::from_secs(5);
/// An offering that was not heard again for so long does not stand: three rounds.
const OFFERING_LIFE: Duration = Duration::from_secs(15);

#[derive(Debug)]
struct Entry {
    job: Job,
    client: Node,
    ask: u64,
    /// Orchestrator and quote of each candidate.
    candidates: Vec<(usize, u64)>,
    /// Orchestrators that lost the job. What still comes from them is of a session that is gone.
    left: Vec<usize>,
}

/// What this gateway knows of one orchestrator.
#[derive(Debug, Clone)]
struct Known {
    terms: Terms,
    heard: Duration,
}

/// One front door.
#[derive(Debug)]
pub(super) struct Gateway {
    index: usize,
    flaw: Flaw,
    rng: Rng,
    known: Vec<Option<Known>>,
    jobs: BTreeMap<JobId, Entry>,
    next_job: u64,
    asked: Option<Duration>,
}

impl Gateway {
    pub(super) fn new(index: usize, orchestrators: usize, flaw: Flaw, rng: &mut Rng) -> Self {
        Self {
            index,
            flaw,
            rng: Rng::new(rng.bits()),
            known: vec![None; orchestrators],
            jobs: BTreeMap::new(),
            next_job: index as u64 * 1_000_000 + 1,
            asked: None,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.jobs.values().all(|entry| entry.job.is_over())
    }

    /// Is killed and starts again without a memory.
    pub(super) fn restart(&mut self, context: &mut Context<'_>) {
        for job in self.jobs.keys() {
            context.judge.job_forgotten(*job);
        }
        self.jobs.clear();
        self.known.fill(None);
        self.asked = None;
    }

    /// Looks at the clock.
    pub(super) fn tick(&mut self, context: &mut Context<'_>) {
        if self.asked.is_none_or(|at| context.now >= at + DISCOVER_EVERY) {
            self.discover(context);
        }
        let jobs: Vec<JobId> = self.jobs.keys().copied().collect();
        for id in jobs {
            let Some(entry) = self.jobs.get_mut(&id) else { continue };
            let stalls = matches!(self.flaw, Flaw::WaitsForReport)
                && matches!(entry.job.state(), job::State::Draining { .. });
            let steps = if stalls { Vec::new() } else { entry.job.tick(context.instant()) };
            if let job::State::Draining { candidate, .. } = entry.job.state() {
                // Asking again costs nothing, and the report may have been lost.
                let to = Node::Orchestrator(entry.candidates[candidate].0);
                context.send(Node::Gateway(self.index), to, Message::Stop { job: id });
            }
            self.act(context, id, &steps);
            let entry = &self.jobs[&id];
            context.judge.job_seen(id, context.now, &entry.job);
        }
    }

    /// Takes a message.
    pub(super) fn take(&mut self, context: &mut Context<'_>, from: Node, message: &Message) {
        match (from, message) {
            (_, Message::Ask { ask, cap_wei }) => self.ask(context, from, *ask, *cap_wei),
            (_, Message::Input { job, second }) => self.input(context, *job, *second),
            (_, Message::Close { job }) => {
                self.tell(context, *job, |it, now| it.end(EndReason::Eos, now));
            }
            (_, Message::Read { job }) => self.read(context, *job),
            (_, Message::Poll { job }) => {
                let life = self.life(*job);
                context.send(Node::Gateway(self.index), from, Message::Status { job: *job, life });
            }
            (Node::Orchestrator(who), Message::Offer(terms)) => {
                let heard = context.now;
                self.known[who] = Some(Known { terms: terms.clone(), heard });
                self.find_for_all(context);
            }
            (Node::Orchestrator(who), Message::Started { job }) => {
                self.answer(context, who, *job, Job::started);
            }
            (Node::Orchestrator(who), Message::NotStarted { job, reason }) => {
                context.judge.not_started(*job, who, reason.class());
                let reason = reason.clone();
                self.answer(context, who, *job, |it, who, now| it.failed(who, reason, now));
            }
            (Node::Orchestrator(who), Message::Report { job, reason }) => {
                context.judge.not_started(*job, who, "denied");
                let reason = *reason;
                self.answer(context, who, *job, |it, who, now| it.finished(who, reason, now));
            }
            (Node::Orchestrator(who), Message::Alive { job }) => {
                self.answer(context, who, *job, |_, _, _| Vec::new());
            }
            _ => {}
        }
    }

    fn discover(&mut self, context: &mut Context<'_>) {
        self.asked = Some(context.now);
        for who in 0..self.known.len() {
            context.send(Node::Gateway(self.index), Node::Orchestrator(who), Message::Discover);
        }
    }

    fn ask(&mut self, context: &mut Context<'_>, client: Node, ask: u64, cap_wei: u64) {
        let id = JobId(self.next_job);
        self.next_job += 1;
        context.judge.job_asked(id, context.now, cap_wei);
        let cap_wei = if matches!(self.flaw, Flaw::IgnoresCap) { u64::MAX } else { cap_wei };
        let job = Job::ask(cap_wei, context.instant());
        self.jobs.insert(id, Entry { job, client, ask, candidates: Vec::new(), left: Vec::new() });
        if self.offerings(context).is_empty() {
            return self.discover(context);
        }
        self.find(context, id);
    }

    /// Gives a fresh snapshot to every job that waits for one.
    fn find_for_all(&mut self, context: &mut Context<'_>) {
        let finding = |(id, entry): (&JobId, &Entry)| {
            matches!(entry.job.state(), job::State::Finding { .. }).then_some(*id)
        };
        let waiting: Vec<JobId> = self.jobs.iter().filter_map(finding).collect();
        if !self.offerings(context).is_empty() {
            for id in waiting {
                self.find(context, id);
            }
        }
    }

    fn find(&mut self, context: &mut Context<'_>, id: JobId) {
        let (who, offerings): (Vec<_>, Vec<_>) = self.offerings(context).into_iter().unzip();
        let absent: Vec<PassedOver> = (0..self.known.len())
            .filter(|index| !who.iter().any(|(known, _)| known == index))
            .map(|index| self.absent(context, index))
            .collect();
        let Some(entry) = self.jobs.get_mut(&id) else { return };
        let cap_wei = context.judge.cap(id);
        let mut ranked = rank(&mut self.rng, &offerings, cap_wei);
        ranked.retain(|index| who.get(*index).is_none_or(|(who, _)| !entry.left.contains(who)));
        entry.candidates = who;
        let classes = offerings.iter().zip(&entry.candidates);
        let classes = classes.map(|(offering, (who, _))| (*who, offering.clone())).collect();
        context.judge.snapshot(id, classes, &absent);
        let steps = entry.job.found(&offerings, absent, &ranked, context.instant());
        self.act(context, id, &steps);
    }

    fn absent(&self, context: &Context<'_>, index: usize) -> PassedOver {
        let known = self.known[index].as_ref().filter(|known| stands(known, context.now));
        let reason = match known {
            Some(_) => Reason::NoCapability,
            None => Reason::Unreachable { detail: "no offering stands".to_owned() },
        };
        PassedOver { orchestrator: name(index), reason }
    }

    fn offerings(&self, context: &Context<'_>) -> Vec<((usize, u64), Offering)> {
        let mut found = Vec::new();
        for (index, known) in self.known.iter().enumerate() {
            let Some(known) = known.as_ref().filter(|k| k.terms.capable && stands(k, context.now))
            else {
                continue;
            };
            let serves = |entry: &&Entry| {
                entry.job.serving().is_some_and(|at| entry.candidates[at].0 == index)
            };
            let in_flight = self.jobs.values().filter(|e| !e.job.is_over()).filter(serves).count();
            let in_flight = u32::try_from(in_flight).expect("few");
            let expires_at = context.instant_of(known.heard + OFFERING_LIFE);
            found.push((
                (index, known.terms.quote),
                offering(index, &known.terms, in_flight, expires_at),
            ));
        }
        found
    }

    fn input(&mut self, context: &mut Context<'_>, id: JobId, second: u64) {
        let Some(entry) = self.jobs.get_mut(&id) else { return };
        if let job::State::Running { candidate } = entry.job.state() {
            entry.job.input(context.instant());
            context.judge.job_input(id, context.now);
            let to = Node::Orchestrator(entry.candidates[candidate].0);
            context.send(Node::Gateway(self.index), to, Message::Feed { job: id, second });
        }
    }

    fn read(&mut self, context: &mut Context<'_>, id: JobId) {
        let Some(entry) = self.jobs.get_mut(&id) else { return };
        if let job::State::Draining { candidate, .. } = entry.job.state() {
            entry.job.output(context.instant());
            context.judge.job_input(id, context.now);
            let to = Node::Orchestrator(entry.candidates[candidate].0);
            context.send(Node::Gateway(self.index), to, Message::Taken { job: id });
        }
    }

    /// Hands what an orchestrator said to the job, in which it is a candidate.
    fn answer(
        &mut self,
        context: &mut Context<'_>,
        who: usize,
        id: JobId,
        what: impl FnOnce(&mut Job, usize, Instant) -> Vec<job::Step>,
    ) {
        let Some(entry) = self.jobs.get_mut(&id) else { return };
        let Some(candidate) = entry.candidates.iter().position(|(at, _)| *at == who) else {
            return;
        };
        if entry.left.contains(&who) {
            return;
        }
        if entry.job.serving() == Some(candidate) {
            entry.job.heard(context.instant());
            context.judge.job_heard(id, context.now);
        }
        let steps = what(&mut entry.job, candidate, context.instant());
        self.act(context, id, &steps);
    }

    fn tell(
        &mut self,
        context: &mut Context<'_>,
        id: JobId,
        what: impl FnOnce(&mut Job, Instant) -> Vec<job::Step>,
    ) {
        let Some(entry) = self.jobs.get_mut(&id) else { return };
        let steps = what(&mut entry.job, context.instant());
        self.act(context, id, &steps);
    }

    fn act(&mut self, context: &mut Context<'_>, id: JobId, steps: &[job::Step]) {
        let here = Node::Gateway(self.index);
        let Some(entry) = self.jobs.get_mut(&id) else { return };
        if let [job::Step::Leave(candidate)] = steps {
            let (who, _) = entry.candidates[*candidate];
            entry.left.push(who);
            context.judge.job_moves(id, context.now, who);
            context.send(here, Node::Orchestrator(who), Message::Stop { job: id });
            return self.find(context, id);
        }
        let Some(entry) = self.jobs.get(&id) else { return };
        let (ask, client) = (entry.ask, entry.client);
        let at = |candidate: usize| Node::Orchestrator(entry.candidates[candidate].0);
        for step in steps {
            match *step {
                job::Step::Start(candidate) => {
                    let (who, quote) = entry.candidates[candidate];
                    context.judge.tried(id, who);
                    context.send(here, at(candidate), Message::Start { job: id, quote });
                }
                job::Step::Stop(candidate) | job::Step::Leave(candidate) => {
                    context.send(here, at(candidate), Message::Stop { job: id });
                }
                job::Step::Resume(candidate) => {
                    context.judge.job_accepted(id, context.now, entry.candidates[candidate].0);
                    self.judge_reasons(context, id);
                }
                job::Step::Accept(candidate) => {
                    context.judge.job_accepted(id, context.now, entry.candidates[candidate].0);
                    self.judge_reasons(context, id);
                    context.send(here, client, Message::Accepted { ask, job: id });
                }
                job::Step::Refuse => {
                    context.judge.job_refused(id);
                    self.judge_reasons(context, id);
                    let reasons = entry.job.passed_over();
                    let class = select::speaking(&reasons).map_or("unreachable", Reason::class);
                    context.send(here, client, Message::Refused { ask, class });
                }
                job::Step::Settle(reason) => {
                    context.judge.job_over(id, reason);
                    self.judge_reasons(context, id);
                    let life = Life::Over(reason);
                    context.send(here, client, Message::Status { job: id, life });
                }
            }
        }
    }

    fn judge_reasons(&self, context: &mut Context<'_>, id: JobId) {
        let mut reasons = self.jobs[&id].job.passed_over();
        if matches!(self.flaw, Flaw::ForgetsOne) {
            reasons.pop();
        }
        context.judge.reasons(id, &reasons);
    }

    fn life(&self, job: JobId) -> Life {
        let Some(entry) = self.jobs.get(&job) else { return Life::Unknown };
        match entry.job.state() {
            job::State::Ended { reason, .. } => Life::Over(reason),
            job::State::Refused => Life::Unknown,
            job::State::Finding { .. }
            | job::State::Starting { .. }
            | job::State::Running { .. }
            | job::State::Draining { .. } => Life::Goes,
        }
    }
}

fn stands(known: &Known, now: Duration) -> bool {
    now < known.heard + OFFERING_LIFE
}

/// Returns the name that an orchestrator goes by.
pub(super) fn name(index: usize) -> OrchestratorId {
    OrchestratorId(format!("orchestrator-{index}"))
}

fn offering(index: usize, terms: &Terms, in_flight: u32, expires_at: Instant) -> Offering {
    Offering {
        orchestrator: name(index),
        uri: format!("https://{}:8935", name(index)),
        capability: Capability::live("sketch-video").expect("good name"),
        price: terms.price,
        slots_free: terms.slots_free,
        slots_total: None,
        warm: true,
        hardware: String::new(),
        rtt_us: None,
        in_flight,
        attempts: 0,
        successes: 0,
        failed_at: None,
        suspended: None,
        expires_at,
    }
}

/// Ranks as a policy might: well, at random, with nonsense in it, or not at all.
fn rank(rng: &mut Rng, offerings: &[Offering], cap_wei: u64) -> Vec<usize> {
    let mut any: Vec<usize> = (0..offerings.len()).collect();
    rng.shuffle(&mut any);
    match rng.below(10) {
        0..5 => select::rank(offerings, cap_wei),
        5..8 => any,
        8 => {
            any.extend([offerings.len(), usize::MAX, 0, 0]);
            rng.shuffle(&mut any);
            any
        }
        _ => Vec::new(),
    }
}
