//! Telling each orchestrator what is counted of it, so that its operator can ask why it gets no work.
//!
//! **Invariants:** an orchestrator hears of itself only; one that does not know the question is not
//! asked again; nobody waits for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use domain::id::OrchestratorId;
use futures_util::StreamExt;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use tokio::time::{MissedTickBehavior, interval};
use wire::feedback::{Feedback, PATH};

use crate::channels::JSON;
use crate::state::{State, now};

/// Orchestrators that are told at once.
const AT_ONCE: usize = 16;

/// Tells all the time; ends only if nobody is to be told.
pub(crate) async fn run(state: Arc<State>) {
    let Some(every) = state.config.feedback else { return };
    let mut clock = interval(every);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut deaf: BTreeSet<String> = BTreeSet::new();
    loop {
        clock.tick().await;
        let rows = state.book().rows(now());
        // One that was forgotten and comes back may have learnt it.
        deaf.retain(|uri| rows.iter().any(|row| row.uri == *uri));
        let told = rows.into_iter().filter(|row| row.reachable && !deaf.contains(&row.uri));
        let told = told.map(|row| tell(Arc::clone(&state), row.id, row.uri));
        let refused: Vec<Option<String>> =
            stream::iter(told).buffer_unordered(AT_ONCE).collect().await;
        deaf.extend(refused.into_iter().flatten());
    }
}

/// Tells one; returns its address if it does not know what this is.
async fn tell(state: Arc<State>, id: OrchestratorId, uri: String) -> Option<String> {
    let gateway = state.config.public_url.clone();
    let gateway = gateway.unwrap_or_else(|| format!("http://{}", state.address));
    let counts = state.whys().counts(&id);
    let body = serde_json::to_vec(&Feedback { gateway, counts }).ok()?;
    let request = Request::post(format!("{}{PATH}", uri.trim_end_matches('/')))
        .header(CONTENT_TYPE, JSON)
        .body(Bytes::from(body))
        .ok()?;
    match state.client.exchange(request).await {
        Ok(answer) if answer.status() == StatusCode::NOT_FOUND => {
            tracing::debug!(orchestrator = %id, "feedback not known there");
            Some(uri)
        }
        Ok(_) => None,
        Err(error) => {
            // Whether it can be reached is for discovery to say.
            tracing::debug!(orchestrator = %id, error = %error, "feedback not sent");
            None
        }
    }
}
