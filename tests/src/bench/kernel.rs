//! `op.NAME`: one op on pictures of 1080p, on one thread, over a `memcpy` that reads and writes as many
//! bytes together as the op must; and `graph.op`: what a graph costs on top of its ops.

use std::time::Instant;

use device::{
    Axis, Borders, Color, Device, DeviceConfig, Graph, Op, Recorder, Rect, Sampling, Shape, Source,
    Stream, Surface,
};
use domain::planes::PixelFormat;
use serde_json::json;

use super::pair::measure;
use super::{Line, Skipped, env, machine};

pub(super) const PAIRS: usize = 21;
/// Time of a block: long enough for the clock, short enough for many.
pub(super) const BLOCK_SECONDS: f64 = 0.01;
/// Pictures in turn, so that none of a level below memory holds them all.
pub(super) const PICTURES: usize = 6;
pub(super) const FULL: Shape = Shape { format: PixelFormat::Yuv420p, width: 1920, height: 1080 };
const INK: Color = Color { r: 250, g: 200, b: 0, a: 180 };
const AREA: Rect = Rect { x: 600, y: 300, width: 400, height: 400 };
/// Bytes of the pictures that a stream may hold.
const STREAM_BYTES: usize = 1 << 30;

/// Measures the op of that name in `wit/`.
pub(super) fn run(name: &'static str) -> Result<Vec<Line>, Skipped> {
    let (op, shapes) = case(name)?;
    let idle = machine::idle();
    let stream = open()?;
    let result = op.shape(&shapes).map_err(Skipped::of)?;
    let all = shapes.iter().copied().chain([result]);
    let moved = match name {
        // Chroma is left out, or shared.
        "threshold" | "edges" | "noise" | "convolve" => all.map(luma_of).sum::<usize>() / 2,
        _ => all.map(bytes_of).sum::<usize>() / 2,
    };
    let sets: Vec<Vec<Surface>> = (0..PICTURES)
        .map(|seed| shapes.iter().map(|shape| picture(&stream, *shape, seed)).collect())
        .collect::<Result<_, _>>()?;
    // Results are held as well, or each would be written over the one before.
    let (mut made, mut turn) = (vec![None; PICTURES], 0);
    let mut ours = || {
        turn = (turn + 1) % PICTURES;
        let inputs: Vec<_> = sets[turn].iter().collect();
        made[turn] = Some(stream.run(&op, &inputs).map_err(Skipped::of)?);
        Ok(())
    };
    let from: Vec<Vec<u8>> = (0..PICTURES).map(|seed| vec![seed as u8; moved]).collect();
    let (mut to, mut turn_of_copy) = (vec![vec![0_u8; moved]; PICTURES], 0);
    let mut base = || {
        turn_of_copy = (turn_of_copy + 1) % PICTURES;
        to[turn_of_copy].copy_from_slice(std::hint::black_box(&from[turn_of_copy]));
        std::hint::black_box(&mut to);
        Ok(())
    };
    let pairs = measure(PAIRS, || microseconds(&mut ours), || microseconds(&mut base))?;
    let gigabytes = (2 * moved) as f64 / 1e3 / super::stats::median(&pairs.ours);
    let env = env(json!({
        "ours": format!("`{name}` on {FULL}, one thread"),
        "base": format!("copies of {moved} bytes, {PICTURES} buffers in turn"),
        "gigabytes_a_second": (gigabytes * 100.0).round() / 100.0,
        "clock": "wall time of blocks of 10 ms",
    }));
    let line = Line::of_pairs(&format!("op.{name}"), "us", &pairs, idle, env);
    let goal = match name {
        "convert" => Some(4.0),
        // `noise` makes its numbers anew for every byte, which is no matter of moving bytes.
        "mix" | "threshold" | "denoise" => Some(2.0),
        _ => None,
    };
    Ok(vec![match goal {
        Some(goal) => line.with_goal(goal),
        None => line,
    }])
}

/// Measures a graph of ten ops over the same ops called one by one, a time an op.
pub(super) fn graph() -> Result<Vec<Line>, Skipped> {
    const OPS: usize = 10;
    let idle = machine::idle();
    let stream = open()?;
    // So small that what is around the kernels shows.
    let shape = Shape { format: PixelFormat::Gray, width: 16, height: 2 };
    let input = picture(&stream, shape, 1)?;
    let op = Op::Mix { t: 99 };
    let mut recorder = Recorder::new(shape, (shape.width, shape.height));
    let mut last = Source::Input;
    for _ in 0..OPS {
        last = recorder.add(op.clone(), vec![last, Source::Input]).map_err(Skipped::of)?;
    }
    let mut graph: Graph = recorder.finish(last).map_err(Skipped::of)?;
    let mut ours = || graph.run(&stream, &input, |_| None).map(drop).map_err(Skipped::of);
    let mut base = || {
        let mut made = input.clone();
        for _ in 0..OPS {
            made = stream.run(&op, &[&made, &input]).map_err(Skipped::of)?;
        }
        Ok(())
    };
    let an_op = |time: Result<f64, Skipped>| time.map(|time| time / OPS as f64);
    let pairs =
        measure(PAIRS, || an_op(microseconds(&mut ours)), || an_op(microseconds(&mut base)))?;
    let more = super::stats::median(&pairs.ours) - super::stats::median(&pairs.base);
    let env = env(json!({
        "ours": "a graph of ten ops on a picture of 16 by 2, a time an op",
        "base": "the same ten ops one by one",
        "more_microseconds_an_op": (more * 1000.0).round() / 1000.0,
        "clock": "wall time of blocks of 10 ms",
    }));
    Ok(vec![Line::of_pairs("graph.op", "us", &pairs, idle, env)])
}

