//! Asks the host the same thing without end: cheap for it, not for the host.

use framegate_sdk::prelude::*;

struct Guest;

impl SelectionPolicy for Guest {
    fn describe() -> PluginInfo {
        info!("asks the host without end")
    }

    fn prepare(config: &str) -> Result<Self, SetupError> {
        let _ = config;
        Ok(Self)
    }

    fn pick(&mut self, job: &Job, _now: u64, _seed: u64) -> Result<Shortlist, Decline> {
        let mut count = u64::from(job.attempt);
        loop {
            count = count.wrapping_add(u64::from(std::hint::black_box(candidates::count())));
            std::hint::black_box(count);
        }
    }

    fn explain(&mut self, job: &Job, _now: u64, _seed: u64) -> Result<Vec<Scored>, Decline> {
        let _ = job;
        Err(Decline::NoneLeft)
    }
}

export_selection_policy!(Guest);
