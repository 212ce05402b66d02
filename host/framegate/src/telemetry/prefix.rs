//! Marks each log line with the role that wrote it: both roles share a terminal under `up`.

use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

use crate::config::log::Format;

/// Width of a role's name, so that the lines of both roles stand below each other.
const WIDTH: usize = "orchestrator".len();

/// Makes writers to standard error that mark their line.
#[derive(Debug, Clone)]
pub(super) struct Prefixed {
    mark: String,
    /// Bytes of the line that the mark replaces: a JSON object's opening brace.
    replaces: usize,
}

impl Prefixed {
    pub(super) fn new(role: &str, format: Format) -> Self {
        match format {
            Format::Text => Self { mark: format!("{role:WIDTH$} | "), replaces: 0 },
            Format::Json => Self { mark: format!("{{\"role\":\"{role}\","), replaces: 1 },
        }
    }

    fn marked(&self, line: &[u8]) -> Vec<u8> {
        let rest = line.get(self.replaces..).unwrap_or_default();
        [self.mark.as_bytes(), rest].concat()
    }
}

impl<'a> MakeWriter<'a> for Prefixed {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

/// Writes one line: the subscriber hands over a whole one at once.
#[derive(Debug)]
pub(super) struct Line<'a>(&'a Prefixed);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().lock().write_all(&self.0.marked(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

#[cfg(test)]
#[test]
fn a_json_line_stays_json_with_its_role_first() {
    let json = Prefixed::new("gateway", Format::Json).marked(b"{\"level\":\"INFO\"}\n");
    assert_eq!(json, b"{\"role\":\"gateway\",\"level\":\"INFO\"}\n");
    let text = Prefixed::new("gateway", Format::Text).marked(b"INFO started\n");
    assert_eq!(text, b"gateway      | INFO started\n");
}
