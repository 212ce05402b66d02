//! The recorded state of the market that one policy instance decides about.
//!
//! A snapshot holds one capability: names in tables, candidates in columns, as the contract's
//! `scope` and `candidates` hand them out. It knows nothing of where the figures come from.
//!
//! **Invariant:** every column has as many elements as there are candidates.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use domain::price::Lot;

/// Candidates that one snapshot may hold; the contract's bound.
pub const CANDIDATES_MAX: usize = 65_536;

/// What an instance decides about, besides candidates. Entry 0 of every table is the empty name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The capability, as the operator names it.
    pub capability: String,
    /// How it is sold: every price is wei for one such lot.
    pub lot: Lot,
    /// Number of the snapshot; rises with time.
    pub generation: u64,
    /// When it was taken, in Unix milliseconds.
    pub taken_at_unix_ms: u64,
    /// Names of regions.
    pub regions: Vec<String>,
    /// Customer tiers.
    pub tiers: Vec<String>,
    /// Customers listed by name.
    pub customers: Vec<String>,
    /// Hardware names.
    pub hardware: Vec<String>,
}

/// Returns the milliseconds since 1970, as snapshots and calls are dated.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Scope {
    /// Returns a scope with empty tables.
    pub fn new(capability: &str, lot: Lot, generation: u64, taken_at_unix_ms: u64) -> Self {
        let table = || vec![String::new()];
        Self {
            capability: capability.to_owned(),
            lot,
            generation,
            taken_at_unix_ms,
            regions: table(),
            tiers: table(),
            customers: table(),
            hardware: table(),
        }
    }

    /// Returns what `describe` sees: no capability, empty tables.
    pub fn empty() -> Self {
        Self {
            capability: String::new(),
            lot: Lot { unit: String::new(), size: 0 },
            generation: 0,
            taken_at_unix_ms: 0,
            regions: Vec::new(),
            tiers: Vec::new(),
            customers: Vec::new(),
            hardware: Vec::new(),
        }
    }
}

/// One orchestrator that offers the capability. [`Candidate::unknown`] fills in what the contract
/// says of measures that are not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Stable identity.
    pub id: String,
    /// Address.
    pub uri: String,
    /// Index into [`Scope::regions`].
    pub region: u32,
    /// Index into [`Scope::hardware`].
    pub hardware: u32,
    /// Wei for one lot; `u64::MAX`: it named none.
    pub price_wei: u64,
    /// Smoothed round trip in microseconds.
    pub rtt_us: u32,
    /// Measured latency that half of the jobs stay under, in microseconds.
    pub latency_p50_us: u32,
    /// Measured latency that 99 of 100 jobs stay under, in microseconds.
    pub latency_p99_us: u32,
    /// Processing time over real time, in millionths.
    pub latency_score_ppm: u32,
    /// Score that a third party publishes, in millionths.
    pub perf_score_ppm: u32,
    /// Jobs tried there.
    pub attempts: u32,
    /// Share that succeeded, one success and one failure added, in millionths.
    pub success_ppm: u32,
    /// Age of the last failure in milliseconds.
    pub last_failure_ms: u32,
    /// Bonded stake in gwei.
    pub stake_gwei: u64,
    /// Free slots; 1 if unknown.
    pub slots_free: u32,
    /// All slots; 0 if unknown.
    pub slots_total: u32,
    /// Jobs of this gateway that run there.
    pub in_flight: u32,
    /// Jobs that wait there.
    pub queue_depth: u32,
    /// Free memory of its best device in MiB; 0 if unknown.
    pub gpu_memory_free_mib: u32,
    /// All memory of its best device in MiB; 0 if unknown.
    pub gpu_memory_total_mib: u32,
    /// Whether the model is loaded.
    pub warm: bool,
}

