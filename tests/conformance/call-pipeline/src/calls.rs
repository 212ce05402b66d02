//! The calls, by interface.

use framegate_sdk::pipeline::{Kernel, Model, open_kernel, open_model};
use framegate_sdk::prelude::*;
use framegate_sdk::recording::set_graph;

use crate::report::Report;

const RED: Color = Color { r: 255, g: 0, b: 0, a: 255 };
const AREA: Rect = Rect { x: 0, y: 0, width: 64, height: 64 };

/// What `start` opened.
pub(crate) struct Opened {
    model: Option<Model>,
    kernel: Option<Kernel>,
    curves: Option<Lut>,
    cube: Option<Lut>,
}

impl Opened {
    /// Opens everything that can be opened.
    pub(crate) fn open(report: &mut Report) -> Self {
        let model = report.note("catalogue.open-model", open_model("any"));
        let kernel = report.note("catalogue.open-kernel", open_kernel("any"));
        let curves: Vec<u8> = (0..=255).cycle().take(3 * 256).collect();
        let curves = report.note("lut.from-curves", Lut::from_curves(&curves));
        assert_eq!(Lut::from_curves(&[0; 7]).err(), Some(ErrorClass::Invalid));
        let cube: Vec<f32> =
            (0_u8..8).flat_map(|at| [at & 1, at >> 1 & 1, at >> 2 & 1].map(f32::from)).collect();
        let cube = report.note("lut.from-cube", Lut::from_cube(2, &cube));
        assert_eq!(Lut::from_cube(1, &[]).err(), Some(ErrorClass::Invalid));
        match &model {
            Some(model) => {
                report.note("model.set-number", model.set_number("strength", 0.5));
                report.note("model.set-text", model.set_text("prompt", "a cat"));
                assert!(model.labels().len() < 1000);
            }
            None => report.unreached(&["model.set-number", "model.set-text", "model.labels"]),
        }
        Self { model, kernel, curves, cube }
    }
}

/// What a frame says of itself.
#[derive(Debug, PartialEq)]
pub(crate) struct Shown(u32, u32, String);

impl Shown {
    pub(crate) fn of(frame: Frame) -> Self {
        Self(frame.width(), frame.height(), frame.format())
    }
}

/// Reads the facts of the session.
pub(crate) fn session_facts() {
    assert!(!session::id().is_empty());
    assert_eq!(session::capability().split('/').next(), Some("live-video-to-video"));
    assert!(session::width() > 0 && session::height() > 0 && !session::format().is_empty());
    assert!(session::frame_rate_milli() < 1_000_000);
    assert!(session::max_frames() > 0 && session::max_ops() > 0 && session::frame_budget_us() > 0);
    let _ = session::deterministic();
}

/// Makes the choices that only `start` can make, and two that it must not.
pub(crate) fn session_choices(report: &mut Report) {
    report.note("session.set-input-format", session::set_input_format("yuv420p"));
    let size = (session::width(), session::height());
    report.note("session.set-output-size", session::set_output_size(size.0, size.1));
    report.note("session.set-graph", set_graph(None));
}

/// What is refused outside `start`.
pub(crate) fn late(_: &mut Report) {
    assert_eq!(session::set_input_format("gray"), Err(ErrorClass::Conflict));
    assert_eq!(session::set_output_size(8, 8), Err(ErrorClass::Conflict));
    assert_eq!(open_model("any").err(), Some(ErrorClass::Conflict));
    assert_eq!(Frame::picture(1, 1, &[0; 4]), Err(ErrorClass::Conflict));
}

/// Writes to the log.
pub(crate) fn log() {
    use framegate_sdk::pipeline::log::{Level, enabled, last_error, write};
    assert!(enabled(Level::Error));
    write(Level::Info, "called");
    assert_eq!(last_error(), "", "nothing has failed yet");
}

/// Registers metrics and returns one of them.
pub(crate) fn metrics(report: &mut Report) -> Option<Metric> {
    let frames = report.note("metrics.register", Metric::counter("frames", "frames taken"))?;
    assert_eq!(Metric::counter("frames", "frames taken"), Ok(frames));
    assert_eq!(Metric::gauge("frames", "the same name"), Err(ErrorClass::Conflict));
    assert_eq!(Metric::histogram("No", "not a name"), Err(ErrorClass::Invalid));
    Some(frames)
}

