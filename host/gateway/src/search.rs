//! Looking for an orchestrator for a job, at its start and when it moves: find, rank, try one after
//! the other. `domain::job` decides; this module asks.
//!
//! **Invariant:** a try that was given up is still listened to, and what it started after all is
//! ended.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use domain::id::{JobId, OrchestratorId};
use domain::job::{ANSWER_MAX, Job, Step};
use domain::offering::Offering;
use domain::select::{self, PassedOver, Reason};
use domain::session::EndReason;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use plugin::policy::selection::Decline;
use tokio::time::sleep_until;
use wire::error::{self, Refusal, Word};

use crate::book::{Outcome, Row, Seat};
use crate::choose::{self, PolicyName, Ranked, Wish};
use crate::discover::{caught_up, find};
use crate::intake::Ask;
use crate::live::Leftovers;
use crate::market::Market;
use crate::record::{self, Asked};
use crate::start::{NotStarted, Remote, release, start};
use crate::state::{State, now};

/// Reasons that a refusal's text tells in words; all of them are in its data.
const TOLD_MAX: usize = 3;

/// The client's leaving, as whoever searches sees it.
pub(crate) type Leaving<'a> = Pin<&'a mut (dyn Future<Output = ()> + Send)>;

/// Who is looked for, and for whom.
pub(crate) struct Search {
    pub(crate) state: Arc<State>,
    pub(crate) id: JobId,
    pub(crate) asked: Arc<Asked>,
    pub(crate) ask: Ask,
    /// When the client asked, or the job began to move.
    pub(crate) begun: Instant,
}

/// A job on its way to an orchestrator.
pub(crate) struct Course {
    pub(crate) job: Job,
    pub(crate) rows: Vec<Row>,
    pub(crate) policy: PolicyName,
    declined: Option<Decline>,
    /// What orchestrators said, by who.
    told: BTreeMap<OrchestratorId, Refusal>,
    starts: FuturesUnordered<BoxFuture<'static, (usize, Result<Remote, NotStarted>)>>,
}

/// A search that found nobody.
pub(crate) struct Nobody {
    /// What the client is told.
    pub(crate) refusal: Refusal,
    /// Why a job that ran before ends.
    pub(crate) reason: EndReason,
}

/// How the search ended.
pub(crate) enum Found {
    Serves(usize, Box<Remote>),
    Nobody(Nobody),
}

impl Nobody {
    fn of(refusal: Refusal) -> Self {
        Self { refusal, reason: EndReason::Lost }
    }
}

impl Course {
    /// Says of everybody but who serves why not, as data.
    pub(crate) fn reasons(&self) -> Vec<error::Reason> {
        let told = |who: &OrchestratorId| self.told.get(who).map(Refusal::word);
        record::reasons(&self.job.passed_over(), told)
    }
}

impl Search {
    /// Finds and ranks who could serve the job.
    pub(crate) async fn course(
        &self,
        mut job: Job,
        mut left: Leaving<'_>,
    ) -> Result<Course, Nobody> {
        let (state, capability) = (&*self.state, &self.ask.capability);
        let until = job.deadline().unwrap_or(self.begun);
        let mut market = tokio::select! {
            market = find(state, capability, until) => market,
            () = &mut left => return Err(gone()),
        };
        let mut ranked = self.rank(market.as_ref())?;
        // A slot may have come back since the policy saw the market.
        let full = matches!(ranked.1.declined, Some(Decline::NoCapacity | Decline::NoneLeft));
        if full && caught_up(state, until).await {
            market = find(state, capability, until).await;
            ranked = self.rank(market.as_ref())?;
        }
        let (rows, Ranked { policy, order, declined }) = ranked;
        let offerings: Vec<Offering> = rows.iter().map(|row| row.offering.clone()).collect();
        let absent = state.book().absent(&rows);
        tracing::debug!(
            candidates = rows.len(),
            absent = absent.len(),
            policy = policy.plugin,
            ?order,
            "orchestrators ranked"
        );
        let first = job.found(&offerings, absent, &order, now());
        let told = BTreeMap::new();
        let course = Course { job, rows, policy, declined, told, starts: FuturesUnordered::new() };
        self.follow(first, course)
    }

