//! The channel protocol, byte for byte, and what stock servers get wrong.

use std::time::{Duration, Instant};

use tokio::time::timeout;
use wire::trickle::{
    Access, Ask, CHUNK_BYTES_MAX, ChannelReader, HOLE_WAIT, Limits, Missing, Options, Store,
};

use crate::rig::{SOON, Server, small, store, until};

fn lossless() -> Options {
    Options::of_type("video/mp2t")
}

#[tokio::test]
async fn numbers_are_served_as_the_protocol_has_them() {
    let store = store();
    let server = Server::of(&store).await;
    store.create("c", lossless()).unwrap();
    let next = server.get("c/next").await;
    assert_eq!((next.status, next.body.as_slice()), (200, &b"0\n"[..]));
    assert_eq!(next.header("lp-trickle-latest"), Some("0"));
    for (seq, body) in [("0", "zero"), ("-1", "one"), ("2", "two")] {
        let answer = server.post(&format!("c/{seq}"), body.as_bytes()).await;
        assert_eq!(answer.status, 200);
    }
    assert_eq!(server.get("c/next").await.header("lp-trickle-latest"), Some("3"));
    let newest = server.get("c/-2").await;
    assert_eq!((newest.body.as_slice(), newest.header("lp-trickle-seq")), (&b"two"[..], Some("2")));
    assert_eq!(newest.header("content-type"), Some("video/mp2t"));
    assert_eq!(newest.header("lp-trickle-latest"), None);
    let older = server.get("c/1").await;
    assert_eq!(
        (older.body.as_slice(), older.header("lp-trickle-latest")),
        (&b"one"[..], Some("3"))
    );
    let beyond = server.get("c/4").await;
    assert_eq!((beyond.status, beyond.body.as_slice()), (470, &b"Entry not found\n"[..]));
    assert_eq!(beyond.header("lp-trickle-latest"), Some("3"));
    assert_eq!(beyond.header("lp-trickle-seq"), Some("4"));
    assert_eq!(server.get("unknown/0").await.status, 404);
    let unknown = server.post("unknown/0", b"x").await;
    assert_eq!((unknown.status, unknown.header("connection")), (404, Some("close")));
}

#[tokio::test]
async fn a_reader_may_ask_for_1_ahead_of_0_and_waits_for_the_next() {
    let store = store();
    let server = Server::of(&store).await;
    store.create("c", lossless()).unwrap();
    let (mut ahead, mut next) = (server.connect().await, server.connect().await);
    ahead.begin_get("c/1", "").await;
    next.begin_get("c/-1", "").await;
    let channel = store.get("c").unwrap();
    until(|| channel.stats().open_reads == 2).await;
    server.post("c/0", b"zero").await;
    server.post("c/1", b"one").await;
    assert_eq!(next.answer().await.body, b"zero");
    assert_eq!(ahead.answer().await.body, b"one");
}

#[tokio::test]
async fn odd_numbers_are_refused_and_harm_nothing() {
    let store = store();
    let server = Server::of(&store).await;
    store.create("c", lossless()).unwrap();
    for bad in ["-3", "-5", "-100", "9223372036854775807", "18446744073709551616", "x", "+1", "1e3"]
    {
        for method in ["GET", "POST", "DELETE"] {
            let answer = server.ask(method, &format!("c/{bad}"), "", b"").await;
            assert_eq!(answer.status, 400, "{method} {bad}");
        }
    }
    assert_eq!(server.post("c/-2", b"x").await.status, 400);
    assert_eq!(server.get("c/next").await.body, b"0\n");
    assert_eq!(server.post("c/0", b"fine").await.status, 200);
    assert_eq!(server.get("c/0").await.body, b"fine");
}

#[tokio::test]
async fn a_finished_segment_is_never_written_again_and_next_never_goes_back() {
    let store = store();
    let server = Server::of(&store).await;
    store.create("c", lossless()).unwrap();
    for seq in 0..3 {
        server.post(&format!("c/{seq}"), b"first").await;
    }
    for seq in ["0", "2"] {
        let again = server.post(&format!("c/{seq}"), b"second").await;
        assert_eq!((again.status, again.header("lp-trickle-latest")), (409, Some("3")));
    }
    assert_eq!(server.get("c/next").await.body, b"3\n");
    assert_eq!(server.get("c/2").await.body, b"first");
}

