//! Graphs: ops written down once, checked as a whole, and run on frame after frame.
//!
//! A recorder knows the shape of every result as it is written down, so a finished graph fails for
//! want of memory or of the device only. Ops whose results nobody uses are left out. Knows nothing of
//! sessions: what was sent out before is handed in.
//!
//! **Invariant:** a node reads only what lies before it, and a result is let go after its last use,
//! so a graph needs no more memory than the same ops called one by one.

use std::sync::Arc;

use domain::picture::Sampling;

use crate::error::DeviceError;
use crate::op::Op;
use crate::run::PICTURES_MAX;
use crate::shape::Shape;
use crate::stream::Stream;
use crate::surface::Surface;

/// Ops of a graph at most.
pub const OPS_MAX: usize = 256;
/// How many frames back a graph looks at most.
pub const AGE_MAX: u32 = 16;

/// Where a node's picture comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// The frame that arrives.
    Input,
    /// The picture sent out so many frames ago, 1 to [`AGE_MAX`].
    Previous(u32),
    /// A picture that became part of the graph.
    Picture(Surface),
    /// The result of an earlier node.
    Node(usize),
}

#[derive(Debug)]
struct Node {
    op: Op,
    sources: Vec<Source>,
    shape: Shape,
}

/// Writes ops down.
#[derive(Debug)]
pub struct Recorder {
    input: Shape,
    sent: Shape,
    nodes: Vec<Node>,
}

impl Recorder {
    /// Begins a graph for arriving pictures of shape `input`. Pictures that were sent out have the
    /// same format and the size `sent`; until there are any, the one that arrives stands for them.
    pub const fn new(input: Shape, sent: (u32, u32)) -> Self {
        let sent = Shape { format: input.format, width: sent.0, height: sent.1 };
        Self { input, sent, nodes: Vec::new() }
    }

    /// Writes an op down and returns where its result is to be had. Errors: the op does not take
    /// such pictures, there are [`OPS_MAX`] already, an age outside 1 to [`AGE_MAX`], a node that is
    /// not there.
    pub fn add(&mut self, op: Op, sources: Vec<Source>) -> Result<Source, DeviceError> {
        if self.nodes.len() == OPS_MAX {
            return Err(DeviceError::GraphFull { limit: OPS_MAX });
        }
        let shapes =
            sources.iter().map(|source| self.shape(source)).collect::<Result<Vec<_>, _>>()?;
        let shape = op.shape(&shapes)?;
        self.nodes.push(Node { op, sources, shape });
        Ok(Source::Node(self.nodes.len() - 1))
    }

    /// Returns the shape of what comes from a source. Errors: as [`Recorder::add`].
    pub fn shape(&self, source: &Source) -> Result<Shape, DeviceError> {
        let unknown = |what, given: String, range| DeviceError::Argument {
            op: "recorder",
            what,
            given,
            range,
        };
        match source {
            Source::Input => Ok(self.input),
            Source::Previous(age) if (1..=AGE_MAX).contains(age) => Ok(self.sent),
            Source::Previous(age) => Err(unknown("the age", age.to_string(), "1 to 16")),
            Source::Picture(picture) => Ok(picture.shape()),
            Source::Node(node) => match self.nodes.get(*node) {
                Some(node) => Ok(node.shape),
                None => Err(unknown("a node", node.to_string(), "one that is there")),
            },
        }
    }

    /// Ends with what the graph gives. Errors: not a source of this recorder.
    pub fn finish(self, output: Source) -> Result<Graph, DeviceError> {
        let result = self.shape(&output)?;
        let Self { input, sent, nodes } = self;
        let mut needed = vec![false; nodes.len()];
        let mut ends = vec![usize::MAX; nodes.len()];
        let mut age_max = 0;
        let mut need = |source: &Source, at: usize, needed: &mut [bool]| match source {
            Source::Node(node) => {
                // The first look is from the last node, as the walk runs backwards.
                if !std::mem::replace(&mut needed[*node], true) {
                    ends[*node] = at;
                }
            }
            Source::Previous(age) => age_max = age_max.max(*age),
            Source::Input | Source::Picture(_) => {}
        };
        need(&output, usize::MAX, &mut needed);
        for (at, node) in nodes.iter().enumerate().rev() {
            if needed[at] {
                node.sources.iter().for_each(|source| need(source, at, &mut needed));
            }
        }
        let slots = vec![None; nodes.len()];
        let plan = Plan { input, sent, nodes, needed, ends, output, result, age_max };
        Ok(Graph { plan: Arc::new(plan), slots })
    }
}

