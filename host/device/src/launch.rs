//! Kernels and their arguments, laid out as the C structures in `kernels/*.cu`.
//!
//! Knows nothing of surfaces or ops: [`crate::run`] fills these in, a backend hands them over.
//!
//! **Invariant:** each structure here has the fields of its twin in C, in order.

use std::ffi::c_void;

use domain::planes::Plane;

use crate::color::Matrix;

/// A kernel: one entry of `kernels/*.cu`, in the order of the table in `kernels/cpu.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Kernel {
    /// Weighted sums of neighbourhoods.
    Convolve,
    /// Planes of U and V into one of pairs.
    JoinPairs,
    /// Curves over bytes.
    LutBytes,
    /// Curves over r, g, b of a picture of Y, U, V.
    LutYuv,
    /// Cross-fade.
    Mix,
    /// Pixels of three bytes to four or back.
    RepackRgb,
    /// r, g, b to Y, U, V.
    RgbToYuv,
    /// A plane of pairs into U and V.
    SplitPairs,
    /// Y, U, V to r, g, b.
    YuvToRgb,
}

impl Kernel {
    /// Every kernel, in order.
    pub const ALL: [Self; 9] = [
        Self::Convolve,
        Self::JoinPairs,
        Self::LutBytes,
        Self::LutYuv,
        Self::Mix,
        Self::RepackRgb,
        Self::RgbToYuv,
        Self::SplitPairs,
        Self::YuvToRgb,
    ];

    /// Returns the name of the entry in PTX.
    pub const fn entry(self) -> &'static str {
        match self {
            Self::Convolve => "convolve",
            Self::JoinPairs => "join_pairs",
            Self::LutBytes => "lut_bytes",
            Self::LutYuv => "lut_yuv",
            Self::Mix => "mix",
            Self::RepackRgb => "repack_rgb",
            Self::RgbToYuv => "rgb_to_yuv",
            Self::SplitPairs => "split_pairs",
            Self::YuvToRgb => "yuv_to_rgb",
        }
    }
}

/// PTX modules, and the kernels in each.
pub const PTX: [(&str, &[Kernel]); 4] = [
    (include_str!("../kernels/convolve.ptx"), &[Kernel::Convolve]),
    (
        include_str!("../kernels/convert.ptx"),
        &[
            Kernel::JoinPairs,
            Kernel::RepackRgb,
            Kernel::RgbToYuv,
            Kernel::SplitPairs,
            Kernel::YuvToRgb,
        ],
    ),
    (include_str!("../kernels/lut.ptx"), &[Kernel::LutBytes, Kernel::LutYuv]),
    (include_str!("../kernels/mix.ptx"), &[Kernel::Mix]),
];

/// Elements that one CUDA thread computes in a row: `SPAN` in `kernels/k.h`.
pub const SPAN: u32 = 4;

/// A kernel with its arguments.
#[derive(Debug, Clone, Copy)]
pub struct Launch {
    args: Args,
}

impl Launch {
    pub(crate) const fn new(args: Args) -> Self {
        Self { args }
    }

    /// Returns which kernel runs.
    pub const fn kernel(&self) -> Kernel {
        match self.args {
            Args::Convolve(_) => Kernel::Convolve,
            Args::JoinPairs(_) => Kernel::JoinPairs,
            Args::LutBytes(_) => Kernel::LutBytes,
            Args::LutYuv(_) => Kernel::LutYuv,
            Args::Mix(_) => Kernel::Mix,
            Args::RepackRgb(_) => Kernel::RepackRgb,
            Args::RgbToYuv(_) => Kernel::RgbToYuv,
            Args::SplitPairs(_) => Kernel::SplitPairs,
            Args::YuvToRgb(_) => Kernel::YuvToRgb,
        }
    }

    /// Returns elements in a result row, and result rows.
    pub const fn extent(&self) -> Extent {
        match self.args {
            Args::Convolve(a) => a.extent,
            Args::JoinPairs(a) | Args::SplitPairs(a) => a.extent,
            Args::LutBytes(a) => a.extent,
            Args::LutYuv(a) => a.extent,
            Args::Mix(a) => a.extent,
            Args::RepackRgb(a) => a.extent,
            Args::RgbToYuv(a) | Args::YuvToRgb(a) => a.extent,
        }
    }

