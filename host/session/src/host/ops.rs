//! Ops as the plugin calls them, made into those of the device: on pictures they are done, on
//! stand-ins written down.

use device::{Borders, Op as DeviceOp, Surface};
use domain::planes::PixelFormat;
use plugin::pipeline::host::{ErrorClass, HostError, Op};

use super::{Host, device_error, format, graphs};

/// Bytes of a picture that a plugin brings.
const PICTURE_BYTES_MAX: usize = 4 << 20;

/// Pictures that an op takes, by number; the rest are 0.
type Sources = [u32; 3];

impl Host {
    pub(super) fn do_op(&mut self, op: Op<'_>) -> Result<u32, HostError> {
        if let Op::Picture { width, height, rgba } = op {
            return self.picture(width, height, rgba);
        }
        let (made, sources) = self.prepare(op)?;
        let sources = &sources[..made.pictures()];
        if sources.iter().any(|number| graphs::is_stand_in(*number)) {
            let frames = &self.frames;
            let picture = |number| frames.find(number).map(|entry| entry.surface.clone());
            return self.graphs.record(made, sources, picture);
        }
        let mut pts_us = 0;
        let mut pictures = [const { None }; 3];
        for (slot, number) in pictures.iter_mut().zip(sources).rev() {
            let entry = self.frames.find(*number)?;
            pts_us = entry.pts_us;
            *slot = Some(&entry.surface);
        }
        let result = match pictures {
            [Some(a), Some(b), Some(c)] => self.stream.run(&made, &[a, b, c]),
            [Some(a), Some(b), None] => self.stream.run(&made, &[a, b]),
            [Some(a), ..] => self.stream.run(&made, &[a]),
            [None, ..] => self.stream.run(&made, &[]),
        };
        self.frames.insert(result.map_err(device_error)?, pts_us)
    }

    fn picture(&mut self, width: u32, height: u32, rgba: &[u8]) -> Result<u32, HostError> {
        if rgba.len() > PICTURE_BYTES_MAX {
            let text = format!("a picture of `{}` bytes (up to {PICTURE_BYTES_MAX})", rgba.len());
            return Err(HostError::new(ErrorClass::Invalid, text));
        }
        let made: Result<Surface, _> = self.stream.picture(PixelFormat::Rgba, width, height, rgba);
        let there = made.and_then(|picture| self.stream.upload(&picture));
        self.frames.insert(there.map_err(device_error)?, 0)
    }

    fn prepare(&self, op: Op<'_>) -> Result<(DeviceOp, Sources), HostError> {
        if let Op::ApplyLut { source, lut } = op {
            return Ok((DeviceOp::ApplyLut(self.lut(lut)?), [source, 0, 0]));
        }
        let sources = op.sources();
        match of_colors(op).or_else(|| of_places(op)).or_else(|| of_areas(op)) {
            Some(made) => Ok((made?, sources)),
            None => Err(HostError::not_here(op.name())),
        }
    }
}

type Made = Option<Result<DeviceOp, HostError>>;

/// Ops on colours and on pictures that lie on each other.
fn of_colors(op: Op<'_>) -> Made {
    Some(match op {
        Op::Convert { format: name, .. } => format(name).map(|format| DeviceOp::Convert { format }),
        Op::Convolve { weights, bias, .. } => checked(DeviceOp::convolve(weights, bias)),
        Op::ColorMatrix { weights, .. } => checked(DeviceOp::color_matrix(weights)),
        Op::Denoise { strength, .. } => Ok(DeviceOp::Denoise { strength }),
        Op::Threshold { level, .. } => Ok(DeviceOp::Threshold { level }),
        Op::Mix { t, .. } => Ok(DeviceOp::Mix { t }),
        Op::Overlay { x, y, alpha, .. } => Ok(DeviceOp::Overlay { x, y, alpha }),
        Op::Composite { .. } => Ok(DeviceOp::Composite),
        Op::Noise { strength, seed, .. } => Ok(DeviceOp::Noise { strength, seed }),
        _ => return None,
    })
}

/// Ops on places and neighbourhoods.
fn of_places(op: Op<'_>) -> Made {
    Some(match op {
        Op::Resize { width, height, sampling, .. } => {
            Ok(DeviceOp::Resize { width, height, sampling })
        }
        Op::Crop { area, .. } => Ok(DeviceOp::Crop { area }),
        Op::Pad { left, top, right, bottom, fill, .. } => {
            let borders = Borders { left, top, right, bottom };
            Ok(DeviceOp::Pad { borders, fill })
        }
        Op::Rotate { quarters, .. } => Ok(DeviceOp::Rotate { quarters }),
        Op::Flip { axis, .. } => Ok(DeviceOp::Flip { axis }),
        Op::BoxBlur { radius, .. } => checked(DeviceOp::box_blur(radius)),
        Op::GaussianBlur { sigma, .. } => checked(DeviceOp::gaussian_blur(sigma)),
        Op::Edges { .. } => Ok(DeviceOp::Edges),
        Op::Blank { width, height, format: name, fill } => {
            format(name).map(|format| DeviceOp::Blank { width, height, format, fill })
        }
        _ => return None,
    })
}

/// Ops on areas and text.
fn of_areas(op: Op<'_>) -> Made {
    Some(match op {
        Op::BlurAreas { areas, sigma, .. } => checked(DeviceOp::blur_areas(areas, sigma)),
        Op::PixelateAreas { areas, block, .. } => checked(DeviceOp::pixelate_areas(areas, block)),
        Op::DrawRects { areas, thickness, ink, .. } => {
            checked(DeviceOp::draw_rects(areas, thickness, ink))
        }
        Op::DrawText { text, x, y, size, ink, .. } => {
            checked(DeviceOp::draw_text(text, (x, y), size, ink))
        }
        _ => return None,
    })
}

fn checked(made: Result<DeviceOp, device::DeviceError>) -> Result<DeviceOp, HostError> {
    made.map_err(device_error)
}
