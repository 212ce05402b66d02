//! How each function was answered.

use std::collections::BTreeMap;

use framegate_sdk::ErrorClass;

/// Names of functions with the class of their answer, where it was an error.
#[derive(Debug, Default)]
pub(crate) struct Report {
    failed: BTreeMap<&'static str, &'static str>,
}

impl Report {
    /// Notes an answer and returns its value.
    pub(crate) fn note<T>(
        &mut self,
        name: &'static str,
        answer: Result<T, ErrorClass>,
    ) -> Option<T> {
        match answer {
            Ok(value) => Some(value),
            Err(class) => {
                self.failed.insert(name, class.name());
                None
            }
        }
    }

    /// Notes functions that cannot be called for want of what they work on.
    pub(crate) fn unreached(&mut self, names: &[&'static str]) {
        for name in names {
            self.failed.insert(name, "unreached");
        }
    }

    /// Writes everything that was not answered with a value as an event.
    pub(crate) fn event(&self) -> String {
        let lines: Vec<_> =
            self.failed.iter().map(|(name, class)| format!("\"{name}\":\"{class}\"")).collect();
        format!("{{\"type\":\"called\",\"failed\":{{{}}}}}", lines.join(","))
    }
}
