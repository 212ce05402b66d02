//! What a policy or a pricing rule may know of one job.
//!
//! A call borrows the facts by `Arc`, so that handing them to a component copies no string.

use std::collections::BTreeMap;

/// Who waits for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Urgency {
    /// A viewer: first-frame latency and stability matter most.
    #[default]
    Live,
    /// A client, for one answer.
    Interactive,
    /// Nobody.
    Batch,
}

/// Facts of one job. Numbers that are not known read as the contract says: `u64::MAX` and
/// `u32::MAX` for limits that are not set, 0 for sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFacts {
    /// Who waits.
    pub urgency: Urgency,
    /// The customer's tier: index into [`crate::snapshot::Scope::tiers`]; 0: none.
    pub tier: u32,
    /// The client's region: index into [`crate::snapshot::Scope::regions`]; 0: unknown.
    pub region: u32,
    /// Work expected in single units: for each second of a live job, in all otherwise. 0: unknown.
    pub units: u64,
    /// The most that may be paid for a lot, in wei; `u64::MAX`: no limit.
    pub price_limit_wei: u64,
    /// Microseconds left for finding an orchestrator, tries included.
    pub time_left_us: u32,
    /// Choices for this job that have failed.
    pub attempt: u32,
    /// Candidates that the host refuses for this job.
    pub excluded: Excluded,
    /// Candidate that served this client last, if it still is one.
    pub sticky: Option<u32>,
    /// Whose job it is: index into [`crate::snapshot::Scope::customers`]; 0: not listed.
    pub customer: u32,
    /// Wei that the customer may still spend; `u64::MAX`: no limit is set.
    pub budget_left_wei: u64,
    /// Latency in microseconds that the customer was promised; `u32::MAX`: none was.
    pub latency_limit_us: u32,
    /// Device memory in MiB that the job needs; 0: unknown.
    pub gpu_memory_mib: u32,
    /// Pixels in a row of its pictures; 0: unknown.
    pub width: u32,
    /// Rows of its pictures; 0: unknown.
    pub height: u32,
    /// Frames a second times 1000; 0: unknown.
    pub frame_rate_milli: u32,
    /// Opaque id of the job.
    pub id: String,
    /// Opaque id of the customer.
    pub customer_id: String,
    /// Labels that client or operator put on the job.
    pub labels: BTreeMap<String, String>,
}

impl Default for JobFacts {
    fn default() -> Self {
        Self {
            urgency: Urgency::default(),
            tier: 0,
            region: 0,
            units: 0,
            price_limit_wei: u64::MAX,
            time_left_us: u32::MAX,
            attempt: 0,
            excluded: Excluded::default(),
            sticky: None,
            customer: 0,
            budget_left_wei: u64::MAX,
            latency_limit_us: u32::MAX,
            gpu_memory_mib: 0,
            width: 0,
            height: 0,
            frame_rate_milli: 0,
            id: String::new(),
            customer_id: String::new(),
            labels: BTreeMap::new(),
        }
    }
}

/// A set of candidates by index, one bit each: asked for on the hot path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Excluded {
    bits: Vec<u64>,
    count: u32,
}

impl Excluded {
    /// Adds candidate `index`; adding it again changes nothing.
    pub fn insert(&mut self, index: u32) {
        let (word, bit) = (index as usize / 64, 1_u64 << (index % 64));
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        self.count += u32::from(self.bits[word] & bit == 0);
        self.bits[word] |= bit;
    }

    /// Returns whether candidate `index` is in the set.
    pub fn contains(&self, index: u32) -> bool {
        let word = self.bits.get(index as usize / 64).copied().unwrap_or(0);
        word & (1 << (index % 64)) != 0
    }

    /// Returns how many candidates are in the set.
    pub const fn count(&self) -> u32 {
        self.count
    }
}

impl FromIterator<u32> for Excluded {
    fn from_iter<I: IntoIterator<Item = u32>>(indices: I) -> Self {
        let mut set = Self::default();
        indices.into_iter().for_each(|index| set.insert(index));
        set
    }
}

#[cfg(test)]
#[test]
fn an_exclusion_counts_each_candidate_once() {
    let set: Excluded = [3, 64, 3, 700].into_iter().collect();
    assert_eq!(set.count(), 3);
    assert!(set.contains(64) && set.contains(700) && !set.contains(4) && !set.contains(9_999));
}
