//! `trickle.idle_kib`: memory that a channel holds while nobody writes or reads it, after one message
//! has passed through, over what it may hold.
//!
//! **Invariant:** nothing is freed between two readings, so that no reading is of memory used again.

use bytes::Bytes;
use serde_json::json;
use wire::trickle::{Ask, ChannelReader, ChannelWriter, Limits, Options, Store};

use super::idle::resident_kib;
use super::pair::{PAIRS_MIN, measure};
use super::{Line, Skipped, env, machine};

/// Channels between two readings: those of 250 jobs.
const BATCH: u32 = 1_000;
/// What a channel may hold.
const KIB_MAX: f64 = 8.0;

/// Measures it.
pub(super) fn run() -> Result<Vec<Line>, Skipped> {
    let idle = machine::idle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Skipped::of)?;
    let store = Store::new(Limits { channels_max: usize::MAX, ..Limits::default() });
    let mut made: u32 = 0;
    let ours = || {
        let before = resident_kib()?;
        for _ in 0..BATCH {
            made += 1;
            runtime.block_on(pass(&store, made))?;
        }
        Ok((resident_kib()? - before) / f64::from(BATCH))
    };
    let pairs = measure::<Skipped>(PAIRS_MIN, ours, || Ok(KIB_MAX))?;
    let env = env(json!({
        "ours": "resident memory for each open channel that one message of 1,000 bytes went through",
        "base": "the 8 KiB that one may hold",
        "live": made,
    }));
    Ok(vec![Line::of_pairs("trickle.idle_kib", "KiB", &pairs, idle, env).with_goal(1.0)])
}

/// Makes a channel and passes one message through it.
async fn pass(store: &Store, number: u32) -> Result<(), Skipped> {
    let channel = store.create(&format!("c{number}"), Options::of_type("application/json"));
    let channel = channel.map_err(Skipped::of)?;
    let mut writer = ChannelWriter::new(std::sync::Arc::clone(&channel));
    writer.send(Bytes::from(vec![b'x'; 1_000])).await.map_err(Skipped::of)?;
    let mut reader = ChannelReader::new(channel, "bench", Ask::Seq(0));
    match reader.message(4_096).await {
        // Dropping them leaves the channel open.
        Some(_) => Ok(()),
        None => Err(Skipped("the message did not pass".to_owned())),
    }
}
