//! Capabilities: kinds of work, by name. No place, no price.

use std::fmt;

/// Longest name of a capability in bytes: fits a header and a table row.
pub const NAME_BYTES_MAX: usize = 128;
/// Kind of work that live pipelines do; a capability of this kind is `live-video-to-video/ID`.
pub const LIVE: &str = "live-video-to-video";

/// A name that no capability can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{name}` is no capability name (1 to {NAME_BYTES_MAX} bytes of letters, digits and `-_./@:`)"
)]
pub struct BadName {
    /// The name, cut to 160 characters.
    pub name: String,
}

/// A kind of work, such as `live-video-to-video/sketch-video`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability(String);

impl Capability {
    /// Checks a full name.
    pub fn new(name: &str) -> Result<Self, BadName> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./@:".contains(&byte);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(good) {
            return Err(BadName { name: name.chars().take(160).collect() });
        }
        Ok(Self(name.to_owned()))
    }

    /// Returns the capability of the live pipeline `id`.
    pub fn live(id: &str) -> Result<Self, BadName> {
        if id.is_empty() {
            return Err(BadName { name: String::new() });
        }
        Self::new(&format!("{LIVE}/{id}"))
    }

    /// Returns the full name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the pipeline's id if this is a live capability.
    pub fn live_id(&self) -> Option<&str> {
        self.0.strip_prefix(LIVE)?.strip_prefix('/')
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
#[test]
fn a_live_capability_gives_its_pipeline_back() {
    let capability = Capability::live("sketch-video").expect("good name");
    assert_eq!(capability.to_string(), "live-video-to-video/sketch-video");
    assert_eq!(capability.live_id(), Some("sketch-video"));
    assert!(Capability::live("").is_err());
    assert!(Capability::live("a b").is_err());
    assert_eq!(Capability::new("transcode").expect("good name").live_id(), None);
}
