//! The last event of a job: what the orchestrator reports, in the gateway's own words where it
//! knows better, and what the gateway says in its place where it was lost.

use domain::id::OrchestratorId;
use domain::job::Loss;
use domain::session::EndReason;
use serde_json::{Map, Value, json};

use crate::record::AgreedPrice;

/// Warning of a job whose figures nobody reported.
const NO_REPORT: &str = "no-report";
/// Warning of a report that names another price than the agreed one.
const PRICE_DIFFERS: &str = "price-differs";

/// An orchestrator's last event, and the reason in it.
pub(crate) type Report = (EndReason, Map<String, Value>);

/// Reads an event; `None` if it is not the last one.
pub(crate) fn report(message: &[u8]) -> Option<Report> {
    let Ok(Value::Object(event)) = serde_json::from_slice(message) else { return None };
    if event.get("type")? != "ended" {
        return None;
    }
    // Ours say why; of a stranger's that does not, nothing can be concluded.
    let reason = event.get("reason").and_then(Value::as_str).and_then(EndReason::from_name);
    Some((reason.unwrap_or(EndReason::Lost), event))
}

/// Makes the last event of a job that ended for `reason`, with the orchestrator's `report` if there
/// is one; `detail` says how it was lost if it was.
pub(crate) fn last(
    reason: EndReason,
    report: Option<Map<String, Value>>,
    price: &AgreedPrice,
    detail: &str,
    warnings: &[&str],
) -> Map<String, Value> {
    let agreed = serde_json::to_value(price).unwrap_or(Value::Null);
    let mut warnings = warnings.to_vec();
    let mut event = match report {
        Some(mut event) => {
            if event.get("price").is_some_and(|price| *price != agreed) {
                warnings.push(PRICE_DIFFERS);
            }
            event.insert("reason".to_owned(), reason.name().into());
            event
        }
        None => {
            warnings.push(NO_REPORT);
            unreported(reason, detail)
        }
    };
    event.insert("price".to_owned(), agreed);
    let list = event.entry("warnings").or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(list) = list {
        list.extend(warnings.into_iter().map(Value::from));
    }
    event
}

/// What came of a job at an orchestrator that lost it.
#[derive(Debug)]
pub(crate) struct Leg {
    /// Who.
    pub(crate) orchestrator: OrchestratorId,
    /// How it was lost.
    pub(crate) loss: Loss,
    /// For people.
    pub(crate) detail: String,
    /// Pictures that the client was given of it.
    pub(crate) pictures: u64,
    /// Its own last event, if it had one.
    pub(crate) report: Option<Map<String, Value>>,
}

/// Makes a last event speak for everybody who served the job: pictures and amounts add up. Of one
/// that told nothing the pictures that arrived count, and it is owed nothing.
pub(crate) fn join(event: &mut Map<String, Value>, legs: &[Leg]) {
    if legs.is_empty() {
        return;
    }
    let frames = |event: &Map<String, Value>, key: &str| {
        event.get("frames").and_then(|frames| frames.get(key)?.as_u64()).unwrap_or(0)
    };
    let mut sums = ["in", "out", "dropped"].map(|key| frames(event, key));
    let mut amount = amount_wei(event);
    for leg in legs {
        // A report of a lost session knows nothing of its pictures.
        let told = leg.report.as_ref().filter(|report| frames(report, "out") >= leg.pictures);
        let counts = told.map_or([leg.pictures, leg.pictures, 0], |report| {
            ["in", "out", "dropped"].map(|key| frames(report, key))
        });
        for (sum, count) in sums.iter_mut().zip(counts) {
            *sum += count;
        }
        amount = amount.saturating_add(leg.report.as_ref().map_or(0, amount_wei));
    }
    let [input, out, dropped] = sums;
    event.insert("frames".to_owned(), json!({"in": input, "out": out, "dropped": dropped}));
    event.insert("amount_wei".to_owned(), amount.to_string().into());
    // Each saw a part only.
    event.insert("frames_sha256".to_owned(), "".into());
}

