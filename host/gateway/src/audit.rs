//! Asking policies again, off the path of any job: a sample of their choices to see whether they
//! stand by them, and those whose breaker is open to see whether they are well again.
//!
//! **Invariants:** no job waits for it; what it is too busy for is not looked at.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use domain::breaker::BreakerState;
use domain::event::Sink;
use domain::sample::Sample;
use plugin::policy::audit::{Choice, Question, audit};
use plugin::{Fault, PreparedSelection, Ready, Standing};
use tokio::sync::mpsc;

use crate::market::{Market, Ranker};
use crate::state::{State, now};

/// Questions that wait. Each takes some milliseconds of one thread; under a load that fills this,
/// enough are looked at.
const QUEUE: usize = 16;

/// One question to be asked again.
pub(crate) struct Task {
    market: Arc<Market>,
    standing: Arc<Standing>,
    question: Question,
    /// What was answered; `None`: nobody was asked, the version's breaker is open.
    first: Option<Choice>,
}

/// Takes what is to be asked again.
#[derive(Debug)]
pub(crate) struct Auditor {
    sample: Sample,
    tasks: mpsc::Sender<Task>,
}

impl Auditor {
    /// Makes an auditor that takes one choice in `one_in`, and the queue to [`run`] it by.
    pub(crate) fn new(one_in: u64) -> (Self, mpsc::Receiver<Task>) {
        let (tasks, queue) = mpsc::channel(QUEUE);
        // A policy that knew the key could tell when it is looked at.
        let key = u64::from_le_bytes(wire::header::random_bytes());
        (Self { sample: Sample::new(key, one_in), tasks }, queue)
    }

    /// Has a choice looked at again, if it is in the sample.
    pub(crate) fn look(
        &self,
        market: &Arc<Market>,
        standing: &Arc<Standing>,
        question: &Question,
        choice: &Choice,
    ) {
        if self.sample.takes(question.seed) {
            self.send(market, standing, question, Some(choice.clone()));
        }
    }

    /// Asks every version of `ranker` whose breaker is open what a job asked of another.
    pub(crate) fn shadow(&self, market: &Arc<Market>, ranker: &Ranker, question: &Question) {
        for standing in ranker.slot.versions().iter().map(|version| version.standing()) {
            if matches!(standing.state(), BreakerState::Open(_)) {
                self.send(market, standing, question, None);
            }
        }
    }

    fn send(
        &self,
        market: &Arc<Market>,
        standing: &Arc<Standing>,
        question: &Question,
        first: Option<Choice>,
    ) {
        let (market, standing) = (Arc::clone(market), Arc::clone(standing));
        // Full or ended: this one is not looked at.
        let _ = self.tasks.try_send(Task { market, standing, question: question.clone(), first });
    }
}

/// Asks one after the other, on a thread that may block; ends with the auditor.
pub(crate) async fn run(mut queue: mpsc::Receiver<Task>, state: Arc<State>) {
    while let Some(task) = queue.recv().await {
        let sink = Arc::clone(&state.sink);
        if let Err(error) = tokio::task::spawn_blocking(move || look(&task, &*sink)).await {
            tracing::error!(error = %error, "audit of a choice broke off");
        }
        state.counted.audits.fetch_add(1, Ordering::Relaxed);
    }
}

fn look(task: &Task, sink: &dyn Sink) {
    let Task { market, standing, question, first } = task;
    let Some((name, ready)) = market.find(standing) else { return };
    let Some(ready) = ready else {
        return standing.shadowed(name, false, sink);
    };
    let first = first.clone().map_or_else(|| asked_fresh(ready, question), Ok);
    match first.and_then(|first| audit(ready, question, &first)) {
        Ok(None) => standing.shadowed(name, true, sink),
        Ok(Some(difference)) => standing.quarantine(name, difference.to_string(), sink),
        Err(fault) => {
            standing.faulted(name, &fault, now(), sink);
            standing.shadowed(name, false, sink);
        }
    }
}

fn asked_fresh(ready: &Ready<PreparedSelection>, question: &Question) -> Result<Choice, Fault> {
    question.ask(&mut ready.fresh()?)
}
