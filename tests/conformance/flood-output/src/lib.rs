//! Writes 1 MiB to its standard output at every frame.

use framegate_sdk::prelude::*;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("writes 1 MiB to its standard output")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    #[expect(clippy::print_stdout, reason = "the flood goes there")]
    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        let _ = (frame, timing);
        for _ in 0..1024 {
            println!("{}", "x".repeat(1023));
        }
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
