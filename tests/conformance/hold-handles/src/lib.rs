//! Holds more colour tables than it may.

use framegate_sdk::prelude::*;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("holds more colour tables than it may")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        let curves = [0; 768];
        let tables: Vec<_> = (0..200).map(|_| Lut::from_curves(&curves)).collect();
        assert_eq!(tables.len(), 200);
        Ok(Self)
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        let _ = (frame, timing);
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
