//! Never finishes preparing.

use framegate_sdk::prelude::*;

struct Guest;

impl SelectionPolicy for Guest {
    fn describe() -> PluginInfo {
        info!("never finishes preparing")
    }

    fn prepare(config: &str) -> Result<Self, SetupError> {
        let mut turns = config.len();
        loop {
            turns = std::hint::black_box(turns.wrapping_add(1));
        }
    }

    fn pick(&mut self, job: &Job, _now: u64, _seed: u64) -> Result<Shortlist, Decline> {
        let _ = job;
        Err(Decline::NoneLeft)
    }

    fn explain(&mut self, job: &Job, _now: u64, _seed: u64) -> Result<Vec<Scored>, Decline> {
        let _ = job;
        Err(Decline::NoneLeft)
    }
}

export_selection_policy!(Guest);
