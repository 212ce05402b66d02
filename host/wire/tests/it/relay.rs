//! Our own ends of a channel: publisher, subscriber, and the ones inside a process.

use std::net::SocketAddr;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use wire::trickle::{
    Ask, ChannelReader, ChannelWriter, Missing, Options, PublishError, Publisher, SubscribeError,
    Subscriber,
};

use crate::rig::{BASE, SOON, Server, client, small, store, until};

async fn drain(reader: &mut Subscriber) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(chunk) = timeout(SOON, reader.chunk()).await.unwrap().unwrap() {
        bytes.extend_from_slice(&chunk);
    }
    bytes
}

#[tokio::test]
async fn segments_pass_from_publisher_to_subscriber_and_the_end_is_an_end() {
    let store = store();
    let server = Server::of(&store).await;
    store.create("c", small()).unwrap();
    let url = server.channel("c");
    let mut publisher = Publisher::new(client(), &url, "video/mp2t");
    let writing = tokio::spawn(async move {
        for seq in 0..40u64 {
            let mut post = publisher.begin();
            publisher.preconnect();
            for part in 0..4 {
                post.write(Bytes::from(vec![(seq * 4 + part) as u8; 9_000])).await.unwrap();
            }
            post.end().await.unwrap();
        }
        publisher.close().await.unwrap();
    });
    let mut subscriber = Subscriber::new(client(), &url, Ask::Seq(0));
    for seq in 0..40 {
        let start = timeout(SOON, subscriber.next_segment()).await.unwrap().unwrap().unwrap();
        assert_eq!((start.seq, start.missing, start.offset), (seq, None, 0));
        let bytes = drain(&mut subscriber).await;
        assert_eq!(bytes.len(), 36_000);
        assert!(
            bytes.chunks(9_000).enumerate().all(|(i, c)| c[8_999] == (seq * 4) as u8 + i as u8)
        );
    }
    assert_eq!(subscriber.content_type(), Some("video/mp2t"));
    assert!(subscriber.next_segment().await.unwrap().is_none());
    writing.await.unwrap();
    let gone = Subscriber::new(client(), &server.channel("d"), Ask::Next).next_segment().await;
    assert!(matches!(gone, Err(SubscribeError::Gone { .. })), "{gone:?}");
    let error = Publisher::new(client(), &server.channel("d"), "a/b").send("x".into()).await;
    assert!(matches!(error, Err(PublishError::Gone { .. })), "{error:?}");
}

#[tokio::test]
async fn a_restarted_publisher_is_told_where_the_channel_is() {
    let store = store();
    let server = Server::of(&store).await;
    store.create("c", small()).unwrap();
    let url = server.channel("c");
    let mut first = Publisher::new(client(), &url, "a/b");
    for _ in 0..2 {
        first.send("x".into()).await.unwrap();
    }
    let mut second = Publisher::new(client(), &url, "a/b");
    let error = second.send("y".into()).await.unwrap_err();
    assert!(matches!(error, PublishError::Ended { latest: 2, .. }), "{error:?}");
    assert_eq!(second.resume().await.unwrap(), 2);
    assert_eq!(second.send("y".into()).await.unwrap(), 2);
}

/// Passes connections on; breaks the first off after `cut` bytes of its answer.
async fn cutting_proxy(to: SocketAddr, cut: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut left = Some(cut);
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let limit = left.take().unwrap_or(usize::MAX);
            if limit == 0 {
                continue; // Broken off before a byte was read.
            }
            let mut far = TcpStream::connect(to).await.unwrap();
            tokio::spawn(async move {
                if limit == usize::MAX {
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    return;
                }
                let (mut near_read, mut near_write) = near.split();
                let (far_read, mut far_write) = far.split();
                let mut answer = far_read.take(limit as u64);
                tokio::select! {
                    _ = tokio::io::copy(&mut answer, &mut near_write) => {}
                    _ = tokio::io::copy(&mut near_read, &mut far_write) => {}
                }
                let _ = near_write.flush().await;
            });
        }
    });
    address
}

