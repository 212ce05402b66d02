//! `pipeline.op`: an op that does nothing, called by a guest through `host/plugin`, over a bare
//! import called by the same guest. The cost of one call is that of a frame with a thousand less
//! that of a frame with none.
//!
//! `pipeline.frame10`: what a whole frame with ten ops costs more than the same ops called
//! natively, for each op, over the same bare import.

use std::time::Duration;

use plugin::pipeline::Pipeline;
use plugin::pipeline::host::{FrameFacts, HostError, Level, Op, PipelineHost, SessionFacts};
use plugin::pipeline::{Answer, FrameTiming, PipelineEngine, PipelineInstance};
use plugin::{Allowed, Limit, Limits, load};
use serde_json::json;

use super::bare::{self, Bare, ErrorClass, FrameError, Output};
use super::pair::{least, measure};
use super::{Line, Skipped, clock, env, machine, place};

const INTERFACE: &str = "framegate:media/session-handler@0.1.0";
/// Ops in the frame that has any.
const OPS: u32 = 1000;
/// Ops in an ordinary frame.
const OPS_FEW: u32 = 10;
/// Frames in a block, for about 5 ms.
const FRAMES: u64 = 50;
/// The same for frames with few ops.
const FRAMES_FEW: u64 = 3000;
const GOAL: f64 = 2.0;
const BLOCKS: usize = 9;
const PAIRS: usize = 25;

type OnFrame = (Result<Output, FrameError>,);

/// Measures the call.
pub(super) fn run() -> Result<Vec<Line>, Skipped> {
    let folder = place::guest("mix-often")?;
    let idle = machine::idle();
    let engine = PipelineEngine::new().map_err(Skipped::of)?;
    let mut many = ours(&engine, &folder, OPS)?;
    let mut none = ours(&engine, &folder, 0)?;
    let mut bare_many = base(&folder, OPS)?;
    let mut bare_none = base(&folder, 0)?;
    let per_op = |many: f64, none: f64| (many - none) / f64::from(OPS);
    let pairs = measure(
        PAIRS,
        || {
            let with = least(BLOCKS, || nanoseconds_a_frame(|i| many.frame(i)));
            let without = least(BLOCKS, || nanoseconds_a_frame(|i| none.frame(i)));
            Ok::<f64, Skipped>(per_op(with, without))
        },
        || {
            let with = least(BLOCKS, || nanoseconds_a_frame(|i| bare_many.frame(i)));
            let without = least(BLOCKS, || nanoseconds_a_frame(|i| bare_none.frame(i)));
            Ok(per_op(with, without))
        },
    )?;
    let env = env(json!({
        "engine": engine.describe(),
        "ours": "ops.mix through host/plugin to a PipelineHost that answers at once",
        "base": "ops.mix as a func_wrap import that answers at once, same component and settings",
        "guest": "tests/conformance/mix-often",
        "clock": "thread processor time, least of 9 blocks of 50 frames with 1000 and with 0 ops",
    }));
    let line = Line::of_pairs("pipeline.op", "ns", &pairs, idle, env).with_goal(GOAL);
    Ok(vec![line, frame10(&engine, &folder)?])
}

/// Measures the frame with ten ops.
fn frame10(engine: &PipelineEngine, folder: &std::path::Path) -> Result<Line, Skipped> {
    let idle = machine::idle();
    let mut few = ours(engine, folder, OPS_FEW)?;
    let mut native = Native(Box::new(AtOnce::default()));
    let mut bare_many = base(folder, OPS)?;
    let mut bare_none = base(folder, 0)?;
    let pairs = measure(
        PAIRS,
        || {
            let guest = least(BLOCKS, || nanoseconds_of(FRAMES_FEW, |i| few.frame(i)));
            let native = least(BLOCKS, || nanoseconds_of(FRAMES_FEW, |i| native.frame(i)));
            Ok::<f64, Skipped>((guest - native) / f64::from(OPS_FEW))
        },
        || {
            let with = least(BLOCKS, || nanoseconds_a_frame(|i| bare_many.frame(i)));
            let without = least(BLOCKS, || nanoseconds_a_frame(|i| bare_none.frame(i)));
            Ok((with - without) / f64::from(OPS))
        },
    )?;
    let env = env(json!({
        "engine": engine.describe(),
        "ours": "an on-frame with ten ops.mix less ten calls of PipelineHost::op, for each op",
        "base": "ops.mix as a func_wrap import that answers at once, same component and settings",
        "guest": "tests/conformance/mix-often",
        "clock": "thread processor time, least of 9 blocks of 3000 frames (base: of 50)",
    }));
    Ok(Line::of_pairs("pipeline.frame10", "ns", &pairs, idle, env).with_goal(GOAL))
}

/// The same ops without a guest.
struct Native(Box<dyn PipelineHost>);

impl Frames for Native {
    fn frame(&mut self, _: u64) -> bool {
        let mut mixed = Ok(1);
        for _ in 0..OPS_FEW {
            let op = Op::Mix { a: 1, b: mixed.unwrap_or(1), t: 0 };
            mixed = std::hint::black_box(&mut self.0).op(op);
        }
        mixed == Ok(1)
    }
}

