//! A job whose orchestrator is lost goes on with another one, from the last picture that its client
//! was given.
//!
//! **Invariant:** the client reads on in the same channel; what it was given is not sent again.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use domain::event::Event;
use domain::job::{Job, Loss};
use serde_json::json;

use super::{Leftovers, Live, Media, Seen, Tallies};
use crate::book::Outcome;
use crate::ended::Leg;
use crate::record::{AgreedPrice, Bound, Serving, Swap};
use crate::search::{Found, Nobody};
use crate::state::now;

impl Live {
    /// Closes the books on an orchestrator that was lost.
    pub(super) fn leave(&self, seen: &mut Seen, media: &Media, before: &[Leg]) -> Leg {
        // To stop in order is no failure.
        let stopped = seen.loss == Loss::Stopped;
        let outcome = if stopped { Outcome::Neither } else { Outcome::Failed };
        self.state().end(self.row.seat, outcome);
        let told: u64 = before.iter().map(|leg| leg.pictures).sum();
        Leg {
            orchestrator: self.row.offering.orchestrator.clone(),
            loss: seen.loss,
            detail: seen.detail(),
            pictures: media.given.pictures().saturating_sub(told),
            report: seen.report.take(),
        }
    }

    /// Finds another orchestrator and lets it take over.
    pub(super) async fn move_on(
        &mut self,
        job: Job,
        leg: &Leg,
        media: &mut Media,
        tallies: &Tallies,
        leftovers: &mut Leftovers,
    ) -> Result<Job, Nobody> {
        let begun = now();
        tracing::warn!(
            orchestrator = %leg.orchestrator,
            cause = leg.loss.name(),
            detail = leg.detail,
            "orchestrator lost, looking for another"
        );
        self.search.begun = begun;
        self.search.ask.resume = media.given.resume();
        if let Some(params) = tallies.steer.params() {
            self.search.ask.start.params = Some(params);
        }
        let output = Arc::clone(&self.channels.output);
        let asked = Arc::clone(&self.search.asked);
        let mut left = pin!(async move {
            tokio::select! {
                () = output.closed() => {}
                () = asked.end.notified() => {}
            }
        });
        let mut course = self.search.course(job, left.as_mut()).await?;
        let found = self.search.try_all(&mut course, left.as_mut(), leftovers).await;
        self.search.listen_on(&mut course, leftovers);
        let (candidate, remote) = match found {
            Found::Nobody(nobody) => return Err(nobody),
            Found::Serves(candidate, remote) => (candidate, *remote),
        };
        let row = course.rows.get(candidate).cloned().expect("who serves is one of the candidates");
        media.replay.rewind(media.given.resume().map(|resume| resume.picture));
        media.given.move_on();
        media.out.end_segment();
        (self.remote, self.candidate, self.row) = (remote, candidate, row);
        self.price = AgreedPrice::live(self.row.offering.price);
        let others = course.job.passed_over();
        self.state().whys().count(Some(&self.row.offering.orchestrator), &others);
        let swap = self.told(leg, begun);
        let bound = Bound {
            serving: Serving {
                id: self.row.offering.orchestrator.to_string(),
                uri: self.row.offering.uri.clone(),
            },
            passed_over: course.reasons(),
            policy: course.policy,
            price: self.price.clone(),
            custom: {
                let offering = &self.row.offering;
                self.state().custom().of(&offering.orchestrator, &offering.uri)
            },
        };
        let mut event = json!({"type": "swap"});
        if let (Some(event), Ok(serde_json::Value::Object(swap))) =
            (event.as_object_mut(), serde_json::to_value(&swap))
        {
            event.extend(swap);
        }
        self.state().records().moved(self.search.id, bound, swap);
        self.state().keep(self.search.id);
        drop(media.events.send(Bytes::from(event.to_string())).await);
        Ok(course.job)
    }

    /// Tells everybody of the move.
    fn told(&self, leg: &Leg, begun: std::time::Instant) -> Swap {
        let took = now().saturating_duration_since(begun);
        let to = self.row.offering.orchestrator.clone();
        self.state().sink.emit(Event::JobMoved {
            job: self.search.id,
            from: leg.orchestrator.clone(),
            to: to.clone(),
            cause: leg.loss.name(),
            took,
        });
        Swap {
            from: leg.orchestrator.to_string(),
            to: to.to_string(),
            cause: leg.loss.name(),
            detail: leg.detail.clone(),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            resume_pts: self.search.ask.resume.map(|resume| resume.picture),
            exact: self.remote.resumes || self.search.ask.resume.is_none(),
        }
    }
}
