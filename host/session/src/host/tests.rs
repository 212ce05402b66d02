//! What a plugin gets of pictures, asked through the trait that its calls arrive by.

#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

use std::os::unix::net::UnixStream;

use device::{Device, DeviceConfig};
use plugin::pipeline::host::{Axis, Color, Rect, Sampling};

use super::*;

const INK: Color = Color { r: 250, g: 20, b: 90, a: 200 };
const WHOLE: Rect = Rect { x: 0, y: 0, width: 20, height: 16 };

fn facts() -> SessionFacts {
    SessionFacts {
        id: "session-1".to_owned(),
        capability: "live-video-to-video/test".to_owned(),
        width: 32,
        height: 24,
        format: "yuv420p".to_owned(),
        frame_rate_milli: 30_000,
        deterministic: true,
    }
}

fn host() -> Host {
    host_with(64 << 20)
}

/// A host whose pictures may take so many bytes.
fn host_with(bytes: usize) -> Host {
    let stream = Device::open("cpu", &DeviceConfig::default()).unwrap().stream(bytes).unwrap();
    let (ours, _) = UnixStream::pair().unwrap();
    Host::new(facts(), Arc::new(stream), "test", (1, Outgoing::over(ours)))
}

/// A picture of 32 by 24 in which every byte is another one.
fn picture(host: &Host, seed: u8) -> Surface {
    let bytes: Vec<u8> =
        (0..32 * 24 * 3 / 2).map(|at| (at as u8).wrapping_mul(31) ^ seed).collect();
    host.stream.picture(PixelFormat::Yuv420p, 32, 24, &bytes).unwrap()
}

fn frame(host: &mut Host, seed: u8) -> u32 {
    let surface = picture(host, seed);
    host.frames.insert(surface, 40).unwrap()
}

fn class(result: Result<u32, HostError>) -> ErrorClass {
    result.unwrap_err().class
}

fn bytes(host: &Host, frame: u32) -> Vec<u8> {
    host.frames.get(frame).unwrap().surface.to_bytes().unwrap()
}

#[test]
fn every_op_but_those_of_models_and_kernels_gives_a_picture_of_its_size() {
    let mut host = host();
    let (source, other) = (frame(&mut host, 1), frame(&mut host, 2));
    let mask = host.op(Op::Threshold { source, level: 99 }).unwrap();
    let lut = host.lut_from_cube(2, &[0.5; 24]).unwrap();
    let (areas, weights) = ([WHOLE], [0.1; 12]);
    let same = (32, 24, "yuv420p");
    let cases = [
        (Op::Convert { source, format: "rgba" }, (32, 24, "rgba")),
        (Op::Resize { source, width: 9, height: 50, sampling: Sampling::Lanczos }, (9, 50, same.2)),
        (Op::Crop { source, area: WHOLE }, (20, 16, same.2)),
        (Op::Pad { source, left: 1, top: 2, right: 3, bottom: 4, fill: INK }, (36, 30, same.2)),
        (Op::Rotate { source, quarters: 1 }, (24, 32, same.2)),
        (Op::Flip { source, axis: Axis::Vertical }, same),
        (Op::BoxBlur { source, radius: 3 }, same),
        (Op::GaussianBlur { source, sigma: 1.5 }, same),
        (Op::BlurAreas { source, areas: &areas, sigma: 2.0 }, same),
        (Op::PixelateAreas { source, areas: &areas, block: 4 }, same),
        (Op::Edges { source }, (32, 24, "gray")),
        (Op::Convolve { source, weights: &weights[..9], bias: 1.0 }, same),
        (Op::Denoise { source, previous: other, strength: 9 }, same),
        (Op::ApplyLut { source, lut }, same),
        (Op::ColorMatrix { source, weights: &weights }, same),
        (Op::Mix { a: source, b: other, t: 3 }, same),
        (Op::Noise { source, strength: 3, seed: 4 }, same),
        (Op::Overlay { base: source, top: other, x: 9, y: -4, alpha: 77 }, same),
        (Op::Composite { base: source, top: other, mask }, same),
        (Op::DrawRects { source, areas: &areas, thickness: 2, ink: INK }, same),
        (Op::DrawText { source, text: "live", x: 1, y: 1, size: 10, ink: INK }, same),
        (Op::Blank { width: 5, height: 7, format: "nv12", fill: INK }, (5, 7, "nv12")),
        (Op::Picture { width: 2, height: 1, rgba: &[7; 8] }, (2, 1, "rgba")),
    ];
    for (op, expected) in cases {
        let made = host.op(op).unwrap_or_else(|error| panic!("{}: {error}", op.name()));
        let facts = host.frame(made).unwrap();
        assert_eq!((facts.width, facts.height, facts.format), expected, "{}", op.name());
        let from_nothing = matches!(op, Op::Blank { .. } | Op::Picture { .. });
        assert_eq!(facts.pts_us, if from_nothing { 0 } else { 40 }, "{}", op.name());
    }
    for op in [
        Op::Infer { model: 1, source },
        Op::RunKernel { kernel: 1, sources: &[source], numbers: &[] },
    ] {
        assert_eq!(class(host.op(op)), ErrorClass::NotFound, "{}", op.name());
    }
}

