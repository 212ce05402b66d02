//! Grants: powers beyond its world that a plugin may be given.
//!
//! A plugin's manifest asks, the operator's configuration allows, and only what both name is linked:
//! there is no denial at run time that one version of an interface could forget. Decides nothing
//! about what a granted function does.
//!
//! **Invariant:** nothing is granted by default.

use std::collections::BTreeSet;
use std::fmt;

use crate::kv::Stores;

/// An imported interface that is a grant of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grant {
    /// A small store that outlives sessions.
    Kv,
    /// Side channels towards the client.
    Data,
    /// The bytes of pictures.
    Pixels,
    /// Sound.
    Audio,
}

impl Grant {
    /// Every grant.
    pub const ALL: [Self; 4] = [Self::Kv, Self::Data, Self::Pixels, Self::Audio];

    /// Returns its name in manifests and configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kv => "kv",
            Self::Data => "data",
            Self::Pixels => "pixels",
            Self::Audio => "audio",
        }
    }

    /// Returns the interface that it stands for, without version.
    pub const fn interface(self) -> &'static str {
        match self {
            Self::Kv => "framegate:host/kv",
            Self::Data => "framegate:host/data",
            Self::Pixels => "framegate:media/pixels",
            Self::Audio => "framegate:media/audio",
        }
    }

    /// Finds the grant that `interface`, without version, stands for.
    pub fn of(interface: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.interface() == interface)
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a plugin asks for, or an operator allows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Bytes of its store; 0: no store.
    pub kv_bytes: u64,
    /// Whether it may send data to the client.
    pub data: bool,
    /// Whether it may read and make pixels.
    pub pixels: bool,
    /// Whether it may read and make sound.
    pub audio: bool,
    /// Names of the secrets that its configuration may refer to.
    pub secrets: BTreeSet<String>,
}

impl Grants {
    /// Returns whether `grant` is among them.
    pub const fn has(&self, grant: Grant) -> bool {
        match grant {
            Grant::Kv => self.kv_bytes > 0,
            Grant::Data => self.data,
            Grant::Pixels => self.pixels,
            Grant::Audio => self.audio,
        }
    }

    /// Returns what both sides name; of two sizes the smaller.
    pub fn and(&self, other: &Self) -> Self {
        Self {
            kv_bytes: self.kv_bytes.min(other.kv_bytes),
            data: self.data && other.data,
            pixels: self.pixels && other.pixels,
            audio: self.audio && other.audio,
            secrets: self.secrets.intersection(&other.secrets).cloned().collect(),
        }
    }
}

/// What an operator allows a plugin, and where stores are kept.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// The grants.
    pub grants: Grants,
    /// Stores of this process; `None`: it has nowhere to keep any.
    pub stores: Option<Stores>,
}

/// Says which side does not grant `grant`; `None`: both do.
pub(crate) fn withheld(grant: Grant, asked: &Grants, allowed: &Grants) -> Option<String> {
    match (asked.has(grant), allowed.has(grant)) {
        (true, true) => None,
        (true, false) => Some(format!("the operator does not allow `{grant}`")),
        (false, true) => Some(format!("the manifest does not ask for `{grant}`")),
        (false, false) => {
            let text = "the manifest does not ask for it, nor does the operator allow it";
            Some(format!("`{grant}`: {text}"))
        }
    }
}

#[cfg(test)]
#[test]
fn only_what_both_sides_name_is_granted() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let asked =
        Grants { kv_bytes: 4 << 20, data: true, secrets: names(&["a", "b"]), ..Grants::default() };
    let allowed =
        Grants { kv_bytes: 1 << 20, pixels: true, secrets: names(&["b"]), ..Grants::default() };
    let both = asked.and(&allowed);
    assert_eq!(both, Grants { kv_bytes: 1 << 20, secrets: names(&["b"]), ..Grants::default() });
    let told = Grant::ALL.map(|grant| withheld(grant, &asked, &allowed).unwrap_or_default());
    assert_eq!(
        told,
        [
            "",
            "the operator does not allow `data`",
            "the manifest does not ask for `pixels`",
            "`audio`: the manifest does not ask for it, nor does the operator allow it",
        ]
    );
    assert!(Grant::ALL.iter().all(|grant| Grant::of(grant.interface()) == Some(*grant)));
}
