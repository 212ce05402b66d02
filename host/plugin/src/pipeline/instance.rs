//! One pipeline instance: callbacks with a time limit each, answers checked, one fault at most.
//!
//! **Invariant:** after the first fault there is no store; the host of the session is still there.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::{Store, UpdateDeadline};

use crate::bindings::pipeline::exports::framegate::media::session_handler as wit;
use crate::bindings::pipeline::framegate::media::frames::FrameError as WitFrameError;
use crate::engine::PipelineEngine;
use crate::fault::{Fault, FaultKind, INSTANTIATE, Identity};
use crate::info::{PluginInfo, SetupError};
use crate::limits::{Limit, Limits, Pace, Place, Places};
use crate::pipeline::granted::Opened;
use crate::pipeline::host::{Nothing, PipelineHost};
use crate::pipeline::link::{Exports, Linked};
use crate::pipeline::state::{Phase, PipelineState};
use crate::tick::Ticker;

/// Bytes of a saved state; the contract's number.
const STATE_BYTES_MAX: usize = 1 << 20;
/// Bytes of the name of its layout, such as `acme-restyle/2`.
const LAYOUT_BYTES_MAX: usize = 128;

/// When a frame comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameTiming {
    /// Counts from 0; a gap is a frame that was left out.
    pub sequence: u64,
    /// Presentation time in microseconds on the session's clock.
    pub pts_us: i64,
    /// Frames that wait behind this one.
    pub backlog: u32,
    /// Microseconds until the frame is due; below 0 it is late.
    pub slack_us: i32,
}

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Send out the frame that came in.
    Pass,
    /// Send out this one, at the time of the one that came in.
    Emit(u32),
    /// Send out nothing.
    Drop,
    /// Send out the last picture once more, at the time of the one that came in.
    Repeat,
}

/// What a pipeline answers when it has no result. A refusal, not a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// This one failed.
    #[error("the pipeline failed at this frame")]
    Skip,
    /// The pipeline cannot go on.
    #[error("the pipeline cannot go on")]
    Fatal,
}

/// Why a session ends for an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The input is at its end: pictures still held may be emitted.
    Finished,
    /// Another instance goes on with the session.
    Replaced,
    /// The session ends at once.
    Aborted,
}

/// What a pipeline carries over to a new version of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedState {
    /// Name of the layout of the bytes.
    pub layout: String,
    /// Without frames, readings and models; at most 1 MiB.
    pub bytes: Vec<u8>,
}

/// A pipeline component at work for one session. Belongs to the session's thread.
pub struct PipelineInstance {
    life: Life,
    who: Arc<Identity>,
    ticker: Arc<Ticker>,
    limits: Limits,
    guest_time: Duration,
    _place: Place,
}

#[expect(
    clippy::large_enum_variant,
    reason = "there is one a session, and hot calls go through it"
)]
enum Life {
    Live(Store<PipelineState>, Exports),
    Dead(Box<dyn PipelineHost>),
}

impl PipelineInstance {
    pub(crate) fn new(
        engine: &PipelineEngine,
        linked: &Linked,
        who: &Arc<Identity>,
        (limits, places): (Limits, &Arc<Places>),
        host: Box<dyn PipelineHost>,
        opened: &Arc<Opened>,
    ) -> Result<Self, Fault> {
        let place = places.take().map_err(|hit| Fault::of_limit(who, INSTANTIATE, hit))?;
        let ticker = Arc::clone(&engine.ticker);
        let mut store = Store::new(&engine.engine, PipelineState::new(limits, host, opened));
        store.limiter(|state| &mut state.limiter);
        store.set_max_component_handles(size(limits.get(Limit::Handles)));
        store.epoch_deadline_callback(|mut store| {
            Ok(UpdateDeadline::Continue(store.data_mut().budget.judge()?))
        });
        store.data_mut().enter(Phase::Describe);
        store.set_hostcall_fuel(size(limits.get(Limit::SetupCopy)));
        store.set_epoch_deadline(store.data().budget.ticks());
        let guest = {
            let _armed = ticker.arm();
            linked.instantiate(&mut store)
        };
        match guest {
            Ok(guest) => Ok(Self {
                life: Life::Live(store, guest),
                who: Arc::clone(who),
                ticker,
                limits,
                guest_time: Duration::ZERO,
                _place: place,
            }),
            Err(error) => {
                let last_words = store.data_mut().abandon();
                Err(Fault::of(who, INSTANTIATE, &error, (&limits, Pace::Setup), &last_words))
            }
        }
    }

