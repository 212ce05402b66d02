//! A job on the gateway that took it: finding → starting → running → draining → over; and from
//! running or draining back to finding, where its orchestrator is lost and it moves to another.
//!
//! The machine decides which orchestrator is tried, when a try or a silent orchestrator is given
//! up, whether the job moves, and why it ended. It moves no bytes and knows no connection: the
//! gateway tells it what happened and does the [`Step`]s that come back, in order.
//!
//! **Invariants:** only a candidate to which the host has no [`objection`] is ever started, whoever
//! ranked it; in one search each is tried once, one at a time, and those that lost the job before
//! come last; a job moves at most [`MOVES_MAX`] times in a row; a job that is told nothing more ends
//! all the same (`tick` at every [`Job::deadline`]); it ends once, and the first cause wins, but
//! `eos` is said only of a job whose report is there.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::id::OrchestratorId;
use crate::offering::Offering;
use crate::select::{self, PassedOver, Reason, TRIES_MAX};
use crate::session::{DRAIN_MAX, EndReason, IDLE_MAX};

/// Time for asking orchestrators afresh where no snapshot says who offers a capability: two rounds
/// of a second each, and what is left for the slowest handshake.
pub const FIND_MAX: Duration = Duration::from_secs(3);
/// Time for one orchestrator to start a job. What it offers is loaded already, so that a start is a
/// round trip and a spawned session; and all tries together stay below a client's usual 30 s.
pub const START_MAX: Duration = Duration::from_secs(5);
/// An orchestrator without any sign of life for so long is lost: four background rounds unanswered.
pub const QUIET_MAX: Duration = Duration::from_secs(20);
/// Time from asking an orchestrator to end, or from the last output that the client took since, until
/// its report is here: it drains for at most [`DRAIN_MAX`] without a reader, looks at its clock once
/// a second, and the report has to arrive.
pub const REPORT_MAX: Duration = DRAIN_MAX.saturating_add(Duration::from_secs(5));
/// Moves in a row, each within [`CALM`] of the one before, after which a job is given up: an input
/// that brings down whoever takes it must not go round the whole market. The network's figure.
pub const MOVES_MAX: u32 = 2;
/// A job that ran so long since its last move begins a new row. The network's figure.
pub const CALM: Duration = Duration::from_secs(180);

/// Longest time from a client's ask to its answer.
pub const ANSWER_MAX: Duration = {
    let mut all = FIND_MAX;
    let mut tries = 0;
    while tries < TRIES_MAX {
        all = all.saturating_add(START_MAX);
        tries += 1;
    }
    all
};

/// Where a job is in its life. Candidates are indices into the offerings given to [`Job::found`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Who could serve it is being asked for.
    Finding {
        /// When that is given up.
        until: Instant,
    },
    /// One candidate was asked to start it.
    Starting {
        /// Which.
        candidate: usize,
        /// When it is given up.
        until: Instant,
    },
    /// Media flows.
    Running {
        /// Who serves it.
        candidate: usize,
    },
    /// No more input is taken; the orchestrator's report is awaited.
    Draining {
        /// Who serves it.
        candidate: usize,
        /// Why.
        reason: EndReason,
        /// When the report is given up.
        until: Instant,
    },
    /// Over before it ran: [`Job::passed_over`] says why, for each candidate.
    Refused,
    /// Over.
    Ended {
        /// Who served it, if it came to that.
        candidate: Option<usize>,
        /// Why.
        reason: EndReason,
    },
}

impl Moves {
    fn next_in_a_row(&self, now: Instant) -> u32 {
        if self.at.is_none_or(|at| now >= at + CALM) { 1 } else { self.in_a_row + 1 }
    }
}

/// What the gateway has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ask this candidate to start the job.
    Start(usize),
    /// Tell this candidate that the input is at its end, or that it is not wanted any more.
    Stop(usize),
    /// This candidate lost the job: end it there, and say by [`Job::found`] who could take it over.
    Leave(usize),
    /// Answer the client: it runs.
    Accept(usize),
    /// Go on with this candidate, from the last picture that the client was given.
    Resume(usize),
    /// Answer the client: no one serves it.
    Refuse,
    /// Write down and tell the client why it ended.
    Settle(EndReason),
}

