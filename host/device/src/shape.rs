//! Which pictures an op takes, and what picture it gives: decided before anything is done, for real
//! pictures and for those of a graph alike.
//!
//! **Invariant:** an op on pictures for which [`Op::shape`] answers does not fail for what it was
//! given, only for want of memory or of the device.

use std::fmt;

use domain::picture::Rect;
use domain::planes::PixelFormat;

use crate::error::DeviceError;
use crate::op::{Borders, Op, argument};
use crate::surface::{Surface, check_size};

/// Format and size of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Layout.
    pub format: PixelFormat,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}x{}", self.format.name(), self.width, self.height)
    }
}

impl Surface {
    /// Returns format and size.
    pub const fn shape(&self) -> Shape {
        Shape { format: self.format(), width: self.width(), height: self.height() }
    }
}

impl Shape {
    pub(crate) const fn size(self) -> (u32, u32) {
        (self.width, self.height)
    }

    const fn of(self, width: u32, height: u32) -> Self {
        Self { width, height, ..self }
    }
}

impl Op {
    /// Returns what the op makes of such pictures. Errors: the wrong number of them, formats or sizes
    /// that it does not take, numbers that do not fit them.
    pub fn shape(&self, inputs: &[Shape]) -> Result<Shape, DeviceError> {
        let op = self.name();
        if inputs.len() != self.pictures() {
            let (expected, given) = (self.pictures(), inputs.len());
            return Err(DeviceError::PictureCount { op, expected, given });
        }
        let Some(&first) = inputs.first() else { return self.shape_from_nothing() };
        if let Self::Convert { format } = self {
            return Ok(Shape { format: *format, ..first });
        }
        if let Some(other) = inputs.iter().find(|input| !input.format.is_basic()) {
            return Err(DeviceError::Format { op, given: other.format });
        }
        match self {
            Self::Resize { width, height, .. } => sized(first.of(*width, *height)),
            Self::Crop { area } => cropped(first, *area),
            Self::Pad { borders, .. } => padded(first, *borders),
            Self::Rotate { quarters } if quarters % 2 == 1 => {
                Ok(first.of(first.height, first.width))
            }
            Self::Edges | Self::Threshold { .. } => {
                Ok(Shape { format: PixelFormat::Gray, ..first })
            }
            Self::Mix { .. } | Self::Denoise { .. } => {
                alike(op, "sizes", first.size() == inputs[1].size(), first, inputs[1])
            }
            Self::Composite => {
                let [_, top, mask] = inputs else { return Ok(first) };
                if mask.format != PixelFormat::Gray {
                    return Err(argument(op, "the mask", mask, "a `gray` picture"));
                }
                alike(op, "sizes", first.size() == top.size(), first, *top)?;
                alike(op, "sizes", first.size() == mask.size(), first, *mask)
            }
            _ => Ok(first),
        }
    }

    fn shape_from_nothing(&self) -> Result<Shape, DeviceError> {
        match self {
            Self::Blank { format, .. } if !format.is_basic() => {
                Err(DeviceError::Format { op: self.name(), given: *format })
            }
            Self::Blank { width, height, format, .. } => {
                sized(Shape { format: *format, width: *width, height: *height })
            }
            _ => {
                let (op, expected) = (self.name(), self.pictures());
                Err(DeviceError::PictureCount { op, expected, given: 0 })
            }
        }
    }
}

/// Checks two pictures of which `equal` says whether they are alike.
pub(crate) fn alike(
    op: &'static str,
    what: &'static str,
    equal: bool,
    first: Shape,
    second: Shape,
) -> Result<Shape, DeviceError> {
    if equal {
        return Ok(first);
    }
    let (first, second) = (first.to_string(), second.to_string());
    Err(DeviceError::Unlike { op, what, first, second })
}

fn sized(shape: Shape) -> Result<Shape, DeviceError> {
    check_size(shape.width, shape.height).map(|()| shape)
}

fn cropped(source: Shape, area: Rect) -> Result<Shape, DeviceError> {
    let fits = |start: i32, length: u32, most: u32| {
        let start = u32::try_from(start).ok()?;
        let end = start.checked_add(length).filter(|end| length > 0 && *end <= most)?;
        let whole = start % 2 == 0 && (end % 2 == 0 || end == most);
        (whole || !source.format.halves_color()).then_some(())
    };
    let across = fits(area.x, area.width, source.width);
    if across.and_then(|()| fits(area.y, area.height, source.height)).is_none() {
        let Rect { x, y, width, height } = area;
        let given = format!("{width}x{height} at {x}, {y} of {source}");
        let range = "inside the picture, on even numbers where the format halves its colour planes";
        return Err(argument("crop", "the area", given, range));
    }
    Ok(source.of(area.width, area.height))
}

fn padded(source: Shape, borders: Borders) -> Result<Shape, DeviceError> {
    let Borders { left, top, right, bottom } = borders;
    let sum = |middle: u32, ends: [u32; 2]| ends.into_iter().fold(middle, u32::saturating_add);
    sized(source.of(sum(source.width, [left, right]), sum(source.height, [top, bottom])))
}
