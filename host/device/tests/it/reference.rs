//! The ops once more, pixel by pixel, written from their definition in the crate documentation and
//! sharing nothing with the kernels, coefficients included.

use domain::planes::PixelFormat;

/// A picture as plain bytes: planes one after another, no padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) format: PixelFormat,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) bytes: Vec<u8>,
}

/// Gains in 2^-14: to r, g, b (luma, rv, gu, gv, bu), then to Y, to U and to V.
type Gains = ([i64; 5], [[i64; 3]; 3]);

const BT601: Gains = (
    [19077, 26149, -6419, -13320, 33050],
    [[4207, 8260, 1604], [-2428, -4768, 7196], [7196, -6026, -1170]],
);
const BT709: Gains = (
    [19077, 29372, -3494, -8731, 34610],
    [[2991, 10064, 1016], [-1649, -5547, 7196], [7196, -6536, -660]],
);

fn gains(height: usize) -> Gains {
    if height < 720 { BT601 } else { BT709 }
}

fn cut(value: i64) -> u8 {
    value.clamp(0, 255) as u8
}

pub(crate) fn picture_bytes(format: PixelFormat, width: usize, height: usize) -> usize {
    let chroma = width.div_ceil(2) * height.div_ceil(2) * 2;
    match format {
        PixelFormat::Nv12 | PixelFormat::Yuv420p => width * height + chroma,
        PixelFormat::Rgb24 => width * height * 3,
        PixelFormat::Rgba => width * height * 4,
        PixelFormat::Gray => width * height,
        PixelFormat::P010 | PixelFormat::Gbrpf32 => panic!("not one of those that ops take"),
    }
}

impl Picture {
    /// Y, U, V at a pixel.
    fn yuv(&self, x: usize, y: usize) -> [i64; 3] {
        let (cw, ch) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let (luma, block) = (self.width * self.height, (y / 2) * cw + x / 2);
        let (u, v) = match self.format {
            PixelFormat::Nv12 => (self.bytes[luma + 2 * block], self.bytes[luma + 2 * block + 1]),
            PixelFormat::Yuv420p => (self.bytes[luma + block], self.bytes[luma + cw * ch + block]),
            PixelFormat::Gray => (128, 128),
            _ => panic!("no Y, U, V in it"),
        };
        [self.bytes[y * self.width + x], u, v].map(i64::from)
    }

    /// r, g, b at a pixel, whatever the format.
    fn rgb(&self, x: usize, y: usize) -> [u8; 3] {
        let step = match self.format {
            PixelFormat::Rgb24 => 3,
            PixelFormat::Rgba => 4,
            _ => {
                let ([luma, rv, gu, gv, bu], _) = gains(self.height);
                let [y, u, v] = self.yuv(x, y);
                let base = (y - 16) * luma + 8192;
                let (u, v) = (u - 128, v - 128);
                return [rv * v, gu * u + gv * v, bu * u].map(|c| cut((base + c) >> 14));
            }
        };
        let at = (y * self.width + x) * step;
        [self.bytes[at], self.bytes[at + 1], self.bytes[at + 2]]
    }

    fn alpha(&self, x: usize, y: usize) -> u8 {
        match self.format {
            PixelFormat::Rgba => self.bytes[(y * self.width + x) * 4 + 3],
            _ => 255,
        }
    }

    fn is_rgb(&self) -> bool {
        matches!(self.format, PixelFormat::Rgb24 | PixelFormat::Rgba)
    }

