//! Takes a tenth of a second to start, many times the budget of a frame.

use std::time::{Duration, Instant};

use framegate_sdk::prelude::*;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("takes a tenth of a second to start")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(100) {
            std::hint::spin_loop();
        }
        Ok(Self)
    }

    fn on_frame(&mut self, _frame: Frame, _timing: &FrameTiming) -> Result<Output, FrameError> {
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
