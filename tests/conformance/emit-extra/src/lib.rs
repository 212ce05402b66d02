//! Doubles the frame rate: sends each picture once more, between it and the next.

use framegate_sdk::prelude::*;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("doubles the frame rate")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        let rate = u64::from(session::frame_rate_milli().max(1_000));
        let half = i64::try_from(500_000_000 / rate).unwrap_or(0);
        // Before the picture itself, since pictures go out in order of time.
        if timing.sequence > 0 {
            framegate_sdk::pipeline::emit(frame, timing.pts_us - half)?;
        }
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
