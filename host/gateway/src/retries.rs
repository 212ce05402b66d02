//! Starts that a client may repeat: the same `Idempotency-Key` from the same address is the same job,
//! whether the first answer got lost or is still being worked out.
//!
//! **Invariants:** a refused start is forgotten, so that a repeat tries anew; at most
//! [`KEYS_MAX`] keys are kept, for as long as records are.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use http::{HeaderMap, HeaderName};
use tokio::sync::watch;
use wire::livepeer::LiveAnswer;

use crate::open::Answer;
use crate::record::{KEPT, RECORDS_MAX};

/// The header that names a start.
pub(crate) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Keys kept at once: as many as records.
const KEYS_MAX: usize = RECORDS_MAX;

/// Who starts, and under which key.
pub(crate) type Name = (IpAddr, String);

#[derive(Debug)]
struct Start {
    answer: watch::Receiver<Option<LiveAnswer>>,
    at: Instant,
}

/// The starts that were made under a key.
#[derive(Debug, Default)]
pub(crate) struct Retries {
    starts: BTreeMap<Name, Start>,
}

/// What a start under a key is.
#[derive(Debug)]
pub(crate) enum Turn {
    /// The first one: it is made, and answered to those that come after.
    First(watch::Sender<Option<LiveAnswer>>),
    /// A repeat: the answer comes, unless the first one is refused or gone.
    Again(watch::Receiver<Option<LiveAnswer>>),
}

/// Returns the name of a start, if its client gave it one that can be used.
pub(crate) fn name(client: IpAddr, headers: &HeaderMap) -> Option<Name> {
    let key = wire::header::id_in(headers, &KEY)?;
    Some((client, key.to_owned()))
}

impl Retries {
    /// Begins a start, or finds the one that it repeats.
    pub(crate) fn begin(&mut self, name: &Name, now: Instant) -> Turn {
        // One whose maker is gone without an answer is no start.
        let stands =
            |start: &Start| start.answer.borrow().is_some() || start.answer.has_changed().is_ok();
        self.starts.retain(|_, start| now < start.at + KEPT && stands(start));
        if let Some(start) = self.starts.get(name) {
            return Turn::Again(start.answer.clone());
        }
        let (sender, answer) = watch::channel(None);
        if self.starts.len() < KEYS_MAX {
            self.starts.insert(name.clone(), Start { answer, at: now });
        }
        Turn::First(sender)
    }
}

/// Answers a start for those that repeat it.
pub(crate) fn settle(sender: &watch::Sender<Option<LiveAnswer>>, answer: &Answer) {
    if let Ok(answer) = answer {
        sender.send_replace(Some(answer.clone()));
    }
}

/// Waits for the answer of the start that is repeated; nothing if it was refused or given up.
pub(crate) async fn repeated(
    mut answer: watch::Receiver<Option<LiveAnswer>>,
) -> Option<LiveAnswer> {
    answer.wait_for(Option::is_some).await.ok()?.clone()
}

#[cfg(test)]
#[tokio::test]
async fn a_repeated_start_is_the_same_job_and_a_refused_one_is_tried_anew() {
    use std::net::Ipv4Addr;
    use wire::error::{Refusal, Word};

    let name = (IpAddr::V4(Ipv4Addr::LOCALHOST), "key".to_owned());
    let (mut retries, now) = (Retries::default(), Instant::now());
    let Turn::First(sender) = retries.begin(&name, now) else { panic!("nobody was before") };
    let Turn::Again(waiting) = retries.begin(&name, now) else { panic!("it is a repeat") };
    let answer = LiveAnswer { job: "job-7".to_owned(), ..LiveAnswer::default() };
    settle(&sender, &Ok(answer.clone()));
    drop(sender);
    assert_eq!(repeated(waiting).await, Some(answer.clone()));
    let Turn::Again(later) = retries.begin(&name, now) else { panic!("it is a repeat") };
    assert_eq!(repeated(later).await, Some(answer));
    let other = (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), "key".to_owned());
    let Turn::First(sender) = retries.begin(&other, now) else { panic!("another client") };
    let Turn::Again(waiting) = retries.begin(&other, now) else { panic!("it is a repeat") };
    settle(&sender, &Err(Refusal::new(Word::NoSlot, "full")));
    drop(sender);
    assert_eq!(repeated(waiting).await, None);
    assert!(matches!(retries.begin(&other, now), Turn::First(_)));
    assert!(matches!(retries.begin(&name, now + KEPT), Turn::First(_)));
}
