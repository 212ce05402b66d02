//! Mixes every frame with itself `times` times and passes it on: the bare cost of an op.

use framegate_sdk::prelude::*;

struct Guest {
    times: i64,
}

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("mixes every frame with itself many times")
    }

    fn start(params: &str) -> Result<Self, SetupError> {
        let mut document = Document::parse(params)?;
        let times = document.integer("times", 2, 0..=1_000_000)?;
        document.finish()?;
        Ok(Self { times })
    }

    fn on_frame(&mut self, frame: Frame, _timing: &FrameTiming) -> Result<Output, FrameError> {
        let mut mixed = frame;
        for _ in 0..self.times {
            // The calls are what counts: a host without this op is as good.
            mixed = frame.mix(mixed, 0).unwrap_or(frame);
        }
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