/// Returns the time of one call, from as many as fill a block.
pub(super) fn microseconds(call: &mut impl FnMut() -> Result<(), Skipped>) -> Result<f64, Skipped> {
    let (start, mut calls) = (Instant::now(), 0_u32);
    loop {
        call()?;
        calls += 1;
        let seconds = start.elapsed().as_secs_f64();
        if seconds >= BLOCK_SECONDS {
            return Ok(seconds * 1e6 / f64::from(calls));
        }
    }
}

pub(super) fn open() -> Result<Stream, Skipped> {
    let config = DeviceConfig { threads: std::num::NonZeroUsize::MIN, simd: None };
    let device = Device::open("cpu", &config).map_err(Skipped::of)?;
    device.stream(STREAM_BYTES).map_err(Skipped::of)
}

fn luma_of(Shape { format, width, height }: Shape) -> usize {
    let (row, rows) = format.plane_size(0, width, height);
    row * rows
}

pub(super) fn bytes_of(Shape { format, width, height }: Shape) -> usize {
    (0..format.planes()).map(|at| format.plane_size(at, width, height)).map(|(a, b)| a * b).sum()
}

fn picture(stream: &Stream, shape: Shape, seed: usize) -> Result<Surface, Skipped> {
    let Shape { format, width, height } = shape;
    let bytes: Vec<u8> = (0..bytes_of(shape)).map(|at| (at * 7 + at / 977 + seed) as u8).collect();
    stream.picture(format, width, height, &bytes).map_err(Skipped::of)
}

/// Returns an op with usual arguments, and the pictures that it takes.
fn case(name: &str) -> Result<(Op, Vec<Shape>), Skipped> {
    let of = |format| Shape { format, ..FULL };
    let one = |op: Result<Op, device::DeviceError>| op.map(|op| (op, vec![FULL]));
    let made = match name {
        "convert" => Ok((Op::Convert { format: PixelFormat::Rgb24 }, vec![of(PixelFormat::Nv12)])),
        "resize" => one(Ok(Op::Resize { width: 1280, height: 720, sampling: Sampling::Lanczos })),
        "pad" => {
            let borders = Borders { left: 0, top: 60, right: 0, bottom: 60 };
            one(Ok(Op::Pad { borders, fill: INK }))
        }
        "rotate" => one(Ok(Op::Rotate { quarters: 1 })),
        "flip" => one(Ok(Op::Flip { axis: Axis::Horizontal })),
        "box-blur" => one(Op::box_blur(8)),
        "gaussian-blur" => one(Op::gaussian_blur(2.0)),
        "blur-areas" => one(Op::blur_areas(&[AREA], 8.0)),
        "pixelate-areas" => one(Op::pixelate_areas(&[AREA], 16)),
        "edges" => one(Ok(Op::Edges)),
        "convolve" => one(Op::convolve(&[0.111; 9], 0.0)),
        "denoise" => Ok((Op::Denoise { strength: 20 }, vec![FULL; 2])),
        "apply-lut" => one(Op::apply_lut(&[77; 768])),
        "color-matrix" => one(Op::color_matrix(&[0.3; 12])),
        "threshold" => one(Ok(Op::Threshold { level: 128 })),
        "mix" => Ok((Op::Mix { t: 90 }, vec![FULL; 2])),
        "noise" => one(Ok(Op::Noise { strength: 9, seed: 1 })),
        "overlay" => {
            let logo = Shape { format: PixelFormat::Rgba, width: 320, height: 180 };
            Ok((Op::Overlay { x: 40, y: 40, alpha: 255 }, vec![FULL, logo]))
        }
        "composite" => Ok((Op::Composite, vec![FULL, FULL, of(PixelFormat::Gray)])),
        "draw-rects" => one(Op::draw_rects(&[AREA], 4, INK)),
        "draw-text" => one(Op::draw_text("12:34:56 live", (40, 40), 48, INK)),
        _ => {
            let Shape { format, width, height } = FULL;
            Ok((Op::Blank { width, height, format, fill: INK }, Vec::new()))
        }
    };
    made.map_err(Skipped::of)
}
