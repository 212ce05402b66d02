//! Emits more pictures than a callback may.

use framegate_sdk::prelude::*;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("emits more pictures than a callback may")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        if timing.sequence == 1 {
            for extra in 1..=9 {
                let emitted = framegate_sdk::pipeline::emit(frame, timing.pts_us - 10 + extra);
                assert_eq!(emitted.is_ok(), extra <= 8, "{extra}");
            }
            assert_eq!(log::last_error(), "session.emit: emits limit 8: plugin used 9");
        }
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
