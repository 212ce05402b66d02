//! `framegate plugin`: what it says of components that fit and that do not, and with which exit
//! code.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use tests::rig;

fn ask(arguments: &[&str]) -> (i32, Value, String) {
    let done = rig::finish(command(arguments));
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let code = done.status.code().expect("it was not killed");
    (code, serde_json::from_str(&text).unwrap_or_default(), text)
}

fn command(arguments: &[&str]) -> Command {
    let mut command = rig::framegate(&["plugin"]);
    command.args(arguments);
    command
}

/// Returns the folder of a shipped plugin, as the program finds it.
fn shipped(id: &str) -> PathBuf {
    let (code, json, text) = ask(&["inspect", id, "--json"]);
    assert_eq!(code, 0, "{text}");
    let component = PathBuf::from(json["component"].as_str().expect("it has a component"));
    component.parent().expect("it lies in a folder").to_owned()
}

#[test]
fn a_component_is_compared_with_a_world_all_at_once() {
    let folder = shipped("price-job");
    let file = folder.join("price-job.wasm").display().to_string();
    let (code, json, text) = ask(&["check", &file, "--world", "pricing-rule", "--json"]);
    assert_eq!(code, 0, "{text}");
    for list in ["missing_imports", "missing_exports", "mismatched_types"] {
        assert_eq!(json[list], Value::Array(Vec::new()), "{text}");
    }
    let (code, json, text) = ask(&["check", &file, "--world", "selection-policy", "--json"]);
    assert_eq!((code, json["is"].as_str()), (3, Some("pricing-rule")), "{text}");
    let exports = json["missing_exports"].as_array().expect("a list");
    assert_eq!(exports.len(), 1, "{text}");
    assert!(exports[0].as_str().is_some_and(|name| name.contains("framegate:policy/selection@")));
    let (code, _, text) = ask(&["check", &file, "--world", "selection-policy"]);
    assert_eq!(code, 3);
    assert!(
        text.contains("missing export") && text.contains("hint: it is a `pricing-rule`"),
        "{text}"
    );
    // Every shipped plugin fits the world of its own manifest.
    for id in ["choose-orchestrator", "price-job", "sketch-video"] {
        assert_eq!(ask(&["check", id, "--json"]).0, 0, "{id}");
    }
}

