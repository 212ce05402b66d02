//! One session from its opening to its report: three stages, one thread each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use worker::child::Credit;
use worker::message::{FromWorker, SessionReport, SessionSpec};

use crate::SessionError;
use crate::control::Mailbox;
use crate::output::MediaSink;
use crate::process::{self, Outcome};
use crate::queue::{ByteQueue, ByteReader};
use crate::serve::Shared;
use crate::{encode, input, stats};

/// The session's ends of what the main loop passes on.
pub(crate) struct Ends {
    /// The session's number.
    pub(crate) id: u64,
    /// Its input.
    pub(crate) queue: Arc<ByteQueue>,
    /// What the client says to it.
    pub(crate) mailbox: Arc<Mailbox>,
    /// The right to send output.
    pub(crate) credit: Arc<Credit>,
}

/// Runs a session and reports it to the parent, whatever happens.
pub(crate) fn run(spec: &SessionSpec, ends: &Ends, shared: &Shared) {
    let result = catch_unwind(AssertUnwindSafe(|| stages(spec, ends, shared)));
    let outcome = result.unwrap_or_else(|_| Outcome::failed(SessionError::Panicked("pipeline")));
    // Whatever the parent still sends is dropped from here on.
    ends.queue.abort();
    let report = report(outcome);
    let _ = shared.outgoing.send(FromWorker::Ended(ends.id, Box::new(report)));
}

fn stages(spec: &SessionSpec, ends: &Ends, shared: &Shared) -> Outcome {
    let pipeline = match shared.pipeline(&spec.plugin, &spec.limits, &spec.grants) {
        Ok(pipeline) => pipeline,
        Err(error) => return Outcome::failed(error),
    };
    if shared.outgoing.send(FromWorker::Opened(ends.id)).is_err() {
        return Outcome::failed(SessionError::Aborted);
    }
    let (items_in, items) = input::queue();
    let (products_in, products) = encode::queue();
    let bytes = ByteReader::new(Arc::clone(&ends.queue), shared.outgoing.clone(), ends.id);
    let sink = MediaSink::new(ends.id, shared.outgoing.clone(), Arc::clone(&ends.credit));
    thread::scope(|scope| {
        let decode = || {
            input::run(bytes, spec.decode_threads, &ends.mailbox, &items_in);
            drop(items_in);
        };
        let decoder = thread::Builder::new().name("decode".to_owned()).spawn_scoped(scope, decode);
        let encode = move || encode::run(&products, &spec.encode, &sink);
        let encoder = thread::Builder::new().name("encode".to_owned()).spawn_scoped(scope, encode);
        let (Ok(decoder), Ok(encoder)) = (decoder, encoder) else {
            ends.queue.abort();
            return Outcome::failed(SessionError::Panicked("starting"));
        };
        let mut outcome = process::run(pipeline, spec, ends, shared, items, products_in);
        outcome.figures.input_bytes = ends.queue.taken();
        // A pipeline that ended early stops the decoder; one that ended well finds it ended.
        ends.queue.abort();
        if decoder.join().is_err() {
            outcome.fail(SessionError::Panicked("decode"));
        }
        match encoder.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => outcome.fail(error),
            Err(_) => outcome.fail(SessionError::Panicked("encode")),
        }
        outcome
    })
}

fn report(outcome: Outcome) -> SessionReport {
    let Outcome { error, figures, hash, times, warnings } = outcome;
    SessionReport {
        failure: error.as_ref().map(SessionError::failure),
        frames_in: figures.frames_in,
        frames_out: figures.frames_out,
        frames_dropped: figures.frames_dropped,
        input_bytes: figures.input_bytes,
        pixels_in: figures.pixels_in,
        stream_ms: figures.stream_ms,
        frames_sha256: hash.hex(),
        guest_us_p50: times.percentile_us(500),
        guest_us_p99: times.percentile_us(990),
        rss_warm_mib: figures.rss_warm_mib,
        rss_end_mib: stats::resident_mib(),
        warnings,
    }
}
