//! `framegate orchestrators`, `framegate explain`, `framegate why`: the gateway's market, seen and
//! steered over its admin socket.
//!
//! **Invariant:** what is printed is what the gateway answered; nothing is worked out here but the
//! counts of reasons.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use clap::{Args, Subcommand};
use domain::Class;
use serde_json::{Value, json};

use super::Common;
use crate::data::{DataDir, Role};
use crate::failure::{Exit, Failure};
use crate::{out, role};

/// Time for an admin call: none of them waits for anybody.
const CALL_MAX: Duration = Duration::from_secs(10);

/// What is asked of the gateway's list of orchestrators.
#[derive(Debug, Args)]
pub(crate) struct OrchestratorsArgs {
    #[command(subcommand)]
    what: Option<What>,
    /// Print JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List them, with what they offer and how they did
    List,
    /// Take one in: `https://host:8935`
    Add {
        /// Its URL
        uri: String,
        /// Its name; without it, its wallet's address or host and port
        #[arg(long)]
        name: Option<String>,
    },
    /// Let one finish what it has and give it nothing new
    Drain {
        /// Its name or URL
        name: String,
    },
    /// Give one no work
    Block {
        /// Its name or URL
        name: String,
    },
    /// Give one work again that was drained or blocked
    Use {
        /// Its name or URL
        name: String,
    },
    /// End the suspension of one that failed
    Lift {
        /// Its name or URL
        name: String,
    },
    /// Forget one; what runs there goes on
    Remove {
        /// Its name or URL
        name: String,
    },
}

/// Which job is explained.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The job, such as `job-7`
    job: String,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Which orchestrator is asked about.
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// Its name
    orchestrator: String,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn orchestrators(args: &OrchestratorsArgs, common: &Common) -> Result<Exit, Failure> {
    let act = |name: &str, act: &str| call(common, "POST", &format!("{}/{act}", path(name)), None);
    match args.what.as_ref().unwrap_or(&What::List) {
        What::List => {
            let listed = call(common, "GET", "/v1/orchestrators", None)?;
            if args.json {
                out::json(&listed)?;
            } else {
                out::line(table(&listed).trim_end())?;
            }
            return Ok(Exit::Ok);
        }
        What::Add { uri, name } => {
            let body = json!({ "uri": uri, "name": name });
            let added = call(common, "POST", "/v1/orchestrators", Some(&body))?;
            out::line(text(&added["orchestrator"]).as_str())?;
        }
        What::Drain { name } => drop(act(name, "drain")?),
        What::Block { name } => drop(act(name, "block")?),
        What::Use { name } => drop(act(name, "use")?),
        What::Lift { name } => drop(act(name, "lift")?),
        What::Remove { name } => drop(call(common, "DELETE", &path(name), None)?),
    }
    Ok(Exit::Ok)
}

pub(super) fn explain(args: &ExplainArgs, common: &Common) -> Result<Exit, Failure> {
    let record = call(common, "GET", &format!("/v1/jobs/{}", escaped(&args.job)), None)?;
    if args.json {
        out::json(&record)?;
    } else {
        out::line(story(&record).trim_end())?;
    }
    Ok(Exit::Ok)
}

pub(super) fn why(args: &WhyArgs, common: &Common) -> Result<Exit, Failure> {
    let path = format!("{}/why", path(&args.orchestrator));
    let counts = call(common, "GET", &path, None)?;
    if args.json {
        out::json(&counts)?;
        return Ok(Exit::Ok);
    }
    let mut lines = format!("{} was a candidate for {} jobs\n", args.orchestrator, counts["jobs"]);
    let reasons: BTreeMap<String, Value> =
        serde_json::from_value(counts["reasons"].clone()).unwrap_or_default();
    for (reason, told) in reasons {
        let _ = write!(lines, "  {reason:<16} {:>8}", text(&told["count"]));
        if let Some(distance) = told["wei_over"].as_object() {
            let _ = write!(
                lines,
                "  over by {} to {} wei a lot",
                text(&distance["min"]),
                text(&distance["max"])
            );
        }
        lines.push('\n');
    }
    out::line(lines.trim_end()).map(|()| Exit::Ok)
}

fn path(name: &str) -> String {
    format!("/v1/orchestrators/{}", escaped(name))
}

/// Escapes a name for use as one part of a path.
fn escaped(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b':') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Calls the gateway's admin side; nothing where it answers nothing.
fn call(common: &Common, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
    let data = DataDir::find(common.data_dir.as_deref());
    let data = data.map_err(|error| role::no_data_dir(&error))?;
    let socket = data.path().join(Role::Gateway.name()).join("admin.sock");
    let failed = |error: std::io::Error| {
        let text = format!("the gateway's admin socket `{}`: {error}", socket.display());
        Failure::new(Class::Unavailable, text).hint("start it with `framegate gateway`")
    };
    let mut stream = UnixStream::connect(&socket).map_err(failed)?;
    stream.set_read_timeout(Some(CALL_MAX)).map_err(failed)?;
    stream.set_write_timeout(Some(CALL_MAX)).map_err(failed)?;
    let body = body.map(ToString::to_string).unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).map_err(failed)?;
    stream.write_all(body.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    read(&answer)
}

