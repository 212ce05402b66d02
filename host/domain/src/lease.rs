//! Leases: claims on the slots of one device, bounded in time.
//!
//! The table decides who holds a slot; it reads no clock and touches no device.
//!
//! **Invariant:** live leases never outnumber the slots.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::id::{LeaseId, SessionId};
use crate::session::{DRAIN_MAX, IDLE_MAX};

/// Life of a lease that nothing renews. A session without input is noticed after [`IDLE_MAX`] and
/// then flushes its tail for up to [`DRAIN_MAX`], on the device; with 5 s for an owner that looks at
/// its clock late, a lease never ends before the session it stands for.
pub const LEASE_LIFE: Duration =
    IDLE_MAX.saturating_add(DRAIN_MAX).saturating_add(Duration::from_secs(5));

/// Why a lease was not granted or renewed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// Every slot is taken.
    #[error("no slot free for `{session}` (0 of {slots_total})")]
    Exhausted {
        /// Who asked.
        session: SessionId,
        /// All slots of the device.
        slots_total: u32,
    },
    /// Expired, released or never granted.
    #[error("`{0}` is not live")]
    NotLive(LeaseId),
}

#[derive(Debug)]
struct Lease {
    session: SessionId,
    expires_at: Instant,
}

/// The leases of one device.
#[derive(Debug)]
pub struct LeaseTable {
    slots_total: u32,
    next: u64,
    live: BTreeMap<LeaseId, Lease>, // Ordered, so that expiry is the same in every run.
}

impl LeaseTable {
    /// Creates a table whose `slots_total` slots are all free.
    pub const fn new(slots_total: u32) -> Self {
        Self { slots_total, next: 1, live: BTreeMap::new() }
    }

    /// Claims a slot for `session`.
    pub fn grant(&mut self, session: SessionId, now: Instant) -> Result<LeaseId, LeaseError> {
        if self.slots_free() == 0 {
            return Err(LeaseError::Exhausted { session, slots_total: self.slots_total });
        }
        let id = LeaseId(self.next);
        self.next += 1;
        self.live.insert(id, Lease { session, expires_at: now + LEASE_LIFE });
        Ok(id)
    }

    /// Prolongs a live lease to [`LEASE_LIFE`] from `now`.
    pub fn renew(&mut self, id: LeaseId, now: Instant) -> Result<(), LeaseError> {
        let lease = self.live.get_mut(&id).ok_or(LeaseError::NotLive(id))?;
        // One past its time stays dead though nobody has collected it yet: its session may have
        // been told already.
        if lease.expires_at <= now {
            return Err(LeaseError::NotLive(id));
        }
        lease.expires_at = now + LEASE_LIFE;
        Ok(())
    }

    /// Gives a slot back; doing it twice changes nothing.
    pub fn release(&mut self, id: LeaseId) {
        self.live.remove(&id);
    }

    /// Drops every lease past its time and returns the sessions that lost theirs.
    pub fn expire(&mut self, now: Instant) -> Vec<SessionId> {
        let dead = self.live.extract_if(.., |_, lease| lease.expires_at <= now);
        dead.map(|(_, lease)| lease.session).collect()
    }

    /// Returns how many slots nobody holds.
    pub fn slots_free(&self) -> u32 {
        let held = u32::try_from(self.live.len()).unwrap_or(u32::MAX);
        self.slots_total.saturating_sub(held)
    }

    /// Returns how many slots there are.
    pub const fn slots_total(&self) -> u32 {
        self.slots_total
    }
}

#[cfg(test)]
#[test]
#[expect(clippy::disallowed_methods, reason = "a test starts its own clock")]
fn a_slot_comes_back_when_its_lease_is_released_or_forgotten() {
    let start = Instant::now();
    let mut table = LeaseTable::new(1);
    let lease = table.grant(SessionId(1), start).expect("a free slot");
    let refusal = table.grant(SessionId(2), start).unwrap_err();
    assert_eq!(refusal.to_string(), "no slot free for `session-2` (0 of 1)");
    table.renew(lease, start + LEASE_LIFE / 2).expect("still live");
    assert_eq!(table.expire(start + LEASE_LIFE), []);
    let late = start + LEASE_LIFE * 2;
    assert_eq!(table.renew(lease, late), Err(LeaseError::NotLive(lease)));
    assert_eq!(table.expire(late), [SessionId(1)]);
    let again = table.grant(SessionId(3), late).expect("the slot came back");
    table.release(again);
    table.release(again);
    assert_eq!(table.slots_free(), 1);
}