#[test]
fn what_an_op_does_not_take_is_invalid_and_says_what_it_was() {
    let mut host = host();
    let source = frame(&mut host, 1);
    let error = host.op(Op::GaussianBlur { source, sigma: f32::NAN }).unwrap_err();
    assert_eq!(error.to_string(), "`gaussian-blur`: sigma is `NaN` (above 0, up to 64)");
    let area = Rect { x: 1, ..WHOLE };
    let error = host.op(Op::Crop { source, area }).unwrap_err();
    assert_eq!(error.class, ErrorClass::Invalid);
    assert!(error.message.starts_with("`crop`: the area is `20x16 at 1, 0 of yuv420p 32x24`"));
    assert_eq!(class(host.op(Op::Edges { source: 12 })), ErrorClass::Invalid);
    let many = [WHOLE; 65];
    let op = Op::BlurAreas { source, areas: &many, sigma: 1.0 };
    assert_eq!(class(host.op(op)), ErrorClass::Invalid);
    let huge = Op::Picture { width: 2000, height: 1000, rgba: &vec![0; 8_000_000] };
    assert_eq!(class(host.op(huge)), ErrorClass::Invalid);
}

#[test]
fn a_plugin_that_holds_more_pictures_than_fit_gets_exhausted_and_goes_on_once_it_lets_go() {
    // Planes of 24 rows of 64 bytes and twice 12: three kilobytes a picture, and eight of them.
    let mut host = host_with(8 * 3072);
    let source = frame(&mut host, 1);
    let mut held = Vec::new();
    let refused = loop {
        match host.op(Op::Flip { source, axis: Axis::Vertical }) {
            Ok(made) => held.push(made),
            Err(error) => break error,
        }
        host.keep(*held.last().unwrap()).unwrap();
        host.end_callback();
        host.frames.keep(source).unwrap();
        host.frames.sweep();
    };
    assert_eq!(held.len(), 7);
    assert_eq!(refused.class, ErrorClass::Exhausted);
    let limit =
        "`stream.memory-bytes` of `cpu-0` is used up (24576 of 24576 bytes, 1536 more asked)";
    assert!(refused.to_string().contains(limit), "{refused}");
    host.release(held.remove(0));
    host.op(Op::Flip { source, axis: Axis::Vertical }).unwrap();
}

/// A graph that shows `t` parts of what was sent out before on the edges of what arrives.
fn trail(host: &mut Host, t: u8) -> u32 {
    let recorder = host.recorder_new().unwrap();
    let input = host.recorder_input(recorder).unwrap();
    let edges = host.op(Op::Edges { source: input }).unwrap();
    let edges = host.op(Op::Convert { source: edges, format: "yuv420p" }).unwrap();
    let before = host.recorder_previous(recorder, 1).unwrap();
    let mixed = host.op(Op::Mix { a: edges, b: before, t }).unwrap();
    host.recorder_finish(recorder, mixed).unwrap()
}

fn trail_by_hand(host: &mut Host, input: u32, before: u32, t: u8) -> Vec<u8> {
    let edges = host.op(Op::Edges { source: input }).unwrap();
    let edges = host.op(Op::Convert { source: edges, format: "yuv420p" }).unwrap();
    let mixed = host.op(Op::Mix { a: edges, b: before, t }).unwrap();
    bytes(host, mixed)
}

#[test]
fn a_graph_that_was_set_runs_without_the_plugin_and_another_goes_on_with_what_was_sent() {
    let mut host = host();
    assert!(host.run_active(&picture(&host, 1)).is_none());
    let first = trail(&mut host, 60);
    host.set_graph(Some(first)).unwrap();
    host.graph_drop(first);
    let mut before = picture(&host, 1);
    for (seed, t) in [(1, 60), (2, 60), (3, 200), (4, 200)] {
        if seed == 3 {
            let again = trail(&mut host, 200);
            host.set_graph(Some(again)).unwrap();
        }
        let input = picture(&host, seed);
        let result = host.run_active(&input).unwrap().unwrap();
        let number = host.frames.insert(input, 0).unwrap();
        let old = host.frames.insert(before, 0).unwrap();
        assert_eq!(result.to_bytes().unwrap(), trail_by_hand(&mut host, number, old, t), "{seed}");
        host.note_sent(result.clone());
        before = result;
    }
    host.set_graph(None).unwrap();
    assert!(host.run_active(&before).is_none());
}

