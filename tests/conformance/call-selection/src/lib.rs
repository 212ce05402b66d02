//! Calls every function that a selection policy can import and asserts what it is answered: three
//! candidates at 10, 20 and 30 wei of which nothing else is known, and a job without particulars.

use framegate_sdk::prelude::*;

struct Guest;

/// What is not known reads as the worst.
const UNKNOWN: [u32; 3] = [u32::MAX; 3];

impl SelectionPolicy for Guest {
    fn describe() -> PluginInfo {
        assert_eq!((scope::capability(), candidates::count()), (String::new(), 0));
        info!("calls every function of the selection world", "{}", ["a reason of its own"])
    }

    fn prepare(_config: &str) -> Result<Self, SetupError> {
        assert_eq!(scope::capability(), "live-video-to-video/test");
        let lot = scope::sold_by();
        assert_eq!((lot.unit.as_str(), lot.size), ("lv2v-pixel-second", 1_000_000));
        assert_eq!((scope::generation(), scope::taken_at()), (1, 1_700_000_000_000));
        for names in [scope::regions(), scope::tiers(), scope::customers(), scope::hardware()] {
            assert_eq!(names, [""]);
        }
        assert_eq!(candidates::count(), 3);
        assert_eq!(candidates::id(), ["0x1"; 3]);
        assert_eq!(candidates::uri(), ["https://one"; 3]);
        assert_eq!(candidates::price_wei(), [10, 20, 30]);
        for zeros in [
            candidates::region(),
            candidates::hardware(),
            candidates::perf_score_ppm(),
            candidates::attempts(),
            candidates::slots_total(),
            candidates::in_flight(),
            candidates::queue_depth(),
            candidates::gpu_memory_free_mib(),
            candidates::gpu_memory_total_mib(),
        ] {
            assert_eq!(zeros, [0; 3]);
        }
        for unknown in [
            candidates::rtt_us(),
            candidates::latency_p50_us(),
            candidates::latency_p99_us(),
            candidates::latency_score_ppm(),
            candidates::last_failure_ms(),
        ] {
            assert_eq!(unknown, UNKNOWN);
        }
        assert_eq!(candidates::success_ppm(), [500_000; 3]);
        assert_eq!(candidates::slots_free(), [1; 3]);
        assert_eq!(candidates::stake_gwei(), [0; 3]);
        assert_eq!(candidates::warm(), [false; 3]);
        assert_eq!(candidates::custom("co2"), None);
        assert!(!job_details::is_excluded(0), "there is no job");
        Ok(Self)
    }

    fn pick(&mut self, _job: &Job, _now: u64, _seed: u64) -> Result<Shortlist, Decline> {
        assert!(!job_details::is_excluded(2) && job_details::is_excluded(3));
        assert_eq!(job_details::customer(), 0);
        assert_eq!(job_details::budget_left(), u64::MAX);
        assert_eq!(job_details::latency_limit_us(), u32::MAX);
        assert_eq!(job_details::gpu_memory_mib(), 0);
        assert_eq!((job_details::width(), job_details::height()), (0, 0));
        assert_eq!(job_details::frame_rate_milli(), 0);
        assert_eq!((job_details::id(), job_details::customer_id()), Default::default());
        assert_eq!(job_details::label("campaign"), None);
        Ok(Shortlist { first: 2, second: Some(0), third: None, fourth: None })
    }

    fn explain(&mut self, _job: &Job, _now: u64, _seed: u64) -> Result<Vec<Scored>, Decline> {
        let line = |candidate| Scored {
            candidate,
            score: f64::from(candidate),
            parts: vec![("index".to_owned(), candidate.to_string())],
            left_out: (candidate == 1).then(|| "not today".to_owned()),
        };
        Ok([2, 0, 1].map(line).to_vec())
    }
}

export_selection_policy!(Guest);
