//! The last event of a job: what the orchestrator reports, in the gateway's own words where it
//! knows better, and what the gateway says in its place where it was lost.

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
    fn a_lost_orchestrator_leaves_an_event_that_says_so() {
        let event = last(EndReason::Lost, None, &price(), "it is gone", &["input-lost"]);
        assert_eq!((&event["type"], &event["reason"]), (&json!("ended"), &json!("lost")));
        assert_eq!(event["warnings"], json!(["input-lost", "no-report"]));
        assert_eq!(event["error"]["message"], "the orchestrator was lost: it is gone");
        assert_eq!(amount_wei(&event), 0);
    }
}
