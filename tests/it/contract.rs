//! The contract in the real program: what a pipeline's calls are answered in a session, and what
//! the operator grants.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::client::LiveJob;
use tests::clips::Clip;
use tests::rig::{self, Rig, Setup};

/// What this host answers with something else than a value. A function that begins to work makes the
/// test fail until it is cut here; so does an op that has lost its kernel.
///
/// * No catalogue yet: `catalogue`, `model` and the ops that need one.
/// * No sound yet: `audio`. No client can ask for a data channel yet: `data.send-*`.
fn not_here() -> Value {
    json!({
        "audio.analyze": "unreached",
        "audio.create": "not-found",
        "audio.gain": "not-found",
        "audio.mix": "not-found",
        "audio.read": "not-found",
        "audio.shape-of": "not-found",
        "catalogue.open-kernel": "not-found",
        "catalogue.open-model": "not-found",
        "data.send-bytes": "not-found",
        "data.send-text": "not-found",
        "model.labels": "unreached",
        "model.set-frame": "unreached",
        "model.set-number": "unreached",
        "model.set-text": "unreached",
        "ops.analyze": "unreached",
        "ops.detect": "unreached",
        "ops.infer": "unreached",
        "ops.run-kernel": "unreached",
    })
}

const GRANTS: &str = "[plugins.grants.call-pipeline]\nkv = \"1MiB\"\ndata = true\npixels = true\n\
                      audio = true\n[plugins.grants.bad-geometry]\npixels = true\n";

fn rig(rest: &str) -> Rig {
    let program = rig::program();
    let target = program.parent().and_then(Path::parent).expect("a program in a profile");
    let guests = target.join("conformance").display().to_string();
    let env = vec![("FRAMEGATE_PLUGINS".to_owned(), guests)];
    Setup { env, rest: rest.to_owned(), ..Setup::default() }.up()
}

/// Runs a clip of 10 pictures through `pipeline` and returns every event.
fn events(rig: &Rig, pipeline: &str) -> Vec<Value> {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let clip = Clip { frames: 10, ..Clip::default() }.make(folder.path(), "clip.ts");
    let clip = Bytes::from(fs::read(clip).expect("the clip can be read"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    runtime.block_on(async {
        let job = LiveJob::start(&rig.url("gateway"), pipeline, "{}").await;
        let segments = [clip];
        let (_, _, events) =
            tokio::join!(job.publish(&segments), job.read(100_000_000), job.events());
        events
    })
}

#[test]
fn every_call_of_a_pipeline_is_answered_as_this_host_can() {
    let rig = rig(GRANTS);
    let events = events(&rig, "call-pipeline");
    let last = events.last().expect("an event");
    assert_eq!(last["reason"], "eos", "{last}\n{}", rig.log());
    let called = events.iter().find(|event| event["type"] == "called").expect("the guest's event");
    assert_eq!(called["failed"], not_here());
    // What it stored is in its file, and its metric on the orchestrator's dashboard.
    assert!(rig.data().join("orchestrator/kv/call-pipeline.sqlite").is_file());
    let admin = rig.address("orchestrator", "admin");
    let (_, metrics) = rig::get(admin, "/metrics").expect("the admin side answers");
    assert!(metrics.contains("plugin_call_pipeline_frames 10"), "{metrics}");
}

#[test]
fn a_picture_of_another_size_than_announced_ends_its_session_with_both_sizes() {
    let rig = rig(GRANTS);
    let events = events(&rig, "bad-geometry");
    let last = events.last().expect("an event");
    assert_eq!(last["reason"], "fault", "{last}");
    let message = last["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("2x2") && message.contains("announced"), "{message}");
}

#[test]
fn a_pipeline_whose_grants_the_operator_does_not_allow_is_not_offered() {
    let rig = rig("");
    rig.wait_for_log("the operator does not allow `kv`");
}
