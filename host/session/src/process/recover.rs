//! Faults of the component, and who takes the next picture.
//!
//! Where the operator wants the session to end, it ends. Where not, the picture in hand passes, and
//! a fresh instance takes the next one as soon as the budget of restarts allows; once that is used
//! up, the previous version takes over or pictures pass to the end.
//!
//! **Invariants:** a fault of the host's own uses up no restart; a fresh instance starts with the
//! parameters that the last one had, and cannot change the size of what is sent out.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use domain::restart::{Next, OnFailure, RestartBudget, WAIT_MAX};
use media::Rational;
use plugin::pipeline::host::SessionFacts;
use plugin::pipeline::{Pipeline, PipelineInstance};
use plugin::{Fault, Limit};
use worker::message::{FromWorker, Replacement, SessionSpec};

use super::{Shape, Stage, fault, host_of};
use crate::SessionError;
use crate::error::facts;
use crate::host::Host;

/// The place of the component's instance in its session.
pub(super) struct Seat {
    pipeline: Arc<Pipeline>,
    /// Folder of the version that may take over.
    previous: Option<PathBuf>,
    budget: RestartBudget,
    taken: Taken,
    /// The parameters that hold.
    pub(super) params: String,
}

/// Who has the seat.
enum Taken {
    /// Nobody yet.
    Never,
    /// A live instance.
    By(Box<PipelineInstance>),
    /// Nobody before this time.
    NotBefore(Instant),
    /// Nobody any more.
    NeverAgain,
}

impl Seat {
    /// Makes the seat of a session that begins.
    pub(super) fn new(pipeline: Arc<Pipeline>, spec: &SessionSpec) -> Self {
        Self {
            pipeline,
            previous: spec.previous.clone(),
            budget: RestartBudget::default(),
            taken: Taken::Never,
            params: spec.params.clone(),
        }
    }

    /// Returns the guest time for one picture, in microseconds.
    pub(super) fn frame_budget_us(&self) -> i32 {
        let budget = self.pipeline.limits().get(Limit::FrameBudget);
        i32::try_from(budget).unwrap_or(i32::MAX)
    }

    /// Returns whether the component may read pixels.
    pub(super) fn reads_pixels(&self) -> bool {
        self.pipeline.granted().pixels
    }

    /// Returns the live instance.
    pub(super) fn instance(&mut self) -> Option<&mut PipelineInstance> {
        match &mut self.taken {
            Taken::By(instance) => Some(instance),
            Taken::Never | Taken::NotBefore(_) | Taken::NeverAgain => None,
        }
    }
}

