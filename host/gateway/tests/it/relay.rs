//! What goes through a running job, both ways.

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::time::timeout;
use wire::trickle::Publisher;

use std::sync::Arc;

use crate::rig::{Manner, Orch, PIPELINE, Rig, SOON, Seen};

#[tokio::test]
async fn a_job_goes_through_with_its_segments_its_record_and_its_last_event() {
    let orch = Orch::start(Manner::default()).await;
    let rig = Rig::start(&[&orch], |_| {}).await;
    let body = json!({"model_id": PIPELINE, "params": {"b": 1, "a": 2.0}});
    let (status, answer) = rig.ask(&body, &[("framegate-request-id", "mine")]).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let job = rig.job(answer);
    let base = format!("http://{}/ai/trickle/", rig.address);
    for url in [&job.answer.publish_url, &job.answer.subscribe_url, &job.answer.events_url] {
        assert!(url.starts_with(&base), "{url}");
    }
    let start = &orch.starts()[0];
    let params: serde_json::Value = serde_json::from_str(&start.params).unwrap();
    assert_eq!((start.request.as_str(), params), ("mine", json!({"b": 1, "a": 2.0})));
    assert!(start.quoted, "the start presents the token of the quote");

    let record = job.record().await;
    assert_eq!(record["state"], "running");
    assert_eq!(record["orchestrator"], json!({"id": orch.address.to_string(), "uri": orch.uri()}));
    assert_eq!(record["policy"]["plugin"], "native");
    let price = json!({"wei": "5", "per_units": 1_000_000, "unit": "lv2v-pixel-second"});
    assert_eq!((&record["price"], &record["passed_over"]), (&price, &json!([])));
    assert_eq!(record.get("reason"), None);

    let (ended, output) = (job.ended(), tokio::spawn(job.segments()));
    let sent: Vec<Vec<u8>> = (0..7_u8).map(|n| vec![n; 300_000 + usize::from(n)]).collect();
    let mut publisher = job.publisher();
    for segment in &sent {
        publisher.send(Bytes::from(segment.clone())).await.unwrap();
    }
    publisher.close().await.unwrap();
    assert!(output.await.unwrap() == sent, "segment for segment, byte for byte");
    let ended = ended.await;
    let bytes: usize = sent.iter().map(Vec::len).sum();
    assert_eq!((&ended["reason"], &ended["frames"]["in"]), (&json!("eos"), &json!(bytes)));
    let record = job.record().await;
    assert_eq!((&record["state"], &record["reason"]), (&json!("ended"), &json!("eos")));
    assert_eq!((&record["amount_wei"], &record["frames_sha256"]), (&json!("7"), &json!("ab")));
    assert_eq!(rig.handle.counters().jobs_ended, 1);
    rig.stop().await;
}

#[tokio::test]
async fn a_segment_streams_through_before_it_ends() {
    let orch = Orch::start(Manner::default()).await;
    let rig = Rig::start(&[&orch], |_| {}).await;
    let job = rig.begin(json!({})).await;
    let (mut publisher, mut output) = (job.publisher(), job.output());
    let mut segment = publisher.begin();
    for round in 0..3_u8 {
        segment.write(Bytes::from(vec![round; 1000])).await.unwrap();
        if round == 0 {
            timeout(SOON, output.next_segment()).await.unwrap().unwrap().unwrap();
        }
        let mut got = 0;
        while got < 1000 {
            let chunk = timeout(SOON, output.chunk()).await.unwrap().unwrap().unwrap();
            assert!(chunk.iter().all(|byte| *byte == round));
            got += chunk.len();
        }
    }
    segment.end().await.unwrap();
    publisher.close().await.unwrap();
    assert_eq!(timeout(SOON, output.chunk()).await.unwrap().unwrap(), None);
    assert_eq!(job.ended().await["reason"], "eos");
}

