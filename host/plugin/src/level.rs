//! API levels: which generations of the contract this host speaks, and which one a name is of.
//!
//! Within a level imports grow and nothing else changes, so a host of a level runs every plugin of
//! it that imports no more than the host has. Decides nothing about single functions: linking does.
//!
//! **Invariant:** a level that is not in the table is refused by name, together with those that are.

use std::fmt;

/// The levels that a host speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// The one that `wit/` has.
    pub current: &'static str,
    /// The one before it; `None`: there is none.
    pub previous: Option<&'static str>,
}

/// The levels of this host. A new level moves `current` to `previous` and adds the bindings of the
/// old text, kept in `wit/released`, to those that are linked.
pub const LEVELS: Levels = Levels { current: "0.1", previous: None };

impl Levels {
    /// Returns whether `level` is one of them.
    pub fn speak(&self, level: &str) -> bool {
        self.current == level || self.previous == Some(level)
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.current)?;
        self.previous.map_or(Ok(()), |previous| write!(f, " and `{previous}`"))
    }
}

/// Returns the level of an interface's name, such as `0.1` of `framegate:host/log@0.1.3`: the part of
/// its version that two versions have in common when one can stand for the other. `None`: the
/// name has no version.
pub fn of(interface: &str) -> Option<&str> {
    let (_, version) = interface.split_once('@')?;
    let dots: Vec<_> = version.match_indices('.').map(|(at, _)| at).collect();
    match (version.starts_with("0."), &dots[..]) {
        (true, [_, second, ..]) => Some(&version[..*second]),
        (false, [first, ..]) => Some(&version[..*first]),
        _ => Some(version),
    }
}

#[cfg(test)]
#[test]
fn the_current_and_the_previous_level_are_spoken_and_no_other() {
    let later = Levels { current: "0.2", previous: Some("0.1") };
    assert!(later.speak("0.2") && later.speak("0.1"));
    assert!(!later.speak("0.3") && !later.speak("0.0") && !later.speak(""));
    assert_eq!(later.to_string(), "`0.2` and `0.1`");
    assert!(LEVELS.speak("0.1") && !LEVELS.speak("0.2"));
    assert_eq!(of("framegate:host/log@0.1.3"), Some("0.1"));
    assert_eq!(of("framegate:host/log@1.4.0"), Some("1"));
    assert_eq!(of("framegate:host/log@0.1"), Some("0.1"));
    assert_eq!(of("framegate:host/log"), None);
}
