//! Keeps every frame, more than it may.

use framegate_sdk::prelude::*;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("keeps every frame")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        let kept = frame.keep();
        if timing.sequence < 2 {
            assert_eq!(kept, Ok(()));
        } else {
            assert_eq!(kept, Err(ErrorClass::Exhausted));
            assert_eq!(log::last_error(), "frames.keep: frames limit 2: plugin used 3");
        }
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
