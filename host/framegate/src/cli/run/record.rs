//! What a gateway says of a job: its record, and the last event of it.
//!
//! Reading is lenient: a gateway that says less gives a report with less in it.

use std::time::Duration;

use domain::Class;
use domain::session::EndReason;
use serde::Deserialize;
use serde_json::Value;

use wire::ended::{Ended, Price};

use super::report::{Orchestrator, Policy, Report};
use crate::failure::{Failure, FaultReport};

/// A job's record.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    orchestrator: Option<Orchestrator>,
    policy: Option<Policy>,
    passed_over: Vec<Value>,
    price: Option<Price>,
    /// Everything that the last event has, once there is one.
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

/// Returns the failure that the job ended with, if it did not end well.
pub(super) fn failure(ended: &Ended) -> Option<Failure> {
    if ended.reason == EndReason::Eos.name() {
        return None;
    }
    if let Some(told) = &ended.error {
        let failure = super::failure_of(&told.class, &told.message);
        return Some(match &told.fault {
            None => failure,
            Some(fault) => failure.fault(FaultReport {
                kind: fault.kind.clone(),
                plugin: fault.plugin.clone(),
                version: fault.version.clone(),
            }),
        });
    }
    let class = match EndReason::from_name(&ended.reason) {
        Some(EndReason::Fault) => Class::PluginFault,
        Some(EndReason::Limit) => Class::Exhausted,
        Some(EndReason::Shutdown | EndReason::Lost) | None => Class::Unavailable,
        Some(EndReason::ClientGone | EndReason::Eos) => Class::Internal,
    };
    Some(Failure::new(class, format!("the job ended early: {}", ended.reason)))
}

impl Record {
    /// Returns the last word, if it has been said.
    pub(super) fn ended(&self) -> Option<Ended> {
        if !self.rest.contains_key("reason") {
            return None;
        }
        let mut all = self.rest.clone();
        if let Some(price) = &self.price {
            all.insert("price".to_owned(), serde_json::to_value(price).ok()?);
        }
        serde_json::from_value(Value::Object(all)).ok()
    }

    /// Makes the report of `job` from its record and its last word.
    pub(super) fn report(self, job: &str, ended: &Ended) -> Report {
        Report {
            job: job.to_owned(),
            orchestrator: self.orchestrator,
            policy: self.policy,
            passed_over: self.passed_over,
            price: ended.price.clone().or(self.price),
            amount_wei: ended.amount_wei.clone(),
            frames: ended.frames,
            frames_sha256: ended.frames_sha256.clone(),
            guest_us: ended.guest_us,
            wall_s: 0.0,
            resources: ended.resources,
            warnings: ended.warnings.clone(),
            stream: Duration::from_millis(ended.stream_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_the_last_word_once_it_was_said() {
        let running = r#"{"orchestrator":{"id":"a","uri":"https://a:1"},"passed_over":[],
            "price":{"wei":"5","per_units":1000000,"unit":"lv2v-pixel-second"}}"#;
        let record: Record = serde_json::from_str(running).expect("a record");
        assert!(record.ended().is_none());
        let text = format!(
            "{},{}",
            running.trim_end_matches('}'),
            r#""reason":"eos","frames":{"in":2,"out":2,"dropped":0},"stream_ms":80,
               "amount_wei":"12","warnings":["input-truncated"]}"#
        );
        // The first object ends with two braces; one of them closes the price.
        let text = text.replacen("pixel-second\"", "pixel-second\"}", 1);
        let record: Record = serde_json::from_str(&text).expect("a record");
        let ended = record.ended().expect("the last word");
        assert!(failure(&ended).is_none());
        let report = record.report("job-1", &ended);
        assert_eq!(report.frames.out, 2);
        assert_eq!(report.price.expect("a price").wei, "5");
        assert_eq!(report.stream, Duration::from_millis(80));
    }

    #[test]
    fn a_job_that_did_not_end_well_is_a_failure_of_its_own_class() {
        let failure = |rest: &str| {
            let text = format!(r#"{{"type":"ended",{rest}}}"#);
            let ended = Ended::of_event(text.as_bytes()).expect("the last event");
            super::failure(&ended).map(|failure| failure.exit() as u8)
        };
        assert_eq!(failure(r#""reason":"eos""#), None);
        assert_eq!(failure(r#""reason":"lost""#), Some(6));
        assert_eq!(failure(r#""reason":"limit""#), Some(4));
        let fault = r#""reason":"fault","error":{"class":"fault","message":"m",
            "fault":{"kind":"trap","plugin":"p","version":"1"}}"#;
        assert_eq!(failure(fault), Some(7));
        let input = r#""reason":"fault","error":{"class":"invalid","message":"m"}"#;
        assert_eq!(failure(input), Some(3));
        assert!(Ended::of_event(br#"{"type":"status"}"#).is_none());
    }
}