/// Writes, reads and removes what is stored.
pub(crate) fn kv(report: &mut Report) {
    let stored = kv::get("count").ok().flatten();
    let expected = stored.map(|entry| entry.version);
    let Some(version) = report.note("kv.put", kv::put("count", b"one", expected)) else { return };
    let entry = report.note("kv.get", kv::get("count")).flatten().expect("it was put");
    assert_eq!((entry.value.as_slice(), entry.version), (&b"one"[..], version));
    assert_eq!(kv::put("count", b"two", None), Err(ErrorClass::Conflict));
    let left = kv::put("large", &[0; 60 << 10], None);
    assert_eq!(
        left.and_then(|_| kv::put("more", &[0; 60 << 10], None)),
        Err(ErrorClass::Exhausted)
    );
    report.note("kv.remove", kv::remove("large"));
    assert_eq!(kv::get(&"k".repeat(257)).err(), Some(ErrorClass::Invalid));
}

/// Asks frames what they are.
pub(crate) fn frames(report: &mut Report, frame: Frame, timing: &FrameTiming) {
    assert_eq!((frame.width(), frame.height()), (session::width(), session::height()));
    assert_eq!((frame.format().as_str(), frame.pts_us()), ("yuv420p", timing.pts_us));
    report.note("frames.keep", frame.keep());
}

/// Calls every op that gives a picture.
pub(crate) fn ops(report: &mut Report, frame: Frame, opened: &Opened) {
    let area = [AREA];
    let mask = report.note("ops.threshold", frame.threshold(128)).unwrap_or(frame);
    report.note("ops.convert", frame.convert("gray"));
    report.note("ops.resize", frame.resize(160, 90, Sampling::Bilinear));
    report.note("ops.crop", frame.crop(AREA));
    report.note("ops.pad", frame.pad([2, 2, 2, 2], RED));
    report.note("ops.rotate", frame.rotate(1));
    report.note("ops.flip", frame.flip(Axis::Vertical));
    report.note("ops.box-blur", frame.box_blur(2));
    report.note("ops.gaussian-blur", frame.gaussian_blur(1.5));
    report.note("ops.blur-areas", frame.blur_areas(&area, 1.5));
    report.note("ops.pixelate-areas", frame.pixelate_areas(&area, 8));
    report.note("ops.edges", frame.edges());
    report
        .note("ops.convolve", frame.convolve(&[0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0], 0.0));
    report.note("ops.denoise", frame.denoise(frame, 8));
    let weights = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0];
    report.note("ops.color-matrix", frame.color_matrix(&weights));
    report.note("ops.noise", frame.noise(8, 1));
    report.note("ops.mix", frame.mix(frame, 128));
    report.note("ops.overlay", frame.overlay(frame, 8, 8, 128));
    report.note("ops.composite", frame.composite(frame, mask));
    report.note("ops.draw-rects", frame.draw_rects(&area, 2, RED));
    report.note("ops.draw-text", frame.draw_text("hello", (8, 8), 16, RED));
    report.note("ops.blank", Frame::blank(64, 64, "rgba", RED));
    for lut in [&opened.curves, &opened.cube].into_iter().flatten() {
        report.note("ops.apply-lut", frame.apply_lut(lut));
    }
    match &opened.model {
        Some(model) => {
            report.note("model.set-frame", model.set_frame("reference", frame.0));
            report.note("ops.infer", frame.infer(model));
        }
        None => report.unreached(&["model.set-frame", "ops.infer"]),
    }
    match &opened.kernel {
        Some(kernel) => {
            report.note("ops.run-kernel", Frame::run_kernel(kernel, &[frame], &[]));
        }
        None => report.unreached(&["ops.run-kernel"]),
    }
    graphs(report, frame);
}

