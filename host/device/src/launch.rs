//! Kernels and their arguments, laid out as the C structures in `kernels/*.cu`.
//!
//! Knows nothing of surfaces or ops: [`crate::run`] fills these in, a backend hands them over.
//!
//! **Invariant:** each structure of [`crate::args`] has the fields of its twin in C, in order, and
//! begins with the extent.

use std::ffi::c_void;

use domain::planes::Plane;

use crate::args::{
    ApartArgs, BlendArgs, BlocksArgs, BoxAcrossArgs, BoxDownArgs, ColorArgs, ConvolveArgs,
    CountArgs, CubeArgs, CubeYuvArgs, DenoiseArgs, FillArgs, FloatsArgs, LutArgs, LutYuvArgs,
    MaskArgs, MatrixArgs, MatrixYuvArgs, MixArgs, MoveArgs, NoiseArgs, PairsArgs, PlainArgs,
    RepackArgs, ResizeArgs, SmoothArgs, SumArgs, TextArgs, ThresholdArgs,
};

/// Declares every kernel once: its variant, its arguments, its entry in PTX.
macro_rules! kernels {
    ($($(#[$doc:meta])* $kernel:ident($args:ty) = $entry:literal;)*) => {
        /// A kernel: one entry of `kernels/*.cu`, in the order of the table in `kernels/cpu.c`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(usize)]
        pub enum Kernel {
            $($(#[$doc])* $kernel,)*
        }

        impl Kernel {
            /// Every kernel, in order.
            pub const ALL: &'static [Self] = &[$(Self::$kernel,)*];

            /// Returns the name of the entry in PTX.
            pub const fn entry(self) -> &'static str {
                match self {
                    $(Self::$kernel => $entry,)*
                }
            }

            /// Returns the bytes of the structure that the kernel takes.
            pub const fn argument_bytes(self) -> usize {
                match self {
                    $(Self::$kernel => size_of::<$args>(),)*
                }
            }
        }

        #[derive(Debug, Clone, Copy)]
        #[expect(
            clippy::large_enum_variant,
            reason = "arguments lie on the stack for one call, and boxing them would allocate"
        )]
        pub(crate) enum Args {
            $($kernel($args),)*
        }

        impl Launch {
            /// Returns which kernel runs.
            pub const fn kernel(&self) -> Kernel {
                match self.args {
                    $(Args::$kernel(_) => Kernel::$kernel,)*
                }
            }

            /// Returns elements in a result row, and result rows.
            pub const fn extent(&self) -> Extent {
                match &self.args {
                    $(Args::$kernel(args) => args.extent,)*
                }
            }

            /// Returns where the arguments lie: the C structure that the kernel takes.
            pub const fn arguments(&self) -> *const c_void {
                match &self.args {
                    $(Args::$kernel(args) => std::ptr::from_ref(args).cast(),)*
                }
            }
        }
    };
}

kernels! {
    /// One picture, or one colour, on another.
    Blend(BlendArgs) = "blend";
    /// Means of squares.
    BlockMeans(BlocksArgs) = "block_means";
    /// Sums along rows, divided.
    BoxAcross(BoxAcrossArgs) = "box_across";
    /// Sums down columns.
    BoxDown(BoxDownArgs) = "box_down";
    /// Weighted sums of neighbourhoods.
    Convolve(ConvolveArgs) = "convolve";
    /// Counts of values, by bands.
    CountValues(CountArgs) = "count_values";
    /// A cube of colours over r, g, b.
    CubeRgb(CubeArgs) = "cube_rgb";
    /// A cube of colours over Y, U, V.
    CubeYuv(CubeYuvArgs) = "cube_yuv";
    /// Bytes to words.
    Deep(PlainArgs) = "deep";
    /// Mixing with what was before, where it is alike.
    Denoise(DenoiseArgs) = "denoise";
    /// Strength of edges.
    Edges(PlainArgs) = "edges";
    /// One colour all over.
    Fill(FillArgs) = "fill";
    /// Planes of floats to pixels of three bytes.
    FromFloats(FloatsArgs) = "from_floats";
    /// Planes of U and V into one of pairs.
    JoinPairs(PairsArgs) = "join_pairs";
    /// Curves over bytes.
    LutBytes(LutArgs) = "lut_bytes";
    /// Curves over r, g, b of a picture of Y, U, V.
    LutYuv(LutYuvArgs) = "lut_yuv";
    /// Where areas are.
    MaskAreas(MaskArgs) = "mask_areas";
    /// Where text has ink.
    MaskText(TextArgs) = "mask_text";
    /// A matrix over r, g, b.
    MatrixRgb(MatrixArgs) = "matrix_rgb";
    /// A matrix over r, g, b of a picture of Y, U, V.
    MatrixYuv(MatrixYuvArgs) = "matrix_yuv";
    /// Cross-fade.
    Mix(MixArgs) = "mix";
    /// Pixels to other places.
    Move(MoveArgs) = "move";
    /// Grain.
    Noise(NoiseArgs) = "noise";
    /// Pixels of three bytes to four or back.
    RepackRgb(RepackArgs) = "repack_rgb";
    /// Another width.
    ResizeAcross(ResizeArgs) = "resize_across";
    /// Another height.
    ResizeDown(ResizeArgs) = "resize_down";
    /// r, g, b to Y, U, V.
    RgbToYuv(ColorArgs) = "rgb_to_yuv";
    /// Words to bytes.
    Shallow(PlainArgs) = "shallow";
    /// A blur along rows.
    SmoothAcross(SmoothArgs) = "smooth_across";
    /// A blur down columns.
    SmoothDown(SmoothArgs) = "smooth_down";
    /// A plane of pairs into U and V.
    SplitPairs(PairsArgs) = "split_pairs";
    /// Squares at full size.
    SpreadBlocks(BlocksArgs) = "spread_blocks";
    /// Sums of differences, by bands.
    SumApart(ApartArgs) = "sum_apart";
    /// Sums over bands.
    SumBands(SumArgs) = "sum_bands";
    /// Bytes that are at least a level.
    Threshold(ThresholdArgs) = "threshold";
    /// Pixels of three bytes to planes of floats.
    ToFloats(FloatsArgs) = "to_floats";
    /// Y, U, V to r, g, b.
    YuvToRgb(ColorArgs) = "yuv_to_rgb";
}

/// PTX modules, and the kernels in each.
pub const PTX: [(&str, &[Kernel]); 8] = [
    (
        include_str!("../kernels/areas.ptx"),
        &[Kernel::MaskAreas, Kernel::MaskText, Kernel::BlockMeans, Kernel::SpreadBlocks],
    ),
    (
        include_str!("../kernels/convert.ptx"),
        &[
            Kernel::SplitPairs,
            Kernel::JoinPairs,
            Kernel::YuvToRgb,
            Kernel::RgbToYuv,
            Kernel::RepackRgb,
            Kernel::Shallow,
            Kernel::Deep,
            Kernel::ToFloats,
            Kernel::FromFloats,
        ],
    ),
    (include_str!("../kernels/convolve.ptx"), &[Kernel::Convolve, Kernel::Edges]),
    (
        include_str!("../kernels/count.ptx"),
        &[Kernel::CountValues, Kernel::SumApart, Kernel::SumBands],
    ),
    (
        include_str!("../kernels/filter.ptx"),
        &[
            Kernel::ResizeDown,
            Kernel::ResizeAcross,
            Kernel::SmoothDown,
            Kernel::SmoothAcross,
            Kernel::BoxDown,
            Kernel::BoxAcross,
        ],
    ),
    (
        include_str!("../kernels/lut.ptx"),
        &[
            Kernel::LutBytes,
            Kernel::LutYuv,
            Kernel::MatrixRgb,
            Kernel::MatrixYuv,
            Kernel::CubeRgb,
            Kernel::CubeYuv,
        ],
    ),
    (
        include_str!("../kernels/mix.ptx"),
        &[Kernel::Mix, Kernel::Denoise, Kernel::Threshold, Kernel::Noise, Kernel::Blend],
    ),
    (include_str!("../kernels/shape.ptx"), &[Kernel::Move, Kernel::Fill]),
];

/// Elements that one CUDA thread computes in a row unless its kernel says otherwise: `SPAN` in
/// `kernels/k.h`.
pub const SPAN: u32 = 4;

impl Kernel {
    /// Returns the elements in a row and the rows that one CUDA thread computes: what the kernel's
    /// `ENTRY` or `BAND_ENTRY` says.
    pub const fn tile(self) -> (u32, u32) {
        match self {
            Self::BoxAcross => (32, 1),
            Self::BoxDown => (SPAN, 32),
            _ => (SPAN, 1),
        }
    }
}

/// A kernel with its arguments.
#[derive(Debug, Clone, Copy)]
pub struct Launch {
    args: Args,
}

impl Launch {
    pub(crate) const fn new(args: Args) -> Self {
        Self { args }
    }
}

/// Elements in a result row, and result rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Extent {
    /// Elements in a row.
    pub columns: i32,
    /// Rows.
    pub rows: i32,
}

impl Extent {
    pub(crate) const fn new(columns: usize, rows: usize) -> Self {
        // Pictures have at most `MAX_SIDE` pixels a side, of at most four bytes.
        Self { columns: columns as i32, rows: rows as i32 }
    }
}

/// A plane as kernels take it.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct PlaneArg {
    data: u64,
    pitch: i64,
}

impl PlaneArg {
    /// A plane that is not there.
    pub(crate) const NONE: Self = Self { data: 0, pitch: 0 };

    /// Returns the plane that begins `bytes` further on.
    pub(crate) const fn offset(self, bytes: u64) -> Self {
        Self { data: self.data + bytes, ..self }
    }
}

impl From<Plane> for PlaneArg {
    fn from(plane: Plane) -> Self {
        Self { data: plane.address, pitch: plane.pitch as i64 }
    }
}

#[cfg(test)]
#[test]
fn the_ptx_takes_arguments_of_the_size_that_is_handed_over() {
    for (text, kernels) in PTX {
        for kernel in kernels {
            let (entry, bytes) = (kernel.entry(), kernel.argument_bytes());
            let parameter = format!(".param .align 8 .b8 {entry}_param_0[{bytes}]");
            assert!(text.contains(&parameter), "`{parameter}`");
        }
    }
}
