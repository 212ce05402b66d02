//! The judge: keeps its own books of the market and says which promise was broken first.
//!
//! It works out nothing the way domain does: prices are compared crosswise, a charge is held
//! against the definition of rounding up, and who was tried is counted from what was sent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use domain::id::{JobId, SessionId};
use domain::job::{ANSWER_MAX, Job, MOVES_MAX, QUIET_MAX, REPORT_MAX, State};
use domain::lease::LEASE_LIFE;
use domain::offering::Offering;
use domain::price::UnitPrice;
use domain::select::PassedOver;
use domain::session::{DRAIN_MAX, EndReason, IDLE_MAX};

use super::gateway::name;
use super::net::TICK;

/// A promise that the market keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Live leases never outnumber the slots of the device.
    Slots,
    /// A session that is not closed holds a live lease.
    LeaseHeld,
    /// A closed session's lease is back after a lease's life and a tick.
    LeaseBack,
    /// A session closes exactly once, with one reason.
    ClosesOnce,
    /// A session that nothing feeds is closed within its bound.
    SessionBound,
    /// A job is over once, with one reason, and a reason that is true.
    OneReason,
    /// A job is answered and over within its bounds, whatever is lost.
    JobBound,
    /// A client hears how its job ended.
    ClientHears,
    /// No session costs more than its job may.
    Cap,
    /// Every other orchestrator is passed over exactly once, in the right class.
    PassedOver,
    /// Charges grow with the work and are exact.
    Charge,
    /// Once all clients are through, everything is given back.
    Quiet,
}

#[derive(Debug)]
struct JobBook {
    asked_at: Duration,
    cap_wei: u64,
    input_at: Duration,
    heard_at: Duration,
    tries: Vec<(usize, Option<&'static str>)>,
    /// Who lost the job.
    left: Vec<usize>,
    serving: Option<usize>,
    offers: Vec<(usize, Offering)>,
    absent: Vec<PassedOver>,
    refused: bool,
    over: Option<EndReason>,
    sessions_ended: Vec<EndReason>,
}

#[derive(Debug)]
struct SessionBook {
    job: JobId,
    milliseconds: u64,
    amount: u64,
    fed_at: Duration,
    cause: Option<EndReason>,
}

/// Books of one market.
#[derive(Debug, Default)]
pub(super) struct Judge {
    pub(super) broken: Option<(Rule, String)>,
    pub(super) sessions: u64,
    jobs: BTreeMap<JobId, JobBook>,
    open: BTreeMap<(usize, SessionId), SessionBook>,
    closed: BTreeSet<(usize, SessionId)>,
    closed_at: BTreeMap<usize, VecDeque<Duration>>,
}

impl Judge {
    /// Notes a broken promise; the first one counts.
    pub(super) fn promise(&mut self, kept: bool, rule: Rule, text: impl FnOnce() -> String) {
        if !kept && self.broken.is_none() {
            self.broken = Some((rule, text()));
        }
    }

    pub(super) fn cap(&self, job: JobId) -> u64 {
        self.jobs.get(&job).map_or(0, |book| book.cap_wei)
    }

    pub(super) fn job_asked(&mut self, job: JobId, now: Duration, cap_wei: u64) {
        let book = JobBook {
            asked_at: now,
            cap_wei,
            input_at: now,
            heard_at: now,
            tries: Vec::new(),
            left: Vec::new(),
            serving: None,
            offers: Vec::new(),
            absent: Vec::new(),
            refused: false,
            over: None,
            sessions_ended: Vec::new(),
        };
        self.jobs.insert(job, book);
    }

    pub(super) fn snapshot(
        &mut self,
        job: JobId,
        offers: Vec<(usize, Offering)>,
        absent: &[PassedOver],
    ) {
        let Some(book) = self.jobs.get_mut(&job) else { return };
        book.offers = offers;
        book.absent = absent.to_vec();
    }

    pub(super) fn tried(&mut self, job: JobId, who: usize) {
        let Some(book) = self.jobs.get_mut(&job) else { return };
        let again = book.tries.iter().any(|(tried, _)| *tried == who) || book.left.contains(&who);
        let free = book.serving.is_none() && !book.refused && book.over.is_none();
        book.tries.push((who, None));
        self.promise(free && !again, Rule::OneReason, || {
            format!("`{job}` was started again, on orchestrator {who}")
        });
    }

    /// Notes that the try that is under way failed; any other word comes too late to count.
    pub(super) fn not_started(&mut self, job: JobId, who: usize, class: &'static str) {
        let Some(book) = self.jobs.get_mut(&job) else { return };
        let open = book.serving.is_none() && book.over.is_none() && !book.refused;
        if let (true, Some((tried, outcome @ None))) = (open, book.tries.last_mut())
            && *tried == who
        {
            *outcome = Some(class);
        }
    }

    pub(super) fn job_accepted(&mut self, job: JobId, now: Duration, who: usize) {
        let Some(book) = self.jobs.get_mut(&job) else { return };
        (book.serving, book.input_at, book.heard_at) = (Some(who), now, now);
        let asked =
            book.tries.last().is_some_and(|(tried, outcome)| (*tried, *outcome) == (who, None));
        self.promise(asked, Rule::OneReason, || {
            format!("`{job}` runs on orchestrator {who}, which was not being asked")
        });
    }

