//! Whether a session's gateway is still there, as far as connections tell: one that was killed says
//! nothing, and its slot must not wait for [`domain::session::IDLE_MAX`].
//!
//! **Invariant:** who never read events and broke off no segment is not judged: somebody who sends and
//! fetches single segments by hand holds no connection between them.

use std::time::{Duration, Instant};

use crate::channels::Channels;

/// Time without any connection after which a gateway counts as gone, so that with a look at the clock
/// its slot is free within a second. One that only reconnects is back before.
const GONE_MAX: Duration = Duration::from_millis(400);

/// What connections a session has.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Connections {
    /// Segments being written or read, of any channel.
    any: bool,
    /// Whether anybody ever waited for events; between two looks it may have come and gone.
    heeded: bool,
    /// Whether a segment of the input broke off.
    cut: bool,
}

impl Connections {
    /// Looks at the channels of a session.
    pub(crate) fn of(channels: &Channels) -> Self {
        let input = channels.input.stats();
        let events = channels.events.stats();
        let reads = channels.output.stats().open_reads + events.open_reads;
        Self {
            any: input.open_writes + reads > 0,
            heeded: events.reads > 0,
            cut: input.segments_cut > 0,
        }
    }
}

/// What was seen of a gateway's connections.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    absent_since: Option<Instant>,
}

impl Presence {
    /// Takes what is seen at `now`; says whether the gateway is gone.
    pub(crate) fn is_gone(&mut self, seen: Connections, now: Instant) -> bool {
        if seen.any || !(seen.heeded || seen.cut) {
            self.absent_since = None;
            return false;
        }
        now >= *self.absent_since.get_or_insert(now) + GONE_MAX
    }
}

#[cfg(test)]
#[test]
fn a_gateway_without_connections_is_gone_and_one_that_comes_back_is_not() {
    let start = Instant::now();
    let none = Connections::default();
    let left = Connections { heeded: true, ..none };
    let here = Connections { any: true, ..left };
    let mut unseen = Presence::default();
    assert!(!unseen.is_gone(none, start));
    assert!(!unseen.is_gone(none, start + GONE_MAX * 4), "it has not connected yet");
    let cut = Connections { cut: true, ..none };
    assert!(!unseen.is_gone(cut, start));
    assert!(unseen.is_gone(cut, start + GONE_MAX));
    let mut seen = Presence::default();
    assert!(!seen.is_gone(here, start));
    assert!(!seen.is_gone(left, start));
    assert!(!seen.is_gone(here, start + GONE_MAX));
    assert!(!seen.is_gone(left, start + GONE_MAX), "the time begins anew");
    assert!(seen.is_gone(left, start + GONE_MAX * 2));
    let mut missed = Presence::default();
    assert!(!missed.is_gone(left, start), "it came and went between two looks");
    assert!(missed.is_gone(left, start + GONE_MAX));
}
