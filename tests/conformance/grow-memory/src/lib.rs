//! Asks for 200 MiB at its third frame.

use framegate_sdk::prelude::*;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("asks for 200 MiB at its third frame")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        let _ = frame;
        if timing.sequence >= 2 {
            let block = vec![1_u8; 200 << 20];
            assert_eq!(std::hint::black_box(&block)[timing.sequence as usize], 1);
        }
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
