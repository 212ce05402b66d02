//! Memory over many frames. Alone in its process, since it looks at the process.
//!
//! `SOAK=1` runs as many frames as a session of some minutes has, else a hundredth of them.

#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

use std::num::NonZeroUsize;

use device::sample::{Random, cases, conversions};
use device::{Device, DeviceConfig, Op, Recorder, Shape, Source, Stream, Surface};
use domain::planes::PixelFormat;

/// Frames through every op.
const FRAMES: usize = 10_000;
const WARM: usize = 10;
/// What may be kept of them, in bytes: one picture of 14 KiB in a hundred would be more over all ops.
const GROWTH_BYTES_MAX: u64 = 16 << 20;
const SIZE: (u32, u32) = (128, 72);
/// What a stream may hold: pictures of a few sizes, in each format and between passes.
const STREAM_BYTES: usize = 16 << 20;

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn picture(stream: &Stream, Shape { format, width, height }: Shape, seed: u64) -> Surface {
    let sizes = (0..format.planes()).map(|plane| format.plane_size(plane, width, height));
    let bytes = Random(seed).bytes(sizes.map(|(row, rows)| row * rows).sum());
    stream.picture(format, width, height, &bytes).unwrap()
}

/// A few frames through every op of every format, with pictures that arrive anew.
fn frames(stream: &Stream, seed: u64) {
    let shape = |format| Shape { format, width: SIZE.0, height: SIZE.1 };
    let mut random = Random(seed);
    let mut all = Vec::new();
    for format in PixelFormat::BASIC {
        all.extend(cases(shape(format), &mut random).unwrap());
    }
    all.extend(conversions(shape(PixelFormat::P010)));
    all.extend(conversions(shape(PixelFormat::Gbrpf32)));
    for case in &all {
        let pictures: Vec<_> =
            case.inputs.iter().map(|shape| picture(stream, *shape, seed)).collect();
        let given: Vec<_> = pictures.iter().collect();
        let made = stream.run(&case.op, &given).unwrap();
        let back = stream.download(&made).unwrap();
        stream.wait().unwrap();
        assert_eq!(back.shape(), case.op.shape(&case.inputs).unwrap());
    }
    counts_and_graph(stream, shape(PixelFormat::Yuv420p), seed);
}

/// What is no op: numbers of pictures, and a graph that looks back.
fn counts_and_graph(stream: &Stream, shape: Shape, seed: u64) {
    let [first, second] = [seed, seed + 1].map(|seed| picture(stream, shape, seed));
    stream.histogram(&first).unwrap();
    stream.difference(&first, &second).unwrap();
    let mut recorder = Recorder::new(shape, (shape.width, shape.height));
    let edges = recorder.add(Op::Edges, vec![Source::Input]).unwrap();
    let mixed = recorder.add(Op::Mix { t: 9 }, vec![Source::Previous(1), edges]).unwrap();
    let mut graph = recorder.finish(mixed).unwrap();
    graph.run(stream, &second, |_| Some(first.clone())).unwrap();
    stream.wait().unwrap();
}

#[test]
fn memory_is_flat_over_many_frames_through_every_op() {
    let count = if std::env::var_os("SOAK").is_some() { FRAMES } else { FRAMES / 100 };
    let threads = NonZeroUsize::new(2).unwrap();
    let device = Device::open("cpu", &DeviceConfig { threads, simd: None }).unwrap();
    let stream = device.stream(STREAM_BYTES).unwrap();
    (0..WARM).for_each(|frame| frames(&stream, frame as u64));
    let (before, held) = (resident_bytes(), stream.held_bytes());
    (0..count).for_each(|frame| frames(&stream, (WARM + frame) as u64));
    let growth = resident_bytes().saturating_sub(before);
    assert!(growth < GROWTH_BYTES_MAX, "{growth} bytes more after {count} frames");
    assert!(stream.held_bytes() <= STREAM_BYTES, "{held} bytes before");
    // A stream's memory goes with it, and so does a session's.
    drop(stream);
    for session in 0..count {
        let stream = device.stream(STREAM_BYTES).unwrap();
        counts_and_graph(
            &stream,
            Shape { format: PixelFormat::Nv12, width: 320, height: 180 },
            session as u64,
        );
    }
    let growth = resident_bytes().saturating_sub(before);
    assert!(growth < GROWTH_BYTES_MAX, "{growth} bytes more after {count} streams");
}
