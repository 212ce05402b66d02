//! Chooses a candidate that does not exist.

use framegate_sdk::prelude::*;

struct Guest;

impl SelectionPolicy for Guest {
    fn describe() -> PluginInfo {
        info!("chooses a candidate that does not exist")
    }

    fn prepare(_config: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn pick(&mut self, job: &Job, _now: u64, _seed: u64) -> Result<Shortlist, Decline> {
        let first = job.attempt + 1_000_000;
        Ok(Shortlist { first, second: None, third: None, fourth: None })
    }

    fn explain(&mut self, job: &Job, _now: u64, _seed: u64) -> Result<Vec<Scored>, Decline> {
        let _ = job;
        Err(Decline::NoneLeft)
    }
}

export_selection_policy!(Guest);
