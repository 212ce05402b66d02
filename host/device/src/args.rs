//! The structures that kernels take, field for field as in `kernels/*.cu`, where they are explained.
//!
//! **Invariant:** each begins with the extent and has the fields of its twin in C, in order.

use crate::color::Matrix;
use crate::launch::{Extent, PlaneArg};
use crate::op::AREAS_MAX;
use crate::text::{CELL_ROWS, TEXT_MAX};

/// Declares structures in C's layout.
macro_rules! structures {
    ($($name:ident { $($field:ident: $of:ty,)* })*) => {
        $(
            #[derive(Debug, Clone, Copy)]
            #[repr(C)]
            pub(crate) struct $name {
                pub(crate) extent: Extent,
                $(pub(crate) $field: $of,)*
            }
        )*
    };
}

/// From the first corner up to and without the second: x, y, x, y.
pub(crate) type Corners = [i32; 4];

/// Weights of a blur on one side and in the middle, and one that evens the structure.
pub(crate) const SMOOTH_WEIGHTS: usize = 194;

structures! {
    ApartArgs { a: PlaneArg, b: PlaneArg, output: PlaneArg, width: i32, height: i32, }
    BlendArgs {
        base: PlaneArg, top: PlaneArg, mask: PlaneArg, output: PlaneArg,
        width: i32, height: i32, x: i32, y: i32, top_width: i32, top_height: i32,
        step: i32, mask_step: i32, alpha: i32, opaque: i32, halved: i32,
        color: [u8; 4],
    }
    BlocksArgs {
        input: PlaneArg, output: PlaneArg, width: i32, height: i32, step: i32, block: i32,
    }
    BoxAcrossArgs {
        input: PlaneArg, output: PlaneArg, step: i32, radius: i32, inverse: u32, half: u32,
        shift: i32,
    }
    BoxDownArgs { input: PlaneArg, output: PlaneArg, radius: i32, }
    ColorArgs {
        yuv: [PlaneArg; 3], rgb: PlaneArg, width: i32, height: i32, chroma_step: i32, step: i32,
        matrix: Matrix,
    }
    ConvolveArgs {
        input: PlaneArg, output: PlaneArg, step: i32, radius: i32, bias: i32, weights: [i32; 25],
    }
    CountArgs {
        input: PlaneArg, output: PlaneArg, width: i32, height: i32, step: i32, channels: i32,
    }
    CubeArgs { input: PlaneArg, output: PlaneArg, step: i32, size: i32, table: PlaneArg, }
    CubeYuvArgs {
        input: [PlaneArg; 3], output: [PlaneArg; 3], width: i32, height: i32, chroma_step: i32,
        matrix: Matrix, size: i32, table: PlaneArg,
    }
    DenoiseArgs {
        input: PlaneArg, previous: PlaneArg, output: PlaneArg, strength: i32, slope: i32,
    }
    FillArgs { output: PlaneArg, step: i32, color: [u8; 4], }
    FloatsArgs { rgb: PlaneArg, r: PlaneArg, g: PlaneArg, b: PlaneArg, }
    LutArgs { input: PlaneArg, output: PlaneArg, step: i32, curves: [u8; 768], }
    LutYuvArgs {
        input: [PlaneArg; 3], output: [PlaneArg; 3], width: i32, height: i32, chroma_step: i32,
        matrix: Matrix, curves: [u8; 768],
    }
    MaskArgs { output: PlaneArg, count: i32, thickness: i32, areas: [Corners; AREAS_MAX], }
    MatrixArgs { input: PlaneArg, output: PlaneArg, step: i32, weights: [i32; 12], }
    MatrixYuvArgs {
        input: [PlaneArg; 3], output: [PlaneArg; 3], width: i32, height: i32, chroma_step: i32,
        matrix: Matrix, weights: [i32; 12],
    }
    MixArgs { a: PlaneArg, b: PlaneArg, output: PlaneArg, t: i32, }
    MoveArgs {
        input: PlaneArg, output: PlaneArg, step: i32, in_width: i32, in_height: i32, width: i32,
        height: i32, across: [i32; 3], down: [i32; 3], halved: i32, fill: [u8; 4],
    }
    NoiseArgs { input: PlaneArg, output: PlaneArg, step: i32, strength: i32, seed: u32, }
    PairsArgs { pairs: PlaneArg, u: PlaneArg, v: PlaneArg, }
    PlainArgs { input: PlaneArg, output: PlaneArg, }
    RepackArgs { input: PlaneArg, output: PlaneArg, in_step: i32, out_step: i32, }
    ResizeArgs {
        input: PlaneArg, output: PlaneArg, table: PlaneArg, places: i32, taps: i32, unit: i32,
        step: i32,
    }
    SmoothArgs {
        input: PlaneArg, output: PlaneArg, step: i32, radius: i32, unit: i32,
        weights: [i16; SMOOTH_WEIGHTS],
    }
    SumArgs { input: PlaneArg, output: PlaneArg, bands: i32, }
    TextArgs {
        output: PlaneArg, x: i32, y: i32, size: i32, count: i32,
        cells: [u8; TEXT_MAX * CELL_ROWS],
    }
    ThresholdArgs { input: PlaneArg, output: PlaneArg, level: i32, }
}