fn graphs(report: &mut Report, frame: Frame) {
    let recording = Recording::new();
    let input = report.note("recorder.input", recording.input());
    report.note("recorder.previous", recording.previous(1));
    let output = input.and_then(|input| input.convert("gray").ok()).unwrap_or(frame);
    match report.note("recorder.finish", recording.finish(output)) {
        Some(graph) => {
            report.note("graph.run", frame.run(&graph));
        }
        None => report.unreached(&["graph.run"]),
    }
}

/// Asks for every kind of reading.
pub(crate) fn asks(report: &mut Report, frame: Frame, opened: &Opened) -> Vec<Reading> {
    let mut asked = Vec::new();
    asked.extend(report.note("ops.histogram", frame.histogram()));
    asked.extend(report.note("ops.difference", frame.difference(frame)));
    match &opened.model {
        Some(model) => {
            asked.extend(report.note("ops.detect", frame.detect(model, 0.5)));
            asked.extend(report.note("ops.analyze", frame.analyze(model)));
        }
        None => report.unreached(&["ops.detect", "ops.analyze"]),
    }
    asked
}

/// Reads what was asked for in the callback before.
pub(crate) fn readings(report: &mut Report, readings: &[Reading], opened: &Opened) {
    let none = Reading(2_000_000_000);
    assert_eq!(none.values().err(), Some(ErrorClass::Invalid));
    assert_eq!(none.shape().err(), Some(ErrorClass::Invalid));
    assert_eq!(none.detections().err(), Some(ErrorClass::Invalid));
    assert_eq!(none.text().err(), Some(ErrorClass::Invalid));
    let Some(histogram) = readings.first() else {
        return report.unreached(&["readings.values", "readings.shape"]);
    };
    let values = report.note("readings.values", histogram.values()).flatten();
    let shape = report.note("readings.shape", histogram.shape()).flatten();
    if let (Some(values), Some(shape)) = (values, shape) {
        let product: u32 = shape.iter().product();
        assert_eq!(u32::try_from(values.len()), Ok(product), "{shape:?}");
    }
    if opened.model.is_some() {
        report.note("readings.detections", readings[readings.len() - 2].detections());
        report.note("readings.text", readings[readings.len() - 1].text());
    }
}

/// Copies pixels out and in.
pub(crate) fn pixels(report: &mut Report, frame: Frame) {
    let rows = report.note("pixels.read", frame.read(0, 0, 2)).flatten();
    if let Some(rows) = rows {
        assert_eq!(rows.len(), 2 * frame.width() as usize, "the input can be read at once");
        report.note("pixels.create", Frame::from_pixels(frame.width(), 2, "gray", &rows));
    }
    assert_eq!(frame.read(3, 0, 1).err(), Some(ErrorClass::Invalid));
    assert_eq!(frame.read(0, frame.height(), 1).err(), Some(ErrorClass::Invalid));
    assert_eq!(frame.read(0, u32::MAX, u32::MAX).err(), Some(ErrorClass::Invalid));
    assert_eq!(Frame(0).read(0, 0, 1).err(), Some(ErrorClass::Invalid));
}

/// Calls what there is of sound.
pub(crate) fn sound(report: &mut Report, opened: &Opened) {
    let shape = audio::Shape { pts_us: 0, samples: 2, channels: 1, sample_rate: 48_000 };
    report.note("audio.shape-of", audio::shape_of(1));
    report.note("audio.read", audio::read(1));
    report.note("audio.create", audio::create(shape, &[0.0; 2]));
    report.note("audio.gain", audio::gain(1, 0.5));
    report.note("audio.mix", audio::mix(1, 1));
    match &opened.model {
        Some(model) => {
            report.note("audio.analyze", audio::analyze(model, 1));
        }
        None => report.unreached(&["audio.analyze"]),
    }
}

/// Sends data to the client.
pub(crate) fn data(report: &mut Report) {
    report.note("data.send-text", data::send_text(0, "a caption"));
    report.note("data.send-bytes", data::send_bytes(0, &[1, 2, 3]));
    assert_eq!(data::send_event("{"), Err(ErrorClass::Invalid));
    assert_eq!(data::send_event(&" ".repeat((64 << 10) + 1)), Err(ErrorClass::Invalid));
}