#[tokio::test]
async fn a_second_post_to_an_open_segment_appends() {
    let store = store();
    let server = Server::of(&store).await;
    let channel = store.create("c", lossless()).unwrap();
    let mut first = server.connect().await;
    first.begin_post("c/0", "").await;
    first.chunk(b"one ").await;
    until(|| channel.stats().bytes == 4).await;
    assert_eq!(server.post("c/0", b"two").await.status, 200);
    assert_eq!(server.get("c/0").await.body, b"one two");
}

#[tokio::test]
async fn a_malformed_body_is_the_clients_fault_and_ends_only_its_segment() {
    let store = store();
    let server = Server::of(&store).await;
    let channel = store.create("c", lossless()).unwrap();
    let mut peer = server.connect().await;
    peer.begin_post("c/0", "").await;
    peer.chunk(b"good").await;
    peer.send(b"zz\r\n").await;
    assert_eq!(peer.head().await.status, 400);
    assert_eq!(server.get("c/0").await.body, b"good");
    assert_eq!(channel.stats().segments_cut, 1);
    assert_eq!(server.post("c/1", b"next").await.status, 200);
}

#[tokio::test]
async fn bytes_reach_a_reader_before_their_segment_ends() {
    let store = store();
    let server = Server::of(&store).await;
    let channel = store.create("c", lossless()).unwrap();
    let (mut writer, mut reader) = (server.connect().await, server.connect().await);
    writer.begin_post("c/0", "").await;
    reader.begin_get("c/0", "").await;
    until(|| channel.stats().open_reads == 1 && channel.stats().open_writes == 1).await;
    // The status waits for the first byte too.
    let mut byte = [0];
    assert!(reader.socket.try_read(&mut byte).is_err());
    writer.chunk(b"a").await;
    assert_eq!(reader.head().await.header("lp-trickle-seq"), Some("0"));
    assert_eq!(reader.read_chunk().await, Ok(Some(b"a".to_vec())));
    writer.chunk(b"b").await;
    assert_eq!(reader.read_chunk().await, Ok(Some(b"b".to_vec())));
    writer.end_post().await;
    assert_eq!(reader.read_chunk().await, Ok(None));
    assert_eq!(writer.answer().await.status, 200);
}

#[tokio::test]
async fn an_empty_segment_counts_and_a_preconnection_that_goes_away_does_not() {
    let store = store();
    let server = Server::of(&store).await;
    let channel = store.create("c", lossless()).unwrap();
    let empty = server.post("c/0", b"").await;
    assert_eq!((empty.status, empty.header("lp-trickle-seq")), (200, Some("0")));
    let read = server.get("c/0").await;
    assert_eq!((read.status, read.header("lp-trickle-latest")), (200, Some("1")));
    assert!(read.body.is_empty());
    let mut ahead = server.connect().await;
    ahead.begin_post("c/1", "").await;
    until(|| channel.stats().open_writes == 1).await;
    drop(ahead);
    until(|| channel.stats().open_writes == 0).await;
    assert_eq!(server.get("c/next").await.body, b"1\n");
    assert_eq!(server.post("c/1", b"x").await.status, 200);
}

/// The stock Python client posts segments on connections of their own, and does not wait.
#[tokio::test]
async fn a_segment_that_its_successor_overtook_is_kept_and_read_in_order() {
    let store = store();
    let server = Server::of(&store).await;
    let channel = store.create("c", lossless()).unwrap();
    let mut reader = server.connect().await;
    reader.begin_get("c/0", "").await;
    until(|| channel.stats().open_reads == 1).await;
    assert_eq!(server.post("c/1", b"one").await.status, 200);
    assert_eq!(server.get("c/next").await.body, b"2\n");
    assert_eq!(server.post("c/0", b"zero").await.status, 200);
    assert_eq!(server.get("c/next").await.body, b"2\n");
    assert_eq!(reader.answer().await.body, b"zero");
    assert_eq!(server.get("c/1").await.body, b"one");
}

#[tokio::test(start_paused = true)]
async fn a_number_that_never_comes_is_given_up_as_empty_and_costs_nothing_else() {
    let store = store();
    let channel = store.create("c", lossless()).unwrap();
    let mut reader = ChannelReader::new(channel.clone(), "r", Ask::Seq(0));
    let late = channel.begin(Some(1), false).unwrap();
    late.write("one".into()).await.unwrap();
    late.end();
    let begun = tokio::time::Instant::now();
    assert_eq!(reader.next_segment().await.unwrap().seq, 0);
    assert_eq!(begun.elapsed().as_secs(), HOLE_WAIT.as_secs());
    assert_eq!(reader.chunk().await, None);
    assert_eq!(reader.next_segment().await.unwrap().seq, 1);
    assert_eq!(reader.chunk().await.unwrap(), "one");
    // A jump is no overtaking.
    let far = channel.begin(Some(1000), false).unwrap();
    far.write("far".into()).await.unwrap();
    assert_eq!(reader.chunk().await, None);
    let far = reader.next_segment().await.unwrap();
    assert_eq!((far.seq, far.missing), (1000, Some(Missing { from: 2, to: 999 })));
    assert_eq!(channel.stats().gaps, 1);
}