#[derive(Debug)]
struct Plan {
    input: Shape,
    sent: Shape,
    nodes: Vec<Node>,
    needed: Vec<bool>,
    /// The last node that uses each result.
    ends: Vec<usize>,
    output: Source,
    result: Shape,
    age_max: u32,
}

/// A fixed plan. Clones share it, and each has room for its own results.
#[derive(Debug, Clone)]
pub struct Graph {
    plan: Arc<Plan>,
    /// Results of nodes during a run; empty between runs.
    slots: Vec<Option<Surface>>,
}

impl Graph {
    /// Returns the shape of the pictures that it gives.
    pub fn shape(&self) -> Shape {
        self.plan.result
    }

    /// Returns how many frames back it looks; 0: it does not.
    pub fn age_max(&self) -> u32 {
        self.plan.age_max
    }

    /// Returns the number of ops that a run does.
    pub fn ops(&self) -> usize {
        self.plan.needed.iter().filter(|needed| **needed).count()
    }

    /// Runs it on one frame. `sent(age)` is what was sent out so many frames ago. Errors: a frame of
    /// another shape than the recorder was made for, memory used up, the device failed.
    pub fn run(
        &mut self,
        stream: &Stream,
        input: &Surface,
        sent: impl Fn(u32) -> Option<Surface>,
    ) -> Result<Surface, DeviceError> {
        if input.shape() != self.plan.input {
            let (first, second) = (self.plan.input.to_string(), input.shape().to_string());
            let (op, what) = ("graph.run", "format and size");
            return Err(DeviceError::Unlike { op, what, first, second });
        }
        let plan = Arc::clone(&self.plan);
        let done = self.run_nodes(&plan, stream, input, &sent);
        let result = done.and_then(|()| self.fetch(&plan, stream, &plan.output, input, &sent));
        self.slots.fill(None);
        result
    }

    fn run_nodes(
        &mut self,
        plan: &Plan,
        stream: &Stream,
        input: &Surface,
        sent: &impl Fn(u32) -> Option<Surface>,
    ) -> Result<(), DeviceError> {
        for (at, node) in plan.nodes.iter().enumerate().filter(|(at, _)| plan.needed[*at]) {
            let mut pictures = [const { None }; PICTURES_MAX];
            for (slot, source) in pictures.iter_mut().zip(&node.sources) {
                *slot = Some(self.fetch(plan, stream, source, input, sent)?);
            }
            let mut given = [input; PICTURES_MAX];
            for (slot, picture) in given.iter_mut().zip(pictures.iter().flatten()) {
                *slot = picture;
            }
            let result = stream.run(&node.op, &given[..node.sources.len()])?;
            for source in &node.sources {
                if let Source::Node(node) = source
                    && plan.ends[*node] == at
                {
                    self.slots[*node] = None;
                }
            }
            self.slots[at] = Some(result);
        }
        Ok(())
    }

    fn fetch(
        &self,
        plan: &Plan,
        stream: &Stream,
        source: &Source,
        input: &Surface,
        sent: &impl Fn(u32) -> Option<Surface>,
    ) -> Result<Surface, DeviceError> {
        match source {
            Source::Input => Ok(input.clone()),
            Source::Picture(picture) => Ok(picture.clone()),
            Source::Node(node) => {
                Ok(self.slots[*node].clone().expect("a node is run before its result is used"))
            }
            Source::Previous(age) => {
                let picture = sent(*age).unwrap_or_else(|| input.clone());
                fit(stream, picture, plan.sent)
            }
        }
    }
}

/// Makes a picture that was sent out into one of the shape that the recorder was told.
fn fit(stream: &Stream, mut picture: Surface, shape: Shape) -> Result<Surface, DeviceError> {
    let Shape { format, width, height } = shape;
    if picture.format() != format {
        picture = stream.run(&Op::Convert { format }, &[&picture])?;
    }
    if picture.shape() == shape {
        return Ok(picture);
    }
    stream.run(&Op::Resize { width, height, sampling: Sampling::Bilinear }, &[&picture])
}
