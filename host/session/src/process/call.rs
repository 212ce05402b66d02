//! Handing the component what it is there for: pictures, what the client says, the end.
//!
//! **Invariant:** while no instance is there, what the client says waits for the next one.

use plugin::pipeline::{Answer, FrameError, FrameTiming, StopReason};

use super::leave::Sent;
use super::{Stage, fault, host_of, to_us};
use crate::SessionError;

/// A picture on its way to the component.
pub(super) struct Incoming {
    /// Its number, from 0.
    pub(super) sequence: u64,
    /// How it would leave as it is.
    pub(super) sent: Sent,
}

impl Stage<'_> {
    /// Hands the component one picture and sends out what it answers; the picture itself where no
    /// instance is there.
    pub(super) fn call(&mut self, incoming: &Incoming) -> Result<(), SessionError> {
        let Incoming { sequence, sent } = incoming;
        let pts_us = to_us(sent.pts, self.time_base());
        let (budget_us, reads_pixels) = (self.seat.frame_budget_us(), self.seat.reads_pixels());
        let Some(instance) = self.seat.instance() else { return self.pass_on(sent.clone()) };
        let host = host_of(instance);
        host.input_us = Some(pts_us);
        if let Some(result) = host.run_active(&sent.surface) {
            // One frame failed: the input passes, so that the stream has no hole.
            let surface = result.unwrap_or_else(|_| sent.surface.clone());
            host.frames.sweep();
            return self.send_out(Some(Sent { surface, ..sent.clone() }));
        }
        let frame = match host.frames.insert(sent.surface.clone(), pts_us) {
            Ok(frame) => frame,
            Err(error) => {
                return Err(fault(
                    instance.breach("on-frame", format!("too many frames: {error}")),
                ));
            }
        };
        if reads_pixels {
            host.copies.sweep(&host.frames);
            let brought = host.copies.bring(frame, &sent.surface, &self.stream);
            brought.map_err(|source| SessionError::Device {
                device: self.shared.device.name().to_owned(),
                source,
            })?;
        }
        // No frame is ever left out, so nothing is gained by telling the plugin to hurry.
        let timing = FrameTiming { sequence: *sequence, pts_us, backlog: 0, slack_us: budget_us };
        let answer = instance.on_frame(frame, &timing).map_err(fault)?;
        self.outcome.times.add(instance.guest_time());
        let chosen = match answer {
            Ok(Answer::Pass) => Some(sent.surface.clone()),
            Ok(Answer::Emit(number)) => {
                let entry = host_of(instance).frames.get(number);
                let Some(entry) = entry else {
                    let text = format!("answered `{number}`, which is not a frame");
                    return Err(fault(instance.breach("on-frame", text)));
                };
                Some(entry.surface.clone())
            }
            Ok(Answer::Drop) => None,
            Ok(Answer::Repeat) => {
                let last = host_of(instance).last_sent().cloned();
                Some(last.unwrap_or_else(|| sent.surface.clone()))
            }
            // One frame failed: the input passes, so that the stream has no hole.
            Err(FrameError::Skip) => Some(sent.surface.clone()),
            Err(FrameError::Fatal) => {
                let text = format!("answered `fatal` to frame {sequence}");
                return Err(fault(instance.breach("on-frame", text)));
            }
        };
        host_of(instance).frames.sweep();
        self.send_out(chosen.map(|surface| Sent { surface, ..sent.clone() }))
    }

    /// Hands the component what the client said since the last frame.
    pub(super) fn controls(&mut self) -> Result<(), SessionError> {
        let told = self.tell();
        match told {
            Ok(()) => Ok(()),
            Err(error) => self.recover(error),
        }
    }

    fn tell(&mut self) -> Result<(), SessionError> {
        let Some(instance) = self.seat.instance() else { return Ok(()) };
        let waiting = self.ends.mailbox.take();
        let mut refused = None;
        if let Some(params) = waiting.params {
            refused = instance.on_params(&params).map_err(fault)?.err();
            host_of(instance).frames.sweep();
            if refused.is_none() {
                self.seat.params = params;
            }
        }
        if let Some(error) = refused {
            let message = error.to_string();
            let event = serde_json::json!({ "type": "params-refused", "message": message });
            self.event(event.to_string());
        }
        let Some(instance) = self.seat.instance() else { return Ok(()) };
        for message in &waiting.messages {
            instance.on_message(message).map_err(fault)?;
            host_of(instance).frames.sweep();
        }
        if waiting.lost > 0 {
            let event = serde_json::json!({ "type": "messages-lost", "count": waiting.lost });
            self.event(event.to_string());
        }
        self.send_out(None)
    }

    /// Ends the component's work; what it still holds leaves if the input is at its end.
    pub(super) fn stop(&mut self, reason: StopReason) -> Result<(), SessionError> {
        let time_base = self.time_base();
        if let Some(shape) = &self.shape {
            let lasted = to_us(shape.end_pts - shape.first_pts, time_base);
            self.outcome.figures.stream_ms = u64::try_from(lasted / 1000).unwrap_or(0);
        }
        let Some(instance) = self.seat.instance() else { return Ok(()) };
        let stopped = match instance.stop(reason).map_err(fault) {
            Ok(()) if reason == StopReason::Finished => self.send_out(None),
            stopped => stopped,
        };
        match stopped {
            Ok(()) => Ok(()),
            Err(error) => self.recover(error),
        }
    }
}
