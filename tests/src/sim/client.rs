//! A client: asks for a job, streams, and wants to hear how it ended.

use std::time::Duration;

use domain::id::JobId;
use domain::job::ANSWER_MAX;

use super::judge::Rule;
use super::net::{DELAY_MS_MAX, Life, Message, Node, TICK};
use super::world::{Context, Outcome};
use crate::rng::Rng;

/// A client hears of its job at least this often; with half of all questions and answers lost, 30
/// polls in a row fail in one of a billion cases.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
/// Time between two polls of a client.
const POLL_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy)]
enum State {
    Idle { until: Duration },
    Asking { ask: u64, since: Duration },
    Streaming { job: JobId, left: u64, heard: Duration },
    Closing { job: JobId, since: Duration, reads_until: Duration },
    Done,
}

/// One client, which may ask for several jobs, one after the other.
#[derive(Debug)]
pub(super) struct Client {
    index: usize,
    gateway: Node,
    rng: Rng,
    jobs_left: u64,
    asks: u64,
    second: u64,
    polled: Duration,
    silent_until: Duration,
    state: State,
}

impl Client {
    pub(super) fn new(index: usize, gateways: usize, rng: &mut Rng) -> Self {
        let mut own = Rng::new(rng.bits());
        Self {
            index,
            gateway: Node::Gateway(own.index(gateways)),
            jobs_left: own.between(1, 4),
            asks: 0,
            second: 0,
            polled: Duration::ZERO,
            silent_until: Duration::ZERO,
            state: State::Idle { until: own.time(0, 40_000) },
            rng: own,
        }
    }

    pub(super) const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Looks at the clock.
    pub(super) fn tick(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        match self.state {
            State::Idle { until } if now >= until => self.ask(context),
            State::Asking { since, .. } => {
                // A front door that answers at all answers in its time, and the way takes its own.
                let bound = ANSWER_MAX + TICK * 2 + Duration::from_millis(2 * DELAY_MS_MAX);
                if now > since + bound {
                    self.over(context, Outcome::Unanswered);
                }
            }
            State::Streaming { job, left, heard } => self.stream(context, job, left, heard),
            State::Closing { job, since, reads_until } => {
                context.promise(now < since.max(reads_until) + PATIENCE, Rule::ClientHears, || {
                    format!("client {} heard nothing of `{job}`", self.index)
                });
                if now >= self.polled + POLL_EVERY {
                    self.polled = now;
                    self.send(context, Message::Close { job });
                    self.send(context, Message::Poll { job });
                }
                if now < reads_until {
                    self.send(context, Message::Read { job });
                }
            }
            State::Idle { .. } | State::Done => {}
        }
    }

    /// Takes a message.
    pub(super) fn take(&mut self, context: &mut Context<'_>, message: &Message) {
        let now = context.now;
        match (self.state, message) {
            (State::Asking { ask, .. }, Message::Accepted { ask: answered, job })
                if ask == *answered =>
            {
                self.second = 0;
                let left = self.rng.between(0, 90);
                self.state = State::Streaming { job: *job, left, heard: now };
            }
            (State::Asking { ask, .. }, Message::Refused { ask: answered, class })
                if ask == *answered =>
            {
                self.over(context, Outcome::Refused(class));
            }
            (
                State::Streaming { job, .. } | State::Closing { job, .. },
                Message::Status { job: about, life },
            ) if job == *about => self.hear(context, job, *life),
            _ => {}
        }
    }

    fn ask(&mut self, context: &mut Context<'_>) {
        self.jobs_left -= 1;
        self.asks += 1;
        let ask = self.asks;
        let cap_wei = if self.rng.chance(100_000) { u64::MAX } else { self.rng.between(1, 60) };
        self.state = State::Asking { ask, since: context.now };
        self.send(context, Message::Ask { ask, cap_wei });
    }

    fn stream(&mut self, context: &mut Context<'_>, job: JobId, left: u64, heard: Duration) {
        let now = context.now;
        context.promise(now < heard + PATIENCE, Rule::ClientHears, || {
            format!("client {} streams `{job}` to nobody", self.index)
        });
        if now >= self.polled + POLL_EVERY {
            self.polled = now;
            self.send(context, Message::Poll { job });
        }
        // Some lose their network, or never say that they are through.
        if self.rng.chance(4_000) {
            return self.over(context, Outcome::Left);
        }
        if left == 0 {
            let reads_until = now + self.rng.time(0, 120_000);
            self.state = State::Closing { job, since: now, reads_until };
            return self.send(context, Message::Close { job });
        }
        self.state = State::Streaming { job, left: left - 1, heard };
        // Some hold their breath, for a moment or for longer than anyone waits.
        if self.rng.chance(5_000) {
            self.silent_until = now + self.rng.time(5_000, 60_000);
        }
        if now >= self.silent_until && !self.rng.chance(100_000) {
            self.second += 1;
            self.send(context, Message::Input { job, second: self.second });
        }
    }

    fn hear(&mut self, context: &mut Context<'_>, job: JobId, life: Life) {
        match (&mut self.state, life) {
            (State::Streaming { heard, .. }, Life::Goes) => *heard = context.now,
            // Whoever closed waits for the end and takes nothing else for an answer.
            (
                State::Idle { .. } | State::Asking { .. } | State::Closing { .. } | State::Done,
                Life::Goes,
            ) => {}
            (_, Life::Over(reason)) => {
                context.judge.client_heard(job, reason);
                self.over(context, Outcome::Ended(reason));
            }
            (_, Life::Unknown) => self.over(context, Outcome::Forgotten),
        }
    }

    fn over(&mut self, context: &mut Context<'_>, outcome: Outcome) {
        context.came_out(outcome);
        self.state = if self.jobs_left == 0 {
            State::Done
        } else {
            State::Idle { until: context.now + self.rng.time(0, 20_000) }
        };
    }

    fn send(&self, context: &mut Context<'_>, message: Message) {
        context.send(Node::Client(self.index), self.gateway, message);
    }
}
