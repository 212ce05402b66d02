//! What a picture in memory is: format, size and planes. The seam between decoders, devices and
//! encoders; it owns nothing and frees nothing.
//!
//! **Invariant:** a [`Planes`] value has exactly as many planes as its format, and each plane's
//! pitch is at least its row of bytes.

/// Layout of a picture, named as in FFmpeg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PixelFormat {
    /// Luma, then interleaved chroma at half size both ways.
    Nv12,
    /// Luma, then two chroma planes at half size both ways.
    Yuv420p,
    /// One plane of r, g, b bytes.
    Rgb24,
    /// One plane of r, g, b, a bytes.
    Rgba,
    /// One plane of luma.
    Gray,
    /// As `nv12`, in words of 16 bits, of which the upper ten count.
    P010,
    /// Planes of floats from 0 to 1 for g, b and r: what models take.
    Gbrpf32,
}

impl PixelFormat {
    /// Every format.
    pub const ALL: [Self; 7] =
        [Self::Nv12, Self::Yuv420p, Self::Rgb24, Self::Rgba, Self::Gray, Self::P010, Self::Gbrpf32];

    /// The formats that every op takes; the others can be converted to and from these.
    pub const BASIC: [Self; 5] = [Self::Nv12, Self::Yuv420p, Self::Rgb24, Self::Rgba, Self::Gray];

    /// Returns FFmpeg's name of the format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nv12 => "nv12",
            Self::Yuv420p => "yuv420p",
            Self::Rgb24 => "rgb24",
            Self::Rgba => "rgba",
            Self::Gray => "gray",
            Self::P010 => "p010le",
            Self::Gbrpf32 => "gbrpf32le",
        }
    }

    /// Finds a format by FFmpeg's name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Says whether every op takes the format.
    pub const fn is_basic(self) -> bool {
        !matches!(self, Self::P010 | Self::Gbrpf32)
    }

    /// Says whether its colour planes have half the size both ways.
    pub const fn halves_color(self) -> bool {
        matches!(self, Self::Nv12 | Self::Yuv420p | Self::P010)
    }

    /// Returns how many planes the format has.
    pub const fn planes(self) -> usize {
        match self {
            Self::Nv12 | Self::P010 => 2,
            Self::Yuv420p | Self::Gbrpf32 => 3,
            Self::Rgb24 | Self::Rgba | Self::Gray => 1,
        }
    }

    /// Returns the bytes in a row and the number of rows of one plane of a `width` by `height`
    /// picture. Odd sizes round chroma up.
    pub const fn plane_size(self, plane: usize, width: u32, height: u32) -> (usize, usize) {
        let (width, height) = (width as usize, height as usize);
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        match (self, plane) {
            (Self::Nv12, 1) => (half_width * 2, half_height),
            (Self::Yuv420p, 1 | 2) => (half_width, half_height),
            (Self::Rgb24, 0) => (width * 3, height),
            (Self::Rgba, 0) => (width * 4, height),
            (Self::Nv12 | Self::Yuv420p | Self::Gray, 0) => (width, height),
            (Self::P010, 0) => (width * 2, height),
            (Self::P010, 1) => (half_width * 4, half_height),
            (Self::Gbrpf32, 0..3) => (width * 4, height),
            _ => (0, 0),
        }
    }
}

/// One plane: where it is and how far its rows lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plane {
    /// Address of the first row: in host memory, or in the memory of the device that [`Owner`]
    /// names. Zero in an absent plane.
    pub address: u64,
    /// Bytes from one row to the next.
    pub pitch: usize,
}

/// Whose memory the planes lie in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The process's own memory.
    Host,
    /// A CUDA device, by ordinal.
    Cuda(u32),
}

/// A picture in memory that somebody else keeps alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planes {
    /// Layout.
    pub format: PixelFormat,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Memory.
    pub owner: Owner,
    /// The planes that the format has; the rest are absent.
    pub planes: [Plane; 3],
}