#[test]
fn a_graph_can_be_run_as_one_op() {
    let mut host = host();
    let graph = trail(&mut host, 90);
    let input = frame(&mut host, 7);
    let made = host.graph_run(graph, input).unwrap();
    assert_eq!(bytes(&host, made), trail_by_hand(&mut host, input, input, 90));
    assert_eq!(host.frame(made).unwrap().pts_us, 40);
    assert_eq!(class(host.graph_run(graph + 5, input)), ErrorClass::Invalid);
}

#[test]
fn stand_ins_are_of_one_recorder_and_end_with_it_or_with_the_callback() {
    let mut host = host();
    let real = frame(&mut host, 3);
    let (one, two) = (host.recorder_new().unwrap(), host.recorder_new().unwrap());
    let (a, b) = (host.recorder_input(one).unwrap(), host.recorder_input(two).unwrap());
    assert_eq!(class(host.op(Op::Mix { a, b, t: 1 })), ErrorClass::Invalid);
    assert_eq!(class(host.recorder_finish(one, b)), ErrorClass::Invalid);
    assert_eq!(class(host.recorder_previous(one, 17)), ErrorClass::Invalid);
    assert_eq!(class(host.ask(Ask::Histogram { source: a })), ErrorClass::Invalid);
    assert!(host.keep(a).is_err() && host.emit(a, 90).is_err() && host.frame(a).is_none());
    // A real picture becomes part of the graph and need not be kept.
    let mixed = host.op(Op::Mix { a, b: real, t: 255 }).unwrap();
    let graph = host.recorder_finish(one, mixed).unwrap();
    assert_eq!(class(host.op(Op::Edges { source: a })), ErrorClass::Invalid);
    assert_eq!(class(host.recorder_finish(one, mixed)), ErrorClass::Conflict);
    host.end_callback();
    host.frames.sweep();
    assert_eq!(class(host.op(Op::Edges { source: b })), ErrorClass::Invalid);
    let input = frame(&mut host, 9);
    let made = host.graph_run(graph, input).unwrap();
    assert_eq!(bytes(&host, made), picture(&host, 3).to_bytes().unwrap());
}

#[test]
fn a_graph_that_gives_another_size_than_was_announced_is_not_set() {
    let mut host = host();
    let recorder = host.recorder_new().unwrap();
    let source = host.recorder_input(recorder).unwrap();
    let op = Op::Resize { source, width: 16, height: 12, sampling: Sampling::Area };
    let small = host.op(op).unwrap();
    let graph = host.recorder_finish(recorder, small).unwrap();
    let error = host.set_graph(Some(graph)).unwrap_err();
    assert_eq!(error.to_string(), "a graph that gives `yuv420p 16x12` (announced 32x24)");
    host.set_output_size(16, 12).unwrap();
    host.set_graph(Some(graph)).unwrap();
}

#[test]
fn a_reading_is_there_in_the_next_callback_and_the_65th_makes_the_first_forgotten() {
    let mut host = host();
    let (a, b) = (frame(&mut host, 0), frame(&mut host, 1));
    let apart = host.ask(Ask::Difference { a, b }).unwrap();
    let counts = host.ask(Ask::Histogram { source: a }).unwrap();
    assert_eq!(host.reading_values(apart).unwrap(), None);
    assert_eq!(host.reading_shape(counts).unwrap(), None);
    host.end_callback();
    // Every byte differs in its last bit.
    assert_eq!(host.reading_values(apart).unwrap(), Some(vec![1.0]));
    assert_eq!(host.reading_shape(counts).unwrap(), Some(vec![3, 256]));
    let values = host.reading_values(counts).unwrap().unwrap();
    assert_eq!(values.iter().sum::<f32>(), 3.0 * 32.0 * 24.0);
    for _ in 0..63 {
        host.ask(Ask::Difference { a, b }).unwrap();
    }
    assert_eq!(host.reading_values(apart).unwrap_err().class, ErrorClass::Invalid);
    assert!(host.reading_values(counts).unwrap().is_some());
    assert_eq!(class(host.ask(Ask::Analyze { model: 1, source: a })), ErrorClass::NotFound);
}