#[tokio::test]
async fn a_reader_that_stops_holds_its_publisher_back_and_loses_nothing() {
    let orch = Orch::start(Manner::default()).await;
    let rig = Rig::start(&[&orch], |config| config.limits.buffered_bytes_max = 1 << 20).await;
    let job = rig.begin(json!({})).await;
    let (mut publisher, mut output) = (job.publisher(), job.output());
    let mut segment = publisher.begin();
    segment.write(Bytes::from(vec![7; 1000])).await.unwrap();
    timeout(SOON, output.next_segment()).await.unwrap().unwrap().unwrap();
    // The publisher is unpaced; all that is on the way must fit in windows and sockets.
    let mut sent = 1000_usize;
    let chunk = Bytes::from(vec![7; 256 << 10]);
    let pause = std::time::Duration::from_secs(1);
    while let Ok(written) = timeout(pause, segment.write(chunk.clone())).await {
        written.unwrap();
        sent += chunk.len();
        assert!(sent < 256 << 20, "nothing holds the publisher back");
    }
    let reading = async {
        let mut got = 0;
        while let Some(bytes) = output.chunk().await.unwrap() {
            assert!(bytes.iter().all(|byte| *byte == 7));
            got += bytes.len();
            if got >= sent {
                break;
            }
        }
        got
    };
    assert!(timeout(SOON, reading).await.unwrap() >= sent);
    drop(segment);
    publisher.close().await.unwrap();
}

#[tokio::test]
async fn control_reaches_the_orchestrator_message_for_message() {
    let mut orch = Orch::start(Manner::default()).await;
    let rig = Rig::start(&[&orch], |_| {}).await;
    let job = rig.begin(json!({})).await;
    let mut control =
        Publisher::new(rig.client.clone(), &job.answer.control_url, "application/json");
    for message in [json!({"strength": 3}), json!({"message": "hi"})] {
        control.send(Bytes::from(message.to_string())).await.unwrap();
        let got = timeout(SOON, orch.controls.recv()).await.unwrap();
        assert_eq!(got, Some(message));
    }
    let (status, _) = job.ask(Method::DELETE, Some(&job.answer.job_token)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(job.ended().await["reason"], "client-gone");
}

#[tokio::test]
async fn urls_of_the_clients_own_take_the_place_of_channels() {
    use wire::trickle::{Ask, ChannelReader, ChannelWriter, Limits, Options, Store};
    let store = Store::new(Limits::default());
    let input = store.create("in", Options::of_type("video/MP2T")).unwrap();
    let output = store.create("out", Options::of_type("video/MP2T")).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/t/", listener.local_addr().unwrap());
    let app = wire::serve::App::new(axum::Router::new()).with_trickle("/t/", store);
    let config = wire::serve::Config::default();
    let sink = Arc::new(Seen::default());
    let server =
        tokio::spawn(wire::serve::serve(listener, None, app, config, sink, std::future::pending()));
    let orch = Orch::start(Manner::default()).await;
    let rig = Rig::start(&[&orch], |config| {
        config.allowed_hosts = wire::allow::AllowedHosts::new(["127.0.0.1"]);
    })
    .await;
    let (status, answer) = rig
        .ask(
            &json!({
                "model_id": PIPELINE, "subscribe_url": format!("{url}in"),
                "publish_url": format!("{url}out"), "control_url": "", "events_url": "",
            }),
            &[],
        )
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let job = rig.job(answer);
    assert_eq!(job.answer.publish_url, format!("{url}in"));
    let ended = tokio::spawn(job.ended());
    let mut writer = ChannelWriter::new(input);
    writer.send(Bytes::from_static(b"one")).await.unwrap();
    writer.send(Bytes::from_static(b"two")).await.unwrap();
    writer.close();
    let mut reader = ChannelReader::new(output, "test", Ask::Seq(0));
    let mut got = Vec::new();
    while let Some(message) = timeout(SOON, reader.message(100)).await.unwrap() {
        got.push(String::from_utf8(message).unwrap());
    }
    assert_eq!(got, ["one", "two"]);
    assert_eq!(ended.await.unwrap()["reason"], "eos");
    server.abort();
}
