//! Ops: each guest call becomes one [`Op`] or [`Ask`] for the session's host. Decides nothing but
//! when a picture may be made from bytes.

use wasmtime::component::Resource;

use crate::bindings::pipeline::framegate::media::catalogue::{Kernel, Model};
use crate::bindings::pipeline::framegate::media::frames::{Color as WitColor, Rect as WitRect};
use crate::bindings::pipeline::framegate::media::ops::{self, Lut};
use crate::bindings::types::ErrorClass as WitClass;
use crate::pipeline::bounds;
use crate::pipeline::host::{Ask, Axis, Color, Op, Rect, Sampling};
use crate::pipeline::state::{Phase, PipelineState};

type Made = Result<u32, WitClass>;

impl PipelineState {
    fn op(&mut self, op: Op<'_>) -> Made {
        self.ask_op(op.name(), |host| bounds::check(&op).and_then(|()| host.op(op)))
    }

    fn reading(&mut self, ask: Ask) -> Made {
        self.ask_op(ask.name(), |host| host.ask(ask))
    }
}

const fn rect(area: WitRect) -> Rect {
    Rect { x: area.x, y: area.y, width: area.width, height: area.height }
}

fn rects(areas: Vec<WitRect>) -> Vec<Rect> {
    areas.into_iter().map(rect).collect()
}

const fn color(color: WitColor) -> Color {
    Color { r: color.r, g: color.g, b: color.b, a: color.a }
}

impl ops::Host for PipelineState {
    fn convert(&mut self, source: u32, format: String) -> Made {
        self.op(Op::Convert { source, format: &format })
    }

    fn resize(&mut self, source: u32, width: u32, height: u32, sampling: ops::Sampling) -> Made {
        let sampling = match sampling {
            ops::Sampling::Nearest => Sampling::Nearest,
            ops::Sampling::Bilinear => Sampling::Bilinear,
            ops::Sampling::Bicubic => Sampling::Bicubic,
            ops::Sampling::Lanczos => Sampling::Lanczos,
            ops::Sampling::Area => Sampling::Area,
        };
        self.op(Op::Resize { source, width, height, sampling })
    }

    fn crop(&mut self, source: u32, area: WitRect) -> Made {
        self.op(Op::Crop { source, area: rect(area) })
    }

    fn pad(
        &mut self,
        source: u32,
        left: u32,
        top: u32,
        right: u32,
        bottom: u32,
        fill: WitColor,
    ) -> Made {
        self.op(Op::Pad { source, left, top, right, bottom, fill: color(fill) })
    }

    fn rotate(&mut self, source: u32, quarters: u32) -> Made {
        self.op(Op::Rotate { source, quarters })
    }

    fn flip(&mut self, source: u32, axis: ops::Axis) -> Made {
        let axis = match axis {
            ops::Axis::Horizontal => Axis::Horizontal,
            ops::Axis::Vertical => Axis::Vertical,
        };
        self.op(Op::Flip { source, axis })
    }

    fn box_blur(&mut self, source: u32, radius: u32) -> Made {
        self.op(Op::BoxBlur { source, radius })
    }

    fn gaussian_blur(&mut self, source: u32, sigma: f32) -> Made {
        self.op(Op::GaussianBlur { source, sigma })
    }

    fn blur_areas(&mut self, source: u32, areas: Vec<WitRect>, sigma: f32) -> Made {
        self.op(Op::BlurAreas { source, areas: &rects(areas), sigma })
    }

    fn pixelate_areas(&mut self, source: u32, areas: Vec<WitRect>, block: u32) -> Made {
        self.op(Op::PixelateAreas { source, areas: &rects(areas), block })
    }

    fn edges(&mut self, source: u32) -> Made {
        self.op(Op::Edges { source })
    }

    fn convolve(&mut self, source: u32, weights: Vec<f32>, bias: f32) -> Made {
        self.op(Op::Convolve { source, weights: &weights, bias })
    }

    fn denoise(&mut self, source: u32, previous: u32, strength: u8) -> Made {
        self.op(Op::Denoise { source, previous, strength })
    }

    fn apply_lut(&mut self, source: u32, lut: Resource<Lut>) -> Made {
        self.op(Op::ApplyLut { source, lut: lut.rep() })
    }

    fn color_matrix(&mut self, source: u32, weights: Vec<f32>) -> Made {
        self.op(Op::ColorMatrix { source, weights: &weights })
    }

    fn threshold(&mut self, source: u32, level: u8) -> Made {
        self.op(Op::Threshold { source, level })
    }

    fn mix(&mut self, a: u32, b: u32, t: u8) -> Made {
        self.op(Op::Mix { a, b, t })
    }

    fn noise(&mut self, source: u32, strength: u8, seed: u32) -> Made {
        self.op(Op::Noise { source, strength, seed })
    }

    fn overlay(&mut self, base: u32, top: u32, x: i32, y: i32, alpha: u8) -> Made {
        self.op(Op::Overlay { base, top, x, y, alpha })
    }

    fn composite(&mut self, base: u32, top: u32, mask: u32) -> Made {
        self.op(Op::Composite { base, top, mask })
    }

    fn draw_rects(
        &mut self,
        source: u32,
        areas: Vec<WitRect>,
        thickness: u32,
        ink: WitColor,
    ) -> Made {
        self.op(Op::DrawRects { source, areas: &rects(areas), thickness, ink: color(ink) })
    }

    fn draw_text(
        &mut self,
        source: u32,
        text: String,
        x: i32,
        y: i32,
        size: u32,
        ink: WitColor,
    ) -> Made {
        self.op(Op::DrawText { source, text: &text, x, y, size, ink: color(ink) })
    }

    fn blank(&mut self, width: u32, height: u32, format: String, fill: WitColor) -> Made {
        self.op(Op::Blank { width, height, format: &format, fill: color(fill) })
    }

    fn picture(&mut self, width: u32, height: u32, rgba: Vec<u8>) -> Made {
        self.only_in("picture", &[Phase::Start, Phase::Params])?;
        self.op(Op::Picture { width, height, rgba: &rgba })
    }

    fn infer(&mut self, model: Resource<Model>, source: u32) -> Made {
        self.op(Op::Infer { model: model.rep(), source })
    }

    fn run_kernel(
        &mut self,
        kernel: Resource<Kernel>,
        sources: Vec<u32>,
        numbers: Vec<f32>,
    ) -> Made {
        self.op(Op::RunKernel { kernel: kernel.rep(), sources: &sources, numbers: &numbers })
    }

    fn analyze(&mut self, model: Resource<Model>, source: u32) -> Made {
        self.reading(Ask::Analyze { model: model.rep(), source })
    }

    fn detect(&mut self, model: Resource<Model>, source: u32, min_score: f32) -> Made {
        self.reading(Ask::Detect { model: model.rep(), source, min_score })
    }

    fn histogram(&mut self, source: u32) -> Made {
        self.reading(Ask::Histogram { source })
    }

    fn difference(&mut self, a: u32, b: u32) -> Made {
        self.reading(Ask::Difference { a, b })
    }
}
