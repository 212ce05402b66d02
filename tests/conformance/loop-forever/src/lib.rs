//! Never comes back from its third frame.

use framegate_sdk::prelude::*;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("never comes back from its third frame")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        let _ = frame;
        if timing.sequence >= 2 {
            loop {
                std::hint::spin_loop();
            }
        }
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
