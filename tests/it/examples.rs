//! Every example runs, on a clip made here.

use std::fs;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tests::clips::Clip;
use tests::probe;
use tests::rig;

#[test]
fn every_example_describes_itself_and_runs() {
    let mut examples = 0;
    for entry in fs::read_dir(tests::root().join("examples")).expect("there are examples") {
        let folder = entry.expect("an entry can be read").path();
        for file in ["README.md", "config.toml", "run.sh"] {
            assert!(folder.join(file).is_file(), "`{}` has no {file}", folder.display());
        }
        examples += 1;
    }
    assert_eq!(examples, 1, "an example has no test of its results here");
}

#[test]
fn the_demonstration_leaves_a_drawing_a_sheet_and_a_report() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let clip = Clip::default().make(folder.path(), "clip.mp4");
    let out = folder.path().join("out");
    let script = tests::root().join("examples/sketch-clip/run.sh");
    let mut command = Command::new("sh");
    command.arg(script).arg(rig::program()).arg(&clip).arg(&out).stdin(Stdio::null());
    let done = rig::finish(command);
    let (text, errors) =
        (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{text}{errors}");
    for row in ["orchestrator", "chosen by", "price", "amount", "frames", "guest time"] {
        let rows = text.lines().filter(|line| line.starts_with(row)).count();
        assert_eq!(rows, 2, "`{row}` is not in both tables:\n{text}");
    }
    assert_eq!(probe::video(&out.join("demo.mp4")), probe::video(&clip));
    assert_eq!(probe::audio_packets(&out.join("demo.mp4")), probe::audio_packets(&clip));
    assert!(fs::metadata(out.join("demo.png")).is_ok_and(|sheet| sheet.len() > 1000));
    let report = fs::read_to_string(out.join("demo.json")).expect("there is a report");
    let report: serde_json::Value = serde_json::from_str(&report).expect("a report is JSON");
    for frames in [&report["frames"], &report["one_segment"]["frames"]] {
        assert_eq!(*frames, serde_json::json!({"in": 50, "out": 50, "dropped": 0}));
    }
}
