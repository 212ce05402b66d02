//! What a command line can get wrong: exit code, the form for scripts, and nothing half-written.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use tests::clips::{self, Clip};
use tests::probe;
use tests::rig::{self, Rig, Setup};

/// A folder for inputs and one for results, and a data directory that no one runs in.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        for name in ["in", "out", "data"] {
            fs::create_dir(folder.path().join(name)).expect("a folder can be made");
        }
        Self { folder }
    }

    fn input(&self) -> PathBuf {
        self.folder.path().join("in")
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("out/result.mp4")
    }

    /// Prepares `framegate run` of `input` with `arguments`.
    fn run(&self, input: &Path, arguments: &[&str]) -> Command {
        let mut command = rig::framegate(&["run", "--json"]);
        command.arg(input).arg("-o").arg(self.output()).args(arguments);
        command.env("FRAMEGATE_DATA", self.folder.path().join("data"));
        command
    }

    /// Runs it, expects `exit` with `class`, and that nothing is left where the result would be.
    #[track_caller]
    fn refuses(&self, command: Command, exit: i32, class: &str) -> Value {
        let (code, json) = finish(command);
        assert_eq!(code, exit, "{json}");
        assert_eq!(json["error"]["class"], class, "{json}");
        let left: Vec<_> = fs::read_dir(self.folder.path().join("out")).expect("listed").collect();
        assert!(left.is_empty(), "{left:?} is left");
        json
    }
}

/// Runs a command to its end and returns exit code and the JSON that it printed.
#[track_caller]
fn finish(command: Command) -> (i32, Value) {
    let done = rig::finish(command);
    let text = String::from_utf8_lossy(&done.stdout);
    let errors = String::from_utf8_lossy(&done.stderr);
    let json =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{errors}"));
    (done.status.code().expect("it was not killed"), json)
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("a bound socket has an address").port()
}

#[test]
fn an_input_without_pictures_is_bad_input() {
    let place = Place::new();
    let bad = [clips::text(&place.input()), clips::empty(&place.input())];
    for input in bad.into_iter().chain([clips::audio_only(&place.input())]) {
        for way in [&[][..], &["--local"]] {
            let arguments = [&["--pipeline", "sketch-video"], way].concat();
            let json = place.refuses(place.run(&input, &arguments), 3, "invalid");
            let message = json["error"]["message"].as_str().unwrap_or_default();
            let name = input.file_name().unwrap_or_default().to_string_lossy().into_owned();
            assert!(message.contains(&name), "`{message}` does not name {name}");
        }
    }
}

#[test]
fn a_missing_input_is_bad_input_and_a_missing_folder_is_bad_usage() {
    let place = Place::new();
    let missing = place.input().join("missing.mp4");
    place.refuses(place.run(&missing, &["--pipeline", "sketch-video"]), 3, "invalid");
    let clip = Clip::default().make(&place.input(), "clip.mp4");
    let mut command = rig::framegate(&["run", "--json", "--pipeline", "sketch-video"]);
    let nowhere = place.folder.path().join("nowhere/result.mp4");
    command.arg(&clip).arg("-o").arg(&nowhere);
    let json = place.refuses(command, 2, "invalid");
    assert!(json["error"]["message"].as_str().unwrap_or_default().contains("nowhere"), "{json}");
}

#[test]
fn parameters_that_are_no_object_are_bad_usage() {
    let place = Place::new();
    let clip = Clip::default().make(&place.input(), "clip.mp4");
    for params in ["{", "[]", "7"] {
        let arguments = ["--pipeline", "sketch-video", "--params", params];
        place.refuses(place.run(&clip, &arguments), 2, "invalid");
    }
}

#[test]
fn a_gateway_that_does_not_run_is_named() {
    let place = Place::new();
    let clip = Clip::default().make(&place.input(), "clip.mp4");
    let url = format!("http://127.0.0.1:{}", free_port());
    let arguments = ["--pipeline", "sketch-video", "--gateway", &url];
    let json = place.refuses(place.run(&clip, &arguments), 6, "unreachable");
    assert!(json["error"]["message"].as_str().unwrap_or_default().contains(&url), "{json}");
}

