//! Any sequence of requests to a trickle server: method, path, headers and body are the stranger's.

#![no_main]

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method, Request};
use http_body_util::{BodyExt as _, Full};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Builder;
use tokio::time::timeout;
use wire::trickle::server::answer;
use wire::trickle::{Limits, Options, Store};

const BASE: &str = "/ai/trickle/";
/// Requests of one input.
const REQUESTS_MAX: usize = 16;
/// A read of what nobody writes waits, as it should; here it need not wait long.
const WAIT: Duration = Duration::from_millis(1);
/// Channels that there may be.
const CHANNELS_MAX: usize = 3;
const METHODS: [Method; 5] =
    [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH];
const CHANNELS: [&str; 5] = ["a", "b", "c-events", "d", ""];
/// Headers that the server reads.
const HEADERS: [HeaderName; 5] = [
    http::header::CONTENT_TYPE,
    http::header::CONTENT_LENGTH,
    wire::header::EXPECT_CONTENT,
    wire::header::READER,
    wire::header::TRICKLE_RESET,
];

/// Reads a request; `None` if no client could send it.
fn request(input: &mut Unstructured<'_>) -> Result<Option<Request<Full<Bytes>>>> {
    let method = METHODS[input.choose_index(METHODS.len())?].clone();
    let channel = input.choose(&CHANNELS)?;
    let path = match input.int_in_range(0..=4)? {
        0 => format!("{BASE}{channel}"),
        1 => format!("{BASE}{channel}/{}", input.int_in_range(0..=40)?),
        2 => format!("{BASE}{channel}/-1"),
        3 => format!("{BASE}{channel}/-2"),
        _ => format!("{BASE}{channel}/{}", input.arbitrary::<&str>()?),
    };
    let mut request = Request::builder().method(method).uri(path);
    for _ in 0..input.int_in_range(0..=3)? {
        let name = HEADERS[input.choose_index(HEADERS.len())?].clone();
        request = request.header(name, input.arbitrary::<&[u8]>()?);
    }
    let body = Bytes::copy_from_slice(input.arbitrary()?);
    Ok(request.body(Full::new(body)).ok())
}

fuzz_target!(|bytes: &[u8]| {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let mut input = Unstructured::new(bytes);
    runtime.block_on(async {
        let create_by_post = Some(Options::of_type("video/mp2t"));
        let channels_max = CHANNELS_MAX;
        let store = Store::new(Limits { channels_max, create_by_post, ..Limits::default() });
        for _ in 0..REQUESTS_MAX {
            let Ok(request) = request(&mut input) else { break };
            let Some(request) = request else { continue };
            let whole = async {
                let answer = answer(&store, BASE, request).await;
                let _ = answer.into_body().collect().await;
            };
            let _ = timeout(WAIT, whole).await;
            if input.is_empty() {
                break;
            }
        }
        assert!(store.all().len() <= CHANNELS_MAX, "{} channels", store.all().len());
    });
});
