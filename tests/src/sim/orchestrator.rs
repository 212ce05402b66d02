//! An orchestrator: offers, admits, runs sessions on the slots of one device, reports.
//!
//! The decisions are domain's (`LeaseTable`, `Session`, `charge`); here is only what an edge does
//! with them. Its worker is a few times at which things will have happened.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::id::{JobId, LeaseId, SessionId};
use domain::lease::LeaseTable;
use domain::price::{LIVE_LOT, Lot, Price, UnitPrice, live_units};
use domain::select::Reason;
use domain::session::{EndReason, Session, State, Step};

use super::Flaw;
use super::judge::Rule;
use super::net::{Message, Node, Terms};
use super::world::Context;
use crate::rng::Rng;

#[derive(Debug)]
struct Live {
    id: SessionId,
    session: Session,
    lease: LeaseId,
    gateway: Node,
    price: Price,
    confirmed: bool,
    second: u64,
    milliseconds: u64,
    /// When the worker confirms the session; `None`: it hangs.
    opens_at: Option<Duration>,
    /// When the worker has flushed the tail, once it was told to; `None`: it hangs.
    flushed_at: Option<Duration>,
}

/// One orchestrator with one device.
#[derive(Debug)]
pub(super) struct Orchestrator {
    index: usize,
    flaw: Flaw,
    rng: Rng,
    slots: u32,
    capable: bool,
    says_slots: bool,
    wei: Option<u64>,
    table: LeaseTable,
    live: BTreeMap<JobId, Live>,
    ended: BTreeMap<JobId, (Node, EndReason)>,
    quotes: BTreeMap<u64, Option<UnitPrice>>,
    next_session: u64,
    next_quote: u64,
    stopping: bool,
    leaked: Vec<LeaseId>,
}

impl Orchestrator {
    pub(super) fn new(index: usize, flaw: Flaw, rng: &mut Rng) -> Self {
        let mut own = Rng::new(rng.bits());
        let slots = u32::try_from(own.between(0, 4)).expect("small");
        let mut new = Self {
            index,
            flaw,
            slots,
            capable: !own.chance(150_000),
            says_slots: own.chance(800_000),
            wei: (!own.chance(80_000)).then(|| own.between(0, 40)),
            table: LeaseTable::new(slots),
            live: BTreeMap::new(),
            ended: BTreeMap::new(),
            quotes: BTreeMap::new(),
            next_session: 1,
            next_quote: own.bits() >> 1,
            stopping: false,
            leaked: Vec::new(),
            rng: own,
        };
        new.clear_table();
        new
    }

    fn clear_table(&mut self) {
        let spare = if matches!(self.flaw, Flaw::SpareSlot) { 1 } else { 0 };
        self.table = LeaseTable::new(self.slots + spare);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.live.is_empty() && self.table.slots_free() == self.table.slots_total()
    }

    /// Looks at the clock.
    pub(super) fn tick(&mut self, context: &mut Context<'_>) {
        if self.rng.chance(10_000) {
            self.wei = Some(self.rng.between(0, 40));
        }
        let jobs: Vec<JobId> = self.live.keys().copied().collect();
        for job in jobs {
            self.tick_session(context, job);
        }
        for lease in &self.leaked {
            drop(self.table.renew(*lease, context.instant()));
        }
        for lost in self.table.expire(context.instant()) {
            let of = |(job, live): (&JobId, &Live)| (live.id == lost).then_some(*job);
            if let Some(job) = self.live.iter().find_map(of) {
                context.promise(false, Rule::LeaseHeld, || {
                    format!("orchestrator {}: the lease of `{lost}` ended before it", self.index)
                });
                self.end(context, job, EndReason::Lost);
            }
        }
        self.check(context);
    }

    fn tick_session(&mut self, context: &mut Context<'_>, job: JobId) {
        let now = context.now;
        let Some(live) = self.live.get_mut(&job) else { return };
        let gateway = live.gateway;
        if live.opens_at.take_if(|at| now >= *at).is_some() {
            live.session.opened();
            live.confirmed = true;
            context.send(Node::Orchestrator(self.index), gateway, Message::Started { job });
        }
        if live.flushed_at.is_some_and(|at| now >= at) {
            return self.finished(context, job, EndReason::Eos);
        }
        if live.confirmed {
            context.send(Node::Orchestrator(self.index), gateway, Message::Alive { job });
            if self.rng.chance(2_000) {
                return self.finished(context, job, EndReason::Fault);
            }
        }
        let step = live.session.tick(context.instant());
        if step == Step::EndInput {
            context.judge.session_ends(self.index, live.id, EndReason::ClientGone);
        }
        self.act(context, job, step);
    }

