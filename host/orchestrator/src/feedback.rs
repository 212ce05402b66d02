//! What gateways say of this orchestrator: why it got work from them, and why not.
//!
//! **Invariant:** at most [`GATEWAYS_MAX`] gateways are remembered, each by its last word; who has
//! said nothing for longest is forgotten first.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use wire::feedback::{Counts, Feedback};

/// Gateways remembered: beyond them a list is of no use, and each has a few hundred bytes.
const GATEWAYS_MAX: usize = 256;

/// What one gateway said last.
#[derive(Debug, Clone)]
pub struct HeardRow {
    /// How it calls itself.
    pub gateway: String,
    /// From where it called.
    pub address: IpAddr,
    /// How long ago.
    pub age: Duration,
    /// Its counts, since its own start.
    pub counts: Counts,
}

/// What gateways said last, by address and name: none can speak for another one elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    all: BTreeMap<(IpAddr, String), (Instant, Counts)>,
}

impl Heard {
    /// Notes what a gateway at `address` said.
    pub(crate) fn hear(&mut self, address: IpAddr, said: Feedback, now: Instant) {
        let key = (address, said.gateway);
        if !self.all.contains_key(&key) && self.all.len() >= GATEWAYS_MAX {
            let oldest = self.all.iter().min_by_key(|(_, (at, _))| *at).map(|(key, _)| key.clone());
            oldest.map(|key| self.all.remove(&key));
        }
        self.all.insert(key, (now, said.counts));
    }

    /// Lists them.
    pub(crate) fn rows(&self, now: Instant) -> Vec<HeardRow> {
        let row = |((address, gateway), (at, counts)): (&(IpAddr, String), &(Instant, Counts))| {
            let age = now.saturating_duration_since(*at);
            HeardRow { gateway: gateway.clone(), address: *address, age, counts: counts.clone() }
        };
        self.all.iter().map(row).collect()
    }
}

#[cfg(test)]
#[test]
fn the_last_word_of_each_gateway_counts_and_the_longest_silent_is_forgotten() {
    let (mut heard, start) = (Heard::default(), Instant::now());
    let address = IpAddr::from([192, 0, 2, 1]);
    let said = |gateway: usize, jobs| {
        let counts = Counts { jobs, ..Counts::default() };
        Feedback { gateway: format!("g{gateway:03}"), counts }
    };
    for gateway in 0..GATEWAYS_MAX {
        let now = start + Duration::from_secs(gateway as u64);
        heard.hear(address, said(gateway, 1), now);
    }
    let later = start + Duration::from_secs(1000);
    heard.hear(address, said(0, 7), later);
    heard.hear(address, said(999, 1), later);
    let rows = heard.rows(later);
    assert_eq!(rows.len(), GATEWAYS_MAX);
    assert_eq!((rows[0].gateway.as_str(), rows[0].counts.jobs), ("g000", 7));
    assert_eq!(rows[1].gateway, "g002", "`g001` was silent for longest");
}
