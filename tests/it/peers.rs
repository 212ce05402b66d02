//! Clients that nobody here wrote, against our service port.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use tests::clips::Clip;
use tests::rig::{self, Rig};

/// Where `./x setup peers` keeps the Python client.
fn python() -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")))?;
    let python = cache.join("framegate/livepeer-gateway-1.0.0/bin/python");
    python.exists().then_some(python)
}

#[test]
fn a_stock_python_client_starts_a_live_job_and_reads_every_picture() {
    let Some(python) = python() else {
        tests::skipped("no `livepeer-gateway` 1.0.0, which needs Python 3.12");
        return;
    };
    let folder = TempDir::new().expect("a temporary folder can be made");
    // Four seconds, of which the first three count: the client may lose its own end.
    let clip =
        Clip { frames: 100, audio: false, ..Clip::default() }.make(folder.path(), "clip.mp4");
    let rig = Rig::up();
    let mut client = Command::new(python);
    client.arg(tests::root().join("tests/peers/live_client.py"));
    client.arg(rig.url("orchestrator")).arg(&clip).arg("2.98");
    let done = rig::finish(client);
    let text = String::from_utf8_lossy(&done.stdout);
    let errors = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{text}{errors}{}", rig.log());
    let report: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{errors}"));
    assert_eq!(report["sent"], 100, "{report}");
    assert_eq!(report["received"], 75, "{report}");
    assert_eq!(report["sizes"], serde_json::json!([[320, 180]]), "{report}");
    assert_eq!(report["ended"]["reason"], "eos", "{report}");
}
