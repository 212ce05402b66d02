//! One figure and how it is printed.

use serde_json::{Value, json};

use super::machine::IDLE_MIN;
use super::pair::{PAIRS_MIN, Pairs, SPREAD_MAX};
use super::stats::{Interval, median};

/// One figure against its baseline.
#[derive(Debug, Clone)]
pub struct Line {
    /// Name, such as `policy.call`.
    pub id: String,
    /// Median of what is measured, in `unit`.
    pub ours: f64,
    /// Median of what it is measured against, in `unit`.
    pub base: f64,
    /// Median of the ratios of the pairs.
    pub ratio: f64,
    /// Where that median lies.
    pub interval: Interval,
    /// Unit of `ours` and `base`.
    pub unit: &'static str,
    /// Pairs.
    pub n: usize,
    /// How far the ratios lie apart, as a share of their median.
    pub spread: f64,
    /// Idle share of the machine before the measurement.
    pub idle: f64,
    /// The ratio that is wanted at most, if one is.
    pub goal: Option<f64>,
    /// Commands, versions and configuration.
    pub env: Value,
}

impl Line {
    /// Makes the line of paired measurements, taken on a machine that was idle for the share `idle`.
    pub(super) fn of_pairs(
        id: &str,
        unit: &'static str,
        pairs: &Pairs,
        idle: f64,
        env: Value,
    ) -> Self {
        Self {
            id: id.to_owned(),
            ours: median(&pairs.ours),
            base: median(&pairs.base),
            ratio: pairs.ratio(),
            interval: pairs.interval(),
            unit,
            n: pairs.ours.len(),
            spread: pairs.spread(),
            idle,
            goal: None,
            env,
        }
    }

    /// Sets the ratio that is wanted at most.
    #[must_use]
    pub const fn with_goal(mut self, goal: f64) -> Self {
        self.goal = Some(goal);
        self
    }

    /// Says why no ratio can be claimed; empty if one can.
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.n < PAIRS_MIN {
            doubts.push(format!("{} pairs (of {PAIRS_MIN})", self.n));
        }
        // Not a number is as bad as too much.
        if !matches!(self.spread.partial_cmp(&SPREAD_MAX), Some(o) if o.is_le()) {
            doubts.push(format!("spread {:.0} %", self.spread * 100.0));
        }
        if self.idle < IDLE_MIN {
            doubts.push(format!("machine {:.0} % idle", self.idle * 100.0));
        }
        doubts
    }

    /// Returns the ratio as it may be told: the number, or `noisy`.
    pub fn told(&self) -> Value {
        if self.doubts().is_empty() { json!(rounded(self.ratio)) } else { json!("noisy") }
    }

    /// Returns the line of JSON.
    pub fn json(&self) -> String {
        let mut env = self.env.clone();
        env["idle_before"] = json!(rounded(self.idle));
        if let Some(goal) = self.goal {
            env["goal"] = json!(goal);
        }
        let doubts = self.doubts();
        if !doubts.is_empty() {
            env["doubts"] = json!(doubts);
            env["ratio_seen"] = json!(rounded(self.ratio));
        }
        json!({
            "id": self.id,
            "ours": rounded(self.ours),
            "base": rounded(self.base),
            "ratio": self.told(),
            "ci95": [rounded(self.interval.low), rounded(self.interval.high)],
            "unit": self.unit,
            "n": self.n,
            "noise": rounded(self.spread),
            "env": env,
        })
        .to_string()
    }

    fn row(&self) -> [String; 7] {
        let Interval { low, high } = self.interval;
        let doubts = self.doubts();
        let ratio =
            if doubts.is_empty() { format!("{:.3}", self.ratio) } else { "noisy".to_owned() };
        let verdict = match self.goal {
            _ if !doubts.is_empty() => doubts.join(", "),
            Some(goal) if high <= goal => format!("within {goal}"),
            Some(goal) if low > goal => format!("over {goal}"),
            Some(goal) => format!("undecided at {goal}"),
            None => String::new(),
        };
        [
            self.id.clone(),
            format!("{} {}", short(self.ours), self.unit),
            format!("{} {}", short(self.base), self.unit),
            ratio,
            format!("{low:.3}..{high:.3}"),
            self.n.to_string(),
            verdict,
        ]
    }
}

/// Lays lines out for people.
pub fn table(lines: &[Line]) -> String {
    let head = ["id", "ours", "base", "ratio", "95 %", "n", ""].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(lines.iter().map(Line::row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| match column {
            0 | 6 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Returns four digits that mean something.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(spread: f64, idle: f64, n: usize) -> Line {
        let pairs = Pairs { ours: vec![168.0; n], base: vec![160.0; n] };
        let mut line = Line::of_pairs("policy.call", "ns", &pairs, idle, json!({"cpus": 2}));
        line.spread = spread;
        line.with_goal(1.2)
    }

    #[test]
    fn a_line_has_the_form_that_scripts_read() {
        let json: Value = serde_json::from_str(&line(0.02, 0.99, 15).json()).unwrap();
        assert_eq!(json["id"], "policy.call");
        assert_eq!(
            (&json["ratio"], &json["unit"], &json["n"]),
            (&json!(1.05), &json!("ns"), &json!(15))
        );
        assert_eq!(json["env"]["goal"], json!(1.2));
        for key in ["id", "ours", "base", "ratio", "unit", "n", "noise", "env"] {
            assert!(!json[key].is_null(), "{key}");
        }
    }

    #[test]
    fn no_ratio_is_claimed_of_a_busy_machine_of_few_pairs_or_of_wild_ones() {
        assert_eq!(line(0.25, 0.85, 15).told(), json!(1.05));
        for noisy in [line(0.26, 0.99, 15), line(0.02, 0.84, 15), line(0.02, 0.99, 14)] {
            assert_eq!(noisy.told(), "noisy");
            assert!(table(&[noisy]).contains("noisy"));
        }
        assert_eq!(line(f64::NAN, 0.99, 15).told(), "noisy");
    }

    #[test]
    fn a_goal_is_met_only_if_the_whole_interval_meets_it() {
        let row = |goal| table(&[line(0.0, 0.99, 15).with_goal(goal)]);
        assert!(row(1.2).contains("within 1.2"));
        assert!(row(1.0).contains("over 1"));
        let mut wide = line(0.0, 0.99, 15);
        wide.interval = Interval { low: 1.1, high: 1.3 };
        assert!(table(&[wide]).contains("undecided at 1.2"));
    }
}