#[tokio::test]
async fn a_reset_ends_what_an_earlier_publisher_left_open() {
    let store = store();
    let server = Server::of(&store).await;
    let channel = store.create("c", lossless()).unwrap();
    let (mut gone, mut reader) = (server.connect().await, server.connect().await);
    gone.begin_post("c/0", "").await;
    gone.chunk(b"left").await;
    reader.begin_get("c/0", "").await;
    until(|| channel.stats().open_reads == 1 && channel.stats().bytes == 4).await;
    let reset = server.ask("POST", "c/1", "Lp-Trickle-Reset: 1\r\n", b"new").await;
    assert_eq!(reset.status, 200);
    assert_eq!(reader.answer().await.body, b"left");
    gone.chunk(b"more").await;
    assert_eq!(gone.head().await.status, 409);
    assert_eq!(server.get("c/1").await.body, b"new");
}

#[tokio::test]
async fn deleting_a_channel_mid_write_tells_writer_and_readers_at_once() {
    let store = store();
    let server = Server::of(&store).await;
    let channel = store.create("c", lossless()).unwrap();
    let (mut writer, mut reader) = (server.connect().await, server.connect().await);
    let mut waiting = server.connect().await;
    writer.begin_post("c/0", "").await;
    writer.chunk(b"half").await;
    reader.begin_get("c/0", "").await;
    waiting.begin_get("c/1", "").await;
    until(|| channel.stats().open_reads == 2 && channel.stats().bytes == 4).await;
    let begun = Instant::now();
    assert_eq!(server.ask("DELETE", "c", "", b"").await.status, 200);
    let end = waiting.answer().await;
    assert_eq!((end.status, end.header("lp-trickle-closed")), (200, Some("terminated")));
    assert_eq!(reader.answer().await.body, b"half");
    let answer = writer.head().await;
    assert_eq!((answer.status, answer.header("lp-trickle-closed")), (404, Some("terminated")));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(server.ask("DELETE", "c", "", b"").await.status, 400);
    assert_eq!(server.post("c/1", b"x").await.status, 404);
}

#[tokio::test]
async fn what_was_under_way_when_its_publisher_closed_the_channel_is_kept() {
    let store = store();
    let server = Server::of(&store).await;
    let channel = store.create("c", small()).unwrap();
    let (mut writer, mut reader) = (server.connect().await, server.connect().await);
    reader.begin_get("c/0", "").await;
    writer.begin_post("c/0", "").await;
    writer.chunk(&[7; 50_000]).await;
    until(|| channel.stats().bytes > 0).await;
    writer.chunk(&[8; 50_000]).await;
    server.ask("DELETE", "c", "", b"").await;
    writer.end_post().await;
    assert_eq!(writer.head().await.status, 200);
    assert_eq!(reader.answer().await.body.len(), 100_000);
}

#[tokio::test]
async fn a_closed_channel_is_read_to_its_end_and_then_forgotten() {
    let store = store();
    let server = Server::of(&store).await;
    store.create("c", lossless()).unwrap();
    server.post("c/0", b"zero").await;
    server.post("c/1", b"one").await;
    assert_eq!(server.get("c/0").await.body, b"zero");
    assert_eq!(server.ask("DELETE", "c", "", b"").await.status, 200);
    assert_eq!(server.get("c/1").await.body, b"one");
    let end = server.get("c/2").await;
    assert_eq!((end.status, end.header("lp-trickle-closed")), (200, Some("terminated")));
    assert_eq!(server.get("c/2").await.status, 404);
    // Nobody can miss what was never written.
    store.create("d", lossless()).unwrap();
    assert_eq!(server.ask("DELETE", "d", "", b"").await.status, 200);
    assert_eq!(server.get("d/0").await.status, 404);
}

