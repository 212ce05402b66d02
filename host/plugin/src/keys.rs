//! Reads the tables of a manifest key by key, so that everything wrong with it is found in one
//! pass; a derived reader would stop at the first. Knows no key of its own.

use toml::{Table, Value};

use crate::manifest::Problem;

/// One table of a file, and the problems found so far.
pub(crate) struct Keys<'a> {
    name: &'a str,
    table: Option<&'a Table>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Keys<'a> {
    /// Opens table `name` of `file`; every key in it that is not among `known` is a problem.
    pub(crate) fn open(
        file: &'a Table,
        name: &'a str,
        known: &[&str],
        problems: &'a mut Vec<Problem>,
    ) -> Self {
        let table = match file.get(name) {
            Some(Value::Table(table)) => Some(table),
            Some(other) => {
                wrong(problems, name, &expected("a table", other));
                None
            }
            None => None,
        };
        for key in table.into_iter().flat_map(Table::keys) {
            if !known.contains(&key.as_str()) {
                let list =
                    known.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
                wrong(
                    problems,
                    &format!("{name}.{key}"),
                    &format!("unknown key, known are {list}"),
                );
            }
        }
        Self { name, table, problems }
    }

    /// Returns the text at `key`.
    pub(crate) fn text(&mut self, key: &str) -> Option<&'a str> {
        let value = self.table?.get(key)?;
        if value.as_str().is_none() {
            self.wrong(key, &expected("a string", value));
        }
        value.as_str()
    }

    /// Returns the text at `key`, which must be there.
    pub(crate) fn needed_text(&mut self, key: &str) -> Option<&'a str> {
        if self.table.is_none_or(|table| !table.contains_key(key)) {
            self.wrong(key, "is missing");
        }
        self.text(key)
    }

    /// Returns whatever is at `key`.
    pub(crate) fn value(&self, key: &str) -> Option<&'a Value> {
        self.table?.get(key)
    }

    /// Returns the flag at `key`; without one, false.
    pub(crate) fn flag(&mut self, key: &str) -> bool {
        let Some(value) = self.table.and_then(|table| table.get(key)) else { return false };
        if value.as_bool().is_none() {
            self.wrong(key, &expected("true or false", value));
        }
        value.as_bool().unwrap_or_default()
    }

    /// Returns the list of texts at `key`.
    pub(crate) fn texts(&mut self, key: &str) -> Vec<String> {
        let Some(value) = self.table.and_then(|table| table.get(key)) else { return Vec::new() };
        let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let texts: Vec<_> = list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        if value.as_array().is_none() || texts.len() != list.len() {
            self.wrong(key, "is not a list of strings");
        }
        texts
    }

    /// Adds a problem at `key` of this table.
    pub(crate) fn wrong(&mut self, key: &str, message: &str) {
        wrong(self.problems, &format!("{}.{key}", self.name), message);
    }
}

/// Adds a problem at `key`.
pub(crate) fn wrong(problems: &mut Vec<Problem>, key: &str, message: &str) {
    problems.push(Problem { key: key.to_owned(), message: message.to_owned() });
}

fn expected(what: &str, value: &Value) -> String {
    format!("{} where {what} is expected", value.type_str())
}
