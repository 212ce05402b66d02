//! Telling a stall from a pause: an orchestrator that takes input and gives nothing for too long
//! has stalled; one whose client sends nothing, or does not read, has not.
//!
//! It knows the stream's own segment time and the longest wait that was normal so far, so that
//! neither short segments nor a pipeline that speaks seldom count as a stall.
//!
//! **Invariant:** time in which the client sent nothing, or in which output waited for the client,
//! never counts.

use std::time::{Duration, Instant};

/// Segment times without output: below the three after which somebody else should be at work, so
/// that noticing, finding, starting and decoding fit in.
const SEGMENTS: u32 = 2;
/// The least that counts as a stall: segments of half a second with a fixed overhead of 0.6 s are
/// normal.
const STALL_MIN: Duration = Duration::from_millis(1500);
/// The most that is waited for: beyond it nobody watches any more.
const STALL_MAX: Duration = Duration::from_secs(15);
/// Time for the first output: a decoder is opened, tables are filled, a model may warm up.
const FIRST_MAX: Duration = Duration::from_secs(10);

/// Watches the flow through one orchestrator.
#[derive(Debug)]
pub struct Flow {
    segment: Duration,
    /// Input came and no output since.
    waiting_since: Option<Instant>,
    input_at: Option<Instant>,
    /// Longest time from input to output so far; `None` before the first output.
    longest: Option<Duration>,
}

impl Flow {
    /// Begins to watch; `segment` is the stream's segment time as far as it is known.
    pub const fn new(segment: Duration) -> Self {
        Self { segment, waiting_since: None, input_at: None, longest: None }
    }

    /// Notes the stream's segment time: the time from one key frame to the next.
    pub const fn segment(&mut self, segment: Duration) {
        self.segment = segment;
    }

    /// Notes that input was sent on, or waits because the orchestrator takes none.
    pub fn input(&mut self, now: Instant) {
        // After a pause of the client's the orchestrator gets its time anew.
        let pause = self.limit() / 2;
        let paused = self.input_at.is_none_or(|at| now.saturating_duration_since(at) > pause);
        if paused || self.waiting_since.is_none() {
            self.waiting_since = Some(now);
        }
        self.input_at = Some(now);
    }

    /// Notes output.
    pub fn output(&mut self, now: Instant) {
        let waited = self.waiting_since.take().map(|since| now.saturating_duration_since(since));
        self.longest = Some(self.longest.unwrap_or_default().max(waited.unwrap_or_default()));
    }

    /// Notes that output waits for the client, or that a stall could not be helped.
    pub const fn excuse(&mut self) {
        self.waiting_since = None;
    }

    /// Returns for how long the orchestrator has stalled, if it has.
    pub fn stalled(&self, now: Instant) -> Option<Duration> {
        let waited = now.saturating_duration_since(self.waiting_since?);
        // With a client that is silent nothing can be concluded.
        let flows = now.saturating_duration_since(self.input_at?) <= self.limit() / 2;
        (flows && waited >= self.limit()).then_some(waited)
    }

    fn limit(&self) -> Duration {
        let Some(longest) = self.longest else { return FIRST_MAX };
        self.segment.saturating_mul(SEGMENTS).max(longest * 2).clamp(STALL_MIN, STALL_MAX)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test starts its own clock")]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Feeds input every 40 ms for `lasting`, with output after `delay` unless it stalls.
    fn flow(flow: &mut Flow, from: Instant, lasting: Duration, answers: bool) -> Instant {
        let (mut now, end) = (from, from + lasting);
        while now < end {
            flow.input(now);
            if answers {
                flow.output(now + Duration::from_millis(20));
            }
            now += Duration::from_millis(40);
        }
        now
    }

    #[test]
    fn output_that_stays_away_while_input_flows_is_a_stall_within_three_segment_times() {
        let start = Instant::now();
        let mut watch = Flow::new(SECOND);
        let now = flow(&mut watch, start, SECOND * 5, true);
        assert_eq!(watch.stalled(now), None);
        let later = flow(&mut watch, now, SECOND * 3 / 2, false);
        assert_eq!(watch.stalled(later), None);
        let later = flow(&mut watch, later, SECOND * 3 / 4, false);
        assert!(watch.stalled(later).is_some_and(|waited| waited < SECOND * 5 / 2));
    }

    #[test]
    fn a_client_that_pauses_or_does_not_read_makes_nobody_stall() {
        let start = Instant::now();
        let mut watch = Flow::new(SECOND);
        let mut now = flow(&mut watch, start, SECOND * 5, true);
        watch.input(now);
        for _ in 0..10 {
            now += SECOND;
            assert_eq!(watch.stalled(now), None, "it is the client that says nothing");
        }
        now = flow(&mut watch, now, SECOND, false);
        assert_eq!(watch.stalled(now), None, "its time begins anew after the pause");
        for _ in 0..100 {
            now = flow(&mut watch, now, SECOND / 10, false);
            watch.excuse();
            assert_eq!(watch.stalled(now), None, "the output waits for its reader");
        }
    }

    #[test]
    fn short_segments_and_a_pipeline_that_speaks_seldom_are_no_stall() {
        let start = Instant::now();
        let mut watch = Flow::new(SECOND / 2);
        let mut now = start;
        for _ in 0..20 {
            now = flow(&mut watch, now, Duration::from_millis(1100), false);
            assert_eq!(watch.stalled(now), None, "half a second of overhead on each segment");
            watch.output(now);
        }
        let mut seldom = Flow::new(SECOND);
        now = flow(&mut seldom, now, SECOND * 6, false);
        assert_eq!(seldom.stalled(now), None, "the first output takes its time");
        seldom.output(now);
        now = flow(&mut seldom, now, SECOND * 8, false);
        assert_eq!(seldom.stalled(now), None, "it took six seconds before");
        now = flow(&mut seldom, now, SECOND * 5, false);
        assert!(seldom.stalled(now).is_some());
    }
}
