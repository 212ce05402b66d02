//! Chooses each candidate in turn, which takes a memory that no policy may have.

use std::cell::Cell;

use framegate_sdk::prelude::*;

std::thread_local! {
    static PICKS: Cell<u32> = const { Cell::new(0) };
}

struct Guest {
    /// Has a choice of its own for explanations, in place of a memory.
    explains_otherwise: bool,
}

impl Guest {
    fn next(&self) -> u32 {
        if self.explains_otherwise {
            return 0;
        }
        PICKS.replace(PICKS.get() + 1) % candidates::count().max(1)
    }
}

impl SelectionPolicy for Guest {
    fn describe() -> PluginInfo {
        info!("chooses each candidate in turn")
    }

    fn prepare(config: &str) -> Result<Self, SetupError> {
        let mut document = Document::parse(config)?;
        let explains_otherwise = document.flag("explains_otherwise", false)?;
        document.finish()?;
        Ok(Self { explains_otherwise })
    }

    fn pick(&mut self, job: &Job, _now: u64, _seed: u64) -> Result<Shortlist, Decline> {
        let _ = job;
        Ok(Shortlist { first: self.next(), second: None, third: None, fourth: None })
    }

    fn explain(&mut self, job: &Job, _now: u64, _seed: u64) -> Result<Vec<Scored>, Decline> {
        let _ = job;
        let candidate = self.next() + u32::from(self.explains_otherwise);
        Ok(vec![Scored { candidate, score: 1.0, parts: Vec::new(), left_out: None }])
    }
}

export_selection_policy!(Guest);