    /// Ranks the candidates of a market, with their figures of this moment.
    fn rank(&self, market: Option<&Arc<Market>>) -> Result<(Vec<Row>, Ranked), Nobody> {
        let Some(market) = market else {
            let policy = PolicyName::native();
            return Ok((Vec::new(), Ranked { policy, order: Vec::new(), declined: None }));
        };
        let mut rows = market.rows.clone();
        self.state.book().refresh(&mut rows, now());
        let offerings: Vec<Offering> = rows.iter().map(|row| row.offering.clone()).collect();
        let wish = Wish {
            id: self.id.to_string(),
            cap_wei: self.ask.cap_wei,
            customer: self.ask.customer,
            customers: &self.state.config.customers,
            time_left: (self.begun + ANSWER_MAX).saturating_duration_since(now()),
            sink: &*self.state.sink,
            counted: &self.state.counted,
            auditor: &self.state.auditor,
        };
        let choose = |offerings: &[Offering]| {
            choose::rank(market, offerings, &wish).map_err(|error| {
                tracing::warn!(error = %error, "job refused for want of a policy");
                Nobody::of(Refusal::new(Word::Fault, error.to_string()))
            })
        };
        let mut ranked = choose(&offerings)?;
        if ranked.order.is_empty() && offerings.iter().any(|it| it.suspended.is_some()) {
            // One that failed of late is better than nobody.
            let forgiven = |it: &Offering| Offering { suspended: None, ..it.clone() };
            ranked = choose(&offerings.iter().map(forgiven).collect::<Vec<_>>())?;
        }
        Ok((rows, ranked))
    }

    /// Takes the first steps of a course; an error if they are the last.
    fn follow(&self, steps: Vec<Step>, mut course: Course) -> Result<Course, Nobody> {
        match self.take(steps, &mut course) {
            None => Ok(course),
            Some(nobody) => Err(nobody),
        }
    }

    /// Does what the job says; returns how it ended if it says so.
    fn take(&self, steps: Vec<Step>, course: &mut Course) -> Option<Nobody> {
        for step in steps {
            match step {
                Step::Start(candidate) => self.begin(candidate, course),
                Step::Refuse | Step::Settle(EndReason::Lost) => {
                    return Some(Nobody::of(self.verdict(course)));
                }
                Step::Settle(EndReason::Shutdown) => {
                    let text = "the gateway ended the job before it ran";
                    let refusal = Refusal::new(Word::Unreachable, text);
                    return Some(Nobody { refusal, reason: EndReason::Shutdown });
                }
                Step::Settle(_) => return Some(gone()),
                // One that was given up answers to `listen_on`; one that serves is returned.
                Step::Stop(_) | Step::Leave(_) | Step::Accept(_) | Step::Resume(_) => {}
            }
        }
        None
    }

    fn begin(&self, candidate: usize, course: &mut Course) {
        let Some(row) = course.rows.get(candidate).cloned() else { return };
        self.state.begin(row.seat);
        let begun = now();
        let (state, ask) = (Arc::clone(&self.state), self.ask.clone());
        course.starts.push(Box::pin(async move {
            let started = start(&state.client, &row, &ask, &state.config.allowed_hosts).await;
            if started.is_ok() {
                let took = now().saturating_duration_since(begun);
                state.book().started(row.seat, took);
            }
            (candidate, started)
        }));
    }

