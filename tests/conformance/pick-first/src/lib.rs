//! Chooses candidate 0 without looking: the bare cost of a call.

use framegate_sdk::prelude::*;

struct Guest;

impl SelectionPolicy for Guest {
    fn describe() -> PluginInfo {
        info!("chooses candidate 0")
    }

    fn prepare(_config: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn pick(&mut self, job: &Job, _now: u64, _seed: u64) -> Result<Shortlist, Decline> {
        let _ = job;
        Ok(Shortlist { first: 0, second: None, third: None, fourth: None })
    }

    fn explain(&mut self, job: &Job, _now: u64, _seed: u64) -> Result<Vec<Scored>, Decline> {
        let _ = job;
        Ok(vec![Scored { candidate: 0, score: 1.0, parts: Vec::new(), left_out: None }])
    }
}

export_selection_policy!(Guest);
