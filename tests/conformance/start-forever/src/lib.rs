//! Never finishes starting.

use framegate_sdk::prelude::*;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("never finishes starting")
    }

    fn start(params: &str) -> Result<Self, SetupError> {
        let mut turns = params.len();
        loop {
            turns = std::hint::black_box(turns.wrapping_add(1));
        }
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        let _ = (frame, timing);
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
