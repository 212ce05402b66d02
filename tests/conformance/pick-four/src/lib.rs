//! Chooses candidates 0 to 3, as far as they exist, without looking at the job: the bare cost of a
//! call whose answer is a full list.

use framegate_sdk::prelude::*;
use framegate_sdk::selection::shortlist;

struct Guest {
    count: usize,
}

impl SelectionPolicy for Guest {
    fn describe() -> PluginInfo {
        info!("chooses candidates 0 to 3")
    }

    fn prepare(_config: &str) -> Result<Self, SetupError> {
        Ok(Self { count: candidates::count().min(4) as usize })
    }

    fn pick(&mut self, job: &Job, _now: u64, _seed: u64) -> Result<Shortlist, Decline> {
        let _ = job;
        shortlist(&[0, 1, 2, 3][..self.count]).ok_or(Decline::NoneLeft)
    }

    fn explain(&mut self, job: &Job, _now: u64, _seed: u64) -> Result<Vec<Scored>, Decline> {
        let _ = job;
        Err(Decline::NoneLeft)
    }
}

export_selection_policy!(Guest);
