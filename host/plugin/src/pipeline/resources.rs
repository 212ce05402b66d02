//! Things that a pipeline opens: colour tables, recorders, graphs, models and kernels.
//!
//! A handle's representation is the number that the session's host gave out. The engine checks
//! handles, so a forged or closed one never gets here.
//!
//! **Invariant:** every number that was given out is dropped exactly once.

use wasmtime::component::Resource;

use crate::bindings::pipeline::framegate::media::catalogue::{self, Kernel, Model};
use crate::bindings::pipeline::framegate::media::graphs::{self, Graph, Recorder};
use crate::bindings::pipeline::framegate::media::ops::{self, Lut};
use crate::bindings::types::ErrorClass as WitClass;
use crate::pipeline::host::{ErrorClass, HostError};
use crate::pipeline::state::{Phase, PipelineState};

/// What a recorder is on a host that cannot record: constructors cannot fail.
const NO_RECORDER: u32 = 0;

impl ops::HostLut for PipelineState {
    fn from_curves(&mut self, curves: Vec<u8>) -> Result<Resource<Lut>, WitClass> {
        let lut = self.ask("lut.from-curves", |host| {
            let curves = curves.as_slice().try_into().map_err(|_| {
                let text = format!("`{}` bytes of curves (3 times 256 are a table)", curves.len());
                HostError::new(ErrorClass::Invalid, text)
            })?;
            host.lut_from_curves(curves)
        })?;
        Ok(Resource::new_own(lut))
    }

    fn from_cube(&mut self, size: u32, points: Vec<f32>) -> Result<Resource<Lut>, WitClass> {
        let lut = self.ask("lut.from-cube", |host| {
            let wanted = u64::from(size).pow(3) * 3;
            if !(2..=65).contains(&size) || points.len() as u64 != wanted {
                let text = format!("`{}` numbers for a cube of side `{size}`", points.len());
                return Err(HostError::new(ErrorClass::Invalid, text));
            }
            host.lut_from_cube(size, &points)
        })?;
        Ok(Resource::new_own(lut))
    }

    fn drop(&mut self, lut: Resource<Lut>) -> wasmtime::Result<()> {
        self.host.lut_drop(lut.rep());
        Ok(())
    }
}

impl graphs::Host for PipelineState {}

impl graphs::HostRecorder for PipelineState {
    fn new(&mut self) -> Resource<Recorder> {
        let made = self.ask("recorder", |host| host.recorder_new());
        Resource::new_own(made.unwrap_or(NO_RECORDER))
    }

    fn input(&mut self, recorder: Resource<Recorder>) -> Result<u32, WitClass> {
        self.recording("recorder.input", &recorder)?;
        self.ask("recorder.input", |host| host.recorder_input(recorder.rep()))
    }

    fn previous(&mut self, recorder: Resource<Recorder>, age: u32) -> Result<u32, WitClass> {
        self.recording("recorder.previous", &recorder)?;
        self.ask("recorder.previous", |host| host.recorder_previous(recorder.rep(), age))
    }

    fn finish(
        &mut self,
        recorder: Resource<Recorder>,
        output: u32,
    ) -> Result<Resource<Graph>, WitClass> {
        self.recording("recorder.finish", &recorder)?;
        let rep = recorder.rep();
        let graph = self.ask("recorder.finish", |host| host.recorder_finish(rep, output))?;
        Ok(Resource::new_own(graph))
    }

    fn drop(&mut self, recorder: Resource<Recorder>) -> wasmtime::Result<()> {
        if recorder.rep() != NO_RECORDER {
            self.host.recorder_drop(recorder.rep());
        }
        Ok(())
    }
}

impl PipelineState {
    fn recording(
        &mut self,
        function: &'static str,
        recorder: &Resource<Recorder>,
    ) -> Result<(), WitClass> {
        if recorder.rep() == NO_RECORDER {
            return Err(self.refuse(function, &HostError::not_here("recorder")));
        }
        Ok(())
    }
}

impl graphs::HostGraph for PipelineState {
    fn run(&mut self, graph: Resource<Graph>, input: u32) -> Result<u32, WitClass> {
        self.ask_op("graph.run", |host| host.graph_run(graph.rep(), input))
    }

    fn drop(&mut self, graph: Resource<Graph>) -> wasmtime::Result<()> {
        self.host.graph_drop(graph.rep());
        Ok(())
    }
}

impl catalogue::Host for PipelineState {
    fn open_model(&mut self, name: String) -> Result<Resource<Model>, WitClass> {
        self.only_in("open-model", &[Phase::Start])?;
        self.ask("open-model", |host| host.open_model(&name)).map(Resource::new_own)
    }

    fn open_kernel(&mut self, name: String) -> Result<Resource<Kernel>, WitClass> {
        self.ask("open-kernel", |host| host.open_kernel(&name)).map(Resource::new_own)
    }
}

impl catalogue::HostModel for PipelineState {
    fn set_number(
        &mut self,
        model: Resource<Model>,
        name: String,
        value: f32,
    ) -> Result<(), WitClass> {
        self.ask("model.set-number", |host| host.model_set_number(model.rep(), &name, value))
    }

    fn set_text(
        &mut self,
        model: Resource<Model>,
        name: String,
        value: String,
    ) -> Result<(), WitClass> {
        self.ask("model.set-text", |host| host.model_set_text(model.rep(), &name, &value))
    }

    fn set_frame(
        &mut self,
        model: Resource<Model>,
        name: String,
        value: u32,
    ) -> Result<(), WitClass> {
        self.ask("model.set-frame", |host| host.model_set_frame(model.rep(), &name, value))
    }

    fn labels(&mut self, model: Resource<Model>) -> Vec<String> {
        self.host.model_labels(model.rep())
    }

    fn drop(&mut self, model: Resource<Model>) -> wasmtime::Result<()> {
        self.host.model_drop(model.rep());
        Ok(())
    }
}

impl catalogue::HostKernel for PipelineState {
    fn drop(&mut self, kernel: Resource<Kernel>) -> wasmtime::Result<()> {
        self.host.kernel_drop(kernel.rep());
        Ok(())
    }
}
