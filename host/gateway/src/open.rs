//! From a client's ask to a running job or a refusal with its reasons.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use domain::event::Event;
use domain::job::Job;
use futures_util::StreamExt;
use tokio::sync::oneshot;
use wire::error::Refusal;
use wire::header::random_hex;
use wire::livepeer::LiveAnswer;

use crate::bridge::Bridges;
use crate::channels::{Channels, url};
use crate::intake::Ask;
use crate::live::{Leftovers, Live};
use crate::record::{Admitted, AgreedPrice, Bound, Serving};
use crate::search::{Course, Found, Search};
use crate::start::Remote;
use crate::state::{State, now};

/// What a client is answered.
pub(crate) type Answer = Result<LiveAnswer, Refusal>;

/// A job that was let in.
pub(crate) struct Opening {
    pub(crate) state: Arc<State>,
    pub(crate) admitted: Admitted,
    pub(crate) ask: Ask,
    pub(crate) channels: Channels,
    /// What URLs given to the client begin with.
    pub(crate) origin: String,
    pub(crate) begun: Instant,
}

impl Opening {
    /// Runs the job from here to its end; the client's answer goes to `answer`.
    pub(crate) async fn run(self, mut answer: oneshot::Sender<Answer>) {
        let mut leftovers = Leftovers::new();
        let search = Search {
            state: Arc::clone(&self.state),
            id: self.admitted.id,
            asked: Arc::clone(&self.admitted.asked),
            ask: self.ask.clone(),
            begun: self.begun,
        };
        let job = Job::ask(self.ask.cap_wei, self.begun);
        let course = search.course(job, pin!(answer.closed())).await;
        let mut course = match course {
            Ok(course) => course,
            Err(nobody) => return self.refuse(nobody.refusal, answer),
        };
        let found = search.try_all(&mut course, pin!(answer.closed()), &mut leftovers).await;
        search.listen_on(&mut course, &leftovers);
        match found {
            Found::Nobody(nobody) => self.refuse(nobody.refusal, answer),
            Found::Serves(candidate, remote) => {
                self.accept(search, course, candidate, *remote, answer, &mut leftovers).await;
            }
        }
        while leftovers.next().await.is_some() {}
    }

    fn refuse(&self, refusal: Refusal, answer: oneshot::Sender<Answer>) {
        self.channels.discard(&self.state.store);
        let kept = self.state.records().refuse(self.admitted.id, &refusal);
        kept.into_iter().for_each(|kept| self.state.archive.keep(kept));
        self.state.jobs.refused.fetch_add(1, Ordering::Relaxed);
        self.state.sink.emit(Event::JobRefused {
            class: refusal.word().name(),
            capability: self.ask.capability.to_string(),
            request: self.ask.request.clone(),
        });
        // A client that has left needs no answer.
        let _ = answer.send(Err(refusal));
    }

    async fn accept(
        self,
        search: Search,
        course: Course,
        candidate: usize,
        remote: Remote,
        answer: oneshot::Sender<Answer>,
        leftovers: &mut Leftovers,
    ) {
        let Some(row) = course.rows.get(candidate).cloned() else { return };
        let (state, offering) = (Arc::clone(&self.state), &row.offering);
        let price = AgreedPrice::live(offering.price);
        state.whys().count(Some(&offering.orchestrator), &course.job.passed_over());
        let bound = Bound {
            serving: Serving { id: offering.orchestrator.to_string(), uri: offering.uri.clone() },
            passed_over: course.reasons(),
            policy: course.policy,
            price: price.clone(),
            custom: state.custom().of(&offering.orchestrator, &offering.uri),
        };
        state.records().bind(self.admitted.id, bound);
        state.keep(self.admitted.id);
        state.jobs.started.fetch_add(1, Ordering::Relaxed);
        state.sink.emit(Event::JobStarted {
            job: self.admitted.id,
            orchestrator: offering.orchestrator.clone(),
            capability: self.ask.capability.to_string(),
            request: self.ask.request.clone(),
            took: now().saturating_duration_since(self.begun),
        });
        let allowed = &state.config.allowed_hosts;
        let live = Live {
            bridges: Bridges::new(&self.ask.given, &self.channels, allowed),
            channels: self.channels.clone(),
            stopping: state.stopping.clone(),
            remote,
            row,
            candidate,
            price,
            search,
        };
        if answer.send(Ok(self.answer())).is_err() {
            self.admitted.asked.end.notify_one();
        }
        live.run(course.job, leftovers).await;
    }

    fn answer(&self) -> LiveAnswer {
        let (given, channels) = (&self.ask.given, &self.channels);
        let own = |given: &Option<url::Url>, channel| {
            given.as_ref().map_or_else(|| url(&self.origin, channel), url::Url::to_string)
        };
        LiveAnswer {
            manifest_id: random_hex::<16>(),
            // Where the client gave a URL to read input from, that is where it writes.
            publish_url: own(&given.input, &channels.input),
            subscribe_url: own(&given.output, &channels.output),
            control_url: own(&given.control, &channels.control),
            events_url: own(&given.events, &channels.events),
            job: self.admitted.id.to_string(),
            job_token: self.admitted.token.clone(),
        }
    }
}