/// Reads an answer: JSON, nothing, or a refusal in words.
fn read(answer: &str) -> Result<Value, Failure> {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status: u16 = head.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
    // The admin side answers small documents whole; a body in chunks has one of them.
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { body.split("\r\n").nth(1).unwrap_or(body) } else { body };
    match status {
        200 | 201 => serde_json::from_str(body).map_err(|error| {
            Failure::new(
                Class::Unavailable,
                format!("the gateway answers in another form: {error}"),
            )
        }),
        204 => Ok(Value::Null),
        404 => Err(Failure::new(Class::NotFound, format!("{} is not there", told(body, "it")))),
        400 | 409 => Err(Failure::new(Class::Invalid, told(body, "the gateway refuses it"))),
        other => Err(Failure::new(Class::Unavailable, format!("the gateway answered {other}"))),
    }
}

fn told(body: &str, otherwise: &str) -> String {
    let body = body.trim();
    if body.is_empty() { otherwise.to_owned() } else { body.to_owned() }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

fn table(listed: &Value) -> String {
    let mut out = String::new();
    let empty = Vec::new();
    for row in listed["orchestrators"].as_array().unwrap_or(&empty) {
        let reach = if row["reachable"] == true { "reachable" } else { "unreachable" };
        let _ = writeln!(
            out,
            "{:<20} {:<12} {:<11} {:>6} jobs  {:>6} of {} tries  {}",
            text(&row["orchestrator"]),
            text(&row["standing"]),
            reach,
            text(&row["jobs"]),
            text(&row["successes"]),
            text(&row["attempts"]),
            text(&row["uri"]),
        );
        if row["detail"].as_str().is_some_and(|detail| !detail.is_empty()) {
            let _ = writeln!(out, "{:<20} {}", "", text(&row["detail"]));
        }
    }
    if out.is_empty() { "no orchestrator is known".to_owned() } else { out }
}

/// Tells a job's record in lines.
fn story(record: &Value) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<14} {value}");
    };
    row("job", format!("{} ({})", text(&record["job"]), text(&record["state"])));
    row("request", text(&record["request"]));
    row("asked for", text(&record["capability"]));
    let who = &record["orchestrator"];
    if who.is_object() {
        row("served by", format!("{} at {}", text(&who["id"]), text(&who["uri"])));
    }
    let policy = &record["policy"];
    if policy.is_object() {
        let named = [&policy["plugin"], &policy["version"], &policy["digest"]].map(text);
        row("chosen by", named.join(" ").trim_end().to_owned());
    }
    let empty = Vec::new();
    for other in record["passed_over"].as_array().unwrap_or(&empty) {
        let mut why = format!("{}: {}", text(&other["orchestrator"]), text(&other["class"]));
        if !other["price_wei"].is_null() {
            let _ = write!(why, ", {} wei a lot", text(&other["price_wei"]));
        }
        if !other["cap_wei"].is_null() {
            let _ = write!(why, " (cap {})", text(&other["cap_wei"]));
        }
        row("  passed over", why);
    }
    for swap in record["swaps"].as_array().unwrap_or(&empty) {
        let [from, to, cause, detail] = ["from", "to", "cause", "detail"].map(|it| text(&swap[it]));
        row("  moved", format!("from {from} to {to}: {cause} ({detail})"));
    }
    let price = &record["price"];
    if price.is_object() {
        let [wei, lot, unit] = ["wei", "per_units", "unit"].map(|it| text(&price[it]));
        row("price", format!("{wei} wei for {lot} {unit}"));
    }
    if !record["reason"].is_null() {
        row("ended", text(&record["reason"]));
        let frames = &record["frames"];
        let [input, output, dropped] = ["in", "out", "dropped"].map(|it| text(&frames[it]));
        row("frames", format!("{input} in, {output} out, {dropped} dropped"));
        row("amount", format!("{} wei", text(&record["amount_wei"])));
    }
    out
}

#[cfg(test)]
#[test]
fn an_answer_is_read_in_every_form_that_the_admin_side_has() {
    let plain = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"a\":1}";
    assert_eq!(read(plain).map_err(|it| it.text()), Ok(json!({"a": 1})));
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"a\":1}\r\n0\r\n\r\n";
    assert_eq!(read(chunked).map_err(|it| it.text()), Ok(json!({"a": 1})));
    assert_eq!(read("HTTP/1.1 204 No Content\r\n\r\n").map_err(|it| it.text()), Ok(Value::Null));
    let refused = read("HTTP/1.1 409 Conflict\r\n\r\n`x` is known already\n").unwrap_err();
    assert!(refused.text().contains("`x` is known already"), "{}", refused.text());
    assert_eq!(escaped("https://a:1/"), "https:%2F%2Fa:1%2F");
}
