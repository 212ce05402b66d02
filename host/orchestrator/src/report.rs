//! The last word about a session: the `ended` event that clients and gateways read.

use domain::event::Event;
use domain::price::Price;
use domain::session::EndReason;
use wire::ended::{Ended, Frames, GuestTime, PluginFault, Price as PriceForm, Resources, Trouble};
use worker::message::{Failure, FaultFacts, SessionReport};

/// What a session came to.
#[derive(Debug, Clone)]
pub(crate) struct Bill {
    /// The price that was agreed.
    pub(crate) price: Price,
    /// What is charged, in wei.
    pub(crate) amount_wei: u64,
}

/// Writes the `ended` event of a session as one JSON document.
pub(crate) fn ended(reason: EndReason, report: &SessionReport, bill: &Bill) -> String {
    let ended = Ended {
        reason: reason.name().to_owned(),
        frames: Frames {
            input: report.frames_in,
            out: report.frames_out,
            dropped: report.frames_dropped,
        },
        frames_sha256: report.frames_sha256.clone(),
        guest_us: GuestTime { p50: report.guest_us_p50, p99: report.guest_us_p99 },
        resources: Resources { rss_warm_mib: report.rss_warm_mib, rss_end_mib: report.rss_end_mib },
        stream_ms: report.stream_ms,
        price: Some(PriceForm {
            wei: bill.price.wei.to_string(),
            per_units: bill.price.lot.size,
            unit: bill.price.lot.unit.clone(),
        }),
        amount_wei: bill.amount_wei.to_string(),
        warnings: report.warnings.clone(),
        error: report.failure.as_ref().map(trouble),
    };
    ended.to_event()
}

fn trouble(failure: &Failure) -> Trouble {
    let fault = failure.fault.as_ref().map(|fault| PluginFault {
        kind: fault.kind.clone(),
        plugin: fault.plugin.clone(),
        version: fault.version.clone(),
        call: fault.call.clone(),
    });
    Trouble { class: failure.class.clone(), message: failure.message.clone(), fault }
}

/// Returns the event that tells of a plugin's fault.
pub(crate) fn faulted(fault: &FaultFacts, message: &str) -> Event {
    Event::PluginFaulted {
        plugin: fault.plugin.clone(),
        version: fault.version.clone(),
        digest: fault.digest.clone(),
        kind: fault_kind(&fault.kind),
        call: fault_call(&fault.call),
        at: fault.at.clone(),
        detail: message.to_owned(),
    }
}

/// Returns the word of what replaced a pipeline out of the closed set that metrics may carry.
pub(crate) fn replaced_by(by: &str) -> &'static str {
    const WAYS: [&str; 3] = ["restart", "previous-version", "passthrough"];
    WAYS.into_iter().find(|known| *known == by).unwrap_or("other")
}

/// Returns the word of a fault's kind out of the closed set that metrics may carry.
fn fault_kind(kind: &str) -> &'static str {
    const KINDS: [&str; 8] =
        ["trap", "fuel", "time", "memory", "table", "contract", "full", "host"];
    KINDS.into_iter().find(|known| *known == kind).unwrap_or("other")
}

/// Returns the word of a pipeline's call out of the closed set that metrics may carry.
fn fault_call(call: &str) -> &'static str {
    const CALLS: [&str; 7] =
        ["describe", "start", "on-frame", "on-params", "on-message", "stop", "instantiate"];
    CALLS.into_iter().find(|known| *known == call).unwrap_or("other")
}

#[cfg(test)]
#[test]
fn the_last_event_has_every_figure_that_readers_rely_on() {
    let report = SessionReport { frames_in: 3, frames_out: 2, ..SessionReport::default() };
    let bill = Bill { price: Price { wei: 2, lot: domain::price::Lot::live() }, amount_wei: 166 };
    let event: serde_json::Value =
        serde_json::from_str(&ended(EndReason::Eos, &report, &bill)).unwrap();
    assert_eq!(event["type"], "ended");
    assert_eq!(event["frames"]["in"], 3);
    assert_eq!(event["price"]["wei"], "2");
    assert_eq!(event["amount_wei"], "166");
    assert_eq!(event.get("error"), None);
}