    /// Notes that a job leaves the orchestrator that served it for another one.
    pub(super) fn job_moves(&mut self, job: JobId, now: Duration, who: usize) {
        let Some(book) = self.jobs.get_mut(&job) else { return };
        let served = book.serving.take() == Some(who) && book.over.is_none();
        book.asked_at = now;
        book.tries.clear();
        book.left.push(who);
        let few = u32::try_from(book.left.len()).is_ok_and(|moves| moves <= MOVES_MAX);
        self.promise(served, Rule::OneReason, || format!("`{job}` left {who}, which had it not"));
        self.promise(few, Rule::JobBound, || format!("`{job}` moved again and again"));
    }

    pub(super) fn job_input(&mut self, job: JobId, now: Duration) {
        if let Some(book) = self.jobs.get_mut(&job) {
            book.input_at = now;
        }
    }

    pub(super) fn job_heard(&mut self, job: JobId, now: Duration) {
        if let Some(book) = self.jobs.get_mut(&job) {
            book.heard_at = now;
        }
    }

    pub(super) fn job_refused(&mut self, job: JobId) {
        let Some(book) = self.jobs.get_mut(&job) else { return };
        let first = !book.refused && book.over.is_none() && book.serving.is_none();
        book.refused = true;
        self.promise(first, Rule::OneReason, || format!("`{job}` was refused after it ended"));
    }

    pub(super) fn job_over(&mut self, job: JobId, reason: EndReason) {
        let Some(book) = self.jobs.get_mut(&job) else { return };
        let first = book.over.replace(reason).is_none() && !book.refused;
        let proven = book.serving.is_none() || book.sessions_ended.contains(&EndReason::Eos);
        let proven = reason != EndReason::Eos || proven;
        self.promise(first, Rule::OneReason, || format!("`{job}` ended again, with `{reason}`"));
        self.promise(proven, Rule::OneReason, || {
            format!("`{job}` ended with `{reason}`, and no session of it did")
        });
    }

    /// Notes that the gateway that had the job is gone.
    pub(super) fn job_forgotten(&mut self, job: JobId) {
        self.jobs.remove(&job);
    }

    pub(super) fn client_heard(&mut self, job: JobId, reason: EndReason) {
        let said = self.jobs.get(&job).map(|book| book.over);
        self.promise(said.is_none_or(|said| said == Some(reason)), Rule::OneReason, || {
            format!("a client heard `{reason}` of `{job}`, which ended with {said:?}")
        });
    }

    /// Looks at a job after its gateway looked at the clock.
    pub(super) fn job_seen(&mut self, id: JobId, now: Duration, job: &Job) {
        let Some(book) = self.jobs.get(&id) else { return };
        if job.is_over() {
            return;
        }
        let silent = book.input_at.max(book.asked_at) + IDLE_MAX + REPORT_MAX;
        let bound = match job.state() {
            State::Finding { .. } | State::Starting { .. } => book.asked_at + ANSWER_MAX,
            State::Running { .. } => silent.min(book.heard_at + QUIET_MAX),
            State::Draining { .. } | State::Refused | State::Ended { .. } => silent,
        };
        self.promise(now <= bound + TICK * 2, Rule::JobBound, || {
            format!("`{id}` is {:?} past {bound:?}", job.state())
        });
    }

    /// Holds what a client is told of the others against these books.
    pub(super) fn reasons(&mut self, job: JobId, told: &[PassedOver]) {
        let Some(book) = self.jobs.get(&job) else { return };
        let mut expect: Vec<_> = book
            .offers
            .iter()
            .filter(|(who, _)| Some(*who) != book.serving)
            .map(|(who, offer)| (name(*who), book.class_of(*who, offer)))
            .chain(book.absent.iter().map(|o| (o.orchestrator.clone(), o.reason.class())))
            .collect();
        let mut told: Vec<_> =
            told.iter().map(|other| (other.orchestrator.clone(), other.reason.class())).collect();
        expect.sort();
        told.sort();
        self.promise(expect == told, Rule::PassedOver, || {
            format!("`{job}` passed over {told:?} in place of {expect:?}")
        });
    }

    pub(super) fn session_opened(
        &mut self,
        orchestrator: usize,
        id: SessionId,
        (job, now): (JobId, Duration),
        price: Option<UnitPrice>,
    ) {
        self.sessions += 1;
        let book = SessionBook { job, milliseconds: 0, amount: 0, fed_at: now, cause: None };
        let again = self.closed.contains(&(orchestrator, id));
        let again = self.open.insert((orchestrator, id), book).is_some() || again;
        self.promise(!again, Rule::ClosesOnce, || format!("`{id}` was opened twice"));
        let Some(cap_wei) = self.jobs.get(&job).map(|book| book.cap_wei) else { return };
        // One without a price is for whoever pays anything.
        let within = price.map_or(cap_wei == u64::MAX, |price| {
            u128::from(price.wei) * 1_000_000 <= u128::from(cap_wei) * u128::from(price.units)
        });
        self.promise(within, Rule::Cap, || {
            format!("`{job}` may cost {cap_wei} wei a lot and runs at {price:?}")
        });
    }

