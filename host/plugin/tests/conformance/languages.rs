//! An exception in JavaScript and in Python: its text has to reach the fault.
//!
//! The components are built from `tests/languages` by the registries' own tools, which `./x setup
//! languages` puts into the user's cache, and kept there by a digest of everything they are made of.
//! Where a tool is missing the test says so and is counted; with `FRAMEGATE_LANGUAGES=required`, as
//! `./x soak` runs it, it fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use plugin::code::{Compiler, Loader};
use plugin::pipeline::{Answer, Pipeline};
use plugin::{Allowed, Digest, Limits, Manifest, PipelineEngine};

use crate::build;
use crate::clip::{self, Clip};

const JS_TOOLS: &str = "componentize-js-0.23.0";
const PYTHON_TOOLS: &str = "componentize-py-0.25.1";

/// Returns the folder of a tool in the user's cache, if it is there.
fn tools(name: &str) -> Option<PathBuf> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
    let folder = cache.join("framegate").join(name);
    if folder.join(".complete").is_file() {
        return Some(folder);
    }
    assert!(!required(), "no {name} in {}; `./x setup languages` installs it", folder.display());
    skipped(&format!("no {name} here"));
    None
}

#[expect(clippy::print_stdout, reason = "the test harness collects it")]
fn skipped(why: &str) {
    println!("skipped: {why}");
}

fn required() -> bool {
    std::env::var("FRAMEGATE_LANGUAGES").is_ok_and(|value| value == "required")
}

/// Builds a component unless one of the same sources is there.
fn component(
    tools: &Path,
    guest: &Path,
    sources: &[&str],
    make: impl FnOnce(&Path, &Path) -> Command,
) -> PathBuf {
    let wit = build::root().join("wit");
    let texts =
        ["worlds.wit", "deps/common/common.wit", "deps/host/host.wit", "deps/media/media.wit"];
    let paths = texts.iter().map(|text| wit.join(text));
    let paths = paths.chain(sources.iter().map(|source| guest.join(source)));
    let all: Vec<u8> = paths.flat_map(|path| fs::read(path).expect("a source")).collect();
    let name = guest.file_name().expect("a name").to_string_lossy().into_owned();
    let digest = Digest::of(&all).to_string().replace(':', "-");
    let out = tools.join(format!("{name}-{digest}.wasm"));
    if !out.is_file() {
        let fresh = tools.join(format!("{name}-{}.wasm", std::process::id()));
        let done = make(&wit, &fresh).output().expect("the tool runs");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{name}: {said}");
        fs::rename(&fresh, &out).expect("renamed");
    }
    out
}

/// What the loader tells is looked at elsewhere.
struct Quiet;

impl domain::event::Sink for Quiet {
    fn emit(&self, _event: domain::event::Event) {}
}

/// Runs the component until it throws and checks what the fault says. Its code is kept beside it: a
/// whole language runtime takes half a minute to compile.
fn check(folder: &str, component: &Path) {
    let cache = component.parent().map(|tools| tools.join("code"));
    let loader = Loader::open(Compiler::Here, cache.as_deref(), Arc::new(Quiet));
    let engine = PipelineEngine::new().expect("an engine").with_loader(loader);
    let folder = build::root().join("tests/languages").join(folder);
    let manifest = Manifest::read(&folder).expect("a manifest");
    let bytes = fs::read(component).expect("a component");
    let allowed = Allowed::default();
    let pipeline = Pipeline::load(&engine, &manifest, &bytes, Limits::pipeline(), &allowed);
    let pipeline = pipeline.unwrap_or_else(|error| panic!("{}", domain::chain(&error)));
    let made = pipeline.instantiate(Box::new(Clip::new()), Duration::from_secs(1));
    let mut instance = made.expect("an instance");
    instance.start("").expect("no fault").expect("it starts");
    assert_eq!(clip::frame(&mut instance, 0).expect("no fault"), Ok(Answer::Pass));
    let fault = clip::frame(&mut instance, 1).expect_err("it throws");
    let text = fault.to_string();
    assert!(text.contains("frame 1 is not to its taste"), "{text}");
    assert!(text.contains(&manifest.id) && fault.call == "on-frame", "{text}");
    assert_eq!(fault.class(), domain::Class::PluginFault, "{text}");
}

#[test]
fn an_exception_in_javascript_keeps_its_text() {
    let Some(tools) = tools(JS_TOOLS) else { return };
    let guest = build::root().join("tests/languages/throw-js");
    let built = component(&tools, &guest, &["guest.js", "build.mjs"], |wit, out| {
        // Node looks for packages beside the script.
        let script = tools.join("build.mjs");
        fs::copy(guest.join("build.mjs"), &script).expect("copied");
        let mut node = Command::new("node");
        node.arg(script).arg(wit).arg(guest.join("guest.js")).arg(out);
        node
    });
    check("throw-js", &built);
}

#[test]
fn an_exception_in_python_keeps_its_text() {
    let Some(tools) = tools(PYTHON_TOOLS) else { return };
    let guest = build::root().join("tests/languages/throw-python");
    let built = component(&tools, &guest, &["app.py"], |wit, out| {
        let mut python = Command::new(tools.join("bin/componentize-py"));
        python.arg("-d").arg(wit).args(["-w", "framegate:media/pipeline", "componentize", "app"]);
        python.arg("-o").arg(out).current_dir(&guest);
        python
    });
    check("throw-python", &built);
}