impl Candidate {
    /// Returns a candidate of which only identity and address are known.
    pub fn unknown(id: &str, uri: &str) -> Self {
        Self {
            id: id.to_owned(),
            uri: uri.to_owned(),
            region: 0,
            hardware: 0,
            price_wei: u64::MAX,
            rtt_us: u32::MAX,
            latency_p50_us: u32::MAX,
            latency_p99_us: u32::MAX,
            latency_score_ppm: u32::MAX,
            perf_score_ppm: 0,
            attempts: 0,
            success_ppm: 500_000,
            last_failure_ms: u32::MAX,
            stake_gwei: 0,
            slots_free: 1,
            slots_total: 0,
            in_flight: 0,
            queue_depth: 0,
            gpu_memory_free_mib: 0,
            gpu_memory_total_mib: 0,
            warm: false,
        }
    }
}

/// More candidates than a snapshot may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} candidates, {CANDIDATES_MAX} is the most a snapshot holds")]
pub struct TooManyCandidates(pub usize);

/// One capability, its tables and its candidates.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Tables and identity.
    pub scope: Scope,
    pub(crate) columns: Columns,
}

impl Snapshot {
    /// Makes a snapshot of `candidates`; their order gives the indices.
    pub fn new(scope: Scope, candidates: &[Candidate]) -> Result<Self, TooManyCandidates> {
        if candidates.len() > CANDIDATES_MAX {
            return Err(TooManyCandidates(candidates.len()));
        }
        Ok(Self { scope, columns: Columns::of(candidates) })
    }

    /// Returns what `describe` sees.
    pub fn empty() -> Self {
        Self { scope: Scope::empty(), columns: Columns::default() }
    }

    /// Adds a column of the operator's own; short ones are filled with 0, long ones cut.
    pub fn with_custom(mut self, name: &str, mut values: Vec<i64>) -> Self {
        values.resize(self.columns.id.len(), 0);
        self.columns.custom.insert(name.to_owned(), values);
        self
    }

    /// Returns how many candidates there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.columns.id.len()).expect("`new` bounds the number of candidates")
    }

    /// Returns the price of candidate `index` for one lot in wei; `None`: there is no such one.
    pub fn price_wei(&self, index: u32) -> Option<u64> {
        self.columns.price_wei.get(index as usize).copied()
    }
}

macro_rules! columns {
    ($($name:ident: $type:ty),* $(,)?) => {
        /// Candidates by column.
        #[derive(Debug, Clone, Default)]
        pub(crate) struct Columns {
            $(pub(crate) $name: Vec<$type>,)*
            pub(crate) custom: BTreeMap<String, Vec<i64>>,
        }

        impl Columns {
            fn of(rows: &[Candidate]) -> Self {
                Self {
                    $($name: rows.iter().map(|row| row.$name.clone()).collect(),)*
                    custom: BTreeMap::new(),
                }
            }
        }
    };
}

/// Hands every column, as `name: type`, to the macro `$then`: the one list of them.
macro_rules! each_column {
    ($then:ident) => {
        $then! {
            id: String,
            uri: String,
            region: u32,
            hardware: u32,
            price_wei: u64,
            rtt_us: u32,
            latency_p50_us: u32,
            latency_p99_us: u32,
            latency_score_ppm: u32,
            perf_score_ppm: u32,
            attempts: u32,
            success_ppm: u32,
            last_failure_ms: u32,
            stake_gwei: u64,
            slots_free: u32,
            slots_total: u32,
            in_flight: u32,
            queue_depth: u32,
            gpu_memory_free_mib: u32,
            gpu_memory_total_mib: u32,
            warm: bool,
        }
    };
}
pub(crate) use each_column;

each_column!(columns);

#[cfg(test)]
#[test]
fn every_column_is_as_long_as_the_candidates() {
    let rows = [Candidate::unknown("a", "https://a"), Candidate::unknown("b", "https://b")];
    let scope = Scope::new("transcode", Lot::live(), 7, 1);
    let snapshot = Snapshot::new(scope, &rows).unwrap().with_custom("co2", vec![5]);
    assert_eq!(snapshot.count(), 2);
    assert_eq!(snapshot.price_wei(1), Some(u64::MAX));
    assert_eq!(snapshot.price_wei(2), None);
    assert_eq!(snapshot.columns.custom["co2"], [5, 0]);
}