fn unreported(reason: EndReason, detail: &str) -> Map<String, Value> {
    let mut event = Map::new();
    let figures = json!({
        "type": "ended",
        "reason": reason.name(),
        "frames": {"in": 0, "out": 0, "dropped": 0},
        "frames_sha256": "",
        "guest_us": {"p50": 0, "p99": 0},
        "resources": {"rss_warm_mib": 0, "rss_end_mib": 0},
        "amount_wei": "0",
    });
    if let Value::Object(figures) = figures {
        event = figures;
    }
    if reason == EndReason::Lost {
        let message = format!("the orchestrator was lost: {detail}");
        event.insert("error".to_owned(), json!({"class": "unreachable", "message": message}));
    }
    event
}

/// Returns what a report says that the job costs, in wei.
pub(crate) fn amount_wei(event: &Map<String, Value>) -> u64 {
    let text = event.get("amount_wei").and_then(Value::as_str);
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price() -> AgreedPrice {
        AgreedPrice::live(domain::price::UnitPrice::new(2, domain::price::LIVE_LOT))
    }

    #[test]
    fn a_report_is_passed_on_with_the_reason_that_counts_and_the_price_that_was_agreed() {
        let text = br#"{"type":"ended","reason":"eos","frames":{"in":3,"out":3,"dropped":0},
            "price":{"wei":"9","per_units":1000000,"unit":"lv2v-pixel-second"},
            "amount_wei":"166","warnings":["input-truncated"],"extra":1}"#;
        let (found, event) = report(text).unwrap();
        assert_eq!(found, EndReason::Eos);
        let event = last(EndReason::ClientGone, Some(event), &price(), "", &[]);
        assert_eq!((&event["reason"], &event["frames"]["in"]), (&json!("client-gone"), &json!(3)));
        assert_eq!((&event["price"]["wei"], &event["extra"]), (&json!("2"), &json!(1)));
        assert_eq!(event["warnings"], json!(["input-truncated", "price-differs"]));
        assert_eq!(amount_wei(&event), 166);
        assert_eq!(report(br#"{"type":"status"}"#), None);
        assert_eq!(report(b"[]"), None);
    }

    #[test]
    fn the_last_event_of_a_job_that_moved_speaks_for_everybody() {
        let leg = |report: Option<Value>| Leg {
            orchestrator: OrchestratorId("a".to_owned()),
            loss: Loss::Worker,
            detail: String::new(),
            pictures: 20,
            report: report.and_then(|it| it.as_object().cloned()),
        };
        let nothing = json!({"frames": {"in": 0, "out": 0, "dropped": 0}, "amount_wei": "0"});
        let stopped = json!({"frames": {"in": 25, "out": 24, "dropped": 1}, "amount_wei": "7"});
        let mut event = json!({"frames": {"in": 5, "out": 5, "dropped": 0}, "amount_wei": "3",
            "frames_sha256": "ab"});
        let event = event.as_object_mut().unwrap();
        join(event, &[leg(None), leg(Some(nothing)), leg(Some(stopped))]);
        assert_eq!(event["frames"], json!({"in": 70, "out": 69, "dropped": 1}));
        assert_eq!((&event["amount_wei"], &event["frames_sha256"]), (&json!("10"), &json!("")));
    }

    #[test]
    fn a_lost_orchestrator_leaves_an_event_that_says_so() {
        let event = last(EndReason::Lost, None, &price(), "it is gone", &["input-lost"]);
        assert_eq!((&event["type"], &event["reason"]), (&json!("ended"), &json!("lost")));
        assert_eq!(event["warnings"], json!(["input-lost", "no-report"]));
        assert_eq!(event["error"]["message"], "the orchestrator was lost: it is gone");
        assert_eq!(amount_wei(&event), 0);
    }
}