    /// Returns where the arguments lie: the C structure that the kernel takes.
    pub const fn arguments(&self) -> *const c_void {
        match &self.args {
            Args::Convolve(a) => std::ptr::from_ref(a).cast(),
            Args::JoinPairs(a) | Args::SplitPairs(a) => std::ptr::from_ref(a).cast(),
            Args::LutBytes(a) => std::ptr::from_ref(a).cast(),
            Args::LutYuv(a) => std::ptr::from_ref(a).cast(),
            Args::Mix(a) => std::ptr::from_ref(a).cast(),
            Args::RepackRgb(a) => std::ptr::from_ref(a).cast(),
            Args::RgbToYuv(a) | Args::YuvToRgb(a) => std::ptr::from_ref(a).cast(),
        }
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
}

impl From<Plane> for PlaneArg {
    fn from(plane: Plane) -> Self {
        Self { data: plane.address, pitch: plane.pitch as i64 }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Args {
    Convolve(ConvolveArgs),
    JoinPairs(PairsArgs),
    LutBytes(LutArgs),
    LutYuv(LutYuvArgs),
    Mix(MixArgs),
    RepackRgb(RepackArgs),
    RgbToYuv(ColorArgs),
    SplitPairs(PairsArgs),
    YuvToRgb(ColorArgs),
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct ConvolveArgs {
    pub(crate) extent: Extent,
    pub(crate) input: PlaneArg,
    pub(crate) output: PlaneArg,
    pub(crate) step: i32,
    pub(crate) radius: i32,
    pub(crate) bias: i32,
    pub(crate) weights: [i32; 25],
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct PairsArgs {
    pub(crate) extent: Extent,
    pub(crate) pairs: PlaneArg,
    pub(crate) u: PlaneArg,
    pub(crate) v: PlaneArg,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct LutArgs {
    pub(crate) extent: Extent,
    pub(crate) input: PlaneArg,
    pub(crate) output: PlaneArg,
    pub(crate) step: i32,
    pub(crate) curves: [u8; 768],
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct LutYuvArgs {
    pub(crate) extent: Extent,
    pub(crate) input: [PlaneArg; 3],
    pub(crate) output: [PlaneArg; 3],
    pub(crate) width: i32,
    pub(crate) height: i32,
    pub(crate) chroma_step: i32,
    pub(crate) matrix: Matrix,
    pub(crate) curves: [u8; 768],
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct MixArgs {
    pub(crate) extent: Extent,
    pub(crate) a: PlaneArg,
    pub(crate) b: PlaneArg,
    pub(crate) output: PlaneArg,
    pub(crate) t: i32,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct RepackArgs {
    pub(crate) extent: Extent,
    pub(crate) input: PlaneArg,
    pub(crate) output: PlaneArg,
    pub(crate) in_step: i32,
    pub(crate) out_step: i32,
}

#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct ColorArgs {
    pub(crate) extent: Extent,
    pub(crate) yuv: [PlaneArg; 3],
    pub(crate) rgb: PlaneArg,
    pub(crate) width: i32,
    pub(crate) height: i32,
    pub(crate) chroma_step: i32,
    pub(crate) step: i32,
    pub(crate) matrix: Matrix,
}

#[cfg(test)]
#[test]
fn the_ptx_takes_arguments_of_the_size_that_is_handed_over() {
    for (text, kernels) in PTX {
        for kernel in kernels {
            let size = match kernel {
                Kernel::Convolve => size_of::<ConvolveArgs>(),
                Kernel::JoinPairs | Kernel::SplitPairs => size_of::<PairsArgs>(),
                Kernel::LutBytes => size_of::<LutArgs>(),
                Kernel::LutYuv => size_of::<LutYuvArgs>(),
                Kernel::Mix => size_of::<MixArgs>(),
                Kernel::RepackRgb => size_of::<RepackArgs>(),
                Kernel::RgbToYuv | Kernel::YuvToRgb => size_of::<ColorArgs>(),
            };
            let parameter = format!(".param .align 8 .b8 {}_param_0[{size}]", kernel.entry());
            assert!(text.contains(&parameter), "`{parameter}`");
        }
    }
}