impl Stage<'_> {
    /// Sees to it that an instance is there, if one may be.
    pub(super) fn fill_seat(&mut self) -> Result<(), SessionError> {
        let first = match &self.seat.taken {
            Taken::By(_) | Taken::NeverAgain => return Ok(()),
            Taken::NotBefore(at) if Instant::now() < *at => return Ok(()),
            Taken::NotBefore(_) => false,
            Taken::Never => true,
        };
        let messages = if first {
            // Parameters that came before the first picture are the ones to start with.
            let waiting = self.ends.mailbox.take();
            if let Some(params) = waiting.params {
                self.seat.params = params;
            }
            waiting.messages
        } else {
            std::collections::VecDeque::new()
        };
        match self.start(first) {
            Ok(mut instance) => {
                for message in &messages {
                    if let Err(error) = instance.on_message(message) {
                        return self.recover(fault(error));
                    }
                }
                host_of(&mut instance).frames.sweep();
                self.seat.taken = Taken::By(Box::new(instance));
                Ok(())
            }
            Err(error) => self.recover(error),
        }
    }

    /// Makes an instance and sets it up.
    fn start(&mut self, first: bool) -> Result<PipelineInstance, SessionError> {
        let Some(shape) = &self.shape else { return Err(SessionError::Aborted) };
        let parent = (self.ends.id, self.shared.outgoing.clone());
        let host =
            Host::new(self.facts(shape), Arc::clone(&self.stream), self.seat.pipeline.id(), parent);
        let budget = self.seat.pipeline.limits().time(Limit::FrameBudget);
        let mut instance = self.seat.pipeline.instantiate(Box::new(host), budget).map_err(fault)?;
        if let Err(source) = instance.start(&self.seat.params).map_err(fault)? {
            if first {
                let plugin = self.seat.pipeline.id().to_owned();
                return Err(SessionError::Setup { plugin, source });
            }
            let text = format!("refused a session that runs: {source}");
            return Err(fault(instance.breach("start", text)));
        }
        let host = host_of(&mut instance);
        host.frames.sweep();
        if let Some(last) = &self.last_surface {
            host.note_sent(last.clone());
        }
        host.sent_us = self.last_pts.map(|pts| super::to_us(pts, self.time_base()));
        let choices = host.choices;
        let Some(shape) = &mut self.shape else { return Err(SessionError::Aborted) };
        let (format, width, height) = shape.input;
        let size = choices.output_size.unwrap_or((width, height));
        if size != shape.output_size && self.outcome.figures.frames_out > 0 {
            let (was, now) = (shape.output_size, size);
            let text = format!(
                "announced pictures of {}x{} in a session of {}x{}",
                now.0, now.1, was.0, was.1
            );
            return Err(fault(instance.breach("start", text)));
        }
        shape.arriving = choices.input_format.unwrap_or(format);
        shape.output_size = size;
        Ok(instance)
    }

    fn facts(&self, shape: &Shape) -> SessionFacts {
        let (format, width, height) = shape.input;
        let rate = self.tracks.as_ref().and_then(|tracks| tracks.video.frame_rate);
        SessionFacts {
            id: self.spec.id.clone(),
            capability: self.spec.capability.clone(),
            width,
            height,
            format: format.name().to_owned(),
            frame_rate_milli: rate.map_or(0, milli),
            deterministic: self.spec.deterministic,
        }
    }

    /// Decides what follows `error`: nothing if it is no fault of the component or if the session is
    /// to end by it.
    pub(super) fn recover(&mut self, error: SessionError) -> Result<(), SessionError> {
        let fault = match error {
            SessionError::Fault(fault) if self.spec.on_failure != OnFailure::End => fault,
            error => return Err(error),
        };
        let now = Instant::now();
        // Dropping the instance drops its frames with it.
        let (taken, by) = if fault.is_the_plugins() {
            match self.seat.budget.faulted(now) {
                Next::Restart(at) => (Taken::NotBefore(at), "restart"),
                Next::GiveUp => match self.take_over() {
                    Some(pipeline) => {
                        self.seat.pipeline = pipeline;
                        self.seat.budget = RestartBudget::default();
                        (Taken::NotBefore(now), "previous-version")
                    }
                    None if self.spec.on_failure == OnFailure::Passthrough => {
                        (Taken::NeverAgain, "passthrough")
                    }
                    None => return Err(SessionError::Fault(fault)),
                },
            }
        } else {
            (Taken::NotBefore(now + WAIT_MAX), "restart")
        };
        self.seat.taken = taken;
        self.tell_replaced(&fault, by);
        Ok(())
    }

    /// Returns the version that takes over, if there is one; once.
    fn take_over(&mut self) -> Option<Arc<Pipeline>> {
        let folder = self.seat.previous.take()?;
        match self.shared.pipeline(&folder, &self.spec.limits, &self.spec.grants) {
            Ok(pipeline) => Some(pipeline),
            Err(error) => {
                let text = format!("previous version not loaded: {}", domain::chain(&error));
                let line = FromWorker::Log(self.ends.id, "error".to_owned(), text);
                // With the parent gone the main loop ends the process.
                let _ = self.shared.outgoing.send(line);
                None
            }
        }
    }

    fn tell_replaced(&mut self, fault: &Fault, by: &str) {
        let replacement =
            Replacement { by: by.to_owned(), fault: facts(fault), message: fault.to_string() };
        // With the parent gone the main loop ends the process.
        let _ =
            self.shared.outgoing.send(FromWorker::Replaced(self.ends.id, Box::new(replacement)));
        let event = serde_json::json!({
            "type": "pipeline-replaced",
            "by": by,
            "fault": { "kind": fault.kind.name(), "plugin": fault.plugin, "version": fault.version,
                "call": fault.call },
        });
        self.event(event.to_string());
        self.warn(match by {
            "restart" => "pipeline-restarted",
            "previous-version" => "pipeline-previous-version",
            _ => "pipeline-passed-through",
        });
    }
}

fn milli(rate: Rational) -> u32 {
    let milli = i64::from(rate.num) * 1000 / i64::from(rate.den.max(1));
    u32::try_from(milli).unwrap_or(0)
}
