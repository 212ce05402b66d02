//! Goes on calling ops after the time for them is used up.

use framegate_sdk::prelude::*;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("goes on calling ops")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        let _ = timing;
        // The first op takes longer than all of them may.
        assert!(frame.mix(frame, 0).is_ok());
        let refused =
            (0..100).filter(|_| frame.mix(frame, 0) == Err(ErrorClass::Exhausted)).count();
        assert!(refused > 90, "{refused}");
        assert!(log::last_error().starts_with("mix: host_budget limit 0.0 ms: plugin used "));
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
