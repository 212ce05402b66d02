//! Any sequence of requests to a trickle server: method, path, headers and body are the stranger's.
//!
//! An input is a text: a line `METHOD PATH NAME=VALUE …` a request, and where the next line begins
//! with `|`, its body. A request whose line begins with `&` is under way while later ones are sent.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Full};
use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tokio::time::timeout;
use wire::trickle::server::answer;
use wire::trickle::{Limits, Options, Store};

use crate::Target;

/// Requests to a trickle server.
pub const TARGET: Target = Target { name: "trickle", feed, seeds };

const BASE: &str = "/ai/trickle/";
/// Requests of one input.
const REQUESTS_MAX: usize = 16;
/// A read of what nobody writes waits, as it should; here it need not wait long.
const WAIT: Duration = Duration::from_millis(1);
/// Channels that there may be.
const CHANNELS_MAX: usize = 3;
/// Bytes that wait in a channel: little, so that an input can fill it.
const WINDOW_BYTES: usize = 256;

/// Reads a request; `None` if no client could send it.
fn request(line: &[u8], body: &[u8]) -> Option<Request<Full<Bytes>>> {
    let mut words = line.split(|byte| *byte == b' ');
    let method = Method::from_bytes(words.next()?).ok()?;
    let path = std::str::from_utf8(words.next()?).ok()?;
    let mut request = Request::builder().method(method).uri(format!("{BASE}{path}"));
    for header in words {
        let at = header.iter().position(|byte| *byte == b'=')?;
        let name = HeaderName::from_bytes(&header[..at]).ok()?;
        request = request.header(name, HeaderValue::from_bytes(&header[at + 1..]).ok()?);
    }
    request.body(Full::new(Bytes::copy_from_slice(body))).ok()
}

async fn send(store: Store, request: Request<Full<Bytes>>) {
    let whole = async {
        let answer = answer(&store, BASE, request).await;
        let _ = answer.into_body().collect().await;
    };
    let _ = timeout(WAIT, whole).await;
}

fn feed(bytes: &[u8]) {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let options = Options { window_bytes: WINDOW_BYTES, ..Options::of_type("video/mp2t") };
        let create_by_post = Some(options);
        let store =
            Store::new(Limits { channels_max: CHANNELS_MAX, create_by_post, ..Limits::default() });
        let mut under_way = Vec::new();
        let mut lines = bytes.split(|byte| *byte == b'\n').peekable();
        for _ in 0..REQUESTS_MAX {
            let Some(line) = lines.next() else { break };
            let body = lines.next_if(|next| next.starts_with(b"|")).map_or(&[][..], |b| &b[1..]);
            let (line, later) = line.strip_prefix(b"&").map_or((line, false), |line| (line, true));
            let Some(request) = request(line, body) else { continue };
            let sent = tokio::task::spawn_local(send(store.clone(), request));
            if later {
                under_way.push(sent);
                tokio::task::yield_now().await;
            } else {
                sent.await.expect("the server does not panic");
            }
        }
        for sent in under_way {
            sent.await.expect("the server does not panic");
        }
        store.sweep();
        let channels = store.all();
        assert!(channels.len() <= CHANNELS_MAX, "{} channels", channels.len());
        for channel in &channels {
            let stats = channel.stats();
            assert_eq!(
                (stats.open_writes, stats.open_reads),
                (0, 0),
                "a request that ended is gone"
            );
        }
    });
}

fn seeds() -> Vec<Vec<u8>> {
    let long = format!("POST a/0\n|{}\n", "x".repeat(WINDOW_BYTES * 2));
    let texts = [
        "POST a expect-content=video/mp2t\nPOST a/0\n|first\nPOST a/1\n|second\nGET a/0\nGET a/1",
        "POST a/0 content-type=text/plain\n|x\nGET a/-2\nGET a/next\nDELETE a\nGET a/0\nGET a/1",
        "POST a\n&GET a/-1 framegate-reader=r1\n&GET a/0\nPOST a/-1\n|x\nPOST a/1\n|y\nDELETE a",
        "POST a/5\n|x\nPOST a/3\n|late\nPOST a/9 lp-trickle-reset=1\n|y\nGET a/6\nDELETE a/9",
        "POST a\nPOST b\nPOST c\nPOST d\nDELETE b\nPOST d\nGET ../a/0\nPUT a/0\n|x\nPATCH a/0",
        "&POST a/0\n|x\n&POST a/0\n|y\nGET a/0 framegate-reader=one\nGET a/0 framegate-reader=two",
        "GET a/18446744073709551615\nPOST a/18446744073709551614\n|x\nGET a/-3\nPOST a/-2",
        &long,
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}
