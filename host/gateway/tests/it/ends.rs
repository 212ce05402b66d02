//! How a job ends, and that it always does.

use std::time::Duration;

use bytes::Bytes;
use domain::event::Event;
use domain::session::EndReason;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::time::timeout;

use crate::rig::{Manner, Orch, Rig, SOON, eventually};

#[tokio::test]
async fn a_lost_orchestrator_ends_its_job_with_a_reason_and_the_role_goes_on() {
    let orch = Orch::start(Manner::default()).await;
    let rig = Rig::start(&[&orch], |_| {}).await;
    let job = rig.begin(json!({})).await;
    let ended = tokio::spawn(job.ended());
    let mut output = job.output();
    let mut publisher = job.publisher();
    let mut segment = publisher.begin();
    segment.write(Bytes::from_static(b"half a segment")).await.unwrap();
    timeout(SOON, output.next_segment()).await.unwrap().unwrap().unwrap();
    let killed = std::time::Instant::now();
    orch.kill();
    let ended = ended.await.unwrap();
    assert!(killed.elapsed() < Duration::from_secs(15), "{:?}", killed.elapsed());
    assert_eq!(
        (&ended["reason"], &ended["error"]["class"]),
        (&json!("lost"), &json!("unreachable"))
    );
    assert_eq!(ended["price"]["wei"], "5");
    let rest = async {
        while output.chunk().await.unwrap().is_some() {}
        output.next_segment().await.unwrap()
    };
    assert_eq!(timeout(SOON, rest).await.unwrap(), None, "the output is closed");
    let record = job.record().await;
    assert_eq!((&record["state"], &record["reason"]), (&json!("ended"), &json!("lost")));
    let row = &rig.handle.orchestrators()[0];
    assert_eq!((row.attempts, row.successes, row.in_flight), (1, 0, 0));
    assert!(rig.handle.ready());
}

#[tokio::test]
async fn a_job_that_its_client_deletes_gives_its_slot_back_at_once() {
    let orch = Orch::start(Manner { slots: 1, ..Manner::default() }).await;
    let rig = Rig::start(&[&orch], |_| {}).await;
    let job = rig.begin(json!({})).await;
    let mut publisher = job.publisher();
    publisher.send(Bytes::from_static(b"one")).await.unwrap();
    assert_eq!(orch.used(), 1);
    let (status, record) = job.ask(Method::DELETE, Some(&job.answer.job_token)).await;
    assert_eq!((status, &record["job"]), (StatusCode::OK, &json!("job-1")));
    assert_eq!(job.ended().await["reason"], "client-gone");
    eventually(|| orch.used() == 0).await;
    assert!(publisher.send(Bytes::from_static(b"two")).await.is_err(), "the input is closed");
    // The next job needs the same slot, and the figures of the last answer do not stand in its way.
    let next = rig.begin(json!({})).await;
    assert_eq!(next.answer.job, "job-2");
}

#[tokio::test]
async fn a_closed_output_ends_the_session_without_its_tail() {
    let orch = Orch::start(Manner::default()).await;
    let rig = Rig::start(&[&orch], |_| {}).await;
    let job = rig.begin(json!({})).await;
    let ended = tokio::spawn(job.ended());
    let request = http::Request::delete(&job.answer.subscribe_url).body(Bytes::new()).unwrap();
    assert_eq!(rig.client.exchange(request).await.unwrap().status(), StatusCode::OK);
    assert_eq!(ended.await.unwrap()["reason"], "client-gone");
    eventually(|| orch.used() == 0).await;
}

#[tokio::test]
async fn a_publisher_that_breaks_off_with_nobody_reading_counts_as_gone() {
    let orch = Orch::start(Manner::default()).await;
    let rig = Rig::start(&[&orch], |_| {}).await;
    let job = rig.begin(json!({})).await;
    let mut publisher = job.publisher();
    let mut segment = publisher.begin();
    segment.write(Bytes::from_static(b"half a segment")).await.unwrap();
    eventually(|| rig.handle.jobs()[0].state == gateway::JobState::Running).await;
    // It is only there once the server has it: a request that nobody saw breaks nothing off.
    let mut output = job.output();
    timeout(SOON, output.next_segment()).await.unwrap().unwrap().unwrap();
    drop((output, segment));
    eventually(|| rig.handle.jobs()[0].reason == "client-gone").await;
    eventually(|| orch.used() == 0).await;
}

#[tokio::test]
async fn a_silent_client_ends_its_job_after_the_idle_time() {
    let orch = Orch::start(Manner::default()).await;
    let rig = Rig::start(&[&orch], |_| {}).await;
    let job = rig.begin(json!({})).await;
    job.publisher().send(Bytes::from_static(b"one")).await.unwrap();
    let sent = tokio::time::Instant::now();
    let idle = domain::session::IDLE_MAX;
    let over = async {
        let mut look = tokio::time::interval(Duration::from_millis(250));
        while rig.handle.jobs()[0].reason != "client-gone" {
            look.tick().await;
        }
    };
    timeout(idle + Duration::from_secs(15), over).await.unwrap();
    assert!(sent.elapsed() >= idle, "given up after {:?}", sent.elapsed());
}

#[tokio::test]
async fn a_stopping_gateway_lets_its_jobs_send_their_tails_and_takes_no_more() {
    let orch = Orch::start(Manner::default()).await;
    let rig = Rig::start(&[&orch], |_| {}).await;
    let job = rig.begin(json!({})).await;
    let (ended, output) = (tokio::spawn(job.ended()), tokio::spawn(job.segments()));
    let mut publisher = job.publisher();
    publisher.send(Bytes::from_static(b"one")).await.unwrap();
    let seen = std::sync::Arc::clone(&rig.seen);
    rig.stop().await;
    assert_eq!(output.await.unwrap(), [b"one".to_vec()]);
    let ended = ended.await.unwrap();
    assert_eq!((&ended["reason"], &ended["frames"]["in"]), (&json!("shutdown"), &json!(3)));
    let events = seen.0.lock().unwrap();
    let told = |event: &Event| {
        matches!(event, Event::JobEnded { reason: EndReason::Shutdown, amount_wei: 7, .. })
    };
    assert!(events.iter().any(told), "{events:?}");
}
