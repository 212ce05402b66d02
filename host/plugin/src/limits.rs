//! The limits of one plugin version: their names, defaults, caps and reasons, in one table.
//!
//! A limit has a name, which is its key in a manifest's `[limits]` and in the configuration's
//! `[plugins.limits.ID]` as well. The operator raises or lowers it within the host's cap, the
//! plugin only asks for less. When it is hit it says its name, its value and the use.
//!
//! **Invariant:** every limit but the fixed ones has a row in [`ROWS`], in the order of [`Limit`].

#[cfg(test)]
mod crafted;
mod limiter;
mod rate;
mod value;

use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) use limiter::{Limiter, Place, Places};
pub(crate) use rate::Rate;
pub use value::{Amount, LimitHit, Unit};

use crate::manifest::{AskedLimits, World};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// One second in microseconds, in which times are counted.
const SECOND: u64 = 1_000_000;

/// Limits that are the same for every plugin, by name: `stack` is the guest's stack, `emits` and
/// `metrics` are the contract's numbers, `output` is what one call may leave on its standard output.
pub const FIXED: [(&str, Amount); 4] = [
    ("stack", Amount::Bytes(crate::engine::STACK_BYTES as u64)),
    ("emits", Amount::Count(EMITS_MAX as u64)),
    ("metrics", Amount::Count(METRICS_MAX as u64)),
    ("output", Amount::Bytes(crate::wasi::OUTPUT_BYTES_MAX as u64)),
];

/// Core instances, memories and tables in one store: a component of one language runtime has three
/// to five, a composed one about as many for each part.
pub const CORE_INSTANCES_MAX: usize = 32;
/// Pictures that one callback may emit; the contract's number.
pub(crate) const EMITS_MAX: u32 = 8;
/// Metrics that one plugin may register; the contract's number.
pub(crate) const METRICS_MAX: usize = 64;

/// A limit that the operator can set for a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// Bytes of linear memory, summed over everything in a store.
    Memory,
    /// Table elements, summed over everything in a store.
    TableElements,
    /// Fuel of one `pick`, `quote` or `charge`, once for guest code and once for host functions.
    Fuel,
    /// The same of `describe`, `prepare` and `explain`.
    SetupFuel,
    /// Guest time of one `on-frame` or `on-message`.
    FrameBudget,
    /// Guest time of `describe`, `start`, `on-params` and `stop`.
    SetupBudget,
    /// Time in host functions of one callback; past it they refuse.
    HostBudget,
    /// Bytes that a guest hands to the host in one host call, or as the answer of one hot call.
    Copy,
    /// The same while it is set up, and for its explanations.
    SetupCopy,
    /// Log messages in a second; those above are dropped and counted.
    LogLines,
    /// Updates of metrics in a second; those above are dropped and counted.
    MetricUpdates,
    /// Bytes to the session's client in a second.
    Data,
    /// Frames that a session's plugin may keep.
    Frames,
    /// Ops that one callback may call.
    Ops,
    /// Handles that one instance holds at once.
    Handles,
    /// Instances of one plugin version at once, in one process.
    Instances,
}

/// What is known of a limit. 0 in a world means that it has no such thing.
struct Row {
    name: &'static str,
    unit: Unit,
    policy: u64,
    pipeline: u64,
    cap: u64,
}

const fn row(name: &'static str, unit: Unit, policy: u64, pipeline: u64, cap: u64) -> Row {
    Row { name, unit, policy, pipeline, cap }
}

const COUNT: usize = 16;

