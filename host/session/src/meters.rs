//! A plugin's own metrics: added up here and told to the parent once a second, so that a metric that
//! is updated with every frame costs no message a frame.

use std::time::{Duration, Instant};

use plugin::pipeline::host::MetricKind;
use worker::message::{MetricChange, MetricForm};

/// Time between two reports to the parent: dashboards look every few seconds.
const EVERY: Duration = Duration::from_secs(1);
/// Observations of one histogram that are kept between two reports; later ones are lost.
const OBSERVATIONS_MAX: usize = 1024;

#[derive(Debug)]
struct Meter {
    name: String,
    form: MetricForm,
    help: String,
    values: Vec<f64>,
}

/// The metrics of one instance; a metric's number is its place.
#[derive(Debug)]
pub(crate) struct Meters {
    all: Vec<Meter>,
    told: Instant,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self { all: Vec::new(), told: Instant::now() }
    }

    /// Registers a metric of plugin `plugin` and returns its number.
    pub(crate) fn register(
        &mut self,
        plugin: &str,
        name: &str,
        kind: MetricKind,
        help: &str,
    ) -> u32 {
        let form = match kind {
            MetricKind::Counter => MetricForm::Counter,
            MetricKind::Gauge => MetricForm::Gauge,
            MetricKind::Histogram => MetricForm::Histogram,
        };
        let name = format!("plugin_{}_{name}", plugin.replace('-', "_"));
        self.all.push(Meter { name, form, help: help.to_owned(), values: Vec::new() });
        u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX)
    }

    /// Takes a value; an unknown number is ignored, and what would lower a counter.
    pub(crate) fn update(&mut self, metric: u32, value: f64) {
        let Some(meter) = self.all.get_mut(metric as usize) else { return };
        let values = &mut meter.values;
        match meter.form {
            MetricForm::Counter if value < 0.0 => {}
            MetricForm::Counter => *first_of(values) += value,
            MetricForm::Gauge => *first_of(values) = value,
            MetricForm::Histogram if values.len() >= OBSERVATIONS_MAX => {}
            MetricForm::Histogram => values.push(value),
        }
    }

    /// Returns what has changed if it is time to tell it.
    pub(crate) fn due(&mut self) -> Vec<MetricChange> {
        if self.told.elapsed() < EVERY { Vec::new() } else { self.take() }
    }

    /// Returns what has changed.
    pub(crate) fn take(&mut self) -> Vec<MetricChange> {
        self.told = Instant::now();
        let changed = self.all.iter_mut().filter(|meter| !meter.values.is_empty());
        let change = |meter: &mut Meter| MetricChange {
            name: meter.name.clone(),
            form: meter.form,
            help: meter.help.clone(),
            values: std::mem::take(&mut meter.values),
        };
        changed.map(change).collect()
    }
}

/// Returns the one value of a counter or a gauge.
fn first_of(values: &mut Vec<f64>) -> &mut f64 {
    if values.is_empty() {
        values.push(0.0);
    }
    &mut values[0]
}

#[cfg(test)]
#[test]
fn counters_add_up_gauges_keep_the_last_and_histograms_all() {
    let mut meters = Meters::new();
    let counter = meters.register("draw-video", "frames", MetricKind::Counter, "taken");
    let gauge = meters.register("draw-video", "load", MetricKind::Gauge, "now");
    let histogram = meters.register("draw-video", "size", MetricKind::Histogram, "of each");
    for value in [2.0, 3.0, -1.0] {
        for metric in [counter, gauge, histogram, 9] {
            meters.update(metric, value);
        }
    }
    assert_eq!(meters.due(), []);
    let told: Vec<_> =
        meters.take().into_iter().map(|change| (change.name, change.values)).collect();
    let name = |name: &str| format!("plugin_draw_video_{name}");
    assert_eq!(
        told,
        [
            (name("frames"), vec![5.0]),
            (name("load"), vec![-1.0]),
            (name("size"), vec![2.0, 3.0, -1.0])
        ]
    );
    assert_eq!(meters.take(), []);
}
