//! The host of a session without a device: it knows sizes, formats and times of pictures and keeps
//! a list of ops. It has everything that the contract knows, so that every call gets through to it;
//! what comes out of an op is `device`'s and `session`'s affair.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use domain::planes::PixelFormat;
use plugin::pipeline::host::{
    Ask, Detection, ErrorClass, FrameFacts, HostError, Level, MetricKind, Op, PipelineHost,
    SessionFacts,
};
use plugin::pipeline::{FrameTiming, PipelineInstance};

const FRAME_US: i64 = 33_333;

#[derive(Debug)]
pub(crate) struct Clip {
    facts: SessionFacts,
    frames: BTreeMap<u32, FrameFacts>,
    kept: BTreeSet<u32>,
    next: u32,
    pub(crate) tables: BTreeSet<u32>,
    pub(crate) ops: Vec<String>,
    pub(crate) emitted_us: Vec<i64>,
    pub(crate) log: Vec<String>,
    /// Events for the client.
    pub(crate) events: Vec<String>,
    /// Models, kernels, recorders, graphs and readings that there are.
    opened: BTreeSet<u32>,
    pub(crate) callbacks: u32,
    /// Time that each op keeps the thread busy, as on a CPU device.
    pub(crate) op_time: Duration,
}

impl Clip {
    pub(crate) fn new() -> Self {
        Self {
            facts: SessionFacts {
                id: "session-1".to_owned(),
                capability: "live-video-to-video/test".to_owned(),
                width: 320,
                height: 180,
                format: "yuv420p".to_owned(),
                frame_rate_milli: 30_000,
                deterministic: false,
            },
            frames: BTreeMap::new(),
            kept: BTreeSet::new(),
            next: 1,
            tables: BTreeSet::new(),
            ops: Vec::new(),
            emitted_us: Vec::new(),
            log: Vec::new(),
            events: Vec::new(),
            opened: BTreeSet::new(),
            callbacks: 0,
            op_time: Duration::ZERO,
        }
    }

    fn insert(&mut self, format: &'static str, pts_us: i64) -> u32 {
        let number = self.next;
        self.next += 1;
        self.frames.insert(number, FrameFacts { width: 320, height: 180, format, pts_us });
        number
    }

    fn open(&mut self) -> u32 {
        self.next += 1;
        self.opened.insert(self.next);
        self.next
    }

    fn opened(&self, number: u32) -> Result<(), HostError> {
        let text = || HostError::new(ErrorClass::Invalid, format!("`{number}` is not open"));
        self.opened.contains(&number).then_some(()).ok_or_else(text)
    }

    fn close(&mut self, number: u32) {
        assert!(self.opened.remove(&number), "what is opened is dropped once");
    }

    fn find(&self, frame: u32) -> Result<FrameFacts, HostError> {
        let text = || HostError::new(ErrorClass::Invalid, format!("`{frame}` is not a frame"));
        self.frames.get(&frame).copied().ok_or_else(text)
    }
}

/// Makes picture `sequence` of the clip arrive and hands it to the instance.
pub(crate) fn frame(
    instance: &mut PipelineInstance,
    sequence: u64,
) -> Result<Result<plugin::pipeline::Answer, plugin::pipeline::FrameError>, plugin::Fault> {
    let pts_us = 40_000 + i64::try_from(sequence).expect("short clip") * FRAME_US;
    let clip = instance.host_mut::<Clip>().expect("the host is a clip");
    let number = clip.insert("yuv420p", pts_us);
    instance.on_frame(number, &FrameTiming { sequence, pts_us, backlog: 0, slack_us: 8_000 })
}

impl PipelineHost for Clip {
    fn facts(&self) -> &SessionFacts {
        &self.facts
    }

    fn set_input_format(&mut self, _: &str) -> Result<(), HostError> {
        Ok(())
    }

    fn set_output_size(&mut self, _: u32, _: u32) -> Result<(), HostError> {
        Ok(())
    }

    fn emit(&mut self, frame: u32, pts_us: i64) -> Result<(), HostError> {
        self.find(frame)?;
        self.emitted_us.push(pts_us);
        Ok(())
    }

    fn keep(&mut self, frame: u32) -> Result<(), HostError> {
        self.find(frame)?;
        self.kept.insert(frame);
        Ok(())
    }

    fn release(&mut self, frame: u32) {
        self.kept.remove(&frame);
        self.frames.remove(&frame);
    }

    fn frame(&self, frame: u32) -> Option<FrameFacts> {
        self.frames.get(&frame).copied()
    }

    fn op(&mut self, op: Op<'_>) -> Result<u32, HostError> {
        let begun = Instant::now();
        while begun.elapsed() < self.op_time {
            std::hint::spin_loop();
        }
        let source = match op {
            Op::Blank { .. } | Op::Picture { .. } => return Ok(self.insert("rgba", 0)),
            Op::ApplyLut { lut, .. } if !self.tables.contains(&lut) => {
                return Err(HostError::new(ErrorClass::Invalid, format!("`{lut}` is not a table")));
            }
            _ => op.sources()[0],
        };
        let format = match op {
            Op::Convert { format, .. } => PixelFormat::from_name(format).map_or_else(
                || Err(HostError::new(ErrorClass::Invalid, format!("`{format}` is no format"))),
                |format| Ok(format.name()),
            )?,
            _ => self.find(source)?.format,
        };
        let pts_us = self.find(source)?.pts_us;
        self.ops.push(op.name().to_owned());
        Ok(self.insert(format, pts_us))
    }

