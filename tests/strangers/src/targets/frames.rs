//! Any bytes on the socket pair between orchestrator and worker, in pieces of any size: a worker
//! that decodes strangers' media may have become a stranger itself.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use worker::frame::{HEADER_BYTES, MESSAGE_BYTES_MAX, Message, header, take};
use worker::message::{CodeFact, GrantSpec, MetricChange, MetricForm};
use worker::{Failure, FaultFacts, FromWorker, Hello, Replacement, SessionReport, ToWorker};

use crate::Target;

/// Messages between orchestrator and worker. The first byte says how long the pieces are.
pub const TARGET: Target = Target { name: "frames", feed, seeds };

fn feed(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    read::<FromWorker>(bytes, usize::from(*piece) + 1);
    read::<ToWorker>(bytes, usize::from(*piece) + 1);
}

/// Reads messages until one is wrong, and each of them once more after writing it.
fn read<M: Message + Clone + PartialEq + std::fmt::Debug>(bytes: &[u8], piece: usize) {
    let mut buffer = BytesMut::new();
    for piece in bytes.chunks(piece) {
        buffer.extend_from_slice(piece);
        loop {
            match take::<M>(&mut buffer) {
                Ok(Some(message)) => {
                    let mut written = written(message.clone());
                    let again = take::<M>(&mut written).expect("what was written is read");
                    assert_eq!(again, Some(message));
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(buffer.capacity() <= 2 * (HEADER_BYTES + MESSAGE_BYTES_MAX), "too much is kept");
    }
}

fn written<M: Message>(message: M) -> BytesMut {
    let (kind, session, body) = message.encode();
    let mut out = BytesMut::from(&header(kind, session, body.len())[..]);
    out.extend_from_slice(&body);
    out
}

fn seeds() -> Vec<Vec<u8>> {
    let (text, bytes) = (|| "a text".to_owned(), || Bytes::from_static(b"media"));
    let fault = FaultFacts { kind: "trap".to_owned(), plugin: text(), ..FaultFacts::default() };
    let failure =
        Failure { class: "fault".to_owned(), message: text(), fault: Some(fault.clone()) };
    let hello = Hello {
        device: text(),
        note: Some(text()),
        hardware: text(),
        memory_free: 1 << 30,
        memory_total: 1 << 33,
    };
    let report =
        SessionReport { failure: Some(failure.clone()), frames_in: 9, ..SessionReport::default() };
    let metric = MetricChange {
        name: "plugin_x_y".to_owned(),
        form: MetricForm::Histogram,
        help: text(),
        values: vec![0.5, -1e300],
    };
    let replacement = Replacement { by: "restart".to_owned(), fault, message: text() };
    let rejected = CodeFact::Rejected { plugin: text(), reason: "forged".to_owned() };
    let from = [
        FromWorker::Hello(hello),
        FromWorker::Described(7, Err(failure)),
        FromWorker::Opened(1),
        FromWorker::Credit(1, 65_536),
        FromWorker::Segment(1),
        FromWorker::Output(1, bytes()),
        FromWorker::Event(1, "{\"a\":1}".to_owned()),
        FromWorker::Log(1, "warn".to_owned(), text()),
        FromWorker::Metrics(1, vec![metric]),
        FromWorker::Replaced(1, Box::new(replacement)),
        FromWorker::Code(rejected),
        FromWorker::Ended(1, Box::new(report)),
    ];
    let limits = BTreeMap::from([("memory".to_owned(), 1 << 20)]);
    let grants = GrantSpec { kv_bytes: 1, data: true, ..GrantSpec::default() };
    let to = [
        ToWorker::Describe { ticket: 7, plugin: "/plugins/x".into(), limits, grants },
        ToWorker::Input(1, bytes()),
        ToWorker::EndInput(1),
        ToWorker::Params(1, "{}".to_owned()),
        ToWorker::Message(1, text()),
        ToWorker::Credit(1, 5),
        ToWorker::Abort(1),
    ];
    let all: Vec<BytesMut> = from.map(written).into_iter().chain(to.map(written)).collect();
    let together = all.concat();
    let mut found: Vec<_> = all.iter().map(|message| [&[0xff][..], message].concat()).collect();
    found.push([&[6][..], &together].concat());
    found
}
