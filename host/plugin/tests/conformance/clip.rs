//! The host of a session without a device: it knows sizes, formats and times of pictures and keeps
//! a list of ops. Enough for what this crate decides; pixels are `device`'s and `session`'s tests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use plugin::pipeline::host::{
    ErrorClass, FrameFacts, HostError, Level, MetricKind, Op, PipelineHost, SessionFacts,
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
        let (source, format) = match op {
            Op::Convert { source, format } => {
                (source, if format == "gray" { "gray" } else { "yuv420p" })
            }
            Op::Convolve { source, .. } | Op::Mix { a: source, .. } => {
                (source, self.find(source)?.format)
            }
            Op::ApplyLut { source, lut } if self.tables.contains(&lut) => {
                (source, self.find(source)?.format)
            }
            other => return Err(HostError::not_here(other.name())),
        };
        let pts_us = self.find(source)?.pts_us;
        self.ops.push(op.name().to_owned());
        Ok(self.insert(format, pts_us))
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
