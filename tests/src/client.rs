//! A live client made of `wire`'s own parts, for tests that pace themselves.
//!
//! **Invariant:** it judges nothing and hides nothing: bytes in order, gaps as they were told.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use serde_json::Value;
use tokio::time::sleep;
use wire::client::{Client, Config};
use wire::livepeer::{LiveAnswer, LiveStart};
use wire::tls::Pins;
use wire::trickle::{Ask, PublishError, Publisher, Subscriber};
use wire::ts::{Event, Scanner};

/// Media type of live media.
const MPEG_TS: &str = "video/MP2T";
/// Longest event.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// How a publisher paces itself.
#[derive(Debug, Clone, Copy)]
pub struct Paced {
    /// Parts of a segment.
    pub pieces: usize,
    /// Time for a segment.
    pub lasting: Duration,
    /// Segment before which it pauses.
    pub pause_before: Option<usize>,
    /// For how long.
    pub pause: Duration,
}

/// A picture that arrived.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// When.
    pub at: std::time::Instant,
    /// Its time in ticks of 1/90,000 s.
    pub pts: i64,
    /// Whether decoding can begin there.
    pub key: bool,
}

/// A started live job.
pub struct LiveJob {
    client: Client,
    /// What the gateway answered.
    pub answer: LiveAnswer,
}

impl LiveJob {
    /// Starts `pipeline` at the gateway with JSON `params`.
    pub async fn start(gateway: &str, pipeline: &str, params: &str) -> Self {
        let client = Client::new(Pins::default(), Config::default());
        let params = serde_json::value::RawValue::from_string(params.to_owned());
        let start = LiveStart {
            model_id: pipeline.to_owned(),
            params: Some(params.expect("the test's own JSON")),
            ..LiveStart::default()
        };
        let body = serde_json::to_vec(&start).expect("a start is plain JSON");
        let request = Request::post(format!("{gateway}/live-video-to-video"))
            .header("content-type", "application/json")
            .body(Bytes::from(body))
            .expect("the URL is the rig's own");
        let answer = client.exchange(request).await.expect("the gateway answers");
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        assert_eq!(answer.status(), 200, "{text}");
        let answer = serde_json::from_str(&text).expect("an answer to a start");
        Self { client, answer }
    }

    /// Ends the job as its client may.
    pub async fn cancel(&self, gateway: &str) {
        let request = Request::delete(format!("{gateway}/v1/jobs/{}", self.answer.job))
            .header("authorization", format!("Bearer {}", self.answer.job_token))
            .body(Bytes::new())
            .expect("the URL is the rig's own");
        let answer = self.client.exchange(request).await.expect("the gateway answers");
        assert_eq!(answer.status(), 200, "{}", self.answer.job);
    }

    /// Begins a segment with `bytes`, which are read, and leaves everything: no connection of this
    /// client's stays.
    pub async fn vanish(self, bytes: Bytes) {
        let mut publisher = Publisher::new(self.client.clone(), &self.answer.publish_url, MPEG_TS);
        let mut segment = publisher.begin();
        segment.write(bytes).await.expect("the gateway takes it");
        assert!(self.gives_output().await, "the output is there");
    }

    /// Publishes each segment in `pieces` equal parts over `lasting`, as a camera would, and closes
    /// the input. Before segment `pause_before` nothing is sent for `pause`. An error if the gateway
    /// does not take all of it.
    pub async fn publish_paced(
        &self,
        segments: &[Bytes],
        paced: Paced,
    ) -> Result<(), PublishError> {
        let mut publisher = Publisher::new(self.client.clone(), &self.answer.publish_url, MPEG_TS);
        let mut due = tokio::time::Instant::now();
        for (number, segment) in segments.iter().enumerate() {
            if paced.pause_before == Some(number) {
                due += paced.pause;
            }
            let mut post = publisher.begin();
            let part = segment.len().div_ceil(paced.pieces);
            for piece in segment.chunks(part.max(1)) {
                tokio::time::sleep_until(due).await;
                post.write(Bytes::copy_from_slice(piece)).await?;
                due += paced.lasting / u32::try_from(paced.pieces).unwrap_or(u32::MAX);
            }
            post.end().await?;
        }
        publisher.close().await
    }