#[tokio::test]
async fn closing_one_segment_ends_it_for_its_readers() {
    let store = store();
    let server = Server::of(&store).await;
    let channel = store.create("c", lossless()).unwrap();
    let (mut writer, mut reader) = (server.connect().await, server.connect().await);
    writer.begin_post("c/0", "").await;
    writer.chunk(b"x").await;
    reader.begin_get("c/0", "").await;
    until(|| channel.stats().open_reads == 1 && channel.stats().bytes == 1).await;
    assert_eq!(server.ask("DELETE", "c/0", "", b"").await.status, 200);
    assert_eq!(reader.answer().await.body, b"x");
    assert_eq!(server.ask("DELETE", "c/7", "", b"").await.status, 400);
}

#[tokio::test]
async fn a_channel_is_made_and_written_over_http_only_where_that_is_allowed() {
    let closed = store();
    let server = Server::of(&closed).await;
    assert_eq!(server.ask("POST", "c", "Expect-Content: a/b\r\n", b"").await.status, 404);
    closed.create("out", Options { access: Access::Read, ..lossless() }).unwrap();
    closed.create("in", Options { access: Access::Write, ..lossless() }).unwrap();
    assert_eq!(server.post("out/0", b"x").await.status, 403);
    assert_eq!(server.ask("DELETE", "out", "", b"").await.status, 403);
    assert_eq!(server.ask("DELETE", "out/0", "", b"").await.status, 403);
    assert_eq!(server.get("in/0").await.status, 403);
    let limits = Limits { create_by_post: Some(lossless()), channels_max: 2, ..Limits::default() };
    let open = Store::new(limits);
    let server = Server::of(&open).await;
    assert_eq!(server.ask("POST", "c", "Expect-Content: text/x\r\n", b"").await.status, 200);
    server.ask("POST", "c/0", "Content-Type: text/y\r\n", b"x").await;
    assert_eq!(server.get("c/0").await.header("content-type"), Some("text/x"));
    server.ask("POST", "d/0", "Content-Type: text/z\r\n", b"x").await;
    assert_eq!(server.get("d/0").await.header("content-type"), Some("text/z"));
    assert_eq!(server.post("e/0", b"x").await.status, 503);
    assert_eq!(server.ask("POST", "%2e%2e", "", b"").await.status, 400);
}

#[tokio::test]
async fn an_unpaced_publisher_loses_nothing_to_a_slow_reader_and_memory_stays_flat() {
    let store = store();
    let server = Server::of(&store).await;
    // Longer than every buffer on the way, so that the publisher must be held back.
    let options = Options { stall: SOON, ..small() };
    let window = options.window_bytes;
    let channel = store.create("c", options).unwrap();
    let total = 24 << 20;
    let mut writer = server.connect().await;
    let writing = tokio::spawn(async move {
        writer.begin_post("c/0", "").await;
        for block in 0..total / 65_536 {
            writer.chunk(&[block as u8; 65_536]).await;
        }
        writer.end_post().await;
        let status = writer.answer().await.status;
        for seq in 1..20 {
            writer.begin_post(&format!("c/{seq}"), "").await;
            writer.chunk(&[seq; 40_000]).await;
            writer.end_post().await;
            assert_eq!(writer.answer().await.status, 200);
        }
        status
    });
    let mut reader = server.connect().await;
    reader.begin_get("c/0", "").await;
    until(|| channel.stats().buffered_bytes >= window).await;
    assert!(channel.stats().bytes < total as u64 / 2, "{:?}", channel.stats());
    let answer = reader.answer().await;
    assert_eq!(answer.body.len(), total);
    assert!(answer.body.chunks(65_536).enumerate().all(|(i, c)| c.iter().all(|b| *b == i as u8)));
    for seq in 1..20u8 {
        reader.begin_get(&format!("c/{seq}"), "").await;
        let answer = reader.answer().await;
        assert_eq!((answer.status, answer.body), (200, vec![seq; 40_000]));
    }
    assert_eq!(writing.await.unwrap(), 200);
    let stats = channel.stats();
    assert_eq!(stats.gaps, 0);
    assert!(stats.buffered_bytes_peak <= window + CHUNK_BYTES_MAX, "{stats:?}");
}

#[tokio::test]
async fn the_fourth_unread_segment_waits_in_its_socket() {
    let store = store();
    let server = Server::of(&store).await;
    let channel = store.create("c", Options { stall: SOON, ..lossless() }).unwrap();
    for seq in 0..3 {
        assert_eq!(server.post(&format!("c/{seq}"), b"x").await.status, 200);
    }
    let mut fourth = server.connect().await;
    fourth.begin_post("c/3", "").await;
    fourth.chunk(b"x").await;
    fourth.end_post().await;
    until(|| channel.stats().open_writes == 1).await;
    assert_eq!(channel.next_write(), 3);
    server.get("c/0").await;
    assert_eq!(fourth.answer().await.status, 200);
    assert_eq!(channel.next_write(), 4);
}

