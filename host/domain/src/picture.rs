//! Places, colours and ways of sampling: the arguments of ops on pictures, the same for the plugin
//! that asks and the device that works. What an op does with them is the device's.

/// Part of a picture in pixels, from its top left corner; it may lie partly or wholly outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    /// Left edge.
    pub x: i32,
    /// Top edge.
    pub y: i32,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// How pixels between pixels are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// The nearest pixel.
    Nearest,
    /// Linear in both directions.
    Bilinear,
    /// Cubic in both directions, with a = -1/2.
    Bicubic,
    /// Lanczos with three lobes.
    Lanczos,
    /// Mean of the pixels covered.
    Area,
}

/// An axis of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Left and right change places.
    Horizontal,
    /// Top and bottom change places.
    Vertical,
}

/// A colour, 0 to 255 each; `a` 255 is opaque.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color {
    /// Red.
    pub r: u8,
    /// Green.
    pub g: u8,
    /// Blue.
    pub b: u8,
    /// Alpha.
    pub a: u8,
}
