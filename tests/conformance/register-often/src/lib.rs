//! Registers more metrics than it may.

use framegate_sdk::prelude::*;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("registers more metrics than it may")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        for number in 1..=65 {
            let name = format!("m{number}");
            let registered = Metric::counter(&name, "");
            assert_eq!(registered.is_ok(), number <= 64, "{number}: {}", log::last_error());
        }
        assert_eq!(log::last_error(), "metrics.register: metrics limit 64: plugin used 65");
        Ok(Self)
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        let _ = (frame, timing);
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
