//! What the client says to a running job: parameters and messages, passed on to whoever serves it,
//! and remembered for whoever serves it next.
//!
//! **Invariant:** parameters that the pipeline refused are never what another orchestrator starts
//! with.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use domain::chain;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use wire::trickle::{Ask, Channel, ChannelReader, PublishError, Publisher};

use crate::pump::Tally;

/// Longest control message that is passed on: parameters with a prompt and a workflow.
pub(crate) const CONTROL_BYTES_MAX: usize = 256 << 10;
/// How often an orchestrator is told that its client lives while it says nothing: as the network's
/// gateways do.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// What it is told.
const ALIVE: &[u8] = br#"{"keep":"alive"}"#;
/// Control messages between reading and writing: one is written while the next is read.
const CONTROL_QUEUE: usize = 1;
/// Name under which the gateway reads its own channels.
const READER: &str = "relay";

/// What the client said.
#[derive(Debug, Default)]
pub(crate) struct Steer {
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    /// The last parameters, and those before them.
    params: Option<Bytes>,
    before: Option<Bytes>,
    /// A message that no orchestrator has yet.
    unsent: Option<Bytes>,
}

/// What a control message is.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Params,
    Message,
    Nothing,
}

/// An object is the new parameters, unless it is a message or a sign of life only.
fn kind(message: &[u8]) -> Kind {
    let Ok(Value::Object(object)) = serde_json::from_slice(message) else { return Kind::Nothing };
    let only = |key: &str| object.len() == 1 && object.get(key).is_some_and(Value::is_string);
    match (only("keep"), only("message")) {
        (true, _) => Kind::Nothing,
        (_, true) => Kind::Message,
        _ => Kind::Params,
    }
}

impl Steer {
    fn with<T>(&self, change: impl FnOnce(&mut Said) -> T) -> T {
        change(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn takes(&self, message: &Bytes) {
        let kind = kind(message);
        self.with(|said| match kind {
            Kind::Params => {
                said.before = said.params.replace(message.clone());
                // Who takes the job over starts with them.
                said.unsent = None;
            }
            Kind::Message => said.unsent = Some(message.clone()),
            Kind::Nothing => {}
        });
    }

    /// Takes an event of the orchestrator's: it may refuse parameters.
    pub(crate) fn heard(&self, event: &[u8]) {
        let refused = serde_json::from_slice::<Value>(event)
            .is_ok_and(|event| event.get("type").is_some_and(|it| it == "params-refused"));
        if refused {
            self.with(|said| said.params = said.before.take());
        }
    }

    /// Returns the parameters that another orchestrator starts with; `None`: those of the start.
    pub(crate) fn params(&self) -> Option<Box<RawValue>> {
        let params = self.with(|said| said.params.clone())?;
        let text = String::from_utf8(params.to_vec()).ok()?;
        RawValue::from_string(text).ok()
    }
}

/// Makes the way from reading to writing.
pub(crate) fn queue() -> (mpsc::Sender<Bytes>, mpsc::Receiver<Bytes>) {
    mpsc::channel(CONTROL_QUEUE)
}

/// Reads control messages from the client until it closes.
pub(crate) async fn read(channel: Arc<Channel>, sender: mpsc::Sender<Bytes>, tally: &Tally) {
    let mut reader = ChannelReader::new(channel, READER, Ask::Seq(0));
    while let Some(message) = reader.message(CONTROL_BYTES_MAX + 1).await {
        tally.message();
        if message.len() > CONTROL_BYTES_MAX {
            tally.lost("a control message", "it is longer than control messages may be");
        } else if sender.send(Bytes::from(message)).await.is_err() {
            break;
        }
    }
}

/// Passes control messages on; `alive` tells an orchestrator without any that its client lives,
/// while input flows. Ends when either side closes.
pub(crate) async fn write(
    messages: &mut mpsc::Receiver<Bytes>,
    steer: &Steer,
    mut publisher: Publisher,
    tally: &Tally,
    input: &Tally,
) {
    let mut clock = interval(KEEP_ALIVE);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    clock.reset();
    let mut seen = input.bytes();
    let mut next = steer.with(|said| said.unsent.clone());
    loop {
        let message = match next.take() {
            Some(message) => message,
            None => tokio::select! {
                message = messages.recv() => match message {
                    Some(message) => {
                        steer.takes(&message);
                        message
                    }
                    None => break,
                },
                _ = clock.tick() => {
                    let flowing = input.bytes() != seen;
                    seen = input.bytes();
                    if !flowing {
                        continue;
                    }
                    Bytes::from_static(ALIVE)
                }
            },
        };
        match publisher.send(message).await {
            Ok(_) => {
                steer.with(|said| said.unsent = None);
                clock.reset();
            }
            Err(PublishError::Gone { .. }) => break,
            Err(error) => tally.lost("a control message", &chain(&error)),
        }
    }
}

#[cfg(test)]
#[test]
fn the_last_parameters_that_were_not_refused_are_what_others_start_with() {
    let steer = Steer::default();
    let params = |steer: &Steer| steer.params().map(|it| it.get().to_owned());
    assert_eq!(params(&steer), None);
    for message in [r#"{"a":1}"#, r#"{"message":"hi"}"#, r#"{"keep":"alive"}"#, "[1]", r#"{"a":2}"#]
    {
        steer.takes(&Bytes::from_static(message.as_bytes()));
    }
    assert_eq!(params(&steer).as_deref(), Some(r#"{"a":2}"#));
    steer.heard(br#"{"type":"params-refused","message":"no"}"#);
    assert_eq!(params(&steer).as_deref(), Some(r#"{"a":1}"#));
}
