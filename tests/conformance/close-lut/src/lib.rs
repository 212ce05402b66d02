//! Uses a colour table after it has given it back.

use framegate_sdk::prelude::*;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("uses a table after it has given it back")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        let curves: Vec<u8> = (0..=255).cycle().take(3 * 256).collect();
        let lut = Lut::from_curves(&curves)?;
        frame.apply_lut(&lut)?;
        if timing.sequence == 1 {
            let handle = lut.handle();
            drop(lut);
            // SAFETY: nothing in this component is touched; what the host makes of it is the test.
            let closed = std::mem::ManuallyDrop::new(unsafe { Lut::from_handle(handle) });
            frame.apply_lut(&closed)?;
        }
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
