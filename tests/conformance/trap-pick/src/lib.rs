//! Panics whenever it is asked.

use framegate_sdk::prelude::*;

struct Guest;

impl SelectionPolicy for Guest {
    fn describe() -> PluginInfo {
        info!("panics whenever it is asked")
    }

    fn prepare(_config: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn pick(&mut self, job: &Job, _now: u64, _seed: u64) -> Result<Shortlist, Decline> {
        panic!("no opinion on attempt {}", job.attempt);
    }

    fn explain(&mut self, job: &Job, _now: u64, _seed: u64) -> Result<Vec<Scored>, Decline> {
        let _ = job;
        Err(Decline::NoneLeft)
    }
}

export_selection_policy!(Guest);