    pub(super) fn session_fed(&mut self, orchestrator: usize, id: SessionId, now: Duration) {
        if let Some(book) = self.open.get_mut(&(orchestrator, id)) {
            book.fed_at = now;
        }
    }

    /// Notes that a session is to end, and why.
    pub(super) fn session_ends(&mut self, orchestrator: usize, id: SessionId, cause: EndReason) {
        if let Some(book) = self.open.get_mut(&(orchestrator, id)) {
            book.cause.get_or_insert(cause);
        }
    }

    /// Notes the end of a session, with its reason and what its worker found; without them its
    /// orchestrator was killed.
    pub(super) fn session_closed(
        &mut self,
        orchestrator: usize,
        id: SessionId,
        end: Option<(Duration, EndReason, EndReason)>,
    ) {
        let book = self.open.remove(&(orchestrator, id));
        self.closed.insert((orchestrator, id));
        self.promise(book.is_some(), Rule::ClosesOnce, || {
            format!("`{id}` of orchestrator {orchestrator} closed, and was not open")
        });
        let (Some((now, reason, found)), Some(book)) = (end, book) else { return };
        // The first cause, unless the worker found that the tail is not what was asked for.
        let spoilt = found != EndReason::Eos && reason == found;
        self.promise(spoilt || reason == book.cause.unwrap_or(found), Rule::ClosesOnce, || {
            format!("`{id}` ended because of {:?}, not of `{reason}`", book.cause)
        });
        self.closed_at.entry(orchestrator).or_default().push_back(now);
        if let Some(job) = self.jobs.get_mut(&book.job) {
            job.sessions_ended.push(reason);
        }
    }

    /// Takes the charge for a session at `wei` a lot after so many milliseconds.
    pub(super) fn charged(
        &mut self,
        orchestrator: usize,
        id: SessionId,
        (wei, milliseconds): (u64, u64),
        amount: u64,
    ) {
        let Some(book) = self.open.get_mut(&(orchestrator, id)) else { return };
        let grows = amount >= book.amount && milliseconds >= book.milliseconds;
        (book.amount, book.milliseconds) = (amount, milliseconds);
        // The least whole number of wei that is not less than the exact price.
        let exact = u128::from(wei) * u128::from(milliseconds) * 27_648;
        let least = |wei: u128| wei * 1_000_000 >= exact;
        let amount = u128::from(amount);
        let right = least(amount) && (amount == 0 || !least(amount - 1));
        self.promise(grows && right, Rule::Charge, || {
            format!("`{id}`: {amount} wei for {milliseconds} ms at {wei} wei a lot")
        });
    }

    /// Counts the leases that an orchestrator says are held, and its sessions.
    pub(super) fn leases(&mut self, orchestrator: usize, now: Duration, held: u32) {
        let open = self.open.range((orchestrator, SessionId(0))..);
        let open = open.take_while(|((of, _), _)| *of == orchestrator);
        let mut count = 0;
        let mut stale = None;
        for ((_, id), book) in open {
            count += 1;
            if now > book.fed_at + IDLE_MAX + DRAIN_MAX + TICK * 3 {
                stale = Some((*id, book.fed_at));
            }
        }
        self.promise(stale.is_none(), Rule::SessionBound, || {
            format!("orchestrator {orchestrator} keeps {stale:?} open")
        });
        let recent = self.closed_at.entry(orchestrator).or_default();
        while recent.front().is_some_and(|at| now > *at + LEASE_LIFE + TICK) {
            recent.pop_front();
        }
        let may = count + recent.len();
        let held = usize::try_from(held).expect("few");
        self.promise(held <= may, Rule::LeaseBack, || {
            format!("orchestrator {orchestrator} holds {held} leases for {may} sessions")
        });
    }
}

impl JobBook {
    /// Returns the class in which an orchestrator that does not serve is passed over.
    fn class_of(&self, who: usize, offer: &Offering) -> &'static str {
        if self.left.contains(&who) {
            return "unreachable";
        }
        let last = self.tries.len().wrapping_sub(1);
        let tried = self.tries.iter().enumerate().find(|(_, (tried, _))| *tried == who);
        if let Some((index, (_, outcome))) = tried {
            // A try that the client did not wait for has no outcome.
            // One that moved and is lost has been through all of its tries.
            let ended = self.over.is_some_and(|reason| reason != EndReason::Lost);
            let cut_off = index == last && ended && self.serving.is_none();
            if outcome.is_some() || !cut_off {
                return outcome.unwrap_or("unreachable");
            }
        }
        let cap = u128::from(self.cap_wei);
        let over = match offer.price {
            Some(price) => u128::from(price.wei) * 1_000_000 > cap * u128::from(price.units),
            None => self.cap_wei != u64::MAX,
        };
        match offer.slots_free {
            _ if over => "price-over-cap",
            Some(0) => "no-slot",
            _ => "out-scored",
        }
    }
}
