//! Hands the host a list of 8 MiB at its third frame.

use framegate_sdk::pipeline::Rect;
use framegate_sdk::prelude::*;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("hands the host a list of 8 MiB")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        if timing.sequence >= 2 {
            let areas =
                vec![Rect { x: 0, y: 0, width: 1, height: 1 }; (8 << 20) / size_of::<Rect>()];
            frame.blur_areas(&areas, 1.0)?;
        }
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
