//! How far a run is: counters that its threads keep, and the bar that shows them.
//!
//! **Invariant:** the bar is drawn on a terminal only; scripts see nothing of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Time between two drawings: smooth to the eye, nothing to the processor.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// Counters of one run.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    /// Counts every step of any thread, so that a silent run can be told from a slow one.
    steps: AtomicU64,
}

impl Progress {
    /// Begins with nothing done. Without `frames_expected` it shows a count without an end.
    pub(super) fn new(frames_expected: Option<u64>) -> Self {
        // indicatif draws on standard error, and only where that is a terminal.
        let bar = match frames_expected {
            Some(frames) => ProgressBar::new(frames)
                .with_style(style("{bar:40} {pos}/{len} pictures {per_sec} {eta}")),
            None => {
                ProgressBar::new_spinner().with_style(style("{spinner} {pos} pictures {per_sec}"))
            }
        };
        bar.enable_steady_tick(DRAW_EVERY);
        Self { bar, steps: AtomicU64::new(0) }
    }

    /// Notes that a packet went out.
    pub(super) fn sent(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a packet with `frames` pictures came back.
    pub(super) fn received(&self, frames: u64) {
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.bar.inc(frames);
    }

    /// Returns a number that changes while anything moves.
    pub(super) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    // A template that does not parse leaves the plain bar: nothing that a run should fail for.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
