//! `framegate orchestrators`, `framegate explain`, `framegate why`: the gateway's market, seen and
//! steered over its admin socket.
//!
//! **Invariant:** what is printed is what the gateway answered; nothing is worked out here but the
//! counts of reasons.

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
use crate::out;

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
    /// Take the certificate that one presents next, in place of the one that was seen first
    Trust {
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
    /// The job, such as `job-7`, or the id of its request; without it the last hundred are listed
    job: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Which orchestrator is asked about.
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// Its name, as the gateway lists it; without it the orchestrator of this machine is asked what
    /// gateways told it
    orchestrator: Option<String>,
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
        What::Trust { name } => drop(act(name, "trust")?),
        What::Lift { name } => drop(act(name, "lift")?),
        What::Remove { name } => drop(call(common, "DELETE", &path(name), None)?),
    }
    Ok(Exit::Ok)
}

pub(super) fn explain(args: &ExplainArgs, common: &Common) -> Result<Exit, Failure> {
    let path = args.job.as_ref().map(|job| format!("/v1/jobs/{}", escaped(job)));
    let answer = call(common, "GET", path.as_deref().unwrap_or("/v1/records"), None)?;
    match (args.json, path.is_some()) {
        (true, _) => out::json(&answer)?,
        (false, true) => out::line(story(&answer).trim_end())?,
        (false, false) => out::line(list(&answer).trim_end())?,
    }
    Ok(Exit::Ok)
}

/// Lists records, one in a line.
fn list(answer: &Value) -> String {
    let mut out = String::new();
    for record in answer["records"].as_array().into_iter().flatten() {
        let [job, state, reason] = ["job", "state", "reason"].map(|key| text(&record[key]));
        let who = text(&record["orchestrator"]["id"]);
        let what = text(&record["capability"]);
        let _ = writeln!(out, "{job:<12} {state:<9} {reason:<14} {who:<20} {what}");
    }
    if out.is_empty() { "no job is known".to_owned() } else { out }
}

pub(super) fn why(args: &WhyArgs, common: &Common) -> Result<Exit, Failure> {
    let counts = match &args.orchestrator {
        Some(name) => call(common, "GET", &format!("{}/why", path(name)), None)?,
        None => call_role(common, Role::Orchestrator, "GET", "/v1/why", None)?,
    };
    if args.json {
        out::json(&counts)?;
        return Ok(Exit::Ok);
    }
    let mut lines = format!(
        "{} was a candidate for {} jobs and served {}\n",
        text(&counts["orchestrator"]),
        counts["jobs"],
        counts["served"]
    );
    reasons(&counts["reasons"], &mut lines);
    for gateway in counts["gateways"].as_array().into_iter().flatten() {
        let _ = writeln!(
            lines,
            "says {}: {} jobs, {} served",
            text(&gateway["gateway"]),
            gateway["jobs"],
            gateway["served"]
        );
    }
    out::line(lines.trim_end()).map(|()| Exit::Ok)
}

fn reasons(counted: &Value, lines: &mut String) {
    for (reason, told) in counted.as_object().into_iter().flatten() {
        let _ = write!(lines, "  {reason:<16} {:>8}", text(&told["count"]));
        if let Some(distance) = told["wei_over"].as_object() {
            let (min, max) = (text(&distance["min"]), text(&distance["max"]));
            let _ = write!(lines, "  over by {min} to {max} wei a lot");
        }
        lines.push('\n');
    }
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
    call_role(common, Role::Gateway, method, path, body)
}

/// Calls the admin side of a role; nothing where it answers nothing.
fn call_role(
    common: &Common,
    role: Role,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, Failure> {
    let data = DataDir::find(common.data_dir.as_deref());
    let data = data.map_err(|error| crate::role::no_data_dir(&error))?;
    let socket = data.path().join(role.name()).join("admin.sock");
    let failed = |error: std::io::Error| {
        let text = format!("admin socket of the {role}, `{}`: {error}", socket.display());
        Failure::new(Class::Unavailable, text).hint(format!("start it with `framegate {role}`"))
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
            Failure::new(Class::Unavailable, format!("the role answers in another form: {error}"))
        }),
        204 => Ok(Value::Null),
        404 => Err(Failure::new(Class::NotFound, format!("{} is not there", told(body, "it")))),
        400 | 409 => Err(Failure::new(Class::Invalid, told(body, "the role refuses it"))),
        other => Err(Failure::new(Class::Unavailable, format!("the role answered {other}"))),
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
    if record["state"] == "refused" {
        row("refused", format!("{}: {}", text(&record["reason"]), text(&record["detail"])));
    } else if !record["reason"].is_null() {
        row("ended", text(&record["reason"]));
    }
    if record["frames"].is_object() {
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
