//! Recorders and graphs of one session, by number; and stand-ins, which go where frames go.
//!
//! **Invariant:** a stand-in's number is never that of a frame: it has a bit that frames do not have.

use std::collections::BTreeMap;

use device::{Graph, Op as DeviceOp, Recorder, Shape, Source, Surface};
use domain::planes::PixelFormat;
use plugin::pipeline::host::{ErrorClass, HostError};

use super::{Host, device_error};

/// What marks a stand-in; frame numbers lie below.
const STAND_IN: u32 = 1 << 30;
/// Recorders, and graphs, that a session may hold: one for each look that a plugin switches between.
const GRAPHS_MAX: usize = 64;

/// Says whether a number is one of a stand-in.
pub(super) const fn is_stand_in(number: u32) -> bool {
    number & STAND_IN != 0
}

struct StandIn {
    recorder: u32,
    source: Source,
}

/// Everything about graphs in one session.
#[derive(Default)]
pub(super) struct Graphs {
    /// The graph that runs in place of `on-frame`.
    pub(super) active: Option<Graph>,
    /// `None`: it has ended.
    recorders: BTreeMap<u32, Option<Recorder>>,
    graphs: BTreeMap<u32, Graph>,
    stand_ins: BTreeMap<u32, StandIn>,
    /// The last number of anything here.
    last: u32,
    /// How many pictures back any recorder has asked for.
    age_max: u32,
}

impl Graphs {
    /// Returns how many pictures that were sent out are to be remembered, the last one at least.
    pub(super) fn look_back(&self) -> usize {
        self.age_max.max(1) as usize
    }

    fn next(&mut self) -> u32 {
        self.last = self.last % (STAND_IN - 1) + 1;
        self.last
    }

    fn add_recorder(&mut self, recorder: Recorder) -> Result<u32, HostError> {
        if self.recorders.len() == GRAPHS_MAX {
            return Err(full("recorders"));
        }
        let number = self.next();
        self.recorders.insert(number, Some(recorder));
        Ok(number)
    }

    fn recorder(&mut self, number: u32) -> Result<&mut Recorder, HostError> {
        match self.recorders.get_mut(&number) {
            Some(Some(recorder)) => Ok(recorder),
            Some(None) => {
                let text = "this recorder has ended".to_owned();
                Err(HostError::new(ErrorClass::Conflict, text))
            }
            None => Err(invalid(format!("`{number}` is not a recorder"))),
        }
    }

    /// Gives a source of a recorder a number.
    pub(super) fn stand_in(&mut self, recorder: u32, source: Source) -> Result<u32, HostError> {
        self.recorder(recorder)?.shape(&source).map_err(device_error)?;
        if let Source::Previous(age) = source {
            self.age_max = self.age_max.max(age);
        }
        let number = self.next() | STAND_IN;
        self.stand_ins.insert(number, StandIn { recorder, source });
        Ok(number)
    }

    /// Writes an op down, on stand-ins of one recorder and on pictures.
    pub(super) fn record(
        &mut self,
        op: DeviceOp,
        numbers: &[u32],
        picture: impl Fn(u32) -> Result<Surface, HostError>,
    ) -> Result<u32, HostError> {
        let mut recorder = None;
        let mut sources = Vec::with_capacity(numbers.len());
        for &number in numbers {
            if !is_stand_in(number) {
                sources.push(Source::Picture(picture(number)?));
                continue;
            }
            let found = self.stand_ins.get(&number).ok_or_else(|| not_a_stand_in(number))?;
            if *recorder.get_or_insert(found.recorder) != found.recorder {
                return Err(invalid(format!("`{number}` is of another recorder")));
            }
            sources.push(found.source.clone());
        }
        let recorder = recorder.ok_or_else(|| invalid("no stand-in".to_owned()))?;
        let source = self.recorder(recorder)?.add(op, sources).map_err(device_error)?;
        self.stand_in(recorder, source)
    }

    /// Ends a recorder with the stand-in that is the result.
    pub(super) fn finish(&mut self, recorder: u32, output: u32) -> Result<u32, HostError> {
        self.recorder(recorder)?;
        let found = self.stand_ins.get(&output).filter(|found| found.recorder == recorder);
        let source = found.map(|found| found.source.clone());
        let source = source.ok_or_else(|| not_a_stand_in(output))?;
        if self.graphs.len() == GRAPHS_MAX {
            return Err(full("graphs"));
        }
        let ended = self.recorders.insert(recorder, None).flatten();
        let ended = ended.ok_or_else(|| invalid(format!("`{recorder}` is not a recorder")))?;
        self.stand_ins.retain(|_, stand_in| stand_in.recorder != recorder);
        let graph = ended.finish(source).map_err(device_error)?;
        let number = self.next();
        self.graphs.insert(number, graph);
        Ok(number)
    }

    pub(super) fn graph(&mut self, number: u32) -> Result<&mut Graph, HostError> {
        let found = self.graphs.get_mut(&number);
        found.ok_or_else(|| invalid(format!("`{number}` is not a graph")))
    }

    pub(super) fn drop_recorder(&mut self, number: u32) {
        self.recorders.remove(&number);
        self.stand_ins.retain(|_, stand_in| stand_in.recorder != number);
    }

    pub(super) fn drop_graph(&mut self, number: u32) {
        self.graphs.remove(&number);
    }

    pub(super) fn end_stand_ins(&mut self) {
        self.stand_ins.clear();
    }
}

impl Host {
    /// Returns the shape of pictures that arrive and the size of those sent out, as chosen so far.
    fn shapes(&self) -> Result<(Shape, (u32, u32)), HostError> {
        let arrives = PixelFormat::from_name(&self.facts.format);
        let format = self.choices.input_format.or(arrives);
        let format = format.ok_or_else(|| HostError::not_here("video"))?;
        let (width, height) = (self.facts.width, self.facts.height);
        let size = self.choices.output_size.unwrap_or((width, height));
        Ok((Shape { format, width, height }, size))
    }

    pub(super) fn new_recorder(&mut self) -> Result<u32, HostError> {
        let (input, sent) = self.shapes()?;
        self.graphs.add_recorder(Recorder::new(input, sent))
    }

    /// Has a graph run from the next frame on, or none. What it gives must be what is sent out.
    pub(super) fn choose_graph(&mut self, graph: Option<u32>) -> Result<(), HostError> {
        let Some(number) = graph else {
            self.graphs.active = None;
            return Ok(());
        };
        let (_, (width, height)) = self.shapes()?;
        let graph = self.graphs.graph(number)?.clone();
        let shape = graph.shape();
        if (shape.width, shape.height) != (width, height) {
            let text = format!("a graph that gives `{shape}` (announced {width}x{height})");
            return Err(invalid(text));
        }
        self.graphs.active = Some(graph);
        Ok(())
    }
}

fn invalid(text: String) -> HostError {
    HostError::new(ErrorClass::Invalid, text)
}

fn not_a_stand_in(number: u32) -> HostError {
    invalid(format!("`{number}` is not a stand-in of this recorder"))
}

fn full(what: &str) -> HostError {
    let text = format!("`session.{what}` is used up ({GRAPHS_MAX} of {GRAPHS_MAX})");
    HostError::new(ErrorClass::Exhausted, text)
}