/// How the orchestrator that served a job was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Loss {
    /// Its worker is gone; it says so itself.
    Worker,
    /// It stops while the client goes on.
    Stopped,
    /// It cannot be reached any more.
    Connection,
    /// Its channels ended without a report.
    Closed,
    /// It takes input and gives nothing.
    Stalled,
    /// It gives no sign of life.
    Silent,
}

impl Loss {
    /// Returns the word used in records and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Worker => "worker-lost",
            Self::Stopped => "orchestrator-stopped",
            Self::Connection => "connection-lost",
            Self::Closed => "channels-closed",
            Self::Stalled => "stalled",
            Self::Silent => "silent",
        }
    }
}

/// The life of one job.
#[derive(Debug)]
pub struct Job {
    cap_wei: u64,
    state: State,
    reasons: Vec<PassedOver>, // One for each offering, in the same order.
    absent: Vec<PassedOver>,
    shortlist: VecDeque<usize>,
    input_at: Instant,
    heard_at: Instant,
    moves: Moves,
}

/// How a job moved from one orchestrator to another.
#[derive(Debug, Default)]
struct Moves {
    /// Moves of which each came within [`CALM`] of the one before.
    in_a_row: u32,
    at: Option<Instant>,
    /// Whether another orchestrator is being looked for.
    going: bool,
    /// Whether the input is at its end.
    closing: bool,
    /// Whether nobody could go on where this orchestrator ends.
    barred: bool,
    /// Who lost the job.
    left: Vec<OrchestratorId>,
}

impl Job {
    /// Begins a job that may cost `cap_wei` for a lot of live video.
    pub fn ask(cap_wei: u64, now: Instant) -> Self {
        Self {
            cap_wei,
            state: State::Finding { until: now + FIND_MAX },
            reasons: Vec::new(),
            absent: Vec::new(),
            shortlist: VecDeque::new(),
            input_at: now,
            heard_at: now,
            moves: Moves::default(),
        }
    }

    /// Returns where it is.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Returns whether it lost its orchestrator and looks for another.
    pub const fn is_moving(&self) -> bool {
        self.moves.going
    }

