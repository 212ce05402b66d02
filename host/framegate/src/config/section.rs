//! How a section of the file is read: key by key, every problem noted, none stopping the rest.
//!
//! A derived `Deserialize` stops at the first problem; an operator wants all of them. So a section
//! is declared once with [`section!`], which makes the struct, its defaults, its part of
//! `default.toml` and its reader. An unknown key is a problem.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, ValueDeserializer};

use super::env;

/// Edits between an unknown key and the one it is taken for: a typing error or two.
const TYPING_ERRORS_MAX: usize = 2;

/// Something wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// Path of the key, such as `gateway.http`; a variable's name where that is to blame; empty:
    /// the file as a whole.
    pub(crate) key: String,
    /// What is wrong.
    pub(crate) message: String,
    /// What to write instead; empty: nothing to advise.
    pub(crate) hint: String,
    /// Line of the file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<usize>,
}

impl Problem {
    /// Makes a problem of `key` without a line.
    pub(crate) fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into(), hint: String::new(), line: None }
    }

    /// Adds what to write instead.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// One key of a section, as documents show it.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its name.
    pub(crate) name: &'static str,
    /// Lines that explain it.
    pub(crate) doc: &'static [&'static str],
    /// Its default as TOML.
    pub(crate) default: String,
}

/// A section of the file.
pub(crate) trait Section: Default {
    /// Lines that explain it.
    const ABOUT: &'static [&'static str];

    /// Returns its keys in the order of the declaration.
    fn keys() -> Vec<Key>;

    /// Reads it, leaving the default where there is nothing or a problem.
    fn read(reader: &mut Reader<'_>) -> Self;
}

/// Declares a section: `/// about` lines, then `/// doc` lines and `key: Type = default;` for each
/// key.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $name:ident {
            $( $(#[doc = $doc:literal])+ $key:ident: $type:ty = $default:expr; )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        pub(crate) struct $name {
            $( $(#[doc = $doc])+ pub(crate) $key: $type, )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $key: $default, )+ }
            }
        }

        impl $crate::config::section::Section for $name {
            const ABOUT: &'static [&'static str] = &[$($about),+];

            fn keys() -> Vec<$crate::config::section::Key> {
                let default = Self::default();
                vec![$( $crate::config::section::Key {
                    name: stringify!($key),
                    doc: &[$($doc),+],
                    default: $crate::config::section::as_toml(&default.$key),
                }, )+]
            }

            fn read(reader: &mut $crate::config::section::Reader<'_>) -> Self {
                let mut section = Self::default();
                $( reader.take(stringify!($key), &mut section.$key); )+
                reader.refuse_others(&[$(stringify!($key)),+]);
                section
            }
        }
    };
}
pub(crate) use section;

/// Prints a value as the right side of a TOML line.
pub(crate) fn as_toml(value: &impl Serialize) -> String {
    let mut text = String::new();
    match value.serialize(toml::ser::ValueSerializer::new(&mut text)) {
        Ok(_) => text,
        Err(error) => format!("# {error}"),
    }
}

/// What was found wrong so far, and what the environment overrides.
#[derive(Debug)]
pub(crate) struct Findings {
    text: String,
    overrides: Vec<Override>,
    /// Everything found wrong.
    pub(crate) problems: Vec<Problem>,
}

#[derive(Debug)]
struct Override {
    key: &'static str,
    variable: &'static str,
    value: String,
}

impl Findings {
    /// Begins with nothing found in `text`. `variable` looks up the environment.
    pub(crate) fn new(text: &str, variable: impl Fn(&str) -> Option<String>) -> Self {
        let overrides = env::OVERRIDES
            .iter()
            .filter_map(|&(name, key)| {
                Some(Override { key, variable: name, value: variable(name)? })
            })
            .collect();
        Self { text: text.to_owned(), overrides, problems: Vec::new() }
    }

    /// Notes a problem at byte `at` of the text.
    pub(crate) fn note(&mut self, mut problem: Problem, at: Option<usize>) {
        let before = at.and_then(|at| self.text.get(..at));
        problem.line = before.map(|text| 1 + text.bytes().filter(|byte| *byte == b'\n').count());
        self.problems.push(problem);
    }
}

