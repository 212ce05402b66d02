//! Quotes: which price was promised to whom.
//!
//! A gateway is quoted in the `OrchestratorInfo` that it asks for; the auth token in it names the
//! quote, and a start is charged by the quote whose token it presents. The table forgets a quote
//! when its token expires and holds a bounded number of them.
//!
//! **Invariant:** a quote never changes once it is made.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use domain::capability::Capability;

/// Quotes held at once: one gateway asks every few seconds and a token lives half an hour, so this
/// serves some thirty gateways at 5 s intervals. Beyond it the oldest quote goes first.
pub(crate) const QUOTES_MAX: usize = 10_000;

/// Prices promised under one token: wei for one lot of live video, by capability.
pub(crate) type Prices = BTreeMap<Capability, u64>;

/// The quotes that stand.
#[derive(Debug)]
pub(crate) struct QuoteTable {
    life: Duration,
    by_session: BTreeMap<String, (Prices, Instant)>,
    order: VecDeque<(String, Instant)>,
}

impl QuoteTable {
    /// Creates an empty table whose quotes stand for `life`.
    pub(crate) const fn new(life: Duration) -> Self {
        Self { life, by_session: BTreeMap::new(), order: VecDeque::new() }
    }

    /// Keeps `prices` under the token's `session_id`.
    pub(crate) fn insert(&mut self, session_id: &str, prices: Prices, now: Instant) {
        self.forget(now);
        let expires_at = now + self.life;
        self.by_session.insert(session_id.to_owned(), (prices, expires_at));
        self.order.push_back((session_id.to_owned(), expires_at));
        while self.order.len() > QUOTES_MAX {
            self.drop_oldest();
        }
    }

    /// Returns the price promised for `capability` under `session_id`, if that quote stands.
    pub(crate) fn price(
        &self,
        session_id: &str,
        capability: &Capability,
        now: Instant,
    ) -> Option<u64> {
        let (prices, expires_at) = self.by_session.get(session_id)?;
        if *expires_at <= now { None } else { prices.get(capability).copied() }
    }

    fn forget(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(_, expires_at)| *expires_at <= now) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((session_id, _)) = self.order.pop_front() {
            self.by_session.remove(&session_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices(wei: u64) -> Prices {
        Prices::from([(Capability::live("sketch-video").unwrap(), wei)])
    }

    #[test]
    fn a_quote_stands_until_it_expires_whatever_is_quoted_later() {
        let sketch = Capability::live("sketch-video").unwrap();
        let start = Instant::now();
        let mut table = QuoteTable::new(Duration::from_secs(60));
        table.insert("first", prices(3), start);
        table.insert("later", prices(9), start + Duration::from_secs(30));
        assert_eq!(table.price("first", &sketch, start + Duration::from_secs(59)), Some(3));
        assert_eq!(table.price("first", &sketch, start + Duration::from_secs(60)), None);
        assert_eq!(table.price("later", &sketch, start + Duration::from_secs(60)), Some(9));
        assert_eq!(table.price("never", &sketch, start), None);
        let other = Capability::live("pass-frames").unwrap();
        assert_eq!(table.price("later", &other, start), None);
    }

    #[test]
    fn the_table_is_bounded_and_drops_the_oldest() {
        let start = Instant::now();
        let mut table = QuoteTable::new(Duration::from_secs(60));
        for index in 0..=QUOTES_MAX {
            table.insert(&index.to_string(), prices(1), start);
        }
        let sketch = Capability::live("sketch-video").unwrap();
        assert_eq!(table.price("0", &sketch, start), None);
        assert_eq!(table.price("1", &sketch, start), Some(1));
    }
}
