//! Snapshots: for each capability the offerings as they were at one moment, with the policy
//! prepared for exactly them. Building one blocks; looking one up costs nothing.
//!
//! **Invariant:** candidate `n` of the policy's snapshot is row `n` of the market that holds it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use domain::capability::Capability;
use domain::event::Sink;
use domain::price::{LIVE_LOT, Lot};
use plugin::snapshot::TooManyCandidates;
use plugin::{
    Candidate, Identity, PluginSlot, PreparedSelection, Ready, Scope, SetupError, Snapshot,
    Standing, unix_ms,
};

use crate::book::Row;
use crate::config::{CustomerConfig, OnFault, SelectionConfig, Selections};
use crate::custom::{self, Columns};
use crate::customers;

/// Capabilities with a snapshot: the policy engine has 256 instances, and each takes two of every
/// version while snapshots change. The first by name count.
pub(crate) const CAPABILITIES_MAX: usize = 100;

/// Every snapshot.
pub(crate) type Markets = BTreeMap<Capability, Arc<Market>>;

/// The offerings of one capability.
pub(crate) struct Market {
    /// One for each candidate.
    pub(crate) rows: Vec<Row>,
    /// Who ranks them for those whose tier has nobody of its own; `None`: the native rule, since no
    /// policy is configured.
    general: Option<Ranker>,
    by_tier: BTreeMap<String, Ranker>,
}

/// Who ranks the candidates of a market.
pub(crate) struct Ranker {
    pub(crate) slot: PluginSlot<PreparedSelection>,
    /// Who ought to.
    pub(crate) active: Identity,
    /// What happens when it faults.
    pub(crate) on_fault: OnFault,
}

impl Market {
    /// Returns who ranks for a customer of `tier`, if not the native rule.
    pub(crate) fn ranker(&self, tier: &str) -> Option<&Ranker> {
        self.by_tier.get(tier).or(self.general.as_ref())
    }

    /// Finds a version by its standing: the slot it is in, and its instances if it could be
    /// prepared.
    pub(crate) fn find(
        &self,
        standing: &Arc<Standing>,
    ) -> Option<(&'static str, Option<&Ready<PreparedSelection>>)> {
        self.general.iter().chain(self.by_tier.values()).find_map(|Ranker { slot, .. }| {
            let mut versions = slot.versions().iter();
            let version = versions.find(|version| Arc::ptr_eq(version.standing(), standing))?;
            Some((slot.name(), version.ready()))
        })
    }
}

/// What the operator says for every snapshot.
pub(crate) struct Own<'a> {
    /// Who is known by a key.
    pub(crate) customers: &'a [CustomerConfig],
    /// Columns of its own.
    pub(crate) custom: Columns,
}

/// Builds the snapshots of `offerings`, numbered `generation`. Blocks while the policy prepares; how
/// that goes wrong is told to `sink`.
pub(crate) fn build(
    offerings: BTreeMap<Capability, Vec<Row>>,
    selections: &Selections,
    own: Own<'_>,
    generation: u64,
    now: Instant,
    sink: &dyn Sink,
) -> Markets {
    let count = |selection: &SelectionConfig| selection.versions().count();
    let others = selections.general.iter().chain(selections.by_capability.values()).map(count);
    let tiers: usize = selections.by_tier.values().map(count).sum();
    let limit = CAPABILITIES_MAX / (tiers + others.max().unwrap_or(0)).max(1);
    let left_out = offerings.len().saturating_sub(limit);
    if left_out > 0 {
        tracing::warn!(left_out, limit, "capabilities left out of the snapshot");
    }
    let market = |(capability, rows): (Capability, Vec<Row>)| {
        let mut scope = Scope::new(capability.as_str(), Lot::live(), generation, unix_ms());
        scope.tiers = customers::tiers(own.customers);
        scope.customers.extend(own.customers.iter().map(|it| it.name.clone()));
        let candidates: Vec<_> = rows.iter().map(|row| candidate(row, &mut scope, now)).collect();
        let snapshot = Snapshot::new(scope, &candidates);
        let snapshot = snapshot.map(|bare| Arc::new(with_columns(bare, &own.custom, &rows)));
        let ranker = |selection| prepare(selection, &snapshot, now, sink);
        let general = selections.of_capability(&capability).map(ranker);
        let tier = |(tier, selection): (&String, _)| (tier.clone(), ranker(selection));
        let by_tier = selections.by_tier.iter().map(tier).collect();
        (capability, Arc::new(Market { rows, general, by_tier }))
    };
    offerings.into_iter().take(limit).map(market).collect()
}

