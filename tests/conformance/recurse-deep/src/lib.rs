//! Calls itself without end at its third frame.

use framegate_sdk::prelude::*;

#[expect(unconditional_recursion, reason = "that is what it is for")]
fn deeper(depth: u64) -> u64 {
    let block = std::hint::black_box([depth; 16]);
    deeper(block[3] + 1) + block[5]
}

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("calls itself without end")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        if timing.sequence >= 2 {
            assert_ne!(deeper(u64::from(frame.0)), 0);
        }
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