/// Something that takes frames.
trait Frames {
    /// Hands over frame `sequence` and returns whether it was passed.
    fn frame(&mut self, sequence: u64) -> bool;
}

fn nanoseconds_a_frame(frame: impl FnMut(u64) -> bool) -> f64 {
    nanoseconds_of(FRAMES, frame)
}

/// Hands over `count` frames and returns the processor time of each.
fn nanoseconds_of(count: u64, mut frame: impl FnMut(u64) -> bool) -> f64 {
    let start = clock::thread_cpu();
    let passed = (0..count).filter(|i| frame(*i)).count();
    let took = clock::thread_cpu() - start;
    assert_eq!(passed as u64, count, "a frame was not passed");
    #[expect(clippy::cast_precision_loss, reason = "a small constant")]
    let frames = count as f64;
    took.as_secs_f64() * 1e9 / frames
}

impl Frames for PipelineInstance {
    fn frame(&mut self, sequence: u64) -> bool {
        let timing = FrameTiming { sequence, pts_us: 0, backlog: 0, slack_us: 0 };
        matches!(self.on_frame(1, &timing), Ok(Ok(Answer::Pass)))
    }
}

fn ours(
    engine: &PipelineEngine,
    folder: &std::path::Path,
    ops: u32,
) -> Result<PipelineInstance, Skipped> {
    let (manifest, bytes) = load::read_folder(folder).map_err(Skipped::of)?;
    let mut limits = Limits::pipeline();
    limits.set(Limit::Ops, u64::from(OPS)).map_err(Skipped)?;
    let pipeline = Pipeline::load(engine, &manifest, &bytes, limits, &Allowed::default())
        .map_err(Skipped::of)?;
    let host = Box::new(AtOnce::default());
    let mut instance = pipeline.instantiate(host, Duration::from_millis(8)).map_err(Skipped::of)?;
    instance.start(&params(ops)).map_err(Skipped::of)?.map_err(Skipped::of)?;
    Ok(instance)
}

fn params(ops: u32) -> String {
    format!("{{\"times\":{ops}}}")
}

/// A host whose ops are done at once.
struct AtOnce(SessionFacts);

impl Default for AtOnce {
    fn default() -> Self {
        Self(SessionFacts {
            id: "bench".to_owned(),
            capability: "live-video-to-video/bench".to_owned(),
            width: 1280,
            height: 720,
            format: "yuv420p".to_owned(),
            frame_rate_milli: 30_000,
            deterministic: true,
        })
    }
}

impl PipelineHost for AtOnce {
    fn facts(&self) -> &SessionFacts {
        &self.0
    }

    fn set_input_format(&mut self, _: &str) -> Result<(), HostError> {
        Ok(())
    }

    fn set_output_size(&mut self, _: u32, _: u32) -> Result<(), HostError> {
        Ok(())
    }

    fn emit(&mut self, _: u32, _: i64) -> Result<(), HostError> {
        Ok(())
    }

    fn keep(&mut self, _: u32) -> Result<(), HostError> {
        Ok(())
    }

    fn release(&mut self, _: u32) {}

    fn frame(&self, _: u32) -> Option<FrameFacts> {
        Some(FrameFacts { width: 1280, height: 720, format: "yuv420p", pts_us: 0 })
    }

    fn op(&mut self, op: Op<'_>) -> Result<u32, HostError> {
        if let Op::Mix { a, .. } = op { Ok(a) } else { Err(HostError::not_here(op.name())) }
    }

    fn lut_from_curves(&mut self, _: &[u8; 768]) -> Result<u32, HostError> {
        Err(HostError::not_here("from-curves"))
    }

    fn lut_drop(&mut self, _: u32) {}

    fn log_enabled(&self, _: Level) -> bool {
        false
    }

    fn log(&mut self, _: Level, _: &str) {}

    fn end_callback(&mut self) {}
}

struct BareFrames {
    bare: Bare,
    on_frame: wasmtime::component::TypedFunc<(u32, bare::FrameTiming), OnFrame>,
}

impl Frames for BareFrames {
    fn frame(&mut self, sequence: u64) -> bool {
        let timing = bare::FrameTiming { sequence, pts_us: 0, backlog: 0, slack_us: 0 };
        let answer = self.on_frame.call(&mut self.bare.store, (1, timing));
        matches!(answer, Ok((Ok(Output::Pass),)))
    }
}

fn base(folder: &std::path::Path, ops: u32) -> Result<BareFrames, Skipped> {
    let mut bare = Bare::pipeline(folder, |linker| {
        linker
            .instance("framegate:media/ops@0.1.0")?
            .func_wrap("mix", |_, (a, _, _): (u32, u32, u8)| Ok((Ok::<u32, ErrorClass>(a),)))
    })?;
    bare.set_up(INTERFACE, "start", &params(ops))?;
    let on_frame = bare.typed::<(u32, bare::FrameTiming), OnFrame>(INTERFACE, "on-frame")?;
    Ok(BareFrames { bare, on_frame })
}
