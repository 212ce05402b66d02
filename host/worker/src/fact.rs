//! The events of a worker's own sink on their way to its parent's.

use std::time::Duration;

use domain::event::{CodeRejection, CodeSource, Event};
use serde::{Deserialize, Serialize};

/// An event about a plugin's code, as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CodeFact {
    /// It is ready.
    Loaded {
        /// Plugin's id.
        plugin: String,
        /// Its version.
        version: String,
        /// Digest of its component.
        digest: String,
        /// Whether it was compiled before.
        cached: bool,
        /// Microseconds that it took.
        took_us: u64,
    },
    /// A cached entry was not taken.
    Rejected {
        /// Plugin's id.
        plugin: String,
        /// Word of the reason.
        reason: String,
    },
    /// It could not be kept.
    NotKept {
        /// Plugin's id.
        plugin: String,
        /// Why.
        detail: String,
    },
    /// There is no cache.
    CacheClosed {
        /// Why.
        detail: String,
    },
}

impl CodeFact {
    /// Returns the form in which `event` travels; `None`: no worker has such an event.
    pub fn of(event: Event) -> Option<Self> {
        Some(match event {
            Event::CodeLoaded { plugin, version, digest, source, took } => Self::Loaded {
                plugin,
                version,
                digest,
                cached: source == CodeSource::Cache,
                took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            },
            Event::CodeRejected { plugin, reason } => {
                Self::Rejected { plugin, reason: reason.name().to_owned() }
            }
            Event::CodeNotKept { plugin, detail } => Self::NotKept { plugin, detail },
            Event::CodeCacheClosed { detail } => Self::CacheClosed { detail },
            _ => return None,
        })
    }

    /// Returns the event that it was.
    pub fn into_event(self) -> Event {
        match self {
            Self::Loaded { plugin, version, digest, cached, took_us } => Event::CodeLoaded {
                plugin,
                version,
                digest,
                source: if cached { CodeSource::Cache } else { CodeSource::Compiler },
                took: Duration::from_micros(took_us),
            },
            Self::Rejected { plugin, reason } => {
                let known = CodeRejection::ALL.into_iter().find(|it| it.name() == reason);
                // Both ends are one program, so the word is known.
                Event::CodeRejected { plugin, reason: known.unwrap_or(CodeRejection::Unreadable) }
            }
            Self::NotKept { plugin, detail } => Event::CodeNotKept { plugin, detail },
            Self::CacheClosed { detail } => Event::CodeCacheClosed { detail },
        }
    }
}

#[cfg(test)]
#[test]
fn an_event_arrives_as_it_was_sent() {
    let loaded = |source| Event::CodeLoaded {
        plugin: "p".to_owned(),
        version: "1.0.0".to_owned(),
        digest: "sha256:0".to_owned(),
        source,
        took: Duration::from_micros(7),
    };
    let rejected =
        CodeRejection::ALL.map(|reason| Event::CodeRejected { plugin: "p".to_owned(), reason });
    let all = [loaded(CodeSource::Cache), loaded(CodeSource::Compiler)].into_iter().chain(rejected);
    for event in all {
        let fact = CodeFact::of(event.clone()).expect("it travels");
        assert_eq!(format!("{:?}", fact.into_event()), format!("{event:?}"));
    }
}