/// Name, unit, default of policies and pricing rules, default of pipelines, and the host's cap.
const ROWS: [Row; COUNT] = [
    // A Rust policy holds under 2 MiB at 10,000 candidates, a JavaScript engine 20; a session's
    // guest holds parameters and tables, pictures stay outside. Cap: one place of the pool.
    row("memory", Unit::Bytes, 64 * MIB, 64 * MIB, crate::engine::MEMORY_BYTES_MAX),
    // C# debug builds need over 10,000. Cap: one place of the pool.
    row("table_elements", Unit::Count, 20_000, 20_000, crate::engine::TABLE_ELEMENTS_MAX),
    // 0.1 to 0.5 ms: the contract's 200 us of `pick`; a `pick` over 1,000 takes a tenth. Cap: half
    // a second, more than any client waits for a choice.
    row("fuel", Unit::Count, 1_000_000, 0, 1_000_000_000),
    // About 50 ms, the contract's guest time of `prepare`. Cap: five seconds.
    row("setup_fuel", Unit::Count, 100_000_000, 0, 10_000_000_000),
    // A fifth of a frame at 30 a second leaves the rest to the device. Cap: a plugin that takes a
    // second is not live.
    row("frame_budget", Unit::Time, 0, 6_000, SECOND),
    // The contract lets `start` take seconds. Cap: what a client waits for a session to open.
    row("setup_budget", Unit::Time, 0, 2 * SECOND, 30 * SECOND),
    // Twenty blurs of a 1080p picture on one core take 0.4 s. Cap: as `setup_budget`.
    row("host_budget", Unit::Time, 0, 2 * SECOND, 30 * SECOND),
    // Hot calls of a policy pass names and flat values. A pipeline's largest arguments are a
    // picture of 4 MiB and a colour cube of 3.2 MiB. Cap: an `rgba` picture of 4096x4096.
    row("copy", Unit::Bytes, 256 * KIB, 4 * MIB, 64 * MIB),
    // 10,000 explained candidates with three parts each come to 2 MiB.
    row("setup_copy", Unit::Bytes, 4 * MIB, 4 * MIB, 64 * MIB),
    // The contract's number. Cap: 4 MiB a second on the disk, at 4 KiB a message.
    row("log_lines", Unit::PerSecond, 100, 100, 1_000),
    // Every metric that may be registered, twice a frame at 60 frames a second. Cap: ten times.
    row("metric_updates", Unit::PerSecond, 0, 8_000, 80_000),
    // The contract's number. Cap: what a client on a good line reads.
    row("data", Unit::BytesPerSecond, 0, MIB, 16 * MIB),
    // Half a second at 30 frames a second. Cap: their memory is limited anyway, this bounds the
    // table.
    row("frames", Unit::Count, 0, 16, 1_024),
    // Far above any sensible frame, far below what would stall a device. Cap: one that asks for
    // more should have recorded a graph.
    row("ops", Unit::Count, 0, 256, 4_096),
    // A guest holds a few tables, graphs and models, and its runtime's streams. Cap: each is some
    // hundred bytes of ours.
    row("handles", Unit::Count, 1_024, 1_024, 65_536),
    // Two ready sets of 64 while a snapshot changes; a session each of a full worker. Caps: the
    // pools.
    row("instances", Unit::Count, 128, 64, crate::engine::INSTANCES_MAX),
];

impl Limit {
    /// Every limit that can be set.
    pub const ALL: [Self; COUNT] = [
        Self::Memory,
        Self::TableElements,
        Self::Fuel,
        Self::SetupFuel,
        Self::FrameBudget,
        Self::SetupBudget,
        Self::HostBudget,
        Self::Copy,
        Self::SetupCopy,
        Self::LogLines,
        Self::MetricUpdates,
        Self::Data,
        Self::Frames,
        Self::Ops,
        Self::Handles,
        Self::Instances,
    ];

    const fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// Returns its name, which is its key in files.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Returns the highest value that an operator can give it.
    pub const fn cap(self) -> u64 {
        self.row().cap
    }

    /// Finds a limit by its name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|limit| limit.name() == name)
    }

    /// Returns `value` with its unit.
    pub const fn amount(self, value: u64) -> Amount {
        self.row().unit.amount(value)
    }

    /// Reads a value as files have it: `"16MiB"`, `"5ms"`, or a whole number above 0.
    pub fn read(self, value: &toml::Value) -> Result<u64, String> {
        self.row().unit.read(value)
    }

    /// Makes the report that `used` passed `value`.
    pub const fn hit(self, value: u64, used: Amount) -> LimitHit {
        LimitHit { name: self.name(), value: self.amount(value), used }
    }
}

/// Returns the name of every limit, fixed ones included.
pub fn names() -> impl Iterator<Item = &'static str> {
    Limit::ALL.into_iter().map(Limit::name).chain(FIXED.into_iter().map(|(name, _)| name))
}

/// Values of all limits for one plugin version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits([u64; COUNT]);

impl Limits {
    /// Returns the defaults of policies and pricing rules.
    pub const fn policy() -> Self {
        let mut values = [0; COUNT];
        let mut at = 0;
        while at < COUNT {
            values[at] = ROWS[at].policy;
            at += 1;
        }
        Self(values)
    }

    /// Returns the defaults of pipelines.
    pub const fn pipeline() -> Self {
        let mut values = [0; COUNT];
        let mut at = 0;
        while at < COUNT {
            values[at] = ROWS[at].pipeline;
            at += 1;
        }
        Self(values)
    }

    /// Returns the defaults of a world.
    pub const fn of(world: World) -> Self {
        match world {
            World::SelectionPolicy | World::PricingRule => Self::policy(),
            World::Pipeline => Self::pipeline(),
        }
    }

