//! Uses numbers that are no frames, then answers one.

use framegate_sdk::prelude::*;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("uses numbers that are no frames")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        for forged in [Frame(0), Frame(frame.0 + 1_000_000), Frame(u32::MAX)] {
            assert_eq!(forged.convert("gray"), Err(ErrorClass::Invalid));
            assert_eq!(forged.keep(), Err(ErrorClass::Invalid));
            assert_eq!((forged.width(), forged.format()), (0, String::new()));
            forged.release();
        }
        assert!(!log::last_error().is_empty(), "an error leaves its text");
        Ok(if timing.sequence < 2 { Output::Pass } else { Output::Emit(u32::MAX) })
    }
}

export_pipeline!(Guest);
