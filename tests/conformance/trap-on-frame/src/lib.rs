//! Panics at its fifth frame.

use framegate_sdk::prelude::*;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("panics at its fifth frame")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        assert!(timing.sequence < 4, "frame {} is one too many", timing.sequence);
        let _ = frame;
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