    /// Tries one candidate after the other.
    pub(crate) async fn try_all(
        &self,
        course: &mut Course,
        mut left: Leaving<'_>,
        leftovers: &mut Leftovers,
    ) -> Found {
        let mut stopping = self.state.stopping.clone();
        loop {
            let deadline = course.job.deadline().unwrap_or_else(now);
            let steps = tokio::select! {
                Some((candidate, started)) = course.starts.next() => match started {
                    Ok(remote) => match self.started(candidate, remote, course, leftovers) {
                        Some(remote) => return Found::Serves(candidate, Box::new(remote)),
                        None => Vec::new(),
                    },
                    Err(not) => match self.not_started(candidate, not, course) {
                        Ok(steps) => steps,
                        Err(refusal) => return Found::Nobody(Nobody::of(refusal)),
                    },
                },
                () = sleep_until(deadline.into()) => course.job.tick(now()),
                Some(()) = leftovers.next() => continue,
                () = &mut left => course.job.end(EndReason::ClientGone, now()),
                () = self.asked.cancel.notified() => {
                    course.job.end(EndReason::Shutdown, now())
                }
                _ = stopping.wait_for(|stop| *stop) => course.job.end(EndReason::Shutdown, now()),
            };
            if let Some(nobody) = self.take(steps, course) {
                return Found::Nobody(nobody);
            }
        }
    }

    /// Notes that `candidate` started the job, and returns its channels if it serves it; if it is
    /// not wanted any more, it is told so.
    fn started(
        &self,
        candidate: usize,
        remote: Remote,
        course: &mut Course,
        leftovers: &Leftovers,
    ) -> Option<Remote> {
        let steps = course.job.started(candidate, now());
        let wanted = [Step::Accept(candidate), Step::Resume(candidate)];
        if steps.iter().any(|step| wanted.contains(step)) {
            return Some(remote);
        }
        if let Some(row) = course.rows.get(candidate) {
            self.state.end(row.seat, Outcome::Failed);
        }
        let state = Arc::clone(&self.state);
        leftovers.push(Box::pin(async move { release(&state.client, &remote).await }));
        None
    }

    /// Notes that `candidate` did not start the job. What is wrong with the ask itself is the
    /// client's to mend: nobody else is troubled with it.
    fn not_started(
        &self,
        candidate: usize,
        not: NotStarted,
        course: &mut Course,
    ) -> Result<Vec<Step>, Refusal> {
        let Some(row) = course.rows.get(candidate) else { return Ok(Vec::new()) };
        let orchestrator = row.offering.orchestrator.clone();
        tracing::info!(%orchestrator, reason = %not.reason, "orchestrator did not start the job");
        self.state.end(row.seat, blame(&not));
        if let Some(told) = not.told {
            if told.word() == Word::Invalid {
                return Err(Refusal::new(Word::Invalid, told.message()));
            }
            course.told.insert(orchestrator, told);
        }
        Ok(course.job.failed(candidate, not.reason, now()))
    }

    /// Says whether anybody but `seat` could take the job, as far as is known.
    pub(crate) fn has_others(&self, seat: Seat) -> bool {
        let markets = self.state.markets.load();
        let Some(market) = markets.get(&self.ask.capability) else { return false };
        let mut rows = market.rows.clone();
        self.state.book().refresh(&mut rows, now());
        rows.iter().any(|row| {
            row.seat != seat && select::objection(&row.offering, self.ask.cap_wei).is_none()
        })
    }

    /// Leaves the tries that were given up to somebody who ends what they start after all.
    pub(crate) fn listen_on(&self, course: &mut Course, leftovers: &Leftovers) {
        let mut starts = std::mem::take(&mut course.starts);
        let seats: Vec<_> = course.rows.iter().map(|row| row.seat).collect();
        let state = Arc::clone(&self.state);
        leftovers.push(Box::pin(async move {
            while let Some((candidate, started)) = starts.next().await {
                if let Some(seat) = seats.get(candidate) {
                    state.end(*seat, Outcome::Failed);
                }
                if let Ok(remote) = started {
                    release(&state.client, &remote).await;
                }
            }
        }));
    }

    /// Says why nobody serves the job.
    fn verdict(&self, course: &Course) -> Refusal {
        self.state.whys().count(None, &course.job.passed_over());
        let told = |who: &OrchestratorId| course.told.get(who).map(Refusal::word);
        let passed_over = course.job.passed_over();
        let reasons = record::reasons(&passed_over, told);
        let word = word(&passed_over, told);
        let text = text(&self.ask, &passed_over, course.declined.as_ref());
        Refusal::new(word, text).with_reasons(reasons)
    }
}

