//! Graphs: checked as they are written down, and the same bytes as their ops one by one.

use device::sample::Random;
use device::{AGE_MAX, Graph, OPS_MAX, Op, Recorder, Sampling, Shape, Source, Stream, Surface};
use domain::Class;
use domain::planes::PixelFormat;

use crate::counted::allocations;
use crate::every::noise;
use crate::stream;

const INPUT: Shape = Shape { format: PixelFormat::Yuv420p, width: 66, height: 50 };

fn random_input(seed: u64) -> Surface {
    noise(INPUT, &mut Random(seed))
}

/// A trail of edges over a dimmed picture, with a logo: every kind of source.
fn trail(logo: &Surface) -> Graph {
    let mut recorder = Recorder::new(INPUT, (66, 50));
    let edges = recorder.add(Op::Edges, vec![Source::Input]).unwrap();
    let color = Op::Convert { format: PixelFormat::Yuv420p };
    let edges = recorder.add(color, vec![edges]).unwrap();
    recorder.add(Op::box_blur(9).unwrap(), vec![Source::Input]).unwrap();
    let mixed = recorder.add(Op::Mix { t: 90 }, vec![edges, Source::Previous(2)]).unwrap();
    let op = Op::Overlay { x: 3, y: 5, alpha: 200 };
    let shown = recorder.add(op, vec![mixed, Source::Picture(logo.clone())]).unwrap();
    recorder.finish(shown).unwrap()
}

fn trail_by_hand(stream: &Stream, logo: &Surface, input: &Surface, sent: &[Surface]) -> Surface {
    let run = |op: &Op, inputs: &[&Surface]| stream.run(op, inputs).unwrap();
    let edges = run(&Op::Edges, &[input]);
    let edges = run(&Op::Convert { format: PixelFormat::Yuv420p }, &[&edges]);
    let previous = sent.iter().rev().nth(1).unwrap_or(input);
    let mixed = run(&Op::Mix { t: 90 }, &[&edges, previous]);
    run(&Op::Overlay { x: 3, y: 5, alpha: 200 }, &[&mixed, logo])
}

#[test]
fn a_graph_gives_what_its_ops_give_one_by_one_and_leaves_out_what_nobody_uses() {
    let stream = stream();
    let logo = stream.picture(PixelFormat::Rgba, 9, 7, &Random(4).bytes(9 * 7 * 4)).unwrap();
    let mut graph = trail(&logo);
    assert_eq!((graph.ops(), graph.age_max(), graph.shape()), (4, 2, INPUT));
    let (mut by_graph, mut by_hand): (Vec<Surface>, Vec<Surface>) = (Vec::new(), Vec::new());
    for frame in 0..6 {
        let input = random_input(frame);
        let sent = |age: u32| by_graph.iter().rev().nth(age as usize - 1).cloned();
        let result = graph.run(&stream, &input, sent).unwrap();
        let expected = trail_by_hand(&stream, &logo, &input, &by_hand);
        assert_eq!(result.to_bytes().unwrap(), expected.to_bytes().unwrap(), "frame {frame}");
        by_graph.push(result);
        by_hand.push(expected);
    }
}

#[test]
fn ten_thousand_frames_of_a_graph_allocate_nothing() {
    let stream = stream();
    let logo = stream.picture(PixelFormat::Rgba, 9, 7, &[90; 9 * 7 * 4]).unwrap();
    let (mut graph, input) = (trail(&logo), random_input(1));
    let mut last = [Some(input.clone()), Some(input.clone())];
    let mut frame = || {
        let result = graph.run(&stream, &input, |age| last[age as usize - 1].clone()).unwrap();
        last = [Some(result), last[0].take()];
    };
    (0..4).for_each(|_| frame());
    let (held, before) = (stream.held_bytes(), allocations());
    (0..10_000).for_each(|_| frame());
    assert_eq!((stream.held_bytes(), allocations()), (held, before));
}

#[test]
fn what_does_not_fit_is_refused_when_it_is_written_down() {
    let mut recorder = Recorder::new(INPUT, (66, 50));
    let add = |recorder: &mut Recorder, op: Op, sources: Vec<Source>| {
        recorder.add(op, sources).unwrap_err().to_string()
    };
    let small = Op::Resize { width: 8, height: 8, sampling: Sampling::Area };
    let small = recorder.add(small, vec![Source::Input]).unwrap();
    assert_eq!(
        add(&mut recorder, Op::Mix { t: 1 }, vec![Source::Input, small.clone()]),
        "`mix` of `yuv420p 66x50` and `yuv420p 8x8`: sizes must be equal"
    );
    assert_eq!(
        add(&mut recorder, Op::Composite, vec![Source::Input; 3]),
        "`composite`: the mask is `yuv420p 66x50` (a `gray` picture)"
    );
    assert_eq!(
        add(&mut recorder, Op::Edges, vec![Source::Node(7)]),
        "`recorder`: a node is `7` (one that is there)"
    );
    assert_eq!(
        add(&mut recorder, Op::Edges, vec![Source::Previous(AGE_MAX + 1)]),
        "`recorder`: the age is `17` (1 to 16)"
    );
    for _ in 1..OPS_MAX {
        recorder.add(Op::Edges, vec![Source::Input]).unwrap();
    }
    let error = recorder.add(Op::Edges, vec![Source::Input]).unwrap_err();
    assert_eq!(
        (error.class(), error.to_string().as_str()),
        (Class::Exhausted, "a graph of more than 256 ops")
    );
    let mut graph = recorder.finish(small).unwrap();
    let other = noise(Shape { width: 65, ..INPUT }, &mut Random(1));
    assert_eq!(
        graph.run(&stream(), &other, |_| None).unwrap_err().to_string(),
        "`graph.run` of `yuv420p 66x50` and `yuv420p 65x50`: format and size must be equal"
    );
}

#[test]
fn what_was_sent_out_in_another_format_or_size_is_made_to_fit() {
    let stream = stream();
    let mut recorder = Recorder::new(INPUT, (20, 10));
    let half = Op::Resize { width: 20, height: 10, sampling: Sampling::Bilinear };
    let half = recorder.add(half, vec![Source::Input]).unwrap();
    let mixed = recorder.add(Op::Mix { t: 255 }, vec![half, Source::Previous(1)]).unwrap();
    let mut graph = recorder.finish(mixed).unwrap();
    let first = graph.run(&stream, &random_input(3), |_| None).unwrap();
    assert_eq!(first.shape(), Shape { width: 20, height: 10, ..INPUT });
    let sent = noise(Shape { format: PixelFormat::Rgba, width: 20, height: 10 }, &mut Random(2));
    let second = graph.run(&stream, &random_input(4), |_| Some(sent.clone())).unwrap();
    let expected = stream.run(&Op::Convert { format: PixelFormat::Yuv420p }, &[&sent]).unwrap();
    assert_eq!(second.to_bytes().unwrap(), expected.to_bytes().unwrap());
}
