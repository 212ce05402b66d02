//! Two segments of one channel open at a time.

use tokio::time::timeout;
use wire::trickle::{Ask, ChannelReader, Options};

use crate::rig::{SOON, small, store};

#[tokio::test]
async fn an_open_upper_segment_never_keeps_the_lower_one_out() {
    let store = store();
    let channel = store.create("c", Options { stall: SOON, ..small() }).unwrap();
    let lower = channel.begin(Some(0), false).unwrap();
    let upper = channel.begin(Some(1), false).unwrap();
    lower.write(vec![0; 10].into()).await.unwrap();
    let mut reader = ChannelReader::new(channel.clone(), "r", Ask::Seq(0));
    reader.next_segment().await.unwrap();
    upper.write(vec![1; 64 << 10].into()).await.unwrap();
    timeout(SOON, lower.write(vec![0; 10].into())).await.expect("the lower has room").unwrap();
    lower.end();
    upper.end();
    while reader.chunk().await.is_some() {}
    assert_eq!(reader.next_segment().await.unwrap().seq, 1);
}

#[tokio::test]
async fn a_number_that_was_left_out_is_written_by_nobody() {
    let store = store();
    let channel = store.create("c", small()).unwrap();
    let upper = channel.begin(Some(3), false).unwrap();
    upper.write(vec![1].into()).await.unwrap();
    assert_eq!(channel.stats().open_writes, 1);
    upper.end();
    assert_eq!(channel.stats().open_writes, 0);
}
