//! What the front door lets in, and whom it answers.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use serde_json::json;

use crate::rig::{Manner, Orch, PIPELINE, Rig};

#[tokio::test]
async fn a_record_is_for_who_has_the_token() {
    let orch = Orch::start(Manner::default()).await;
    let rig = Rig::start(&[&orch], |_| {}).await;
    let job = rig.begin(json!({})).await;
    for token in [None, Some("wrong"), Some("")] {
        for method in [Method::GET, Method::DELETE] {
            assert_eq!(job.ask(method, token).await.0, StatusCode::UNAUTHORIZED);
        }
    }
    assert_eq!(job.record().await["state"], "running", "nobody else ended it");
    let mut unknown = rig.begin(json!({})).await.answer;
    unknown.job = "job-99".to_owned();
    let unknown = rig.job(serde_json::to_value(&unknown).unwrap());
    let (status, _) = unknown.ask(Method::GET, Some(&unknown.answer.job_token)).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn limits_refuse_with_their_number() {
    let orch = Orch::start(Manner::default()).await;
    let rig = Rig::start(&[&orch], |config| {
        config.limits.jobs_max = 1;
        config.limits.body_bytes_max = 2000;
    })
    .await;
    let job = rig.begin(json!({})).await;
    let (status, body) = rig.ask(&json!({"model_id": PIPELINE}), &[]).await;
    assert_eq!(
        (status, &body["reasons"][0]["class"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("limit"))
    );
    assert_eq!(body["error"]["message"], "1 jobs run already, which is the limit");
    job.ask(Method::DELETE, Some(&job.answer.job_token)).await;
    job.ended().await;
    rig.begin(json!({})).await;
    let long = json!({"model_id": PIPELINE, "params": {"text": "x".repeat(3000)}}).to_string();
    let request = Request::post(format!("http://{}/live-video-to-video", rig.address));
    let answer = rig.client.exchange(request.body(Bytes::from(long)).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_url_that_the_operator_does_not_list_is_refused_before_anybody_is_asked() {
    let orch = Orch::start(Manner::default()).await;
    let rig = Rig::start(&[&orch], |_| {}).await;
    let ask =
        json!({"model_id": "", "subscribe_url": "http://169.254.169.254/x", "publish_url": ""});
    let ask = |id: &str| {
        let mut ask = ask.clone();
        ask["model_id"] = json!(id);
        ask
    };
    let (status, body) = rig.ask(&ask(PIPELINE), &[]).await;
    assert_eq!(
        (status, &body["reasons"][0]["class"]),
        (StatusCode::FORBIDDEN, &json!("url-not-allowed"))
    );
    let (status, body) = rig.ask(&ask(""), &[]).await;
    assert_eq!((status, &body["error"]["class"]), (StatusCode::BAD_REQUEST, &json!("invalid")));
    assert!(orch.starts().is_empty());
}

#[tokio::test]
async fn the_front_door_says_that_it_is_alive_and_nothing_else_of_itself() {
    let rig = Rig::of(Vec::new(), |config| config.public_url = Some("https://door/".into()));
    let get = async |path: &str| {
        let request = Request::get(format!("http://{}{path}", rig.address));
        rig.client.exchange(request.body(Bytes::new()).unwrap()).await.unwrap().status()
    };
    assert_eq!(get("/healthz").await, StatusCode::OK);
    assert_eq!(get("/metrics").await, StatusCode::NOT_FOUND);
    let (status, body) = rig.ask(&json!({"model_id": PIPELINE}), &[]).await;
    assert_eq!((status, &body["error"]["class"]), (StatusCode::NOT_FOUND, &json!("no-capability")));
}