#[tokio::test]
async fn two_readers_of_different_speed_both_get_everything() {
    let store = store();
    let server = Server::of(&store).await;
    let channel = store.create("c", Options { stall: SOON, ..small() }).unwrap();
    let (mut fast, mut slow) = (server.connect().await, server.connect().await);
    fast.begin_get("c/0", "").await;
    slow.begin_get("c/0", "").await;
    until(|| channel.stats().open_reads == 2).await;
    let mut writer = server.connect().await;
    let writing = tokio::spawn(async move {
        for seq in 0..12u8 {
            writer.begin_post(&format!("c/{seq}"), "").await;
            writer.chunk(&[seq; 30_000]).await;
            writer.end_post().await;
            assert_eq!(writer.answer().await.status, 200);
        }
    });
    for seq in 0..12u8 {
        for reader in [&mut fast, &mut slow] {
            if seq > 0 {
                reader.begin_get(&format!("c/{seq}"), "").await;
            }
            assert_eq!(reader.answer().await.body, vec![seq; 30_000]);
        }
        assert_eq!(channel.stats().readers, 2, "at {seq}");
    }
    writing.await.unwrap();
    assert_eq!(channel.stats().gaps, 0);
}

/// The stock Python client asks for the next segment while it reads one, and its second reader
/// takes only heads and hangs up.
#[tokio::test]
async fn a_reader_that_asks_ahead_and_one_that_reads_heads_only_hold_nobody_up() {
    let store = store();
    let server = Server::of(&store).await;
    // A ghost of either would stop the stream for longer than the test may take.
    let channel = store.create("c", Options { stall: SOON * 2, ..small() }).unwrap();
    let mut reading = server.connect().await;
    reading.begin_get("c/-2", "").await;
    let mut heads = server.connect().await;
    heads.begin_get("c/-2", "Connection: close\r\n").await;
    until(|| channel.stats().open_reads == 2).await;
    let mut writer = server.connect().await;
    let writing = tokio::spawn(async move {
        for seq in 0..30u8 {
            writer.begin_post(&format!("c/{seq}"), "").await;
            writer.chunk(&[seq; 20_000]).await;
            writer.end_post().await;
            assert_eq!(writer.answer().await.status, 200);
        }
    });
    for seq in 0..30u8 {
        let head = reading.head().await;
        assert_eq!(head.header("lp-trickle-seq"), Some(seq.to_string().as_str()));
        let mut ahead = server.connect().await;
        ahead.begin_get(&format!("c/{}", seq + 1), "").await;
        assert_eq!(heads.head().await.status, 200);
        heads = server.connect().await;
        heads.begin_get(&format!("c/{}", seq + 1), "Connection: close\r\n").await;
        let length: usize = head.header("content-length").map_or(0, |l| l.parse().unwrap());
        assert_eq!(reading.rest(length).await, vec![seq; 20_000]);
        reading = ahead;
    }
    timeout(SOON, writing).await.expect("nothing holds the publisher").unwrap();
    assert_eq!(channel.stats().gaps, 0);
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_dropped_counted_and_told_what_it_missed() {
    let store = store();
    let server = Server::of(&store).await;
    let channel = store.create("c", small()).unwrap();
    let (mut dead, mut live) = (server.connect().await, server.connect().await);
    dead.begin_get("c/0", "Framegate-Reader: dead\r\n").await;
    live.begin_get("c/0", "Framegate-Reader: live\r\n").await;
    until(|| channel.stats().open_reads == 2).await;
    let total = 24 << 20;
    let mut writer = server.connect().await;
    let writing = tokio::spawn(async move {
        writer.begin_post("c/0", "").await;
        for _ in 0..total / 65_536 {
            writer.chunk(&[1; 65_536]).await;
        }
        writer.end_post().await;
        assert_eq!(writer.answer().await.status, 200);
        writer.begin_post("c/1", "").await;
        writer.chunk(b"one").await;
        writer.end_post().await;
        assert_eq!(writer.answer().await.status, 200);
    });
    assert_eq!(live.answer().await.body.len(), total);
    live.begin_get("c/1", "Framegate-Reader: live\r\n").await;
    let one = live.answer().await;
    assert_eq!((one.body.as_slice(), one.header("framegate-missing")), (&b"one"[..], None));
    writing.await.unwrap();
    assert_eq!((channel.stats().gaps, channel.stats().readers), (1, 1));
    let mut back = server.connect().await;
    back.begin_get("c/1", "Framegate-Reader: dead\r\n").await;
    assert_eq!(back.answer().await.header("framegate-missing"), Some("0-0"));
    // Its old answer breaks off instead of ending as if it were whole.
    dead.head().await;
    let mut got = 0;
    let end = loop {
        match dead.read_chunk().await {
            Ok(Some(chunk)) => got += chunk.len(),
            other => break other,
        }
    };
    assert_eq!(end, Err(()));
    assert!(got < total);
}

#[tokio::test]
async fn a_reader_that_left_for_good_holds_the_stream_only_for_its_patience() {
    let store = store();
    let server = Server::of(&store).await;
    let channel = store.create("c", small()).unwrap();
    server.post("c/0", b"x").await;
    assert_eq!(server.get("c/0").await.body, b"x");
    let begun = Instant::now();
    for seq in 1..10 {
        assert_eq!(server.post(&format!("c/{seq}"), &[0; 30_000]).await.status, 200);
    }
    let took = begun.elapsed();
    assert!(took >= small().stall && took < small().stall * 8, "{took:?}");
    assert_eq!(channel.stats().gaps, 1);
}

#[tokio::test]
async fn a_late_reader_of_a_long_segment_is_told_where_it_begins() {
    let store = store();
    let server = Server::of(&store).await;
    let channel = store.create("c", small()).unwrap();
    let (mut writer, mut first) = (server.connect().await, server.connect().await);
    first.begin_get("c/0", "").await;
    writer.begin_post("c/0", "").await;
    let mut read = 0;
    first.send(b"").await;
    for round in 0..8 {
        writer.chunk(&[round; 32_768]).await;
        if round == 0 {
            first.head().await;
        }
        while read < (usize::from(round) + 1) * 32_768 {
            read += first.read_chunk().await.unwrap().unwrap().len();
        }
    }
    let mut late = server.connect().await;
    late.begin_get("c/-2", "").await;
    let offset: usize = late.head().await.header("framegate-offset").unwrap().parse().unwrap();
    writer.end_post().await;
    let mut got = 0;
    while let Some(chunk) = late.read_chunk().await.unwrap() {
        got += chunk.len();
    }
    assert_eq!(offset + got, 8 * 32_768);
    assert!(got <= small().window_bytes, "{got}");
    assert_eq!(channel.stats().gaps, 0);
}

#[tokio::test]
async fn a_lossy_channel_never_waits_and_reports_every_missing_range() {
    let store = store();
    let server = Server::of(&store).await;
    let channel = store.create("c", Options { lossy: true, stall: SOON, ..small() }).unwrap();
    let named = "Framegate-Reader: r\r\n";
    server.post("c/0", b"zero").await;
    let zero = server.ask("GET", "c/0", named, b"").await;
    assert_eq!(zero.body, b"zero");
    for seq in 1..20 {
        assert_eq!(server.post(&format!("c/{seq}"), &[seq; 100]).await.status, 200);
    }
    let gone = server.ask("GET", "c/1", named, b"").await;
    assert_eq!((gone.status, gone.header("lp-trickle-latest")), (470, Some("20")));
    server.post("c/20", b"newest").await;
    let newest = server.ask("GET", "c/20", named, b"").await;
    assert_eq!(newest.body, b"newest");
    assert_eq!(newest.header("framegate-missing"), Some("1-19"));
    assert_eq!(channel.stats().gaps, 1);
}

#[tokio::test(start_paused = true)]
async fn a_channel_in_use_is_never_swept() {
    let store = store();
    let writing = store.create("writing", lossless()).unwrap();
    let reading = store.create("reading", lossless()).unwrap();
    store.create("idle", lossless()).unwrap();
    let writer = writing.begin(None, false).unwrap();
    let get = reading.open(Ask::Next, None).unwrap();
    tokio::time::advance(Duration::from_secs(301)).await;
    assert_eq!(store.sweep(), ["idle"]);
    assert!(store.get("writing").is_some() && store.get("reading").is_some());
    drop((writer, get));
    tokio::time::advance(Duration::from_secs(301)).await;
    assert_eq!(
        {
            let mut swept = store.sweep();
            swept.sort();
            swept
        },
        ["reading", "writing"]
    );
}
