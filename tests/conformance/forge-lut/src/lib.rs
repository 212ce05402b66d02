//! Uses a colour table that it was never given.

use framegate_sdk::prelude::*;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("uses a table that it was never given")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        if timing.sequence == 1 {
            // SAFETY: nothing in this component is touched; what the host makes of it is the test.
            let forged = std::mem::ManuallyDrop::new(unsafe { Lut::from_handle(4_242) });
            frame.apply_lut(&forged)?;
        }
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
