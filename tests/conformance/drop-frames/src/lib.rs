//! Drops every second frame.

use framegate_sdk::prelude::*;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("drops every second frame")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        let _ = frame;
        Ok(if timing.sequence % 2 == 1 { Output::Drop } else { Output::Pass })
    }
}

export_pipeline!(Guest);