#[test]
fn a_plugin_is_shown_without_being_run() {
    let (code, json, text) = ask(&["inspect", "sketch-video", "--json"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(
        (json["id"].as_str(), json["world"].as_str()),
        (Some("sketch-video"), Some("pipeline"))
    );
    assert_eq!((json["api"].as_str(), json["fits"].as_bool()), (Some("0.1"), Some(true)));
    assert!(json["digest"].as_str().is_some_and(|it| it.starts_with("sha256:") && it.len() == 71));
    assert!(json["bytes"].as_u64().is_some_and(|bytes| bytes > 10_000), "{text}");
    let imports = json["imports"].as_array().expect("a list");
    assert!(imports.iter().any(|it| it == "framegate:media/ops@0.1.0"), "{text}");
    assert!(json["limits"]["memory"]["value"].as_str().is_some(), "{text}");
    let folder = shipped("sketch-video");
    let (code, _, people) = ask(&["inspect", &folder.display().to_string()]);
    assert_eq!(code, 0);
    for word in ["sketch-video 0.1.0", "pipeline (API 0.1)", "sha256:", "memory"] {
        assert!(people.contains(word), "`{word}` is not in {people}");
    }
}

#[test]
fn what_is_no_plugin_is_bad_input_with_its_name() {
    let place = TempDir::new().expect("a temporary folder can be made");
    let text = place.path().join("text.wasm");
    fs::write(&text, "(component)").expect("it can be written");
    let text = text.display().to_string();
    for arguments in [&["check", &text, "--world", "pipeline"][..], &["inspect", &text]] {
        let (code, json, _) = ask(&[arguments, &["--json"]].concat());
        assert_eq!((code, json["error"]["class"].as_str()), (3, Some("invalid")), "{json}");
        let message = json["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("text.wasm"), "{message}");
    }
    let (code, json, _) = ask(&["inspect", "no-such-plugin", "--json"]);
    assert_eq!((code, json["error"]["class"].as_str()), (4, Some("no-capability")), "{json}");
    let (code, json, _) = ask(&["check", &text, "--world", "filter", "--json"]);
    assert_eq!((code, json["error"]["class"].as_str()), (2, Some("invalid")), "{json}");
}

#[test]
fn a_bench_says_what_calls_take_and_where_a_fleet_is_too_large() {
    let data = TempDir::new().expect("a temporary folder can be made");
    let bench = |id: &str| {
        let mut command = command(&["bench", id, "--json"]);
        command.env("FRAMEGATE_DATA", data.path());
        let done = rig::finish(command);
        let errors = String::from_utf8_lossy(&done.stderr);
        let json: Value =
            serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{errors}"));
        assert_eq!(done.status.code(), Some(0), "{json}");
        for line in json["calls"].as_array().expect("a list") {
            let (p50, p99) = (line["p50_us"].as_f64(), line["p99_us"].as_f64());
            assert!(p50 > Some(0.0) && p50 <= p99, "{line}");
        }
        json
    };
    let policy = bench("choose-orchestrator");
    let over: Vec<_> = policy["calls"].as_array().expect("a list").iter().collect();
    assert_eq!(over.iter().filter(|line| line["call"] == "pick").count(), 3, "{policy}");
    let calls = |json: &Value| -> Vec<String> {
        let lines = json["calls"].as_array().expect("a list").iter();
        lines.filter_map(|line| line["call"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(calls(&bench("price-job")), ["quote", "charge"]);
    let pipeline = calls(&bench("sketch-video"));
    assert_eq!(pipeline, ["on-frame, guest", "on-frame, whole", "on-frame, limit"]);
}

#[test]
fn a_component_of_another_world_is_refused_at_load_in_the_words_of_a_check() {
    let folder = TempDir::new().expect("a folder");
    let component = shipped("price-job").join("price-job.wasm");
    fs::copy(component, folder.path().join("policy.wasm")).expect("it can be copied");
    let manifest = "[plugin]\nid = \"policy\"\nversion = \"0.1.0\"\nworld = \"selection-policy\"\n\
                    api = \"0.1\"\ncomponent = \"policy.wasm\"\n";
    fs::write(folder.path().join("plugin.toml"), manifest).expect("it can be written");
    let path = folder.path().display().to_string();
    let mut command = command(&["bench", &path]);
    command.env("FRAMEGATE_DATA", folder.path());
    let done = rig::finish(command);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success(), "{said}");
    let (_, json, text) = ask(&["check", &path, "--json"]);
    for list in ["missing_imports", "missing_exports"] {
        for missing in json[list].as_array().expect("a list") {
            let name = missing.as_str().expect("a text");
            assert!(said.contains(name), "`{name}` is not in: {said}");
        }
    }
    assert!(said.contains("(it is a `pricing-rule`)"), "{said}\n{text}");
}

#[test]
fn a_compiler_that_is_named_is_the_one_that_is_started() {
    let data = TempDir::new().expect("a folder");
    let mut command = command(&["bench", "price-job"]);
    command.env("FRAMEGATE_DATA", data.path()).env("FRAMEGATE_COMPILER", "/nowhere/compiler");
    let done = rig::finish(command);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success(), "{said}");
    assert!(said.contains("starting the compiler `/nowhere/compiler`"), "{said}");
}

#[test]
fn a_list_names_what_each_plugin_asks_for_and_is_granted() {
    let folder = TempDir::new().expect("a folder");
    let greedy = folder.path().join("plugins/greedy");
    fs::create_dir_all(&greedy).expect("a folder can be made");
    fs::create_dir_all(folder.path().join("plugins/broken")).expect("a folder can be made");
    let component = shipped("sketch-video").join("sketch-video.wasm");
    fs::copy(component, greedy.join("greedy.wasm")).expect("it can be copied");
    let manifest = "[plugin]\nid = \"greedy\"\nversion = \"1.2.3\"\nworld = \"pipeline\"\n\
                    api = \"0.1\"\ncomponent = \"greedy.wasm\"\n[limits]\nmemory = \"3MiB\"\n\
                    [grants]\ndata = true\npixels = true\n";
    fs::write(greedy.join("plugin.toml"), manifest).expect("it can be written");
    fs::write(folder.path().join("plugins/broken/plugin.toml"), "[plugin]\n").expect("written");
    let config = folder.path().join("config.toml");
    let plugins = folder.path().join("plugins").display().to_string();
    let text =
        format!("[plugins]\nfolders = [{plugins:?}]\n[plugins.grants.greedy]\ndata = true\n");
    fs::write(&config, text).expect("it can be written");
    let config = config.display().to_string();
    let (code, json, text) = ask(&["list", "-c", &config, "--json"]);
    assert_eq!(code, 0, "{text}");
    let all = json["plugins"].as_array().expect("a list");
    let named = |id: &str| all.iter().find(|line| line["id"] == id).expect("it is found");
    let line = named("greedy");
    assert_eq!(
        (line["version"].as_str(), line["world"].as_str()),
        (Some("1.2.3"), Some("pipeline"))
    );
    assert_eq!(line["digest"], named("sketch-video")["digest"]);
    assert_eq!(line["memory"], "3 MiB");
    assert_eq!(line["asked"], Value::from(vec!["data", "pixels"]));
    assert_eq!(line["granted"], Value::from(vec!["data"]));
    let unreadable = json["unreadable"].to_string();
    assert!(unreadable.contains("broken"), "{unreadable}");
    let (code, _, text) = ask(&["list", "-c", &config]);
    assert!(code == 0 && text.contains("grants     data (asks for data, pixels)"), "{text}");
}