    /// Asks what the plugin says of itself; on an instance that serves no session.
    pub(crate) fn describe(&mut self) -> Result<PluginInfo, Fault> {
        let info = self
            .call("describe", Phase::Describe, |guest, store| guest.handler.call_describe(store))?;
        Ok(info.into())
    }

    /// Sets the session up. `params` is JSON, empty if there is none. May take seconds.
    pub fn start(&mut self, params: &str) -> Result<Result<(), SetupError>, Fault> {
        let answer = self
            .call("start", Phase::Start, |guest, store| guest.handler.call_start(store, params))?;
        Ok(answer.map_err(SetupError::from))
    }

    /// Hands over one frame, which ends with the callback unless it is kept.
    pub fn on_frame(
        &mut self,
        input: u32,
        timing: &FrameTiming,
    ) -> Result<Result<Answer, FrameError>, Fault> {
        let FrameTiming { sequence, pts_us, backlog, slack_us } = *timing;
        let timing = wit::FrameTiming { sequence, pts_us, backlog, slack_us };
        let answer = self.call("on-frame", Phase::Frame, |guest, store| {
            let answer = guest.handler.call_on_frame(&mut *store, input, timing)?;
            // A frame that does not exist is found out before the callback's frames end.
            if let Ok(wit::Output::Emit(frame)) = answer
                && store.data().host.frame(frame).is_none()
            {
                wasmtime::bail!("answered `{frame}`, which is not a frame");
            }
            Ok(answer)
        })?;
        Ok(match answer {
            Ok(wit::Output::Pass) => Ok(Answer::Pass),
            Ok(wit::Output::Emit(frame)) => Ok(Answer::Emit(frame)),
            Ok(wit::Output::Drop) => Ok(Answer::Drop),
            Ok(wit::Output::Repeat) => Ok(Answer::Repeat),
            Err(WitFrameError::Skip) => Err(FrameError::Skip),
            Err(WitFrameError::Fatal) => Err(FrameError::Fatal),
        })
    }

    /// Hands over new parameters, the whole document.
    pub fn on_params(&mut self, params: &str) -> Result<Result<(), SetupError>, Fault> {
        let answer = self.call("on-params", Phase::Params, |guest, store| {
            guest.handler.call_on_params(store, params)
        })?;
        Ok(answer.map_err(SetupError::from))
    }

    /// Hands over text from the client's control channel.
    pub fn on_message(&mut self, text: &str) -> Result<(), Fault> {
        self.call("on-message", Phase::Message, |guest, store| {
            guest.handler.call_on_message(store, text)
        })
    }

    /// Asks for the state that a new version is to go on with, between two frames. `None`: the
    /// plugin exports no `session-state`.
    pub fn save(&mut self) -> Result<Option<Result<SavedState, SetupError>>, Fault> {
        if !self.has_state() {
            return Ok(None);
        }
        let answer = self.call("save", Phase::State, |guest, store| {
            let state = guest.state.as_ref().expect("`has_state` has looked");
            let layout = state.call_layout(&mut *store)?;
            let answer = state.call_save(&mut *store)?;
            if let Ok(bytes) = &answer
                && (bytes.len() > STATE_BYTES_MAX || layout.len() > LAYOUT_BYTES_MAX)
            {
                wasmtime::bail!(
                    "saved {} bytes of layout `{layout:.64}` ({STATE_BYTES_MAX} are the most)",
                    bytes.len()
                );
            }
            Ok(answer.map(|bytes| SavedState { layout, bytes }))
        })?;
        Ok(Some(answer.map_err(SetupError::from)))
    }