/// Reads one table of the file.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    /// Path of the table; empty: the whole file.
    path: String,
    table: Option<&'a DeTable<'a>>,
    /// Names of tables below this one, which are read by themselves.
    inner: Vec<&'a str>,
    findings: &'a mut Findings,
}

impl<'a> Reader<'a> {
    /// Begins to read `table`, which is at `path` and holds the tables `inner`.
    pub(crate) fn new(
        path: impl Into<String>,
        table: Option<&'a DeTable<'a>>,
        inner: Vec<&'a str>,
        findings: &'a mut Findings,
    ) -> Self {
        Self { path: path.into(), table, inner, findings }
    }

    /// Reads `key` into `place`, which keeps its value where there is nothing or a problem.
    pub(crate) fn take<T: DeserializeOwned>(&mut self, key: &str, place: &mut T) {
        let path = self.path_of(key);
        if let Some(found) = self.findings.overrides.iter().find(|entry| entry.key == path) {
            match from_text(&found.value) {
                Ok(value) => *place = value,
                Err(error) => {
                    let problem = Problem::new(found.variable, error.message());
                    self.findings.note(problem.hint(format!("it overrides `{path}`")), None);
                }
            }
            return;
        }
        let Some((_, value)) = self.find(key) else { return };
        let at = value.span().start;
        match T::deserialize(ValueDeserializer::from(value.clone())) {
            Ok(value) => *place = value,
            Err(error) => {
                self.findings.note(Problem::new(path, error.message()), Some(at));
            }
        }
    }

    /// Reads every key of the table, whatever its name.
    pub(crate) fn take_all<T: DeserializeOwned + Default>(&mut self) -> BTreeMap<String, T> {
        let Some(table) = self.table else { return BTreeMap::new() };
        let keys: Vec<String> = table.iter().map(|(key, _)| key.get_ref().to_string()).collect();
        let read = |key: String| {
            let mut value = T::default();
            self.take(&key, &mut value);
            (key, value)
        };
        keys.into_iter().map(read).collect()
    }

    /// Notes every key that is neither in `known` nor a table below.
    pub(crate) fn refuse_others(&mut self, known: &[&str]) {
        let Some(table) = self.table else { return };
        for (key, _) in table.iter() {
            let name: &str = key.get_ref();
            if known.contains(&name) || self.inner.contains(&name) {
                continue;
            }
            let problem = Problem::new(self.path_of(name), "unknown key");
            let near = known.iter().chain(&self.inner).find(|near| {
                edits(name, near) <= TYPING_ERRORS_MAX.min(near.len().saturating_sub(1))
            });
            let problem = match near {
                Some(near) => problem.hint(format!("`{}` is one", self.path_of(near))),
                None => problem.hint(format!("known here: {}", self.known_here(known))),
            };
            self.findings.note(problem, Some(key.span().start));
        }
    }

    fn known_here(&self, known: &[&str]) -> String {
        let names: Vec<_> = known.iter().chain(&self.inner).copied().collect();
        names.join(", ")
    }

    fn find(&self, key: &str) -> Option<(&'a Spanned<DeString<'a>>, &'a Spanned<DeValue<'a>>)> {
        self.table?.iter().find(|(name, _)| name.get_ref() == key)
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// Reads a variable: as text, else as the TOML value that it spells.
fn from_text<T: DeserializeOwned>(text: &str) -> Result<T, toml::de::Error> {
    let quoted = Spanned::new(0..0, DeValue::String(text.into()));
    T::deserialize(ValueDeserializer::from(quoted)).or_else(|as_text| {
        let Ok(value) = DeValue::parse(text) else { return Err(as_text) };
        T::deserialize(ValueDeserializer::from(value))
    })
}

/// Counts the letters to add, drop or change to get from one name to another.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let change = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
#[test]
fn a_typing_error_is_two_edits_at_most() {
    assert_eq!(edits("slots", "slots"), 0);
    assert_eq!(edits("slot", "slots"), 1);
    assert_eq!(edits("lsots", "slots"), 2);
    assert_eq!(edits("", "slots"), 5);
}
