//! Explains with 100 parts that share one label of 4 MiB.

use framegate_sdk::prelude::*;

struct Guest;

impl SelectionPolicy for Guest {
    fn describe() -> PluginInfo {
        info!("explains at length")
    }

    fn prepare(config: &str) -> Result<Self, SetupError> {
        let _ = config;
        Ok(Self)
    }

    fn pick(&mut self, job: &Job, _now: u64, _seed: u64) -> Result<Shortlist, Decline> {
        let _ = job;
        Err(Decline::NoneLeft)
    }

    fn explain(&mut self, job: &Job, _now: u64, _seed: u64) -> Result<Vec<Scored>, Decline> {
        let _ = job;
        let label = String::from_utf8(vec![b'x'; 4 << 20]).unwrap_or_default();
        let same = || {
            let (start, length) = (label.as_ptr().cast_mut(), label.len());
            // SAFETY: it is none. The host is to copy one block of memory a hundred times, and what
            // becomes of this instance afterwards does not matter.
            let label = unsafe { String::from_raw_parts(start, length, length) };
            (label, String::new())
        };
        let parts = (0..100).map(|_| same()).collect();
        Ok(vec![Scored { candidate: 0, score: 0.0, parts, left_out: None }])
    }
}

export_selection_policy!(Guest);
