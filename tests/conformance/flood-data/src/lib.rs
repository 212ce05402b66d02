//! Sends the client 2 KiB in one message, twice what it may in a second, at every frame.

use framegate_sdk::granted::data;
use framegate_sdk::prelude::*;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("sends the client more than it may")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        let _ = frame;
        assert_eq!(data::send_bytes(timing.pts_us, &[0; 2048]), Err(ErrorClass::Exhausted));
        let said = log::last_error();
        assert!(
            said.starts_with("data.send-bytes: data limit 1 KiB a second: plugin used "),
            "{said}"
        );
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
