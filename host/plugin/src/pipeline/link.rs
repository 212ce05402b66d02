//! What a pipeline component is linked to, and what it exports.
//!
//! The linker of a grant set has only the interfaces that are granted: what is not there cannot be
//! called, whatever a component was built from.

use wasmtime::Store;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};

use crate::bindings::pipeline::exports::framegate::media::{session_handler, session_state};
use crate::bindings::pipeline::framegate::host::{data, kv, log, metrics};
use crate::bindings::pipeline::framegate::media::{
    audio, catalogue, frames, graphs, ops, pixels, readings, session,
};
use crate::bindings::types;
use crate::engine::PipelineEngine;
use crate::grants::{Grant, Grants};
use crate::pipeline::state::PipelineState;
use crate::wasi;

/// A component that is linked and not instantiated, and where its exports are.
pub(crate) struct Linked {
    pre: InstancePre<PipelineState>,
    handler: session_handler::GuestIndices,
    /// Optional: carrying a session over to a new version.
    state: Option<session_state::GuestIndices>,
}

/// The exports of one instance.
pub(crate) struct Exports {
    pub(crate) handler: session_handler::Guest,
    pub(crate) state: Option<session_state::Guest>,
}

impl Linked {
    /// Links `component` to what every pipeline gets and to what is granted.
    pub(crate) fn new(
        engine: &PipelineEngine,
        component: &Component,
        granted: &Grants,
    ) -> wasmtime::Result<Self> {
        let pre = linker(engine, component, granted)?.instantiate_pre(component)?;
        let handler = session_handler::GuestIndices::new(&pre)?;
        // It is optional as a whole: a component that has half of it is wrong.
        let named = "framegate:media/session-state@0.1.0";
        let has_state = component.get_export_index(None, named).is_some();
        let state = has_state.then(|| session_state::GuestIndices::new(&pre)).transpose()?;
        Ok(Self { pre, handler, state })
    }

    /// Makes an instance in `store`.
    pub(crate) fn instantiate(
        &self,
        store: &mut Store<PipelineState>,
    ) -> wasmtime::Result<Exports> {
        let instance = self.pre.instantiate(&mut *store)?;
        let handler = self.handler.load(&mut *store, &instance)?;
        let state = self.state.as_ref().map(|state| state.load(&mut *store, &instance));
        Ok(Exports { handler, state: state.transpose()? })
    }
}

/// Makes the linker of one grant set.
fn linker(
    engine: &PipelineEngine,
    component: &Component,
    granted: &Grants,
) -> wasmtime::Result<Linker<PipelineState>> {
    let mut linker = Linker::new(&engine.engine);
    wasi::add_to_linker(&mut linker, component)?;
    macro_rules! add {
        ($($interface:ident),+) => {
            { $( $interface::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?; )+ }
        };
    }
    add!(types, log, metrics, session, frames, ops, graphs, catalogue, readings);
    for grant in Grant::ALL.into_iter().filter(|grant| granted.has(*grant)) {
        match grant {
            Grant::Kv => add!(kv),
            Grant::Data => add!(data),
            Grant::Pixels => add!(pixels),
            Grant::Audio => add!(audio),
        }
    }
    Ok(linker)
}
