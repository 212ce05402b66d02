//! Panics at one job in so many, told by the number in the job's id; chooses candidate 0 else.

use framegate_sdk::prelude::*;

struct Guest {
    one_in: i64,
}

impl SelectionPolicy for Guest {
    fn describe() -> PluginInfo {
        info!("panics at one job in `one_in`")
    }

    fn prepare(config: &str) -> Result<Self, SetupError> {
        let mut document = Document::parse(config)?;
        let one_in = document.integer("one_in", 1000, 1..=1_000_000)?;
        document.finish()?;
        Ok(Self { one_in })
    }

    fn pick(&mut self, job: &Job, _now: u64, _seed: u64) -> Result<Shortlist, Decline> {
        let _ = job;
        let id = job_details::id();
        let number: i64 = id.strip_prefix("job-").and_then(|it| it.parse().ok()).unwrap_or(1);
        assert!(number % self.one_in != 0, "job {number} is one too many");
        Ok(Shortlist { first: 0, second: None, third: None, fourth: None })
    }

    fn explain(&mut self, job: &Job, now: u64, seed: u64) -> Result<Vec<Scored>, Decline> {
        let list = self.pick(job, now, seed)?;
        Ok(vec![Scored { candidate: list.first, score: 1.0, parts: Vec::new(), left_out: None }])
    }
}

export_selection_policy!(Guest);