    /// Makes a picture from what each pixel is.
    fn of_colors(&self, format: PixelFormat, rgb: impl Fn(usize, usize) -> [u8; 3]) -> Self {
        let (width, height) = (self.width, self.height);
        let mut bytes = Vec::new();
        let pixels = |y: usize| (0..width).map(move |x| (x, y));
        match format {
            PixelFormat::Rgb24 => {
                (0..height).flat_map(pixels).for_each(|(x, y)| bytes.extend(rgb(x, y)))
            }
            PixelFormat::Rgba => (0..height).flat_map(pixels).for_each(|(x, y)| {
                bytes.extend(rgb(x, y));
                bytes.push(self.alpha(x, y));
            }),
            _ => {
                let (_, [to_y, to_u, to_v]) = gains(height);
                let weigh = |gains: [i64; 3], c: [i64; 3]| -> i64 {
                    gains.iter().zip(c).map(|(gain, c)| gain * c).sum()
                };
                for (x, y) in (0..height).flat_map(pixels) {
                    let c = rgb(x, y).map(i64::from);
                    bytes.push(cut(16 + ((weigh(to_y, c) + 8192) >> 14)));
                }
                let chroma = |gains: [i64; 3], bx: usize, by: usize| {
                    let mut sum = [0; 3];
                    for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                        let (x, y) = ((2 * bx + dx).min(width - 1), (2 * by + dy).min(height - 1));
                        for (sum, c) in sum.iter_mut().zip(rgb(x, y)) {
                            *sum += i64::from(c);
                        }
                    }
                    cut(128 + ((weigh(gains, sum) + 32768) >> 16))
                };
                let blocks = || {
                    (0..height.div_ceil(2))
                        .flat_map(|y| (0..width.div_ceil(2)).map(move |x| (x, y)))
                };
                match format {
                    PixelFormat::Nv12 => blocks().for_each(|(x, y)| {
                        bytes.extend([chroma(to_u, x, y), chroma(to_v, x, y)]);
                    }),
                    PixelFormat::Yuv420p => {
                        bytes.extend(blocks().map(|(x, y)| chroma(to_u, x, y)));
                        bytes.extend(blocks().map(|(x, y)| chroma(to_v, x, y)));
                    }
                    _ => {}
                }
            }
        }
        Self { format, width, height, bytes }
    }

    pub(crate) fn convert(&self, format: PixelFormat) -> Self {
        let to_rgb = matches!(format, PixelFormat::Rgb24 | PixelFormat::Rgba);
        if self.is_rgb() || to_rgb {
            return self.of_colors(format, |x, y| self.rgb(x, y));
        }
        let (width, height) = (self.width, self.height);
        let mut bytes = self.bytes[..width * height].to_vec();
        let blocks =
            (0..height).step_by(2).flat_map(|y| (0..width).step_by(2).map(move |x| (x, y)));
        let [u, v] = [1, 2]
            .map(|c| blocks.clone().map(|(x, y)| self.yuv(x, y)[c] as u8).collect::<Vec<_>>());
        match format {
            PixelFormat::Nv12 => bytes.extend(u.iter().zip(&v).flat_map(|(u, v)| [*u, *v])),
            PixelFormat::Yuv420p => bytes.extend(u.iter().chain(&v)),
            _ => {}
        }
        Self { format, width, height, bytes }
    }

    pub(crate) fn convolve(&self, weights: &[f32], bias: f32) -> Self {
        let fixed = |number: f32| (f64::from(number) * 1024.0).round() as i64;
        let (side, step) = (
            weights.len().isqrt(),
            if self.is_rgb() { self.bytes.len() / (self.width * self.height) } else { 1 },
        );
        let mut result = self.clone();
        for y in 0..self.height {
            for x in 0..self.width {
                for channel in 0..step.min(3) {
                    let mut sum = fixed(bias) + 512;
                    for (index, weight) in weights.iter().enumerate() {
                        let near = |at: usize, offset: usize, end: usize| {
                            (at + offset).saturating_sub(side / 2).min(end - 1)
                        };
                        let from_x = near(x, index % side, self.width);
                        let from_y = near(y, index / side, self.height);
                        let at = (from_y * self.width + from_x) * step + channel;
                        sum += fixed(*weight) * i64::from(self.bytes[at]);
                    }
                    result.bytes[(y * self.width + x) * step + channel] = cut(sum >> 10);
                }
            }
        }
        result
    }

    pub(crate) fn apply_lut(&self, curves: &[u8]) -> Self {
        if self.format == PixelFormat::Gray {
            let bytes = self.bytes.iter().map(|byte| curves[usize::from(*byte)]).collect();
            return Self { bytes, ..self.clone() };
        }
        self.of_colors(self.format, |x, y| {
            let [r, g, b] = self.rgb(x, y).map(usize::from);
            [curves[r], curves[256 + g], curves[512 + b]]
        })
    }

    pub(crate) fn mix(&self, other: &Self, t: u8) -> Self {
        let t = u32::from(t);
        let mixed = |(a, b): (&u8, &u8)| {
            // To the nearest; 255 is odd, so there are no halves.
            ((u32::from(*a) * (255 - t) + u32::from(*b) * t) as f64 / 255.0).round() as u8
        };
        let bytes = self.bytes.iter().zip(&other.bytes).map(mixed).collect();
        Self { bytes, ..self.clone() }
    }
}
