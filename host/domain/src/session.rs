//! A session: one job bound to one orchestrator, opening → active → draining → closed.
//!
//! The machine decides what may happen next and why it ended; the orchestrator moves bytes and
//! tells it. **Invariant:** a session ends once, with one reason, and the first cause wins.

use std::fmt;
use std::time::{Duration, Instant};

/// A live session without input ends after so long: longer than any hand-over or key-frame gap
/// that a working publisher makes.
pub const IDLE_MAX: Duration = Duration::from_secs(30);
/// Time that a draining session may go without its client taking any output, before it is closed
/// without its tail. Longer than the stall after which a channel drops a reader.
pub const DRAIN_MAX: Duration = Duration::from_secs(20);

/// Why a session or a job ended, as clients read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The publisher closed its channel; everything was sent on.
    Eos,
    /// The client went away or gave no input for [`IDLE_MAX`].
    ClientGone,
    /// The plugin faulted, or the input cannot be processed.
    Fault,
    /// A limit of the operator was reached.
    Limit,
    /// The role is stopping.
    Shutdown,
    /// The worker or the orchestrator was lost.
    Lost,
}

impl EndReason {
    /// Returns the word used on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eos => "eos",
            Self::ClientGone => "client-gone",
            Self::Fault => "fault",
            Self::Limit => "limit",
            Self::Shutdown => "shutdown",
            Self::Lost => "lost",
        }
    }

    /// Finds a reason by its word.
    pub fn from_name(name: &str) -> Option<Self> {
        let all =
            [Self::Eos, Self::ClientGone, Self::Fault, Self::Limit, Self::Shutdown, Self::Lost];
        all.into_iter().find(|reason| reason.name() == name)
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a session is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Asked for; the worker has not confirmed it.
    Opening,
    /// Frames flow.
    Active,
    /// No more input is taken; the tail is being flushed.
    Draining {
        /// Why.
        reason: EndReason,
        /// When it is closed without its tail.
        until: Instant,
    },
    /// Over.
    Closed {
        /// Why.
        reason: EndReason,
    },
}

/// What the owner of a session has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Wait,
    /// Tell the worker that the input is at its end.
    EndInput,
    /// Tell the worker to drop the session at once.
    Abort,
}

/// The life of one session.
#[derive(Debug)]
pub struct Session {
    state: State,
    input_at: Instant,
}

impl Session {
    /// Begins a session at `now`.
    pub const fn open(now: Instant) -> Self {
        Self { state: State::Opening, input_at: now }
    }

    /// Returns where it is.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Notes that the worker confirmed it.
    pub fn opened(&mut self) {
        if self.state == State::Opening {
            self.state = State::Active;
        }
    }

    /// Notes that the client gave input or a sign of life.
    pub const fn input(&mut self, now: Instant) {
        self.input_at = now;
    }

    /// Notes that the client took output: a tail that somebody is reading is not cut off.
    pub fn output(&mut self, now: Instant) {
        if let State::Draining { until, .. } = &mut self.state {
            *until = now + DRAIN_MAX;
        }
    }

    /// Begins to end the session for `reason`. With a tail worth flushing it drains first.
    pub fn end(&mut self, reason: EndReason, now: Instant) -> Step {
        match (self.state, reason) {
            (State::Closed { .. } | State::Draining { .. }, EndReason::Eos) => Step::Wait,
            (State::Closed { .. }, _) => Step::Wait,
            // What a stopping role or a silent client has sent already is still worth sending on.
            (
                State::Opening | State::Active,
                EndReason::Eos | EndReason::ClientGone | EndReason::Shutdown,
            ) => {
                self.state = State::Draining { reason, until: now + DRAIN_MAX };
                Step::EndInput
            }
            (State::Draining { reason: first, .. }, _) => {
                self.state = State::Closed { reason: first };
                Step::Abort
            }
            (State::Opening | State::Active, _) => {
                self.state = State::Closed { reason };
                Step::Abort
            }
        }
    }

    /// Ends the session for `reason` at once, whether it drains already or not: nobody waits for a tail.
    pub fn abort(&mut self, reason: EndReason, now: Instant) -> Step {
        match self.end(reason, now) {
            Step::EndInput => self.end(reason, now),
            step @ (Step::Abort | Step::Wait) => step,
        }
    }

    /// Notes that the worker finished the session, or is gone (`lost`), and returns the reason
    /// that counts. A fault found while draining is the reason: its tail is not what was asked for.
    pub fn finished(&mut self, found: EndReason) -> EndReason {
        let reason = match (self.state, found) {
            (State::Closed { reason }, _) => reason,
            (State::Draining { reason, .. }, EndReason::Eos) => reason,
            (State::Opening | State::Active | State::Draining { .. }, found) => found,
        };
        self.state = State::Closed { reason };
        reason
    }

    /// Looks at the clock: ends what has been silent or draining for too long.
    pub fn tick(&mut self, now: Instant) -> Step {
        match self.state {
            State::Opening | State::Active if now >= self.input_at + IDLE_MAX => {
                self.end(EndReason::ClientGone, now)
            }
            State::Draining { reason, until } if now >= until => {
                self.state = State::Closed { reason };
                Step::Abort
            }
            _ => Step::Wait,
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test starts its own clock")]
mod tests {
    use super::*;

    #[test]
    fn a_silent_session_drains_and_then_closes_with_the_first_reason() {
        let start = Instant::now();
        let mut session = Session::open(start);
        session.opened();
        assert_eq!(session.tick(start + IDLE_MAX / 2), Step::Wait);
        session.input(start + IDLE_MAX / 2);
        assert_eq!(session.tick(start + IDLE_MAX), Step::Wait);
        let silent = start + IDLE_MAX * 2;
        assert_eq!(session.tick(silent), Step::EndInput);
        assert_eq!(session.end(EndReason::Eos, silent), Step::Wait);
        assert_eq!(session.tick(silent + DRAIN_MAX), Step::Abort);
        assert_eq!(session.finished(EndReason::Lost), EndReason::ClientGone);
    }

    #[test]
    fn a_tail_that_is_being_read_is_not_cut_off() {
        let start = Instant::now();
        let mut session = Session::open(start);
        assert_eq!(session.end(EndReason::Eos, start), Step::EndInput);
        session.output(start + DRAIN_MAX / 2);
        assert_eq!(session.tick(start + DRAIN_MAX), Step::Wait);
        assert_eq!(session.tick(start + DRAIN_MAX * 2), Step::Abort);
    }

    #[test]
    fn what_is_ended_at_once_is_aborted_once_from_wherever_it_is() {
        let start = Instant::now();
        for drains in [false, true] {
            let mut session = Session::open(start);
            session.opened();
            if drains {
                assert_eq!(session.end(EndReason::Eos, start), Step::EndInput);
            }
            assert_eq!(session.abort(EndReason::ClientGone, start), Step::Abort);
            assert_eq!(session.abort(EndReason::ClientGone, start), Step::Wait);
            let first = if drains { EndReason::Eos } else { EndReason::ClientGone };
            assert_eq!(session.state(), State::Closed { reason: first });
        }
    }

    #[test]
    fn a_fault_found_while_draining_is_the_reason() {
        let start = Instant::now();
        let mut session = Session::open(start);
        session.opened();
        assert_eq!(session.end(EndReason::Eos, start), Step::EndInput);
        assert_eq!(session.finished(EndReason::Fault), EndReason::Fault);
        assert_eq!(session.finished(EndReason::Lost), EndReason::Fault);
    }
}