    /// Takes a message.
    pub(super) fn take(&mut self, context: &mut Context<'_>, from: Node, message: &Message) {
        match *message {
            Message::Discover => {
                let offer = Message::Offer(self.terms());
                context.send(Node::Orchestrator(self.index), from, offer);
            }
            Message::Start { job, quote } => self.start(context, from, job, quote),
            Message::Feed { job, second } => self.feed(context, job, second),
            Message::Taken { job } => self.taken(context, job),
            Message::Stop { job } => {
                if let Some((gateway, reason)) = self.ended.get(&job).copied() {
                    let report = Message::Report { job, reason };
                    context.send(Node::Orchestrator(self.index), gateway, report);
                } else {
                    self.end(context, job, EndReason::Eos);
                }
            }
            _ => {}
        }
        self.check(context);
    }

    /// Loses its worker, which is up again at once.
    pub(super) fn lose_worker(&mut self, context: &mut Context<'_>) {
        let jobs: Vec<JobId> = self.live.keys().copied().collect();
        for job in jobs {
            self.finished(context, job, EndReason::Lost);
        }
    }

    /// Is killed and starts again without a memory.
    pub(super) fn restart(&mut self, context: &mut Context<'_>) {
        for live in self.live.values() {
            context.judge.session_closed(self.index, live.id, None);
        }
        self.live.clear();
        self.ended.clear();
        self.quotes.clear();
        self.leaked.clear();
        self.clear_table();
    }

    /// Drains everything and takes no more.
    pub(super) fn stop(&mut self, context: &mut Context<'_>) {
        self.stopping = true;
        let jobs: Vec<JobId> = self.live.keys().copied().collect();
        for job in jobs {
            self.end(context, job, EndReason::Shutdown);
        }
    }

    fn terms(&mut self) -> Terms {
        self.next_quote += 1;
        let price = self.wei.and_then(|wei| UnitPrice::new(wei, LIVE_LOT));
        self.quotes.insert(self.next_quote, price);
        let slots_free = self.says_slots.then(|| self.table.slots_free());
        Terms { capable: self.capable, price, quote: self.next_quote, slots_free }
    }

    fn start(&mut self, context: &mut Context<'_>, gateway: Node, job: JobId, quote: u64) {
        let here = Node::Orchestrator(self.index);
        if let Some(live) = self.live.get(&job) {
            if live.confirmed {
                context.send(here, gateway, Message::Started { job });
            }
            return;
        }
        if let Some((_, reason)) = self.ended.get(&job).copied() {
            return context.send(here, gateway, Message::Report { job, reason });
        }
        let refusal = match self.quotes.get(&quote) {
            _ if self.stopping => Err(Reason::Refused { detail: "it is stopping".to_owned() }),
            None => Err(Reason::Refused { detail: "it knows no such quote".to_owned() }),
            Some(price) => {
                let id = SessionId(self.next_session);
                let granted = self.table.grant(id, context.instant());
                granted.map(|lease| (id, lease, *price)).map_err(|_| Reason::NoSlot)
            }
        };
        match refusal {
            Err(reason) => context.send(here, gateway, Message::NotStarted { job, reason }),
            Ok((id, lease, price)) => {
                self.next_session += 1;
                let wei = price.map_or(0, |price| price.for_lot(LIVE_LOT));
                context.judge.session_opened(self.index, id, (job, context.now), price);
                self.live.insert(
                    job,
                    Live {
                        id,
                        session: Session::open(context.instant()),
                        lease,
                        gateway,
                        price: Price { wei, lot: Lot::live() },
                        confirmed: false,
                        second: 0,
                        milliseconds: 0,
                        opens_at: opens_at(&mut self.rng, context.now),
                        flushed_at: None,
                    },
                );
            }
        }
    }

