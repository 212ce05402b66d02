//! The four channels that a job has towards its client, and what they are called in URLs.
//!
//! **Invariant:** every name carries 128 random bits of its own: who knows one channel's URL, a
//! viewer for example, can guess none of the others.

use std::sync::Arc;
use std::time::Duration;

use domain::session::IDLE_MAX;
use wire::header::random_hex;
use wire::trickle::{Access, Channel, Options, Store, StoreError};

use crate::config::Limits;

/// Where channels are found, as Livepeer's orchestrators have them.
pub(crate) const BASE: &str = "/ai/trickle/";
/// Media type of live media on the wire.
pub(crate) const MPEG_TS: &str = "video/MP2T";
/// Media type of control and events.
pub(crate) const JSON: &str = "application/json";
/// Time for which an orchestrator that takes no input may hold its client back; a job without input
/// for so long ends anyway.
const INPUT_STALL: Duration = IDLE_MAX;

/// The channels of one job.
#[derive(Debug, Clone)]
pub(crate) struct Channels {
    /// Media from the client.
    pub(crate) input: Arc<Channel>,
    /// Media to the client.
    pub(crate) output: Arc<Channel>,
    /// Parameters and messages from the client.
    pub(crate) control: Arc<Channel>,
    /// Events to the client.
    pub(crate) events: Arc<Channel>,
}

impl Channels {
    /// Creates the channels of a job, all or none.
    pub(crate) fn create(store: &Store, limits: &Limits) -> Result<Self, StoreError> {
        let media = |stall| Options {
            window_bytes: limits.buffered_bytes_max / 2,
            segment_bytes_max: limits.segment_bytes_max,
            stall,
            ..Options::of_type(MPEG_TS)
        };
        let json = |access, lossy| Options { access, lossy, ..Options::of_type(JSON) };
        let mut made: Vec<Arc<Channel>> = Vec::new();
        let mut create = |suffix: &str, options: Options| {
            let created = store.create(&format!("{}-{suffix}", random_hex::<16>()), options);
            match created {
                Ok(channel) => {
                    made.push(Arc::clone(&channel));
                    Ok(channel)
                }
                Err(error) => {
                    for channel in &made {
                        store.forget(channel.name());
                    }
                    Err(error)
                }
            }
        };
        Ok(Self {
            input: create("in", media(INPUT_STALL))?,
            output: create("out", media(wire::trickle::STALL))?,
            control: create("control", json(Access::Both, false))?,
            // Events are news: a client that does not listen must not hold its own media back.
            events: create("events", json(Access::Read, true))?,
        })
    }

    /// Closes all of them. Those that the client reads stay until it has all of them, those that it
    /// writes are forgotten with what nobody read in them.
    pub(crate) fn end(&self, store: &Store) {
        self.output.close();
        self.events.close();
        store.forget(self.input.name());
        store.forget(self.control.name());
    }

    /// Forgets all of them: no client has heard of them.
    pub(crate) fn discard(&self, store: &Store) {
        for channel in [&self.input, &self.output, &self.control, &self.events] {
            store.forget(channel.name());
        }
    }
}

/// Returns the URL of a channel below `origin`.
pub(crate) fn url(origin: &str, channel: &Channel) -> String {
    format!("{origin}{BASE}{}", channel.name())
}

#[cfg(test)]
#[test]
fn the_name_of_one_channel_tells_none_of_the_others() {
    let store = Store::new(wire::trickle::Limits { channels_max: 6, ..Default::default() });
    let channels = Channels::create(&store, &Limits::default()).unwrap();
    let all = [&channels.input, &channels.output, &channels.control, &channels.events];
    let mut secrets: Vec<_> = all.map(|it| it.name().split('-').next().unwrap().to_owned()).into();
    secrets.dedup();
    assert!(secrets.len() == 4 && secrets.iter().all(|secret| secret.len() == 32));
    assert!(Channels::create(&store, &Limits::default()).is_err());
    assert_eq!(store.all().len(), 4, "all or none");
    channels.end(&store);
    assert!(all.iter().all(|channel| channel.is_closed()));
    assert_eq!(store.all().len(), 2, "readers come for output and events");
    channels.discard(&store);
    assert!(store.all().is_empty());
}
