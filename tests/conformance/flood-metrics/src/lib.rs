//! Updates a metric 2,000 times at every frame.

use framegate_sdk::prelude::*;

struct Guest(Metric);

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("updates a metric 2,000 times at every frame")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        match Metric::counter("updates_total", "Updates sent") {
            Ok(metric) => Ok(Self(metric)),
            Err(_) => Err(SetupError::Internal(log::last_error())),
        }
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        let _ = (frame, timing);
        for value in 0..2_000 {
            self.0.update(f64::from(value));
        }
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