#[tokio::test]
async fn a_segment_goes_on_over_a_new_connection_without_a_byte_twice() {
    let store = store();
    let server = Server::of(&store).await;
    let options = Options { window_bytes: 1 << 20, ..Options::of_type("a/b") };
    let channel = store.create("c", options).unwrap();
    let proxy = cutting_proxy(server.address, 100_000).await;
    let mut writer = ChannelWriter::new(channel.clone());
    let bytes: Vec<u8> = (0..300_000u32).map(|n| (n / 7) as u8).collect();
    writer.send(bytes.clone().into()).await.unwrap();
    writer.send("next".into()).await.unwrap();
    let url = format!("http://{proxy}{BASE}c");
    let mut subscriber = Subscriber::new(client(), &url, Ask::Seq(0));
    subscriber.next_segment().await.unwrap().unwrap();
    assert_eq!(drain(&mut subscriber).await, bytes);
    let next = subscriber.next_segment().await.unwrap().unwrap();
    assert_eq!((next.seq, next.missing), (1, None));
    assert_eq!((channel.stats().gaps, channel.stats().readers), (0, 1));
}

#[tokio::test]
async fn a_segment_of_which_nothing_was_sent_is_tried_again() {
    let store = store();
    let server = Server::of(&store).await;
    let channel = store.create("c", small()).unwrap();
    let proxy = cutting_proxy(server.address, 0).await;
    let mut publisher = Publisher::new(client(), &format!("http://{proxy}{BASE}c"), "a/b");
    publisher.preconnect();
    let mut post = publisher.begin();
    // The first connection is broken off while nothing was written.
    until(|| channel.stats().open_writes == 1 || post.is_broken()).await;
    post.write("hello".into()).await.unwrap();
    post.end().await.unwrap();
    assert_eq!(server.get("c/0").await.body, b"hello");
}

#[tokio::test]
async fn a_reader_in_the_process_gets_what_was_posted_and_then_the_end() {
    let store = store();
    let server = Server::of(&store).await;
    let channel = store.create("c", small()).unwrap();
    let mut reader = ChannelReader::new(channel.clone(), "worker", Ask::Seq(0));
    let mut writer = server.connect().await;
    let writing = tokio::spawn(async move {
        for seq in 0..10u8 {
            writer.begin_post(&format!("c/{seq}"), "").await;
            writer.chunk(&[seq; 50_000]).await;
            writer.end_post().await;
            assert_eq!(writer.answer().await.status, 200);
        }
        server.ask("DELETE", "c", "", b"").await;
        server
    });
    for seq in 0..10u8 {
        let start = timeout(SOON, reader.next_segment()).await.unwrap().unwrap();
        assert_eq!((start.seq, start.missing), (u64::from(seq), None));
        let mut bytes = Vec::new();
        while let Some(chunk) = reader.chunk().await {
            bytes.extend_from_slice(&chunk);
        }
        assert_eq!(bytes, vec![seq; 50_000]);
    }
    assert!(timeout(SOON, reader.next_segment()).await.unwrap().is_none());
    writing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reader_in_the_process_that_stalls_is_dropped_and_told_so() {
    let store = store();
    let channel = store.create("c", small()).unwrap();
    let mut reader = ChannelReader::new(channel.clone(), "slow", Ask::Seq(0));
    let mut writer = ChannelWriter::new(channel.clone());
    for _ in 0..8 {
        writer.send(vec![0; 30_000].into()).await.unwrap();
    }
    assert_eq!(channel.stats().gaps, 1);
    let start = reader.next_segment().await.unwrap();
    assert!(start.missing.is_some_and(|missing| missing.from == 0 && missing.to < start.seq));
    writer.close();
    let mut last = start.seq;
    while let Some(start) = reader.next_segment().await {
        assert_eq!((start.seq, start.missing), (last + 1, None::<Missing>));
        last = start.seq;
    }
    assert_eq!(last, 7);
}

/// With several threads the connection may see the last chunk's sender go before the request is given up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_is_dropped_breaks_off_and_never_looks_whole() {
    let store = store();
    let server = Server::of(&store).await;
    for number in 0..20 {
        let channel = store.create(&format!("c{number}"), small()).unwrap();
        let mut publisher = Publisher::new(client(), &server.channel(channel.name()), "video/mp2t");
        let mut post = publisher.begin();
        post.write(Bytes::from_static(b"half a segment")).await.unwrap();
        until(|| channel.stats().bytes == 14).await;
        drop(post);
        until(|| channel.stats().open_writes == 0).await;
        assert_eq!(channel.stats().segments_cut, 1, "segment {number} looks whole");
    }
}