    /// Returns whether nothing more can happen to it.
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Refused | State::Ended { .. })
    }

    /// Takes the snapshot and a ranking of it, best first. What the host objects to, what is named
    /// twice or not there, and all beyond [`TRIES_MAX`] is left out of the ranking. `absent` are the
    /// orchestrators that make no such offering, with the reason.
    pub fn found(
        &mut self,
        offerings: &[Offering],
        absent: Vec<PassedOver>,
        ranked: &[usize],
        now: Instant,
    ) -> Vec<Step> {
        if !matches!(self.state, State::Finding { .. }) {
            return Vec::new();
        }
        self.reasons = select::passed_over(offerings, None, self.cap_wei);
        self.absent = absent;
        self.shortlist.clear();
        for &candidate in ranked {
            let Some(offering) = offerings.get(candidate) else { continue };
            let good = select::objection(offering, self.cap_wei).is_none();
            if good && !self.shortlist.contains(&candidate) && self.shortlist.len() < TRIES_MAX {
                self.shortlist.push_back(candidate);
            }
        }
        let lost = |index: usize| {
            offerings.get(index).is_some_and(|it| self.moves.left.contains(&it.orchestrator))
        };
        // A worker that was lost may be up again, and is better than nobody.
        self.shortlist.make_contiguous().sort_by_key(|candidate| lost(*candidate));
        for index in (0..offerings.len()).filter(|index| lost(*index)) {
            let detail = "it lost the job before".to_owned();
            self.reasons[index].reason = Reason::Unreachable { detail };
        }
        self.try_next(now)
    }

    /// Notes that `candidate` started the job. One that was given up meanwhile is told to stop.
    pub fn started(&mut self, candidate: usize, now: Instant) -> Vec<Step> {
        match self.state {
            State::Starting { candidate: asked, .. } if asked == candidate => {
                self.state = State::Running { candidate };
                self.input_at = now;
                self.heard_at = now;
                if !std::mem::take(&mut self.moves.going) {
                    return vec![Step::Accept(candidate)];
                }
                let mut steps = vec![Step::Resume(candidate)];
                if self.moves.closing {
                    steps.extend(self.end(EndReason::Eos, now));
                }
                steps
            }
            // Said twice.
            State::Running { candidate: serving } | State::Draining { candidate: serving, .. }
                if serving == candidate =>
            {
                Vec::new()
            }
            _ => vec![Step::Stop(candidate)],
        }
    }

    /// Notes that `candidate` did not start the job, and goes on to the next.
    pub fn failed(&mut self, candidate: usize, reason: Reason, now: Instant) -> Vec<Step> {
        if !matches!(self.state, State::Starting { candidate: asked, .. } if asked == candidate) {
            return Vec::new();
        }
        self.note(candidate, reason);
        self.try_next(now)
    }

    /// Notes that the client gave input or a sign of life.
    pub const fn input(&mut self, now: Instant) {
        self.input_at = now;
    }

    /// Notes a sign of life of the orchestrator that serves the job: output, an event, an answer.
    pub const fn heard(&mut self, now: Instant) {
        self.heard_at = now;
    }

    /// Notes that the client took output: a tail that somebody is reading is waited for.
    pub fn output(&mut self, now: Instant) {
        if let State::Draining { until, .. } = &mut self.state {
            *until = now + REPORT_MAX;
        }
    }

    /// Notes that the orchestrator that serves the job is lost. The job moves to another if it may.
    pub fn lost(&mut self, now: Instant) -> Vec<Step> {
        match self.state {
            State::Running { candidate } | State::Draining { candidate, .. } => self
                .leave(candidate, now)
                .map_or_else(|| self.end(EndReason::Lost, now), |step| vec![step]),
            _ => self.end(EndReason::Lost, now),
        }
    }

    /// Notes whether another orchestrator could go on with the job: it could not if nobody knows what
    /// the client has.
    pub const fn bar_moves(&mut self, barred: bool) {
        self.moves.barred = barred;
    }

    /// Says whether the job would move if its orchestrator were lost.
    pub fn may_move(&self, now: Instant) -> bool {
        let runs = match self.state {
            State::Running { .. } | State::Draining { reason: EndReason::Eos, .. } => true,
            State::Finding { .. }
            | State::Starting { .. }
            | State::Draining { .. }
            | State::Refused
            | State::Ended { .. } => false,
        };
        runs && !self.moves.barred && self.moves.next_in_a_row(now) <= MOVES_MAX
    }

    /// Begins to move the job away from `candidate`, if it may.
    fn leave(&mut self, candidate: usize, now: Instant) -> Option<Step> {
        if !self.may_move(now) {
            return None;
        }
        let closing = matches!(self.state, State::Draining { .. });
        let in_a_row = self.moves.next_in_a_row(now);
        let lost = self.reasons.get(candidate).map(|entry| entry.orchestrator.clone());
        let left = std::mem::take(&mut self.moves.left).into_iter().chain(lost).collect();
        self.moves = Moves { in_a_row, at: Some(now), going: true, closing, barred: false, left };
        self.state = State::Finding { until: now + FIND_MAX };
        Some(Step::Leave(candidate))
    }

    /// Begins to end the job for `reason`, which the client or the gateway gave. With a report
    /// still to come it drains first; a second cause ends the wait.
    pub fn end(&mut self, reason: EndReason, now: Instant) -> Vec<Step> {
        match self.state {
            State::Refused | State::Ended { .. } => Vec::new(),
            State::Finding { .. } | State::Starting { .. }
                if self.moves.going && reason == EndReason::Eos =>
            {
                self.moves.closing = true;
                Vec::new()
            }
            State::Finding { .. } => self.settle(None, reason),
            State::Starting { candidate, .. } => {
                let mut steps = vec![Step::Stop(candidate)];
                steps.extend(self.settle(None, reason));
                steps
            }
            State::Running { candidate } if reason == EndReason::Lost => {
                // Perhaps it is only we who do not hear it: then its slot comes back sooner.
                let mut steps = vec![Step::Stop(candidate)];
                steps.extend(self.settle(Some(candidate), reason));
                steps
            }
            State::Running { candidate } => {
                let until = now + REPORT_MAX;
                self.state = State::Draining { candidate, reason, until };
                vec![Step::Stop(candidate)]
            }
            State::Draining { .. } if reason == EndReason::Eos => Vec::new(),
            State::Draining { candidate, reason: first, .. } => {
                self.settle(Some(candidate), unproven(first, reason))
            }
        }
    }

    /// Notes the report of `candidate` that its session ended because of `found`. A fault found
    /// while draining is the reason: the tail is not what was asked for.
    pub fn finished(&mut self, candidate: usize, found: EndReason, now: Instant) -> Vec<Step> {
        // It has lost its worker, or stops while the client goes on.
        let moves = matches!(found, EndReason::Lost | EndReason::Shutdown);
        if moves
            && self.serving() == Some(candidate)
            && let Some(step) = self.leave(candidate, now)
        {
            return vec![step];
        }
        match self.state {
            // Reports overtake answers. It ran and is gone: as good as not started.
            State::Starting { candidate: asked, .. } if asked == candidate => {
                let detail = format!("its session ended with `{found}` at once");
                self.failed(candidate, Reason::Refused { detail }, now)
            }
            State::Running { candidate: serving } if serving == candidate => {
                self.settle(Some(candidate), found)
            }
            State::Draining { candidate: serving, reason, .. } if serving == candidate => {
                let kept = if found == EndReason::Eos { reason } else { found };
                self.settle(Some(candidate), kept)
            }
            _ => Vec::new(),
        }
    }

    /// Looks at the clock: gives up what did not happen in its time.
    pub fn tick(&mut self, now: Instant) -> Vec<Step> {
        match self.state {
            State::Finding { until } if now >= until => self.refuse(),
            State::Starting { candidate, until } if now >= until => {
                let detail = format!("no answer in {} s", START_MAX.as_secs());
                self.note(candidate, Reason::Unreachable { detail });
                let mut steps = vec![Step::Stop(candidate)];
                steps.extend(self.try_next(now));
                steps
            }
            State::Running { .. } if now >= self.heard_at + QUIET_MAX => self.lost(now),
            State::Running { .. } if now >= self.input_at + IDLE_MAX => {
                self.end(EndReason::ClientGone, now)
            }
            State::Draining { candidate, reason, until } if now >= until => {
                self.settle(Some(candidate), unproven(reason, EndReason::Lost))
            }
            _ => Vec::new(),
        }
    }

    /// Returns when [`Job::tick`] has something to do if nothing happens before; `None`: it is over.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Finding { until }
            | State::Starting { until, .. }
            | State::Draining { until, .. } => Some(until),
            State::Running { .. } => {
                Some((self.heard_at + QUIET_MAX).min(self.input_at + IDLE_MAX))
            }
            State::Refused | State::Ended { .. } => None,
        }
    }

    /// Returns who serves the job or served it.
    pub const fn serving(&self) -> Option<usize> {
        match self.state {
            State::Running { candidate } | State::Draining { candidate, .. } => Some(candidate),
            State::Ended { candidate, .. } => candidate,
            State::Finding { .. } | State::Starting { .. } | State::Refused => None,
        }
    }

    /// Says of every orchestrator but the one that serves why it does not, with what tries found.
    /// Empty while finding, and if nothing was found.
    pub fn passed_over(&self) -> Vec<PassedOver> {
        let serving = self.serving();
        let others = self.reasons.iter().enumerate().filter(|(index, _)| Some(*index) != serving);
        others.map(|(_, entry)| entry).chain(&self.absent).cloned().collect()
    }

    fn note(&mut self, candidate: usize, reason: Reason) {
        if let Some(entry) = self.reasons.get_mut(candidate) {
            entry.reason = reason;
        }
    }

    fn try_next(&mut self, now: Instant) -> Vec<Step> {
        let Some(candidate) = self.shortlist.pop_front() else { return self.refuse() };
        self.state = State::Starting { candidate, until: now + START_MAX };
        vec![Step::Start(candidate)]
    }

    fn refuse(&mut self) -> Vec<Step> {
        if self.moves.going {
            return self.settle(None, EndReason::Lost);
        }
        self.state = State::Refused;
        vec![Step::Refuse]
    }

    fn settle(&mut self, candidate: Option<usize>, reason: EndReason) -> Vec<Step> {
        self.moves.going = false;
        self.state = State::Ended { candidate, reason };
        vec![Step::Settle(reason)]
    }
}

/// Returns the reason of a job whose report never came: all input may have been sent on, but nobody
/// knows what became of it.
fn unproven(first: EndReason, cut_by: EndReason) -> EndReason {
    if first == EndReason::Eos { cut_by } else { first }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test starts its own clock")]
mod tests;
