//! The four channels of a live session: input, output, control, events.
//!
//! Their names carry 128 random bits: who knows a channel's URL may use it, so nobody can guess it.

use std::sync::Arc;

use wire::header::random_hex;
use wire::trickle::{Access, Channel, Options, Store, StoreError};

/// Media type of live media on the wire.
const MPEG_TS: &str = "video/MP2T";
/// Media type of control and events.
const JSON: &str = "application/json";

/// The channels of one session.
#[derive(Debug, Clone)]
pub(crate) struct Channels {
    /// Names the session towards gateways: Livepeer's `manifest_id`.
    pub(crate) manifest_id: String,
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
    /// Creates the channels of a new session, all or none.
    pub(crate) fn create(store: &Store) -> Result<Self, StoreError> {
        let manifest_id = random_hex::<16>();
        let names = [String::new(), "-out".to_owned(), "-control".to_owned(), "-events".to_owned()]
            .map(|suffix| format!("{manifest_id}{suffix}"));
        let options =
            |media: &str, access, lossy| Options { access, lossy, ..Options::of_type(media) };
        let all = [
            options(MPEG_TS, Access::Both, false),
            options(MPEG_TS, Access::Both, false),
            options(JSON, Access::Both, false),
            // Events are news: a client that does not listen must not hold its own media back.
            options(JSON, Access::Read, true),
        ];
        let mut made = Vec::new();
        for (name, options) in names.iter().zip(all) {
            match store.create(name, options) {
                Ok(channel) => made.push(channel),
                Err(error) => {
                    made.iter().for_each(|channel: &Arc<Channel>| channel.close());
                    return Err(error);
                }
            }
        }
        let [input, output, control, events] = <[Arc<Channel>; 4]>::try_from(made)
            .map_err(|_| StoreError::Full { limit: store.limits().channels_max })?;
        Ok(Self { manifest_id, input, output, control, events })
    }

    /// Closes what clients write to.
    pub(crate) fn close(&self) {
        for channel in [&self.input, &self.output, &self.control, &self.events] {
            channel.close();
        }
    }

    /// Returns the URL of each channel below `base`, in the order input, output, control, events.
    pub(crate) fn urls(&self, base: &str) -> [String; 4] {
        [&self.input, &self.output, &self.control, &self.events]
            .map(|channel| format!("{base}{}", channel.name()))
    }
}
