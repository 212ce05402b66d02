//! What a run came to, for scripts and for people.
//!
//! The JSON form is a contract (ARCHITECTURE.md); the table may change.

use std::fmt::Write;
use std::time::Duration;

use domain::price::{LIVE_UNIT, LIVE_UNITS_PER_SECOND};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wire::ended::{Frames, GuestTime, Price, Resources};

/// Everything that a run came to. Wei are decimal strings.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Report {
    /// Id of the job.
    pub(super) job: String,
    /// Who served it; none with `--local`.
    pub(super) orchestrator: Option<Orchestrator>,
    /// Who chose; none with `--local`.
    pub(super) policy: Option<Policy>,
    /// Who was not chosen, and why: `{orchestrator, class, price_wei, cap_wei}`.
    pub(super) passed_over: Vec<Value>,
    /// Agreed price; none with `--local`.
    pub(super) price: Option<Price>,
    /// What it came to.
    pub(super) amount_wei: String,
    /// Pictures.
    pub(super) frames: Frames,
    /// SHA-256 over the pictures sent out, before encoding.
    pub(super) frames_sha256: String,
    /// Guest time of a picture in microseconds.
    pub(super) guest_us: GuestTime,
    /// Seconds from the first question to the finished file.
    pub(super) wall_s: f64,
    /// Memory of the worker.
    pub(super) resources: Resources,
    /// Names of what was odd.
    pub(super) warnings: Vec<String>,
    /// Length of the stream as it was charged.
    #[serde(skip)]
    pub(super) stream: Duration,
}

/// Who served a job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Orchestrator {
    /// Its name, which outlives restarts.
    pub(super) id: String,
    /// Its address.
    pub(super) uri: String,
}

/// Who chose.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Policy {
    /// Plugin's id, or `native`.
    pub(super) plugin: String,
    /// Its version.
    #[serde(default)]
    pub(super) version: String,
    /// SHA-256 of its component.
    #[serde(default)]
    pub(super) digest: String,
}

impl Report {
    /// Adds a warning unless it is there.
    pub(super) fn warn(&mut self, warning: &str) {
        if !self.warnings.iter().any(|known| known == warning) {
            self.warnings.push(warning.to_owned());
        }
    }

    /// Returns the lines for people.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: &str| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name:<13} {value}");
        };
        match &self.orchestrator {
            Some(orchestrator) => {
                row("orchestrator", &format!("{} at {}", orchestrator.id, orchestrator.uri));
                row("chosen by", &self.choice());
                for other in &self.passed_over {
                    row("  passed over", &passed_over(other));
                }
            }
            None => row("orchestrator", "none: a worker on this machine"),
        }
        if let Some(price) = &self.price {
            row("price", &format!("{} wei for {} {}", price.wei, price.per_units, price.unit));
            row("amount", &self.amount(price));
        }
        let Frames { input, out, dropped } = self.frames;
        row("frames", &format!("{input} in, {out} out, {dropped} dropped"));
        #[expect(clippy::cast_precision_loss, reason = "a count of pictures")]
        let rate = out as f64 / self.wall_s.max(0.001);
        row("speed", &format!("{rate:.1} frames a second"));
        let GuestTime { p50, p99 } = self.guest_us;
        row("guest time", &format!("{p50} µs a frame (99 of 100 under {p99} µs)"));
        row("total time", &format!("{:.2} s", self.wall_s));
        if !self.warnings.is_empty() {
            row("warnings", &self.warnings.join(", "));
        }
        text
    }

    fn choice(&self) -> String {
        let by = self.policy.as_ref().map_or_else(
            || "the native rule".to_owned(),
            |policy| format!("{} {}", policy.plugin, policy.version).trim_end().to_owned(),
        );
        match self.passed_over.len() {
            0 => format!("{by}; no other offers it"),
            1 => format!("{by}; 1 other was passed over"),
            others => format!("{by}; {others} others were passed over"),
        }
    }

    fn amount(&self, price: &Price) -> String {
        let seconds = self.stream.as_secs_f64();
        if price.unit == LIVE_UNIT {
            let (lot, wei) = (price.per_units, &price.wei);
            return format!(
                "{} wei = {seconds:.3} s × {LIVE_UNITS_PER_SECOND} {LIVE_UNIT} ÷ {lot} × {wei} wei, \
                 rounded up",
                self.amount_wei
            );
        }
        format!("{} wei for {seconds:.3} s", self.amount_wei)
    }
}

/// Says why one orchestrator was passed over.
fn passed_over(entry: &Value) -> String {
    let text = |key: &str| match &entry[key] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let (who, why) = (text("orchestrator"), text("class"));
    match (text("price_wei"), text("cap_wei")) {
        (price, _) if price.is_empty() => format!("{who}: {why}"),
        (price, cap) if cap.is_empty() => format!("{who}: {why}, {price} wei a lot"),
        (price, cap) => format!("{who}: {why}, {price} wei a lot (cap {cap})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_for_scripts_has_every_key_even_without_a_network() {
        let report = Report { amount_wei: "0".to_owned(), ..Report::default() };
        let json = serde_json::to_value(&report).expect("a report serialises");
        let keys: Vec<_> = json.as_object().expect("an object").keys().cloned().collect();
        assert_eq!(
            keys.join(" "),
            "amount_wei frames frames_sha256 guest_us job orchestrator passed_over policy price \
             resources wall_s warnings"
        );
        assert_eq!(json["frames"].to_string(), r#"{"dropped":0,"in":0,"out":0}"#);
        assert!(json["orchestrator"].is_null() && json["policy"].is_null());
        assert_eq!(json["amount_wei"], "0");
    }

    #[test]
    fn the_table_says_who_why_and_how_the_amount_comes_about() {
        let report = Report {
            orchestrator: Some(Orchestrator { id: "here".into(), uri: "https://h:1".into() }),
            policy: Some(Policy { plugin: "choose-orchestrator".into(), ..Policy::default() }),
            passed_over: vec![serde_json::json!({
                "orchestrator": "dear", "class": "price-over-cap",
                "price_wei": "3000", "cap_wei": "2000",
            })],
            price: Some(Price { wei: "1000".into(), per_units: 1_000_000, unit: LIVE_UNIT.into() }),
            amount_wei: "145982".into(),
            frames: Frames { input: 132, out: 132, dropped: 0 },
            wall_s: 2.0,
            stream: Duration::from_millis(5280),
            ..Report::default()
        };
        let table = report.table();
        for line in [
            "orchestrator  here at https://h:1",
            "chosen by     choose-orchestrator; 1 other was passed over",
            "  passed over dear: price-over-cap, 3000 wei a lot (cap 2000)",
            "amount        145982 wei = 5.280 s × 27648000 lv2v-pixel-second ÷ 1000000 × 1000 wei, \
             rounded up",
            "frames        132 in, 132 out, 0 dropped",
            "speed         66.0 frames a second",
        ] {
            assert!(table.lines().any(|found| found == line), "{line}\nnot in\n{table}");
        }
    }
}
