//! Calls more ops than a callback may.

use framegate_sdk::prelude::*;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("calls more ops than a callback may")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        let _ = timing;
        for used in 1..=300 {
            let mixed = frame.mix(frame, 0);
            assert_eq!(mixed.is_ok(), used <= 256, "{used}");
        }
        assert_eq!(log::last_error(), "mix: ops limit 256: plugin used 300");
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
