//! Values of limits: how they are counted, written in files, and shown to people.

use std::fmt;
use std::time::Duration;

const MIB: u64 = 1 << 20;
/// Units of size in bytes.
const SIZES: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
/// Units of time in microseconds. `us` and `ms` end in `s` too, so they come first.
const TIMES: [(&str, u64); 3] = [("us", 1), ("ms", 1_000), ("s", 1_000_000)];

/// How a limit is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// A plain count.
    Count,
    /// Microseconds.
    Time,
    /// A count a second.
    PerSecond,
    /// Bytes a second.
    BytesPerSecond,
}

impl Unit {
    /// Returns `value` in this unit.
    pub const fn amount(self, value: u64) -> Amount {
        match self {
            Self::Bytes => Amount::Bytes(value),
            Self::Count => Amount::Count(value),
            Self::Time => Amount::Time(Duration::from_micros(value)),
            Self::PerSecond => Amount::PerSecond(value),
            Self::BytesPerSecond => Amount::BytesPerSecond(value),
        }
    }

    /// Reads a value as files have it.
    pub(crate) fn read(self, value: &toml::Value) -> Result<u64, String> {
        let (table, noun, example) = match self {
            Self::Bytes | Self::BytesPerSecond => (SIZES, "size", "16MiB"),
            Self::Time => (TIMES, "time", "5ms"),
            Self::Count | Self::PerSecond => {
                let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
                let number = number.filter(|number| *number > 0);
                return number.ok_or_else(|| format!("`{value}` is not a whole number above 0"));
            }
        };
        let text = value.as_str().ok_or_else(|| {
            format!("a {} where a string such as `{example}` is expected", value.type_str())
        })?;
        let read = table.iter().find_map(|(unit, factor)| {
            text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(*factor)
        });
        let read = read.filter(|value| *value > 0);
        read.ok_or_else(|| format!("`{text}` is not a {noun} such as `{example}`"))
    }
}

/// A quantity with its unit, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// Bytes.
    Bytes(u64),
    /// More than so many bytes; how many is not known.
    OverBytes(u64),
    /// A plain count.
    Count(u64),
    /// Time.
    Time(Duration),
    /// A count a second.
    PerSecond(u64),
    /// Bytes a second.
    BytesPerSecond(u64),
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bytes(bytes) if bytes % MIB == 0 => write!(f, "{} MiB", bytes / MIB),
            Self::Bytes(bytes) if bytes > MIB => write!(f, "{:.1} MiB", bytes as f64 / MIB as f64),
            Self::Bytes(bytes) => write!(f, "{} KiB", bytes.div_ceil(1024)),
            Self::OverBytes(bytes) => write!(f, "over {}", Self::Bytes(bytes)),
            Self::Count(count) => write!(f, "{count}"),
            Self::Time(time) => write!(f, "{:.1} ms", time.as_secs_f64() * 1e3),
            Self::PerSecond(count) => write!(f, "{count} a second"),
            Self::BytesPerSecond(bytes) => write!(f, "{} a second", Self::Bytes(bytes)),
        }
    }
}

/// A limit that was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{name} limit {value}: plugin {verb} {used}", verb = self.verb())]
pub struct LimitHit {
    /// Name of the limit, as in [`names`](super::names).
    pub name: &'static str,
    /// The limit.
    pub value: Amount,
    /// What was used, or asked for in all.
    pub used: Amount,
}

impl LimitHit {
    fn verb(&self) -> &'static str {
        match self.value {
            Amount::Bytes(_) | Amount::OverBytes(_) => "asked for",
            Amount::Count(_)
            | Amount::Time(_)
            | Amount::PerSecond(_)
            | Amount::BytesPerSecond(_) => "used",
        }
    }
}

#[cfg(test)]
#[test]
fn a_value_is_read_in_its_unit_or_refused() {
    let text = |text: &str| toml::Value::String(text.to_owned());
    assert_eq!(Unit::Bytes.read(&text("16MiB")), Ok(16 << 20));
    assert_eq!(Unit::Time.read(&text("500us")), Ok(500));
    assert_eq!(Unit::Time.read(&text("2s")), Ok(2_000_000));
    assert_eq!(Unit::Count.read(&toml::Value::Integer(7)), Ok(7));
    for (unit, bad) in [
        (Unit::Bytes, text("16 MB")),
        (Unit::Bytes, text("0MiB")),
        (Unit::BytesPerSecond, text("99999999999GiB")),
        (Unit::Time, text("5")),
        (Unit::Time, toml::Value::Integer(5)),
        (Unit::Count, toml::Value::Integer(0)),
        (Unit::PerSecond, toml::Value::Integer(-1)),
    ] {
        assert!(unit.read(&bad).is_err(), "{bad}");
    }
}
