//! Waits for an hour, for input and for a time that never comes: a host that let it would be held.

use std::io::Read as _;
use std::time::Duration;

use framegate_sdk::prelude::*;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("waits for an hour")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn on_frame(&mut self, _frame: Frame, _timing: &FrameTiming) -> Result<Output, FrameError> {
        std::thread::sleep(Duration::from_secs(3600));
        let mut line = Vec::new();
        let read = std::io::stdin().read_to_end(&mut line);
        assert_eq!(read.ok(), Some(0), "the input is at its end");
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
