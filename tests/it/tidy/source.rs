//! What a Rust source file may not do, judged by its text.
//!
//! Comments, strings and test code are blanked out first, line for line, so that every finding
//! names the line a person sees. It knows no types and no macros: each rule looks at words and
//! braces, and is written so that ordinary code cannot trip over it.

/// Lines a file may have, and lines a function may have.
pub(crate) const FILE_LINES_MAX: usize = 600;
pub(crate) const FUNCTION_LINES_MAX: usize = 70;

/// A broken rule at a line, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) line: usize,
    pub(crate) text: String,
}

fn finding(line: usize, text: impl Into<String>) -> Finding {
    Finding { line, text: text.into() }
}

/// Suffixes that say nothing about a type.
const EMPTY_SUFFIXES: [&str; 6] = ["Manager", "Service", "Helper", "Util", "Info", "Data"];
/// Modules that would become a place for everything.
const EMPTY_MODULES: [&str; 8] =
    ["util", "utils", "helper", "helpers", "common", "misc", "manager", "types"];
/// What may not be left in the host's own code; tests may unwrap.
const LEFT_OVER: [&str; 5] =
    [".unwrap()", "dbg!(", "todo!(", "unimplemented!(", "unreachable_unchecked("];
/// Marks of what was to be done later; issues are the place for that.
const UNFINISHED: [&str; 3] = ["TODO", "FIXME", "XXX"];
/// What makes a test slow, skipped or blind.
const WEAK_TEST: [&str; 5] =
    ["thread::sleep", "time::sleep", "#[ignore", "#[should_panic", "assert!(true"];
/// Words of Livepeer's protocol that one of our nouns translates.
const FOREIGN: [&str; 5] =
    ["broadcaster", "OrchestratorInfo", "orchAddr", "model_id", "\"livepeer_"];

/// Replaces comments and the insides of strings by spaces; line breaks stay.
pub(crate) fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match &bytes[at..] {
            [b'/', b'/', ..] => find(bytes, at, b"\n"),
            [b'/', b'*', ..] => find(bytes, at + 2, b"*/") + 2,
            [b'"', ..] => string_end(bytes, at + 1),
            [b'r', b'"' | b'#', ..] if !follows_word(bytes, at) => raw_end(bytes, at),
            [b'\'', b'\\', ..] => find(bytes, at + 3, b"'") + 1,
            [b'\'', _, b'\'', ..] => at + 3,
            _ => {
                at += 1;
                continue;
            }
        };
        let end = end.min(bytes.len());
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn follows_word(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> usize {
    let from = from.min(bytes.len());
    let tail = &bytes[from..];
    tail.windows(what.len()).position(|window| window == what).map_or(bytes.len(), |n| from + n)
}

fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// End of the raw string that begins at `at`, or just past the `r` if none does.
fn raw_end(bytes: &[u8], at: usize) -> usize {
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    if bytes.get(at + 1 + hashes) != Some(&b'"') {
        return at + 1;
    }
    let mut close = vec![b'"'];
    close.resize(1 + hashes, b'#');
    find(bytes, at + 2 + hashes, &close) + close.len()
}

/// Position just past the brace that closes the first one at or after `from`; `None` where a `;`
/// comes first.
fn body_end(code: &str, from: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut round = 0_usize;
    for (offset, byte) in code.as_bytes()[from..].iter().enumerate() {
        match byte {
            b'(' | b'[' => round += 1,
            b')' | b']' => round = round.saturating_sub(1),
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(from + offset + 1),
            b'}' => depth = depth.saturating_sub(1),
            b';' if depth == 0 && round == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Blanks every item behind `#[cfg(test)]` or `#[test]`.
pub(crate) fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    for mark in ["#[cfg(test)]", "#[test]", "#[tokio::test"] {
        while let Some(start) = out.find(mark) {
            let end = body_end(&out, start + mark.len()).unwrap_or(start + mark.len());
            let blanked: String =
                out[start..end].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
            out.replace_range(start..end, &blanked);
        }
    }
    out
}

/// Line of a byte position, counted from 1.
fn line_of(code: &str, at: usize) -> usize {
    code.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Words of `code` with their positions.
fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    code.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter_map(move |word| {
        let start = at;
        at += word.len();
        at += code[at..].chars().next().map_or(0, char::len_utf8);
        (!word.is_empty()).then_some((start, word))
    })
}

/// Judges what holds for every file.
pub(crate) fn shape(text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    if !text.starts_with("//!") {
        found.push(finding(1, "does not open with `//!`"));
    }
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        found.push(finding(lines, format!("has {lines} lines (of {FILE_LINES_MAX})")));
    }
    let code = blank(text);
    let mut previous = "";
    for (at, word) in words(&code) {
        if previous == "fn" {
            found.extend(long_function(&code, at, word));
        }
        previous = word;
    }
    found
}

fn long_function(code: &str, at: usize, name: &str) -> Option<Finding> {
    let end = body_end(code, at)?;
    let lines = line_of(code, end) - line_of(code, at) + 1;
    (lines > FUNCTION_LINES_MAX).then(|| {
        finding(line_of(code, at), format!("`{name}` has {lines} lines (of {FUNCTION_LINES_MAX})"))
    })
}

/// Judges marks of unfinished work, in comments as in code.
pub(crate) fn unfinished(text: &str) -> Vec<Finding> {
    let marked = |line: &str| words(line).any(|(_, word)| UNFINISHED.contains(&word));
    let lines = text.lines().enumerate().filter(|(_, line)| marked(line));
    lines.map(|(index, _)| finding(index + 1, "leaves something to be done")).collect()
}

/// Names that `wit/` gives; a type that stands for its record is called as it is there.
const CONTRACT_NAMES: [&str; 1] = ["PluginInfo"];

/// Judges names that types and modules are declared by.
pub(crate) fn names(text: &str) -> Vec<Finding> {
    let code = blank(text);
    let mut found = Vec::new();
    let mut previous = "";
    for (at, word) in words(&code) {
        let declared = matches!(previous, "struct" | "enum" | "trait" | "union");
        let empty = EMPTY_SUFFIXES.iter().any(|suffix| word.ends_with(suffix))
            && !CONTRACT_NAMES.contains(&word);
        if (declared && empty) || (previous == "mod" && EMPTY_MODULES.contains(&word)) {
            found.push(finding(line_of(&code, at), format!("`{word}` says nothing")));
        }
        previous = word;
    }
    found
}

/// Judges what the host's own code may not have outside of tests.
pub(crate) fn left_over(text: &str) -> Vec<Finding> {
    occurrences(&without_tests(&blank(text)), &LEFT_OVER, "is left in host code")
}

/// Judges what a test may not have. The marks are searched in code, not in strings.
pub(crate) fn weak_tests(text: &str) -> Vec<Finding> {
    occurrences(&blank(text), &WEAK_TEST, "makes a test slow, skipped or blind")
}

/// Judges words that belong to Livepeer's wire and are translated there. Strings count.
pub(crate) fn foreign_words(text: &str) -> Vec<Finding> {
    let code = without_tests(text);
    let mut lines: Vec<&str> = code.lines().collect();
    for line in &mut lines {
        *line = line.split("//").next().unwrap_or_default();
    }
    occurrences(&lines.join("\n"), &FOREIGN, "is a word of the wire")
}

fn occurrences(code: &str, marks: &[&str], why: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, line) in code.lines().enumerate() {
        for mark in marks.iter().filter(|mark| line.contains(**mark)) {
            found.push(finding(index + 1, format!("`{mark}` {why}")));
        }
    }
    found
}