#[test]
fn an_unknown_pipeline_is_refused_with_and_without_a_gateway() {
    let place = Place::new();
    let clip = Clip::default().make(&place.input(), "clip.mp4");
    let arguments = ["--pipeline", "no-such-pipeline"];
    let local = [&arguments[..], &["--local"]].concat();
    place.refuses(place.run(&clip, &local), 4, "no-capability");
    let rig = Rig::up();
    let mut command = place.run(&clip, &arguments);
    command.env("FRAMEGATE_DATA", rig.data());
    place.refuses(command, 4, "no-capability");
}

#[test]
fn an_unknown_key_is_named_with_its_path() {
    let place = Place::new();
    let config = place.folder.path().join("config.toml");
    fs::write(&config, "[gateway]\nhtpp = \"127.0.0.1:0\"\n").expect("written");
    let config = config.to_str().expect("a path is text");
    let (code, json) = finish(rig::framegate(&["check", "--json", "-c", config]));
    assert_eq!(code, 2, "{json}");
    assert_eq!(json["problems"][0]["key"], "gateway.htpp", "{json}");
    let mut up = rig::framegate(&["up", "-c", config]);
    up.env("FRAMEGATE_DATA", place.folder.path().join("data"));
    let done = rig::finish(up);
    assert_eq!(done.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&done.stderr).contains("gateway.htpp"));
}

#[test]
fn a_card_that_is_not_there_is_bad_usage_and_auto_says_what_it_took() {
    let place = Place::new();
    let config = place.folder.path().join("config.toml");
    let look = rig::finish(rig::framegate(&["worker", "--look", "--device", "auto"]));
    let found = String::from_utf8_lossy(&look.stdout).into_owned();
    assert_eq!(look.status.code(), Some(0), "{}", String::from_utf8_lossy(&look.stderr));
    assert!(found.starts_with("`auto` took `"), "{found}");
    let setup = Setup { orchestrator: "device = \"auto\"".to_owned(), ..Setup::default() };
    let rig = setup.up();
    rig.wait_for_log("`auto` took `");
    let (_, status) = rig.admin("orchestrator", "/v1/sessions").expect("an answer");
    let status: Value = serde_json::from_str(&status).expect("JSON");
    let note = status["worker"]["device_note"].as_str().unwrap_or_default();
    assert!(found.starts_with(note) && !note.is_empty(), "{status}");
    if !found.starts_with("`auto` took `cpu-0`") {
        tests::skipped("a CUDA card is here");
        return;
    }
    let setup = Setup { orchestrator: "device = \"cuda\"".to_owned(), ..Setup::default() };
    fs::write(&config, setup.config()).expect("written");
    let mut up = rig::framegate(&["up", "-c", config.to_str().expect("a path is text")]);
    up.env("FRAMEGATE_DATA", place.folder.path().join("data"));
    let done = rig::finish(up);
    let errors = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(2), "{errors}");
    for part in ["`orchestrator.device` = \"cuda\"", "`libcuda.so.1`", "hint: `cpu-0`"] {
        assert!(errors.contains(part), "`{part}`: {errors}");
    }
}

#[test]
fn a_taken_port_is_named_with_its_key() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("a bound socket has an address").to_string();
    let text = Setup::default().config().replacen("127.0.0.1:0", &address, 1);
    let config = place.folder.path().join("config.toml");
    fs::write(&config, text).expect("written");
    let mut up = rig::framegate(&["up", "-c", config.to_str().expect("a path is text")]);
    up.env("FRAMEGATE_DATA", place.folder.path().join("data"));
    let done = rig::finish(up);
    let errors = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(2), "{errors}");
    assert!(errors.contains(&address) && errors.contains("gateway.http"), "{errors}");
}

#[test]
fn a_stream_that_is_cut_gives_every_picture_it_has() {
    let place = Place::new();
    let cut = clips::cut_in_the_middle(&place.input());
    let (code, json) = finish(place.run(&cut, &["--pipeline", "sketch-video", "--local"]));
    assert_eq!(code, 0, "{json}");
    assert_eq!(json["warnings"], serde_json::json!(["input-truncated"]), "{json}");
    let frames = probe::decoded_frames(&cut) as u64;
    assert_eq!(json["frames"]["out"].as_u64(), Some(frames), "{json}");
    assert_eq!(probe::decoded_frames(&place.output()) as u64, frames);
}