fn prepare(
    selection: &SelectionConfig,
    snapshot: &Result<Arc<Snapshot>, TooManyCandidates>,
    now: Instant,
    sink: &dyn Sink,
) -> Ranker {
    let mut slot = PluginSlot::new(selection.plugin_slot);
    for policy in selection.versions() {
        let prepared = match snapshot {
            Ok(snapshot) => policy.ready(Arc::clone(snapshot), &selection.config),
            Err(error) => Ok(Err(SetupError::Unsupported(error.to_string()))),
        };
        slot.add(policy.standing(), prepared, now, sink);
    }
    Ranker { slot, active: selection.policy.identity().clone(), on_fault: selection.on_fault }
}

fn with_columns(bare: Snapshot, columns: &Columns, rows: &[Row]) -> Snapshot {
    columns.all().iter().fold(bare, |snapshot, (name, column)| {
        let value = |row: &Row| {
            let (id, uri) = (&row.offering.orchestrator, &row.offering.uri);
            custom::value(column, id, uri).unwrap_or(0)
        };
        snapshot.with_custom(name, rows.iter().map(value).collect())
    })
}

fn candidate(row: &Row, scope: &mut Scope, now: Instant) -> Candidate {
    let offering = &row.offering;
    let unknown = Candidate::unknown(&offering.orchestrator.0, &offering.uri);
    let ms = |at: Instant| {
        let age = now.saturating_duration_since(at).as_millis();
        u32::try_from(age).unwrap_or(u32::MAX)
    };
    Candidate {
        region: index_of(&mut scope.regions, &row.said.region),
        hardware: index_of(&mut scope.hardware, &offering.hardware),
        price_wei: offering.price.map_or(u64::MAX, |price| price.for_lot(LIVE_LOT)),
        rtt_us: offering.rtt_us.unwrap_or(u32::MAX),
        attempts: offering.attempts,
        success_ppm: offering.success_ppm(),
        latency_p50_us: row.starts_us.0.unwrap_or(u32::MAX),
        latency_p99_us: row.starts_us.1.unwrap_or(u32::MAX),
        last_failure_ms: offering.failed_at.map_or(u32::MAX, ms),
        slots_free: offering.slots_free.unwrap_or(1),
        slots_total: offering.slots_total.unwrap_or(0),
        in_flight: offering.in_flight,
        gpu_memory_free_mib: row.device.as_ref().map_or(0, |device| device.memory_free_mib),
        gpu_memory_total_mib: row.device.as_ref().map_or(0, |device| device.memory_total_mib),
        warm: offering.warm,
        ..unknown
    }
}

/// Finds `name` in a table, adding it where it is new.
fn index_of(table: &mut Vec<String>, name: &str) -> u32 {
    let at = table.iter().position(|known| known == name).unwrap_or_else(|| {
        table.push(name.to_owned());
        table.len() - 1
    });
    u32::try_from(at).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wire::livepeer::{Device, Model, Quote};

    use super::*;
    use crate::book::Book;

    #[test]
    fn a_candidate_says_what_is_known_and_leaves_the_rest_unknown() {
        let now = Instant::now();
        let mut book = Book::new([(None, "https://a:8935".to_owned())]);
        let capability = Capability::live("sketch-video").unwrap();
        let model = Model {
            capability: capability.clone(),
            warm: true,
            slots_free: 3,
            slots_used: 1,
            price: domain::price::UnitPrice::new(5, LIVE_LOT),
        };
        let device = Device { name: "cpu".into(), memory_free_mib: 7, memory_total_mib: 9 };
        let quote = Quote { models: vec![model], devices: vec![Some(device)], ..Quote::default() };
        book.answered(0, quote, Duration::from_micros(800), 0, now);
        let rows = book.offerings().remove(&capability).unwrap();
        let mut scope = Scope::new(capability.as_str(), Lot::live(), 1, 1);
        let made = candidate(&rows[0], &mut scope, now);
        let wanted = Candidate {
            hardware: 1,
            price_wei: 5,
            rtt_us: 800,
            slots_free: 3,
            slots_total: 4,
            gpu_memory_free_mib: 7,
            gpu_memory_total_mib: 9,
            warm: true,
            ..Candidate::unknown("a:8935", "https://a:8935")
        };
        assert_eq!((made, scope.hardware), (wanted, vec![String::new(), "cpu".to_owned()]));
        struct Deaf;
        impl Sink for Deaf {
            fn emit(&self, _: domain::event::Event) {}
        }
        let own = Own { customers: &[], custom: Columns::default() };
        let markets = build(book.offerings(), &Selections::default(), own, 1, now, &Deaf);
        assert!(markets[&capability].ranker("").is_none());
    }
}