    /// Hands over a saved state, after `start` and before the first frame. `None`: the plugin
    /// exports no `session-state`.
    pub fn restore(&mut self, saved: &SavedState) -> Result<Option<Result<(), SetupError>>, Fault> {
        if !self.has_state() {
            return Ok(None);
        }
        let answer = self.call("restore", Phase::State, |guest, store| {
            let state = guest.state.as_ref().expect("`has_state` has looked");
            state.call_restore(store, &saved.layout, &saved.bytes)
        })?;
        Ok(Some(answer.map_err(SetupError::from)))
    }

    fn has_state(&self) -> bool {
        matches!(&self.life, Life::Live(_, Exports { state: Some(_), .. }))
    }

    /// Makes the last call.
    pub fn stop(&mut self, reason: StopReason) -> Result<(), Fault> {
        let reason = match reason {
            StopReason::Finished => wit::StopReason::Finished,
            StopReason::Replaced => wit::StopReason::Replaced,
            StopReason::Aborted => wit::StopReason::Aborted,
        };
        self.call("stop", Phase::Stop, |guest, store| guest.handler.call_stop(store, reason))
    }

    /// Ends the instance because what it sent out in `call` breaks the contract.
    pub fn breach(&mut self, call: &'static str, message: impl Into<String>) -> Fault {
        self.bury();
        Fault::new(FaultKind::Contract, &self.who, call, message)
    }

    /// Returns the wall-clock time of the last callback without the time in host functions.
    pub fn guest_time(&self) -> Duration {
        self.guest_time
    }

    /// Returns the bytes of linear memory that the component holds; 0 after a fault.
    pub fn memory_bytes(&self) -> u64 {
        match &self.life {
            Life::Live(store, _) => store.data().limiter.memory_bytes(),
            Life::Dead(_) => 0,
        }
    }

    /// Returns the session's host as what it is; `None`: it is of another type. It is there after
    /// a fault too.
    pub fn host_mut<H: PipelineHost>(&mut self) -> Option<&mut H> {
        let host: &mut dyn Any = match &mut self.life {
            Life::Live(store, _) => &mut *store.data_mut().host,
            Life::Dead(host) => &mut **host,
        };
        host.downcast_mut()
    }

    fn call<T>(
        &mut self,
        call: &'static str,
        phase: Phase,
        run: impl FnOnce(&Exports, &mut Store<PipelineState>) -> wasmtime::Result<T>,
    ) -> Result<T, Fault> {
        let Life::Live(store, guest) = &mut self.life else {
            let text = "called after it had faulted";
            return Err(Fault::new(FaultKind::Host, &self.who, call, text));
        };
        store.data_mut().enter(phase);
        store.set_hostcall_fuel(size(self.limits.get(phase.pace().copy())));
        store.set_epoch_deadline(store.data().budget.ticks());
        let answer = {
            let _armed = self.ticker.arm();
            run(guest, store)
        };
        let state = store.data_mut();
        self.guest_time = state.budget.guest_time();
        match answer {
            Ok(answer) => {
                state.leave();
                Ok(answer)
            }
            Err(error) => {
                let last_words = state.abandon();
                let allowed = (&self.limits, phase.pace());
                let fault = Fault::of(&self.who, call, &error, allowed, &last_words);
                self.bury();
                Err(fault)
            }
        }
    }

    /// Drops the store and keeps the session's host.
    fn bury(&mut self) {
        let nothing = Life::Dead(Box::new(Nothing::default()));
        self.life = match std::mem::replace(&mut self.life, nothing) {
            Life::Live(store, _) => Life::Dead(store.into_data().host),
            dead @ Life::Dead(_) => dead,
        };
    }
}

/// Returns a limit as the engine takes it; every cap fits.
fn size(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
