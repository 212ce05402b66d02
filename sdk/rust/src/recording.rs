//! Graphs: ops written down once and run by the host as a fixed plan.
//!
//! A [`Recording`] gives stand-ins for frames; the same methods of [`Frame`] that work on pictures
//! write themselves down when they are called on one.

pub use crate::bindings::pipeline::framegate::media::graphs::Graph;
use crate::bindings::pipeline::framegate::media::graphs::Recorder;
use crate::bindings::pipeline::framegate::media::session;
use crate::{ErrorClass, pipeline::Frame};

/// Ops being written down.
#[derive(Debug)]
pub struct Recording(Recorder);

impl Default for Recording {
    fn default() -> Self {
        Self::new()
    }
}

impl Recording {
    /// Begins.
    pub fn new() -> Self {
        Self(Recorder::new())
    }

    /// Returns the stand-in for the frame that arrives.
    pub fn input(&self) -> Result<Frame, ErrorClass> {
        self.0.input().map(Frame)
    }

    /// Returns the stand-in for the picture that was sent out `age` frames ago, 1 to 16.
    pub fn previous(&self, age: u32) -> Result<Frame, ErrorClass> {
        self.0.previous(age).map(Frame)
    }

    /// Ends with the stand-in that is the result.
    pub fn finish(&self, output: Frame) -> Result<Graph, ErrorClass> {
        self.0.finish(output.0)
    }
}

impl Frame {
    /// Runs a graph on this frame, as one op.
    pub fn run(self, graph: &Graph) -> Result<Self, ErrorClass> {
        graph.run(self.0).map(Self)
    }
}

/// Has the host run `graph` on every further frame in place of `on_frame`; `None`: calls it again.
pub fn set_graph(graph: Option<&Graph>) -> Result<(), ErrorClass> {
    session::set_graph(graph)
}
