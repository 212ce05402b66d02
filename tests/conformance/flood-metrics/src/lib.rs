//! Updates a metric 2,000 times at every frame.

use framegate_sdk::pipeline::metrics;
use framegate_sdk::prelude::*;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("updates a metric 2,000 times at every frame")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        let _ = (frame, timing);
        for value in 0..2_000 {
            metrics::update(1, f64::from(value));
        }
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
