//! Reads a plugin's configuration or parameters: one flat JSON object of whole numbers, flags
//! and texts.
//!
//! The host has checked the document against the schema where it can; a plugin still reads it as
//! what it is, a stranger's text. Every refusal names the key by JSON Pointer.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::{ConfigError, SetupError};

/// A JSON object, each key of which is read once.
#[derive(Debug, Clone, Default)]
pub struct Document {
    values: Map<String, Value>,
}

impl Document {
    /// Parses `text`; the empty text is the empty object.
    pub fn parse(text: &str) -> Result<Self, SetupError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_str(text) {
            Ok(Value::Object(values)) => Ok(Self { values }),
            Ok(_) => Err(refused("", "a JSON object is expected")),
            Err(error) => Err(refused("", &error.to_string())),
        }
    }

    /// Takes the whole number at `key`, which must lie in `range`; `default` if there is none.
    pub fn integer(
        &mut self,
        key: &str,
        default: i64,
        range: RangeInclusive<i64>,
    ) -> Result<i64, SetupError> {
        let Some(value) = self.values.remove(key) else { return Ok(default) };
        value.as_i64().filter(|number| range.contains(number)).ok_or_else(|| {
            let text =
                format!("a whole number from {} to {} is expected", range.start(), range.end());
            refused(key, &text)
        })
    }

    /// Takes the flag at `key`; `default` if there is none.
    pub fn flag(&mut self, key: &str, default: bool) -> Result<bool, SetupError> {
        let Some(value) = self.values.remove(key) else { return Ok(default) };
        value.as_bool().ok_or_else(|| refused(key, "`true` or `false` is expected"))
    }

    /// Takes the text at `key`; empty if there is none.
    pub fn text(&mut self, key: &str) -> Result<String, SetupError> {
        match self.values.remove(key) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(refused(key, "a text is expected")),
        }
    }

    /// Refuses whatever has not been taken.
    pub fn finish(self) -> Result<(), SetupError> {
        match self.values.keys().next() {
            Some(key) => Err(refused(key, "the plugin has no such setting")),
            None => Ok(()),
        }
    }
}

fn refused(key: &str, message: &str) -> SetupError {
    let path = if key.is_empty() { String::new() } else { format!("/{key}") };
    SetupError::InvalidConfig(ConfigError { path, message: message.to_owned() })
}

#[cfg(test)]
#[test]
fn a_document_is_read_in_full_or_refused_with_its_key() {
    let mut document = Document::parse(r#"{"shade":30,"color":400,"on":true,"to":"x"}"#).unwrap();
    assert_eq!(document.integer("shade", 0, 0..=100).unwrap(), 30);
    assert_eq!(document.integer("absent", 7, 0..=100).unwrap(), 7);
    assert!(document.flag("on", false).unwrap());
    assert_eq!(
        (document.text("to").unwrap(), document.text("none").unwrap()),
        ("x".into(), String::new())
    );
    let SetupError::InvalidConfig(error) = document.integer("color", 0, 0..=100).unwrap_err()
    else {
        panic!("another refusal");
    };
    assert_eq!(error.path, "/color");
    let unread = Document::parse(r#"{"size":1}"#).unwrap();
    assert!(unread.finish().is_err());
    assert!(Document::parse("[]").is_err() && Document::parse("{").is_err());
    assert!(Document::parse("").unwrap().finish().is_ok());
}
