//! Never decides.

use framegate_sdk::prelude::*;

struct Guest;

impl SelectionPolicy for Guest {
    fn describe() -> PluginInfo {
        info!("never decides")
    }

    fn prepare(_config: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn pick(&mut self, job: &Job, _now: u64, _seed: u64) -> Result<Shortlist, Decline> {
        let mut turns = u64::from(job.attempt);
        loop {
            turns = std::hint::black_box(turns.wrapping_add(1));
        }
    }

    fn explain(&mut self, job: &Job, _now: u64, _seed: u64) -> Result<Vec<Scored>, Decline> {
        let _ = job;
        Err(Decline::NoneLeft)
    }
}

export_selection_policy!(Guest);
