//! Panics at the frames from number `first` to `last`, whichever instance is asked; passes
//! the others.

use framegate_sdk::prelude::*;

struct Guest {
    first: i64,
    last: i64,
}

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("panics at the frames from `first` to `last`")
    }

    fn start(params: &str) -> Result<Self, SetupError> {
        let mut document = Document::parse(params)?;
        let first = document.integer("first", 4, 0..=1_000_000)?;
        let last = document.integer("last", 4, 0..=1_000_000)?;
        document.finish()?;
        Ok(Self { first, last })
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        let _ = frame;
        let number = i64::try_from(timing.sequence).unwrap_or(i64::MAX);
        assert!(!(self.first..=self.last).contains(&number), "frame {number} is one too many");
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