    /// Reads the whole output as it comes; tells each picture's time (1/90,000 s) and when it came.
    pub async fn watch(&self, seen: &std::sync::Mutex<Vec<Arrival>>) -> Vec<u8> {
        let url = &self.answer.subscribe_url;
        let mut subscriber = Subscriber::new(self.client.clone(), url, Ask::Seq(0));
        let (mut output, mut scanner) = (Vec::new(), Scanner::new());
        let mut note = |event| {
            if let Event::Unit { track, pts: Some(pts), key, .. } = event
                && track.kind.is_video()
            {
                let at = std::time::Instant::now();
                seen.lock().expect("nobody panics").push(Arrival { at, pts, key });
            }
        };
        while subscriber.next_segment().await.expect("the output can be read").is_some() {
            while let Some(chunk) = subscriber.chunk().await.expect("a segment can be read") {
                output.extend_from_slice(&chunk);
                scanner.feed(&chunk, &mut note);
            }
        }
        scanner.finish(&mut note);
        output
    }

    /// Asks for the job's record.
    pub async fn record(&self, gateway: &str) -> Value {
        let request = Request::get(format!("{gateway}/v1/jobs/{}", self.answer.job))
            .header("authorization", format!("Bearer {}", self.answer.job_token))
            .body(Bytes::new())
            .expect("the URL is the rig's own");
        let answer = self.client.exchange(request).await.expect("the gateway answers");
        serde_json::from_slice(answer.body()).expect("a record is JSON")
    }

    /// Publishes each piece as a segment, as fast as it is taken, and closes the input.
    pub async fn publish(&self, segments: &[Bytes]) {
        self.begin(segments).await.close().await.expect("the input can be closed");
    }

    /// Publishes each piece as a segment, and leaves the input open.
    pub async fn begin(&self, segments: &[Bytes]) -> Publisher {
        let mut publisher = Publisher::new(self.client.clone(), &self.answer.publish_url, MPEG_TS);
        for segment in segments {
            publisher.send(segment.clone()).await.expect("a segment is taken");
        }
        publisher
    }

    /// Waits for the first bytes of the output; whether they come.
    pub async fn gives_output(&self) -> bool {
        let url = &self.answer.subscribe_url;
        let mut subscriber = Subscriber::new(self.client.clone(), url, Ask::Seq(0));
        let begun = subscriber.next_segment().await.expect("the output can be read").is_some();
        begun && subscriber.chunk().await.expect("a segment can be read").is_some()
    }

    /// Reads the whole output at `bytes_per_second` and returns it with the segments told missing.
    pub async fn read(&self, bytes_per_second: u64) -> (Vec<u8>, u64) {
        let url = &self.answer.subscribe_url;
        let mut subscriber = Subscriber::new(self.client.clone(), url, Ask::Seq(0));
        let (mut output, mut missing) = (Vec::new(), 0);
        while let Some(start) = subscriber.next_segment().await.expect("the output can be read") {
            missing += start.missing.map_or(0, |gap| gap.to - gap.from + 1) + start.offset;
            while let Some(chunk) = subscriber.chunk().await.expect("a segment can be read") {
                let micros = chunk.len() as u64 * 1_000_000 / bytes_per_second;
                output.extend_from_slice(&chunk);
                sleep(Duration::from_micros(micros)).await;
            }
        }
        (output, missing)
    }

    /// Reads events until the last one and returns it.
    pub async fn ended(&self) -> Value {
        self.events().await.pop().unwrap_or_default()
    }

    /// Reads events until the last one and returns all.
    pub async fn events(&self) -> Vec<Value> {
        let url = &self.answer.events_url;
        let mut subscriber = Subscriber::new(self.client.clone(), url, Ask::Seq(0));
        let mut events = Vec::new();
        while let Some(message) =
            subscriber.message(EVENT_BYTES_MAX).await.expect("events can be read")
        {
            events.push(serde_json::from_slice(&message).expect("an event is JSON"));
        }
        events
    }
}
