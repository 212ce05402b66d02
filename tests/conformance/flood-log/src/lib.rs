//! Writes 500 messages of 8 KiB at every frame.

use framegate_sdk::prelude::*;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("writes 500 messages at every frame")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        let _ = (frame, timing);
        let message = "x".repeat(8 << 10);
        for _ in 0..500 {
            log::write(log::Level::Info, &message);
        }
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
