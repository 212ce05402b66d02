//! How a command ends: its exit code, and the two forms in which a failure is told.
//!
//! Decides the exit code and the public word of each error class. Does not know what failed: the
//! text comes with the error.
//!
//! **Invariant:** a failure is printed once, by `main`; with `--json` on standard output in the
//! form that scripts read, and always on standard error for people.

use std::error::Error;
use std::process::ExitCode;

use domain::{Class, chain};
use serde::Serialize;
use wire::error::Word;

/// How a command ended, as the calling script sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// It did what was asked.
    Ok = 0,
    /// A fault of this program.
    Internal = 1,
    /// Arguments, configuration, a taken port, a missing output folder.
    Usage = 2,
    /// The input cannot be processed.
    Input = 3,
    /// Understood and refused.
    Refused = 4,
    /// Done, but pictures are missing.
    FramesLost = 5,
    /// No one answers.
    Unreachable = 6,
    /// A plugin faulted.
    Fault = 7,
}

impl Exit {
    const ALL: [Self; 8] = [
        Self::Ok,
        Self::Internal,
        Self::Usage,
        Self::Input,
        Self::Refused,
        Self::FramesLost,
        Self::Unreachable,
        Self::Fault,
    ];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A plugin's fault, as scripts read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FaultReport {
    /// Kind of the fault, such as `trap` or `memory`.
    pub(crate) kind: String,
    /// Plugin's id.
    pub(crate) plugin: String,
    /// Its version.
    pub(crate) version: String,
}

/// Why a command failed. Boxed: it is an outcome of nearly every function here, and rare.
#[derive(Debug)]
pub(crate) struct Failure(Box<Told>);

#[derive(Debug)]
struct Told {
    word: String,
    exit: Exit,
    message: String,
    hint: Option<String>,
    /// Further facts of the same failure, each with its hint.
    also: Vec<(String, Option<String>)>,
    reasons: Vec<serde_json::Value>,
    fault: Option<FaultReport>,
}

impl Failure {
    /// Makes a failure of `class` told by `message`, a lower-case fact.
    pub(crate) fn new(class: Class, message: impl Into<String>) -> Self {
        Self::with_word(word_of(class), message)
    }

    /// Makes a failure from its public word, such as `price-over-cap`, as a gateway's answer has
    /// it. An unknown word counts as `internal`.
    pub(crate) fn with_word(word: &str, message: impl Into<String>) -> Self {
        Self(Box::new(Told {
            word: word.to_owned(),
            exit: exit_of(word),
            message: message.into(),
            hint: None,
            also: Vec::new(),
            reasons: Vec::new(),
            fault: None,
        }))
    }

    /// Makes a failure of `class` that tells `error` and all its sources.
    pub(crate) fn from_error(class: Class, error: &dyn Error) -> Self {
        Self::new(class, chain(error))
    }

    /// Makes a failure of arguments or configuration.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        let mut failure = Self::new(Class::Invalid, message);
        failure.0.exit = Exit::Usage;
        failure
    }

    /// Adds the line that names what to change and a value that works.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds a further fact and its hint; empty: none.
    pub(crate) fn also(mut self, message: impl Into<String>, hint: &str) -> Self {
        self.0.also.push((message.into(), (!hint.is_empty()).then(|| hint.to_owned())));
        self
    }

    /// Adds why each orchestrator does not serve, in the form of `passed_over`.
    pub(crate) fn reasons(mut self, reasons: Vec<serde_json::Value>) -> Self {
        self.0.reasons = reasons;
        self
    }

    /// Adds the plugin's fault.
    pub(crate) fn fault(mut self, fault: FaultReport) -> Self {
        self.0.fault = Some(fault);
        self
    }

    /// Returns the exit code that goes with it.
    pub(crate) fn exit(&self) -> Exit {
        self.0.exit
    }

    /// Returns the lines for people.
    pub(crate) fn text(&self) -> String {
        let first = (&self.0.message, &self.0.hint);
        let all = std::iter::once(first).chain(self.0.also.iter().map(|(fact, hint)| (fact, hint)));
        all.map(|(fact, hint)| {
            let hint = hint.as_ref().map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
            format!("framegate: {fact}\n{hint}")
        })
        .collect()
    }

    /// Returns the form that scripts read.
    pub(crate) fn json(&self) -> serde_json::Value {
        let facts =
            std::iter::once(&self.0.message).chain(self.0.also.iter().map(|(fact, _)| fact));
        let message = facts.map(String::as_str).collect::<Vec<_>>().join("; ");
        serde_json::json!({ "error": {
            "class": self.0.word,
            "message": message,
            "reasons": self.0.reasons,
            "fault": self.0.fault,
        }})
    }
}

/// The public word of a class, as gateways answer it. Only what was cancelled differs: on the
/// command line that is the user's own wish, and no input is wrong.
const fn word_of(class: Class) -> &'static str {
    match class {
        Class::Cancelled => Word::Internal.name(),
        _ => Word::of(class).name(),
    }
}

fn exit_of(word: &str) -> Exit {
    let code = Word::from_name(word).unwrap_or(Word::Internal).exit_code();
    Exit::ALL.into_iter().find(|exit| *exit as u8 == code).unwrap_or(Exit::Internal)
}

#[cfg(test)]
#[test]
fn each_class_has_the_exit_code_that_scripts_rely_on() {
    let code = |class| Failure::new(class, "x").exit() as u8;
    assert_eq!(code(Class::Internal), 1);
    assert_eq!(code(Class::Invalid), 3);
    assert_eq!(code(Class::Denied), 4);
    assert_eq!(code(Class::NotFound), 4);
    assert_eq!(code(Class::Exhausted), 4);
    assert_eq!(code(Class::Unavailable), 6);
    assert_eq!(code(Class::TimedOut), 6);
    assert_eq!(code(Class::PluginFault), 7);
    assert_eq!(Failure::with_word("price-over-cap", "x").exit() as u8, 4);
    assert_eq!(Failure::usage("no such key").hint("write `a = 1`").exit() as u8, 2);
    let fault = FaultReport { kind: "trap".into(), plugin: "p".into(), version: "1".into() };
    let json = Failure::new(Class::PluginFault, "plugin `p` trapped").fault(fault).json();
    assert_eq!(
        json.to_string(),
        r#"{"error":{"class":"fault","fault":{"kind":"trap","plugin":"p","version":"1"},"message":"plugin `p` trapped","reasons":[]}}"#
    );
}
