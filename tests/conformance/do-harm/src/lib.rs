//! Does its neighbours every harm that it can, one after the other: from its third frame on it does the
//! one that its document names by number.

use framegate_sdk::prelude::*;

/// One way to break the contract, given a frame and its number.
type Harm = fn(Frame, u64) -> Result<Output, FrameError>;

/// Harms by number.
const HARMS: [Harm; 10] = [
    trap,
    spin,
    grow,
    grow_in_steps,
    recurse,
    flood_log,
    flood_ops,
    keep_all,
    emit_afar,
    answer_forged,
];

struct Guest {
    harm: usize,
}

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("does its neighbours every harm that it can")
    }

    fn start(params: &str) -> Result<Self, SetupError> {
        let mut document = Document::parse(params)?;
        let harm = document.integer("harm", 0, 0..=9)?;
        document.finish()?;
        Ok(Self { harm: usize::try_from(harm).unwrap_or(0) })
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        if timing.sequence < 2 {
            Ok(Output::Pass)
        } else {
            HARMS[self.harm](frame, timing.sequence)
        }
    }
}

fn trap(_frame: Frame, sequence: u64) -> Result<Output, FrameError> {
    panic!("frame {sequence} goes no further");
}

fn spin(_frame: Frame, sequence: u64) -> Result<Output, FrameError> {
    let mut turns = sequence;
    while std::hint::black_box(turns) < u64::MAX {
        turns = turns.wrapping_add(2) & !(1 << 63);
    }
    Ok(Output::Pass)
}

fn grow(_frame: Frame, sequence: u64) -> Result<Output, FrameError> {
    let block = vec![1_u8; 200 << 20];
    assert_eq!(std::hint::black_box(&block)[usize::try_from(sequence).unwrap_or(0)], 1);
    Ok(Output::Pass)
}

fn grow_in_steps(_frame: Frame, _sequence: u64) -> Result<Output, FrameError> {
    let mut blocks = Vec::new();
    loop {
        blocks.push(vec![1_u8; 64 << 10]);
        std::hint::black_box(&blocks);
    }
}

#[expect(clippy::only_used_in_recursion, reason = "the recursion is the harm")]
fn recurse(frame: Frame, sequence: u64) -> Result<Output, FrameError> {
    let block = std::hint::black_box([sequence; 64]);
    let answer = if block[7] < u64::MAX { recurse(frame, block[7] + 1) } else { Ok(Output::Pass) };
    std::hint::black_box(&block);
    answer
}

fn flood_log(_frame: Frame, sequence: u64) -> Result<Output, FrameError> {
    let line = "all mine ".repeat(1000);
    loop {
        log::write(log::Level::Error, &line);
        std::hint::black_box(sequence);
    }
}

fn flood_ops(frame: Frame, _sequence: u64) -> Result<Output, FrameError> {
    let mut mixed = frame;
    loop {
        mixed = frame.mix(mixed, 7).unwrap_or(frame);
    }
}

fn keep_all(frame: Frame, _sequence: u64) -> Result<Output, FrameError> {
    loop {
        let copy = frame.convert("rgba").unwrap_or(frame);
        std::hint::black_box(copy.keep().is_ok());
    }
}

fn emit_afar(frame: Frame, sequence: u64) -> Result<Output, FrameError> {
    for pts_us in [i64::MIN, i64::MAX, frame.pts_us() + 3_600_000_000] {
        assert!(framegate_sdk::pipeline::emit(frame, pts_us).is_err(), "{pts_us} is taken");
    }
    trap(frame, sequence)
}

fn answer_forged(frame: Frame, _sequence: u64) -> Result<Output, FrameError> {
    Ok(Output::Emit(frame.0 + 1))
}

export_pipeline!(Guest);