    /// Returns the limits of a pipeline from their names, as one process tells another. Errors: as
    /// [`Limits::set`], and a name that is none.
    pub fn pipeline_from(named: &BTreeMap<String, u64>) -> Result<Self, String> {
        let mut limits = Self::pipeline();
        for (name, value) in named {
            let limit = Limit::named(name).ok_or_else(|| format!("`{name}` is not a limit"))?;
            limits.set(limit, *value).map_err(|message| format!("`{name}`: {message}"))?;
        }
        Ok(limits)
    }

    /// Returns the value of `limit` in its unit: bytes, microseconds, or a count. 0: there is no
    /// such thing in this world.
    pub const fn get(&self, limit: Limit) -> u64 {
        self.0[limit as usize]
    }

    /// Returns the value of a limit that is a time.
    pub const fn time(&self, limit: Limit) -> Duration {
        Duration::from_micros(self.get(limit))
    }

    /// Gives `limit` a value of the operator's. Errors: one that does nothing in this world, or a
    /// value that is 0 or above the host's cap.
    pub fn set(&mut self, limit: Limit, value: u64) -> Result<(), String> {
        let (name, cap) = (limit.name(), limit.cap());
        if self.get(limit) == 0 {
            return Err(format!("`{name}` is no limit of this world"));
        }
        if !(1..=cap).contains(&value) {
            let (value, cap) = (limit.amount(value), limit.amount(cap));
            return Err(format!("{value} is not above 0 and within {cap}, this host's most"));
        }
        self.0[limit as usize] = value;
        Ok(())
    }

    /// Returns these limits with `limit` no higher than `value`.
    #[must_use]
    pub fn at_most(mut self, limit: Limit, value: u64) -> Self {
        let mine = &mut self.0[limit as usize];
        *mine = (*mine).min(value);
        self
    }

    /// Returns these limits with whatever the plugin asks less of.
    #[must_use]
    pub fn lowered_by(self, asked: &AskedLimits) -> Self {
        asked.iter().fold(self, |limits, (limit, value)| limits.at_most(*limit, *value))
    }

    /// Returns every limit that there is in this world, with its value.
    pub fn iter(&self) -> impl Iterator<Item = (Limit, u64)> + '_ {
        Limit::ALL.into_iter().map(|limit| (limit, self.get(limit))).filter(|(_, value)| *value > 0)
    }

    /// Returns the same by name, for [`Limits::pipeline_from`].
    pub fn named(&self) -> BTreeMap<String, u64> {
        self.iter().map(|(limit, value)| (limit.name().to_owned(), value)).collect()
    }

    /// Reports that `used` passed `limit`.
    pub(crate) const fn hit(&self, limit: Limit, used: Amount) -> LimitHit {
        limit.hit(self.get(limit), used)
    }
}

/// Which calls of a plugin: those that somebody waits for, or those that set it up or explain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    Hot,
    Setup,
}

impl Pace {
    pub(crate) const fn fuel(self) -> Limit {
        match self {
            Self::Hot => Limit::Fuel,
            Self::Setup => Limit::SetupFuel,
        }
    }

    pub(crate) const fn budget(self) -> Limit {
        match self {
            Self::Hot => Limit::FrameBudget,
            Self::Setup => Limit::SetupBudget,
        }
    }

    pub(crate) const fn copy(self) -> Limit {
        match self {
            Self::Hot => Limit::Copy,
            Self::Setup => Limit::SetupCopy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_one_name_and_defaults_within_its_cap() {
        let all: Vec<_> = names().collect();
        let mut unique = all.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), all.len());
        for (at, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, at, "{}", limit.name());
            assert_eq!(Limit::named(limit.name()), Some(limit));
            for limits in [Limits::policy(), Limits::pipeline()] {
                assert!(limits.get(limit) <= limit.cap(), "{}", limit.name());
            }
        }
    }

    #[test]
    fn an_operator_sets_a_limit_within_the_cap_and_a_plugin_only_asks_for_less() {
        let mut limits = Limits::pipeline();
        assert_eq!(limits.set(Limit::Memory, 128 * MIB), Ok(()));
        assert_eq!(
            limits.set(Limit::Memory, 512 * MIB),
            Err("512 MiB is not above 0 and within 256 MiB, this host's most".to_owned())
        );
        assert_eq!(limits.set(Limit::Fuel, 1), Err("`fuel` is no limit of this world".to_owned()));
        assert!(limits.set(Limit::Ops, 0).is_err());
        let asked = AskedLimits::from([(Limit::Memory, 200 * MIB), (Limit::Ops, 4)]);
        let lowered = limits.lowered_by(&asked);
        assert_eq!((lowered.get(Limit::Memory), lowered.get(Limit::Ops)), (128 * MIB, 4));
        assert!(lowered.iter().all(|(limit, _)| limit != Limit::Fuel));
        assert_eq!(Limits::pipeline_from(&lowered.named()), Ok(lowered));
    }
}
