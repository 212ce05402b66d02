//! Refuses its session in 8 MiB of text.

use framegate_sdk::prelude::*;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("refuses its session in 8 MiB of text")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        Err(SetupError::Unsupported("x".repeat(8 << 20)))
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        let _ = (frame, timing);
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
