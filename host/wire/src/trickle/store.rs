//! The channels of a role by name: created and closed by code, or by HTTP where allowed. It
//! decides which names exist and when a closed or forgotten channel goes.
//!
//! **Invariant:** a channel with an open write or read is never swept for being idle.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use domain::Class;

use super::channel::{Channel, now};
use super::{NAME_BYTES_MAX, Options};

/// Bounds of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Channels at once: four a job, so a thousand jobs.
    pub channels_max: usize,
    /// Time without any use after which a channel is closed by [`Store::sweep`].
    pub idle: Duration,
    /// Options of channels that a POST creates; `None`: a POST creates nothing.
    pub create_by_post: Option<Options>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { channels_max: 4096, idle: Duration::from_secs(300), create_by_post: None }
    }
}

/// A channel that was not created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The name is taken.
    #[error("channel `{name}` exists")]
    Exists {
        /// The name.
        name: String,
    },
    /// The name cannot be a part of a path.
    #[error("`{name}` is no channel name (1 to {NAME_BYTES_MAX} letters, digits and `-_.~`)")]
    BadName {
        /// The name, cut to [`NAME_BYTES_MAX`] characters.
        name: String,
    },
    /// There are as many as there may be.
    #[error("{limit} channels are open already")]
    Full {
        /// The limit.
        limit: usize,
    },
}

impl StoreError {
    /// Returns the class.
    pub const fn class(&self) -> Class {
        match self {
            Self::Exists { .. } => Class::Conflict,
            Self::BadName { .. } => Class::Invalid,
            Self::Full { .. } => Class::Exhausted,
        }
    }
}

/// The channels of a role. Clones share them.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limits: Limits,
    channels: RwLock<HashMap<String, Arc<Channel>>>,
}

impl Store {
    /// Makes an empty store.
    pub fn new(limits: Limits) -> Self {
        Self { shared: Arc::new(Shared { limits, channels: RwLock::default() }) }
    }

    /// Returns its bounds.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Creates a channel.
    pub fn create(&self, name: &str, options: Options) -> Result<Arc<Channel>, StoreError> {
        let good = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
        let dots = name.bytes().all(|b| b == b'.');
        if name.len() > NAME_BYTES_MAX || dots || !name.bytes().all(good) {
            return Err(StoreError::BadName { name: name.chars().take(NAME_BYTES_MAX).collect() });
        }
        let mut channels = self.shared.channels.write().unwrap_or_else(PoisonError::into_inner);
        let limit = self.shared.limits.channels_max;
        if channels.len() >= limit {
            let now = now();
            channels.retain(|_, channel| !channel.read(|state| state.is_spent(now)));
        }
        if channels.contains_key(name) {
            return Err(StoreError::Exists { name: name.to_owned() });
        }
        if channels.len() >= limit {
            return Err(StoreError::Full { limit });
        }
        let channel = Channel::new(name, options);
        channels.insert(name.to_owned(), Arc::clone(&channel));
        Ok(channel)
    }

    /// Finds a channel. A closed one is found until its readers have all of it.
    pub fn get(&self, name: &str) -> Option<Arc<Channel>> {
        let channels = self.shared.channels.read().unwrap_or_else(PoisonError::into_inner);
        let channel = channels.get(name).cloned()?;
        drop(channels);
        if self.forget_spent(&channel) { None } else { Some(channel) }
    }

    /// Closes a channel; `false` if there is none.
    pub fn close(&self, name: &str) -> bool {
        let Some(channel) = self.get(name) else { return false };
        channel.close();
        self.forget_spent(&channel);
        true
    }

    /// Closes a channel and forgets it at once, for whoever knows that nobody is to read it any
    /// more; `false` if there is none. Requests that are open still come to their end.
    pub fn forget(&self, name: &str) -> bool {
        let mut channels = self.shared.channels.write().unwrap_or_else(PoisonError::into_inner);
        let Some(channel) = channels.remove(name) else { return false };
        drop(channels);
        channel.close();
        true
    }

    /// Closes channels that nobody used for [`Limits::idle`], forgets those that are spent, and
    /// returns the names closed. Call it every few seconds.
    pub fn sweep(&self) -> Vec<String> {
        let now = now();
        let mut idle = Vec::new();
        let mut channels = self.shared.channels.write().unwrap_or_else(PoisonError::into_inner);
        channels.retain(|name, channel| {
            let (spent, forgotten) = channel.read(|state| {
                let used = state.readers.iter().any(|reader| !reader.gets.is_empty())
                    || state.has_open_segment();
                let forgotten = state.closed_at.is_none()
                    && !used
                    && state.touched_at + self.shared.limits.idle <= now;
                (state.is_spent(now), forgotten)
            });
            if forgotten {
                channel.close();
                idle.push(name.clone());
            }
            !spent && !forgotten
        });
        idle
    }

    /// Returns every channel, by name.
    pub fn all(&self) -> Vec<Arc<Channel>> {
        let channels = self.shared.channels.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = channels.values().cloned().collect();
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all
    }

    /// Forgets a channel if it is closed and nobody can want anything of it.
    fn forget_spent(&self, channel: &Arc<Channel>) -> bool {
        let now = now();
        if !channel.read(|state| state.is_spent(now)) {
            return false;
        }
        let mut channels = self.shared.channels.write().unwrap_or_else(PoisonError::into_inner);
        if channels.get(channel.name()).is_some_and(|known| Arc::ptr_eq(known, channel)) {
            channels.remove(channel.name());
        }
        true
    }
}