    fn feed(&mut self, context: &mut Context<'_>, job: JobId, second: u64) {
        let Some(live) = self.live.get_mut(&job) else { return };
        if !matches!(live.session.state(), State::Opening | State::Active) {
            return;
        }
        live.session.input(context.instant());
        context.judge.session_fed(self.index, live.id, context.now);
        // A segment that a later one overtook is not waited for.
        if second > live.second {
            live.second = second;
            live.milliseconds += 1000 - second % 7;
        }
        if self.table.renew(live.lease, context.instant()).is_err() {
            return self.end(context, job, EndReason::Lost);
        }
        self.charge(context, job);
    }

    fn taken(&mut self, context: &mut Context<'_>, job: JobId) {
        let Some(live) = self.live.get_mut(&job) else { return };
        live.session.output(context.instant());
        context.judge.session_fed(self.index, live.id, context.now);
        if self.table.renew(live.lease, context.instant()).is_err() {
            self.end(context, job, EndReason::Lost);
        }
    }

    fn charge(&self, context: &mut Context<'_>, job: JobId) {
        let Some(live) = self.live.get(&job) else { return };
        let units = live_units(live.milliseconds);
        let amount = if matches!(self.flaw, Flaw::RoundsDown) {
            Ok(live.price.wei * units / live.price.lot.size)
        } else {
            domain::price::charge(&live.price, units)
        };
        let amount = amount.expect("the prices here are small");
        context.judge.charged(self.index, live.id, (live.price.wei, live.milliseconds), amount);
    }

    fn end(&mut self, context: &mut Context<'_>, job: JobId, reason: EndReason) {
        let Some(live) = self.live.get_mut(&job) else { return };
        context.judge.session_ends(self.index, live.id, reason);
        let step = live.session.end(reason, context.instant());
        self.act(context, job, step);
    }

    fn act(&mut self, context: &mut Context<'_>, job: JobId, step: Step) {
        match step {
            Step::Wait => {}
            Step::EndInput => {
                let hangs = self.rng.chance(100_000);
                // Some tails are long, or leave at the pace of whoever reads them.
                let longest = if self.rng.chance(200_000) { 90_000 } else { 15_000 };
                let flushed_at = context.now + self.rng.time(10, longest);
                if let Some(live) = self.live.get_mut(&job) {
                    live.flushed_at = (!hangs).then_some(flushed_at);
                }
            }
            // The worker drops it; what it says after that changes nothing.
            Step::Abort => self.finished(context, job, EndReason::Lost),
        }
    }

    fn finished(&mut self, context: &mut Context<'_>, job: JobId, found: EndReason) {
        self.charge(context, job);
        let Some(mut live) = self.live.remove(&job) else { return };
        let reason = live.session.finished(found);
        if matches!(self.flaw, Flaw::LeaksSlot) {
            self.leaked.push(live.lease);
        } else if !self.rng.chance(20_000) {
            // One that is forgotten comes back by itself.
            self.table.release(live.lease);
        }
        context.judge.session_closed(self.index, live.id, Some((context.now, reason, found)));
        if matches!(self.flaw, Flaw::ClosesTwice) && self.rng.chance(50_000) {
            context.judge.session_closed(self.index, live.id, Some((context.now, reason, found)));
        }
        self.ended.insert(job, (live.gateway, reason));
        let report = Message::Report { job, reason };
        context.send(Node::Orchestrator(self.index), live.gateway, report);
    }

    /// Holds the table against the device as it is, after each step.
    fn check(&self, context: &mut Context<'_>) {
        let held = self.table.slots_total() - self.table.slots_free();
        context.promise(held <= self.slots, Rule::Slots, || {
            format!("{held} leases on the {} slots of orchestrator {}", self.slots, self.index)
        });
        let unsettled = u32::try_from(self.live.len()).expect("few");
        context.promise(unsettled <= held, Rule::LeaseHeld, || {
            format!("orchestrator {}: {unsettled} sessions on {held} leases", self.index)
        });
        context.judge.leases(self.index, context.now, held);
    }
}

fn opens_at(rng: &mut Rng, now: Duration) -> Option<Duration> {
    match rng.below(100) {
        0..3 => None,
        3..10 => Some(now + rng.time(3_000, 12_000)),
        _ => Some(now + rng.time(20, 1_500)),
    }
}
