//! Values with units, as the file has them: `"15s"`, `"64MiB"`.
//!
//! **Invariant:** a value is read exactly or refused; it prints as the largest unit that is exact.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Units of time in milliseconds, longest first.
const TIMES: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)];
/// Units of size in bytes, largest first.
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Text that is no value of its unit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {noun} (a whole number and one of {units})")]
pub(crate) struct BadValue {
    text: String,
    noun: &'static str,
    units: String,
}

fn parse(text: &str, noun: &'static str, table: &[(&str, u64)]) -> Result<u64, BadValue> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let factor = table.iter().find(|(name, _)| *name == unit.trim_start());
    factor.and_then(|(_, factor)| digits.parse::<u64>().ok()?.checked_mul(*factor)).ok_or_else(
        || BadValue {
            text: text.chars().take(40).collect(),
            noun,
            units: table.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "),
        },
    )
}

fn print(value: u64, table: &[(&str, u64)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let exact = |(_, factor): &&(&str, u64)| value > 0 && value.is_multiple_of(*factor);
    match table.iter().find(exact) {
        Some((name, factor)) => write!(f, "{}{name}", value / factor),
        None => write!(f, "0{}", table.last().map_or("", |(name, _)| *name)),
    }
}

macro_rules! unit {
    ($($(#[$doc:meta])* $name:ident: $noun:literal, $table:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) struct $name(pub(crate) u64);

        impl FromStr for $name {
            type Err = BadValue;

            fn from_str(text: &str) -> Result<Self, BadValue> {
                parse(text, $noun, &$table).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                print(self.0, &$table, f)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )+};
}

unit! {
    /// A time in milliseconds, written such as `"15s"`.
    Time: "time", TIMES;
    /// A size in bytes, written such as `"64MiB"`.
    Size: "size", SIZES;
}

impl Time {
    /// Makes a time of whole seconds.
    pub(crate) const fn secs(seconds: u64) -> Self {
        Self(seconds * 1000)
    }

    /// Returns it as the clock's type.
    pub(crate) const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

#[cfg(test)]
#[test]
fn a_value_with_a_unit_is_read_exactly_or_refused() {
    assert_eq!("15s".parse(), Ok(Time::secs(15)));
    assert_eq!("1500ms".parse::<Time>().map(|time| time.to_string()), Ok("1500ms".to_owned()));
    assert_eq!("120 s".parse::<Time>().map(|time| time.to_string()), Ok("2min".to_owned()));
    assert_eq!("64MiB".parse(), Ok(Size(64 << 20)));
    assert_eq!(Size(0).to_string(), "0B");
    assert_eq!(
        "15".parse::<Time>().map_err(|error| error.to_string()),
        Err("`15` is no time (a whole number and one of d, h, min, s, ms)".to_owned())
    );
    for bad in ["", "s", "1.5s", "-1s", "99999999999999999999s", "18446744073709551615GiB"] {
        assert!(bad.parse::<Time>().is_err(), "{bad}");
        assert!(bad.parse::<Size>().is_err(), "{bad}");
    }
}