fn gone() -> Nobody {
    let refusal = Refusal::new(Word::Invalid, "the client left before it was answered");
    Nobody { refusal, reason: EndReason::ClientGone }
}

/// Says what a failed try tells of an orchestrator. To be full once is no failure.
const fn blame(not: &NotStarted) -> Outcome {
    match not.reason {
        Reason::Unreachable { .. } => Outcome::Failed,
        Reason::NoSlot => Outcome::Full,
        Reason::NoCapability
        | Reason::PriceOverCap { .. }
        | Reason::Refused { .. }
        | Reason::Withheld { .. }
        | Reason::OutScored { .. } => Outcome::Neither,
    }
}

/// Returns the word that speaks for all reasons. That others do not offer the capability, or are
/// away, says nothing where one that was tried gave a reason of its own.
fn word(passed_over: &[PassedOver], told: impl Fn(&OrchestratorId) -> Option<Word>) -> Word {
    let of = |entry: &PassedOver| match entry.reason {
        Reason::PriceOverCap { .. } => Word::PriceOverCap,
        Reason::NoSlot => Word::NoSlot,
        Reason::NoCapability => Word::NoCapability,
        Reason::Unreachable { .. } => Word::Unreachable,
        Reason::Refused { .. } => told(&entry.orchestrator).unwrap_or(Word::Denied),
        Reason::Withheld { .. } => Word::Unreachable,
        Reason::OutScored { .. } => Word::Denied,
    };
    let word = Word::over_several(passed_over.iter().map(of));
    let tried = passed_over.iter().filter(|it| matches!(it.reason, Reason::Refused { .. }));
    match word {
        Word::NoCapability | Word::Unreachable => {
            let tried: Vec<Word> = tried.map(of).collect();
            if tried.is_empty() { word } else { Word::over_several(tried) }
        }
        other => other,
    }
}

fn text(ask: &Ask, passed_over: &[PassedOver], declined: Option<&Decline>) -> String {
    let mut text = format!("nobody takes `{}`", ask.capability);
    if let Some(declined) = declined {
        let _ = write!(text, " (the selection policy: {declined})");
    }
    for (at, entry) in passed_over.iter().take(TOLD_MAX).enumerate() {
        let joint = if at == 0 { ": " } else { "; " };
        let reason = match &entry.reason {
            Reason::OutScored { .. } => "was not chosen".to_owned(),
            other => other.to_string(),
        };
        let _ = write!(text, "{joint}`{}` {reason}", entry.orchestrator);
    }
    if let Some(more @ 1..) = passed_over.len().checked_sub(TOLD_MAX) {
        let _ = write!(text, "; and {more} more");
    }
    if passed_over.is_empty() {
        text.push_str(": no orchestrator is configured");
    }
    text
}

#[cfg(test)]
#[test]
fn one_word_speaks_for_all_and_a_refusal_of_ones_own_is_heard() {
    let entry =
        |name: &str, reason| PassedOver { orchestrator: OrchestratorId(name.into()), reason };
    let refused = || Reason::Refused { detail: "no".to_owned() };
    let told = |who: &OrchestratorId| (who.0 == "fault").then_some(Word::Fault);
    let word = |entries: &[PassedOver]| word(entries, told);
    let over = Reason::PriceOverCap { price_wei: Some(9), cap_wei: 7 };
    let away = || Reason::Unreachable { detail: "gone".to_owned() };
    assert_eq!(word(&[]), Word::NoCapability);
    assert_eq!(word(&[entry("a", away()), entry("b", over)]), Word::PriceOverCap);
    assert_eq!(word(&[entry("a", Reason::NoCapability), entry("b", away())]), Word::NoCapability);
    assert_eq!(word(&[entry("a", Reason::NoCapability), entry("fault", refused())]), Word::Fault);
    assert_eq!(word(&[entry("a", Reason::NoSlot), entry("fault", refused())]), Word::NoSlot);
}