    fn ask(&mut self, ask: Ask) -> Result<u32, HostError> {
        match ask {
            Ask::Analyze { model, source } | Ask::Detect { model, source, .. } => {
                self.opened(model)?;
                self.find(source)?;
            }
            Ask::Histogram { source } => {
                self.find(source)?;
            }
            Ask::Difference { a, b } => {
                self.find(a)?;
                self.find(b)?;
            }
        }
        Ok(self.open())
    }

    fn set_graph(&mut self, graph: Option<u32>) -> Result<(), HostError> {
        graph.map_or(Ok(()), |graph| self.opened(graph))
    }

    fn recorder_new(&mut self) -> Result<u32, HostError> {
        Ok(self.open())
    }

    fn recorder_input(&mut self, recorder: u32) -> Result<u32, HostError> {
        self.opened(recorder)?;
        Ok(self.insert("yuv420p", 0))
    }

    fn recorder_previous(&mut self, recorder: u32, _: u32) -> Result<u32, HostError> {
        self.recorder_input(recorder)
    }

    fn recorder_finish(&mut self, recorder: u32, output: u32) -> Result<u32, HostError> {
        self.opened(recorder)?;
        self.find(output)?;
        Ok(self.open())
    }

    fn recorder_drop(&mut self, recorder: u32) {
        self.close(recorder);
    }

    fn graph_run(&mut self, graph: u32, input: u32) -> Result<u32, HostError> {
        self.opened(graph)?;
        let pts_us = self.find(input)?.pts_us;
        Ok(self.insert("yuv420p", pts_us))
    }

    fn graph_drop(&mut self, graph: u32) {
        self.close(graph);
    }

    fn open_model(&mut self, _: &str) -> Result<u32, HostError> {
        Ok(self.open())
    }

    fn model_set_number(&mut self, model: u32, _: &str, _: f32) -> Result<(), HostError> {
        self.opened(model)
    }

    fn model_set_text(&mut self, model: u32, _: &str, _: &str) -> Result<(), HostError> {
        self.opened(model)
    }

    fn model_set_frame(&mut self, model: u32, _: &str, frame: u32) -> Result<(), HostError> {
        self.find(frame)?;
        self.opened(model)
    }

    fn model_labels(&self, _: u32) -> Vec<String> {
        vec!["face".to_owned()]
    }

    fn model_drop(&mut self, model: u32) {
        self.close(model);
    }

    fn open_kernel(&mut self, _: &str) -> Result<u32, HostError> {
        Ok(self.open())
    }

    fn kernel_drop(&mut self, kernel: u32) {
        self.close(kernel);
    }

    fn reading_values(&mut self, reading: u32) -> Result<Option<Vec<f32>>, HostError> {
        self.opened(reading).map(|()| Some(vec![0.5; 256]))
    }

    fn reading_shape(&mut self, reading: u32) -> Result<Option<Vec<u32>>, HostError> {
        self.opened(reading).map(|()| Some(vec![1, 256]))
    }

    fn reading_detections(&mut self, reading: u32) -> Result<Option<Vec<Detection>>, HostError> {
        self.opened(reading).map(|()| Some(Vec::new()))
    }

    fn reading_text(&mut self, reading: u32) -> Result<Option<String>, HostError> {
        self.opened(reading).map(|()| Some("a cat".to_owned()))
    }

    fn send_text(&mut self, _: i64, _: &str) -> Result<(), HostError> {
        Ok(())
    }

    fn send_bytes(&mut self, _: i64, _: &[u8]) -> Result<(), HostError> {
        Ok(())
    }

    fn send_event(&mut self, json: &str) -> Result<(), HostError> {
        if !json.ends_with('}') {
            return Err(HostError::new(ErrorClass::Invalid, "not JSON"));
        }
        self.events.push(json.to_owned());
        Ok(())
    }

    fn pixels_read(
        &mut self,
        source: u32,
        plane: u32,
        _: u32,
        rows: u32,
    ) -> Result<Option<Vec<u8>>, HostError> {
        let facts = self.find(source)?;
        let format = PixelFormat::from_name(facts.format).expect("formats of ours");
        let (row, _) = format.plane_size(plane as usize, facts.width, facts.height);
        Ok(Some(vec![128; row * rows as usize]))
    }

    fn pixels_create(&mut self, _: u32, _: u32, _: &str, _: &[u8]) -> Result<u32, HostError> {
        Ok(self.insert("gray", 0))
    }

    fn lut_from_cube(&mut self, _: u32, _: &[f32]) -> Result<u32, HostError> {
        self.next += 1;
        self.tables.insert(self.next);
        Ok(self.next)
    }

    fn lut_from_curves(&mut self, _: &[u8; 768]) -> Result<u32, HostError> {
        self.next += 1;
        self.tables.insert(self.next);
        Ok(self.next)
    }

    fn lut_drop(&mut self, lut: u32) {
        assert!(self.tables.remove(&lut), "a table is dropped once");
    }

    fn log_enabled(&self, level: Level) -> bool {
        level >= Level::Info
    }

    fn metric_register(&mut self, _: &str, _: MetricKind, _: &str) -> Result<u32, HostError> {
        self.next += 1;
        Ok(self.next)
    }

    fn log(&mut self, _: Level, message: &str) {
        self.log.push(message.to_owned());
    }

    fn end_callback(&mut self) {
        self.callbacks += 1;
        self.frames.retain(|number, _| self.kept.contains(number));
    }
}
