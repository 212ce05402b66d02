//! What the contract says of an op's arguments whatever the picture: sizes, counts and ranges.
//!
//! Held here, once, so that no host has to; what depends on the picture, such as whether an area lies
//! inside it, is the host's to say.

use crate::pipeline::host::{ErrorClass, HostError, Op, Rect};

/// Most pixels a side of a result; the contract's number.
pub(crate) const SIDE_MAX: u32 = 16_384;
/// Most areas of one op; the contract's number.
const AREAS_MAX: usize = 64;
/// Bytes of a picture made in `start`; the contract's number.
const PICTURE_BYTES_MAX: usize = 4 << 20;

type Checked = Result<(), HostError>;

/// Checks an op's arguments.
pub(crate) fn check(op: &Op<'_>) -> Checked {
    match *op {
        Op::Resize { width, height, .. } | Op::Blank { width, height, .. } => size(width, height),
        Op::Picture { width, height, rgba } => {
            size(width, height)?;
            let bytes = width as usize * height as usize * 4;
            let fits = rgba.len() == bytes && bytes <= PICTURE_BYTES_MAX;
            held(fits, || format!("{} bytes for {width}x{height} pixels", rgba.len()))
        }
        Op::Crop { area: Rect { x, y, width, height }, .. } => {
            size(width, height)?;
            held(x >= 0 && y >= 0, || format!("an area at {x}, {y}"))
        }
        Op::Pad { left, top, right, bottom, .. } => {
            let most = left.max(top).max(right).max(bottom);
            held(most <= SIDE_MAX, || format!("a border of {most} pixels ({SIDE_MAX} is the most)"))
        }
        Op::BoxBlur { radius, .. } => {
            held(radius <= 127, || format!("a radius of {radius} (to 127)"))
        }
        Op::GaussianBlur { sigma: of, .. } => sigma(of),
        Op::BlurAreas { areas: of, sigma: by, .. } => areas(of).and_then(|()| sigma(by)),
        Op::PixelateAreas { areas: of, block, .. } => {
            areas(of)?;
            held((2..=256).contains(&block), || format!("blocks of {block} pixels (2 to 256)"))
        }
        Op::Convolve { weights, .. } => {
            held(matches!(weights.len(), 9 | 25), || format!("{} weights (9 or 25)", weights.len()))
        }
        Op::ColorMatrix { weights, .. } => {
            held(weights.len() == 12, || format!("{} weights (12)", weights.len()))
        }
        Op::DrawRects { areas: of, .. } => areas(of),
        Op::DrawText { text, size, .. } => {
            let count = text.chars().take(257).count();
            held(count <= 256, || "a text of over 256 characters".to_owned())?;
            held((8..=512).contains(&size), || format!("letters {size} pixels high (8 to 512)"))
        }
        Op::RunKernel { sources, .. } => held((1..=8).contains(&sources.len()), || {
            format!("{} pictures for a kernel (1 to 8)", sources.len())
        }),
        _ => Ok(()),
    }
}

/// Checks the size of a picture.
pub(crate) fn size(width: u32, height: u32) -> Checked {
    let fits = (1..=SIDE_MAX).contains(&width) && (1..=SIDE_MAX).contains(&height);
    held(fits, || format!("a picture of {width}x{height} (1 to {SIDE_MAX} pixels a side)"))
}

fn areas(areas: &[Rect]) -> Checked {
    held(areas.len() <= AREAS_MAX, || format!("{} areas ({AREAS_MAX} are the most)", areas.len()))
}

fn sigma(sigma: f32) -> Checked {
    held(sigma > 0.0 && sigma <= 64.0, || format!("a sigma of {sigma} (above 0, to 64)"))
}

fn held(holds: bool, text: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(HostError::new(ErrorClass::Invalid, text())) }
}
