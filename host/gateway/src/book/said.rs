//! What orchestrators say beside their offers: documents of their own, versions, further nodes.
//!
//! **Invariant:** what was not said reads as unknown, and a question that was not answered changes nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Book, Entry, Seat, place};

/// Who named those that are in the answers of others.
const NODES: &str = "nodes";
/// Time for which an orchestrator without a document of its own is not asked for one: it may be updated.
const MUTE: Duration = Duration::from_secs(300);

/// What an orchestrator's own offerings document says of an offering; what it leaves out is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// Where it is; empty: unknown.
    pub(crate) region: String,
    /// Digest of the pipeline's component; empty: unknown.
    pub(crate) component: String,
    /// Whether the same input gives the same pictures.
    pub(crate) deterministic: Option<bool>,
}

/// What became of the question for an orchestrator's own document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// Nobody answered.
    Unheard,
    /// It has none that can be read.
    Mute,
    /// What it says of each capability.
    Said(BTreeMap<String, Said>),
}

impl Book {
    /// Notes whether what was answered last can be used; `why`: empty, or why it cannot.
    pub(crate) fn judged(&mut self, seat: Seat, why: String) {
        if let Some(entry) = self.change(seat) {
            entry.unfit = why;
        }
    }

    /// Takes in an orchestrator that is named in the answer of `seat`, unless that one names `most`
    /// already or was itself named so; says whether it is new.
    pub(crate) fn add_node(&mut self, seat: Seat, uri: &str, most: usize) -> bool {
        let by = |entry: &&Entry| !entry.removed && entry.named_by == Some(seat);
        let first_hand = self.entries.get(seat).is_some_and(|it| it.named_by.is_none());
        if !first_hand || self.entries.iter().filter(by).count() >= most {
            return false;
        }
        let known = |entry: &Entry| place(&entry.uri) == place(uri);
        // One that the operator removed stays so.
        if self.entries.iter().any(known) || self.add(None, uri, NODES).is_err() {
            return false;
        }
        if let Some(entry) = self.entries.iter_mut().find(|entry| known(entry)) {
            entry.named_by = Some(seat);
        }
        true
    }

    /// Says whether the orchestrator is to be asked for its own document: not for a while after it had
    /// none.
    pub(crate) fn may_speak(&self, seat: Seat, now: Instant) -> bool {
        let entry = self.entries.get(seat);
        entry.is_some_and(|it| it.mute_at.is_none_or(|at| now >= at + MUTE))
    }

    /// Notes what became of the question for an orchestrator's own document.
    pub(crate) fn spoken(&mut self, seat: Seat, spoken: Spoken, now: Instant) {
        let Some(entry) = self.entries.get_mut(seat) else { return };
        let said = match spoken {
            Spoken::Unheard => return,
            Spoken::Mute => BTreeMap::new(),
            Spoken::Said(said) => said,
        };
        entry.mute_at = said.is_empty().then_some(now);
        if entry.said != said {
            entry.said = said;
            self.changes += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_taken_first_hand_only_and_no_more_than_allowed() {
        let mut book = Book::new([(None, "https://a:8935".to_owned())]);
        assert!(book.add_node(0, "https://b:8935", 2));
        assert!(!book.add_node(0, "https://b:8935/", 2), "it is known");
        assert!(!book.add_node(1, "https://c:8935", 2), "who is named so names nobody");
        assert!(book.add_node(0, "https://c:8935", 2));
        assert!(!book.add_node(0, "https://d:8935", 2), "two at most");
        let rows = book.rows(Instant::now());
        let by = rows.iter().map(|row| (row.source, row.named_by.as_ref().map(|it| it.0.as_str())));
        let named = ("nodes", Some("a:8935"));
        assert_eq!(by.collect::<Vec<_>>(), [("config", None), named, named]);
        book.remove("b:8935");
        assert!(!book.add_node(0, "https://b:8935", 2), "what was removed stays so");
    }

    #[test]
    fn a_document_that_is_not_there_reads_as_unknown_and_silence_changes_nothing() {
        let now = Instant::now();
        let mut book = Book::new([(None, "https://a:8935".to_owned())]);
        let said = Said { region: "eu".to_owned(), ..Said::default() };
        book.spoken(0, Spoken::Said([("x".to_owned(), said)].into()), now);
        assert_eq!(book.rows(now)[0].region, "eu");
        book.spoken(0, Spoken::Unheard, now);
        assert_eq!((book.rows(now)[0].region.as_str(), book.may_speak(0, now)), ("eu", true));
        book.spoken(0, Spoken::Mute, now);
        assert_eq!((book.rows(now)[0].region.as_str(), book.may_speak(0, now)), ("", false));
        assert!(book.may_speak(0, now + MUTE));
    }

    #[test]
    fn one_that_is_unfit_gets_no_work_and_says_why() {
        let now = Instant::now();
        let mut book = Book::new([(None, "https://a:8935".to_owned())]);
        book.answered(0, wire::livepeer::Quote::default(), Duration::ZERO, 0, now);
        book.judged(0, "its version `0.8.0` is below `0.9.0`".to_owned());
        let row = &book.rows(now)[0];
        assert_eq!((row.standing(), row.reachable), ("incompatible", true));
        assert!(row.detail.contains("`0.8.0`"), "{}", row.detail);
        assert!(book.offerings().is_empty());
        let absent = book.absent(&[]);
        assert!(absent[0].reason.to_string().contains("`0.9.0`"), "{}", absent[0].reason);
        book.judged(0, String::new());
        assert_eq!(book.rows(now)[0].standing(), "active");
    }
}
