//! URLs of a client's own in place of channels of ours: input is pulled from one into the channel,
//! output is pushed from the channel to another. The rest of a job does not know the difference.
//!
//! **Invariant:** only hosts that the operator lists are ever called, judged by the address that is
//! connected to.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use url::Url;
use wire::allow::AllowedHosts;
use wire::client::{Client, Config};
use wire::tls::Pins;
use wire::trickle::{Ask, Channel, ChannelWriter, Publisher, Subscriber};

use crate::channels::{Channels, JSON, MPEG_TS};
use crate::intake::Given;
use crate::pump::{self, Broken, Pump, Tally};

/// The bridges of one job.
#[derive(Default)]
pub(crate) struct Bridges {
    working: FuturesUnordered<Pump<'static, Result<(), Broken>>>,
    any: bool,
}

impl Bridges {
    /// Makes the bridges to the URLs that a client gave.
    pub(crate) fn new(given: &Given, channels: &Channels, allowed: &AllowedHosts) -> Self {
        let mut bridges = Self::default();
        if *given == Given::default() {
            return bridges;
        }
        // Certificates of strangers are not remembered beyond the job: theirs change as they like.
        let config = Config { allowed: Some(allowed.clone()), ..Config::default() };
        let client = Client::new(Pins::default(), config);
        for (url, channel) in [(&given.input, &channels.input), (&given.control, &channels.control)]
        {
            if let Some(url) = url {
                bridges.add(pull(client.clone(), url.clone(), Arc::clone(channel)));
            }
        }
        let out =
            [(&given.output, &channels.output, MPEG_TS), (&given.events, &channels.events, JSON)];
        for (url, channel, media) in out {
            if let Some(url) = url {
                bridges.add(push(client.clone(), url.clone(), Arc::clone(channel), media));
            }
        }
        bridges
    }

    fn add(&mut self, bridge: impl Future<Output = Result<(), Broken>> + Send + 'static) {
        self.working.push(Box::pin(bridge));
        self.any = true;
    }

    /// Says whether the client gave any URL.
    pub(crate) const fn any(&self) -> bool {
        self.any
    }

    /// Works until a bridge breaks; for ever if none does.
    pub(crate) async fn broken(&mut self) {
        while let Some(end) = self.working.next().await {
            if let Err(Broken { detail, .. }) = end {
                tracing::info!(detail, "a client's own URL failed");
                return;
            }
        }
        std::future::pending().await
    }

    /// Works until every bridge has come to its end.
    pub(crate) async fn drained(&mut self) {
        while self.working.next().await.is_some() {}
    }
}

async fn pull(client: Client, url: Url, channel: Arc<Channel>) -> Result<(), Broken> {
    let mut writer = ChannelWriter::new(channel);
    let subscriber = Subscriber::new(client, url.as_str(), Ask::Seq(0));
    let stop = Arc::clone(writer.channel());
    let tally = Tally::default();
    let pulled = tokio::select! {
        pulled = pump::pull(subscriber, &mut writer, &tally) => pulled,
        () = stop.closed() => Ok(()),
    };
    writer.close();
    pulled
}

async fn push(
    client: Client,
    url: Url,
    channel: Arc<Channel>,
    media: &'static str,
) -> Result<(), Broken> {
    pump::push(channel, Publisher::new(client, url.as_str(), media), &Tally::default()).await
}
