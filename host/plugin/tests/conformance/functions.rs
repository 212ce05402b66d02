//! Which functions of `wit/` have really been called, and the ways in which a component can fail to
//! fit: by grant and by level.
//!
//! Nothing here trusts what a case says of itself. The set of functions is read from `wit/`; the
//! calls are those that the generated bindings tell of while the guests run.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::build;

/// Exports that no host calls yet: there is no sound in a session. Cut it when there is.
const NOT_CALLED: [&str; 1] = ["audio-handler.on-audio"];

/// Collects `interface.function` of every call across the boundary, either way.
#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<Mutex<BTreeSet<String>>>);

impl Calls {
    /// Runs `work` and adds every call that it makes on this thread.
    pub(crate) fn collect<T>(&self, work: impl FnOnce() -> T) -> T {
        tracing::subscriber::with_default(self.clone(), work)
    }

    /// Compares what was called with what there is.
    #[track_caller]
    pub(crate) fn check(&self) {
        let called = self.0.lock().expect("nobody panics with it");
        let there = functions();
        assert!(there.len() > 150, "{} functions in wit/", there.len());
        let except: BTreeSet<_> = NOT_CALLED.map(str::to_owned).into();
        let missing: Vec<_> =
            there.difference(&called).filter(|it| !except.contains(*it)).collect();
        assert!(missing.is_empty(), "no guest calls {missing:?}");
        let now: Vec<_> = except.intersection(&called).collect();
        assert!(now.is_empty(), "{now:?} is called now: cut the list of what is not");
    }
}

impl Subscriber for Calls {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.name().starts_with("wit-bindgen ")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut names = Names::default();
        span.record(&mut names);
        let call = format!("{}.{}", names.module, names.function);
        self.0.lock().expect("nobody panics with it").insert(call);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Names {
    module: String,
    function: String,
}

impl Visit for Names {
    fn record_str(&mut self, field: &Field, value: &str) {
        // An export's module has its package and version too.
        let name = value.rsplit('/').next().unwrap_or(value).split('@').next().unwrap_or(value);
        match field.name() {
            "module" => name.clone_into(&mut self.module),
            "function" => value.clone_into(&mut self.function),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

/// Returns `interface.function` of every function in `wit/`, methods as the bindings name them. The
/// texts have one item a line, which `every_form_of_a_function_is_found` keeps true.
fn functions() -> BTreeSet<String> {
    let folder = build::root().join("wit/deps");
    let texts = ["host/host.wit", "media/media.wit", "policy/policy.wit"];
    let read = |text: &str| std::fs::read_to_string(folder.join(text)).expect("a text of wit/");
    texts.iter().flat_map(|text| functions_of(&read(text))).collect()
}

fn functions_of(text: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let (mut interface, mut resource) = ("", None);
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with("///")) {
        let named = |word: &str| line.strip_prefix(word)?.strip_suffix(" {");
        if let Some(name) = named("interface ") {
            interface = name;
        } else if let Some(name) = named("resource ") {
            resource = Some(name);
        } else if line == "}" {
            resource = None;
        } else if line.starts_with("constructor(") {
            let of = resource.expect("a constructor stands in a resource");
            all.insert(format!("{interface}.[constructor]{of}"));
        } else if let Some((name, form)) = line.split_once(": ") {
            match (form.starts_with("func("), form.starts_with("static func("), resource) {
                (true, _, None) => all.insert(format!("{interface}.{name}")),
                (true, _, Some(of)) => all.insert(format!("{interface}.[method]{of}.{name}")),
                (_, true, Some(of)) => all.insert(format!("{interface}.[static]{of}.{name}")),
                _ => false,
            };
        }
    }
    all
}

#[test]
fn every_form_of_a_function_is_found() {
    let text = "interface a {\n  /// no: func() -> u8;\n  one: func(x: u32)\n    -> u32;\n  record r {\n\
                x: u32,\n}\n  resource m {\n constructor();\n two: func();\n three: static func();\n}\n\
                four: func();\n}\n";
    let found: Vec<_> = functions_of(text).into_iter().collect();
    let all = ["a.[constructor]m", "a.[method]m.two", "a.[static]m.three", "a.four", "a.one"];
    assert_eq!(found, all);
    let folder = build::root().join("wit/deps");
    for text in ["common/common.wit", "host/host.wit", "media/media.wit", "policy/policy.wit"] {
        let text = std::fs::read_to_string(folder.join(text)).unwrap();
        let code = text.lines().map(str::trim).filter(|line| !line.starts_with("///"));
        let said =
            code.filter(|line| line.contains("func(") || line.contains("constructor(")).count();
        assert_eq!(functions_of(&text).len(), said, "a function is not on a line of its own");
    }
}
