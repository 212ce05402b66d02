//! One of each op and more, with arguments from random numbers: what a card and the tests are checked
//! with, so that an op which is missing here is missing in one place.
//!
//! **Invariant:** the same numbers give the same cases on every machine.

use domain::picture::{Axis, Color, Rect, Sampling};
use domain::planes::PixelFormat;

use crate::error::DeviceError;
use crate::op::{Borders, Op};
use crate::shape::Shape;

/// Reproducible numbers: SplitMix64.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// Returns the next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number below `end`.
    pub fn below(&mut self, end: u32) -> u32 {
        (((self.number() >> 32) * u64::from(end)) >> 32) as u32
    }

    /// Returns a number from `low` to `high`.
    pub fn float(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * (self.number() >> 40) as f32 / (1 << 24) as f32
    }

    /// Returns so many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.number() >> 56) as u8).collect()
    }

    fn byte(&mut self) -> u8 {
        (self.number() >> 56) as u8
    }

    fn color(&mut self) -> Color {
        Color { r: self.byte(), g: self.byte(), b: self.byte(), a: self.byte() }
    }

    /// Returns a place from a third of a picture before it to a third behind it.
    fn place(&mut self, size: u32) -> i32 {
        self.below(size + 2 * (size / 3) + 1) as i32 - (size / 3) as i32
    }

    fn areas(&mut self, count: u32, Shape { width, height, .. }: Shape) -> Vec<Rect> {
        let area = |_| Rect {
            x: self.place(width),
            y: self.place(height),
            width: self.below(width / 2 + 2),
            height: self.below(height / 2 + 2),
        };
        (0..count).map(area).collect()
    }
}

/// An op and the pictures that it is to be given.
#[derive(Debug, Clone)]
pub struct Case {
    /// The op's name and what of its arguments matters.
    pub name: String,
    /// The op.
    pub op: Op,
    /// Shapes of its pictures.
    pub inputs: Vec<Shape>,
}

/// Returns cases of every op for pictures of one shape, in a basic format. Errors: none, for numbers
/// that are made here.
pub fn cases(shape: Shape, random: &mut Random) -> Result<Vec<Case>, DeviceError> {
    let mut all = Vec::new();
    let mut add = |what: &str, op: Op, rest: &[Shape]| {
        let name = [op.name(), what].join(" ").trim_end().to_owned();
        let inputs = match op.pictures() {
            0 => Vec::new(),
            _ => std::iter::once(shape).chain(rest.iter().copied()).collect(),
        };
        all.push(Case { name, op, inputs });
    };
    for format in PixelFormat::ALL {
        add(format.name(), Op::Convert { format }, &[]);
    }
    add_places(shape, random, &mut add);
    add_filters(shape, random, &mut add)?;
    add_colors(random, &mut add)?;
    add_pairs(shape, random, &mut add);
    let areas = random.areas(7, shape);
    add("", Op::blur_areas(&areas, random.float(0.5, 6.0))?, &[]);
    add("", Op::pixelate_areas(&areas, 2 + random.below(20))?, &[]);
    add("filled", Op::draw_rects(&areas, 0, random.color())?, &[]);
    add("outlined", Op::draw_rects(&areas, 1 + random.below(4), random.color())?, &[]);
    let at = (random.place(shape.width), random.place(shape.height));
    add("", Op::draw_text("Fr\u{e4}me 42: ~{g|y}", at, 8 + random.below(60), random.color())?, &[]);
    Ok(all)
}

/// Returns cases of `convert` from a format that other ops do not take.
pub fn conversions(shape: Shape) -> Vec<Case> {
    let case = |format: PixelFormat| Case {
        name: format!("convert {} {}", shape.format.name(), format.name()),
        op: Op::Convert { format },
        inputs: vec![shape],
    };
    PixelFormat::ALL.into_iter().map(case).collect()
}

type Add<'a> = dyn FnMut(&str, Op, &[Shape]) + 'a;

fn add_places(shape: Shape, random: &mut Random, add: &mut Add<'_>) {
    let Shape { format, width, height } = shape;
    let (x, y) = (random.below(width) / 2 * 2, random.below(height) / 2 * 2);
    let area = Rect { x: x as i32, y: y as i32, width: width - x, height: height - y };
    add("", Op::Crop { area }, &[]);
    let mut border = || random.below(9);
    let borders = Borders { left: border(), top: border(), right: border(), bottom: border() };
    add("", Op::Pad { borders, fill: random.color() }, &[]);
    let even = Borders { left: 2, top: 4, right: 0, bottom: 0 };
    add("even", Op::Pad { borders: even, fill: random.color() }, &[]);
    for quarters in 1..4 {
        add(&quarters.to_string(), Op::Rotate { quarters }, &[]);
    }
    add("horizontal", Op::Flip { axis: Axis::Horizontal }, &[]);
    add("vertical", Op::Flip { axis: Axis::Vertical }, &[]);
    add("", Op::Blank { width, height, format, fill: random.color() }, &[]);
}

fn add_filters(shape: Shape, random: &mut Random, add: &mut Add<'_>) -> Result<(), DeviceError> {
    let Shape { width, height, .. } = shape;
    for (name, sampling) in SAMPLINGS {
        let (small, large) = ((width / 2 + 1, height / 3 + 1), (width + width / 3 + 1, height + 3));
        for (what, (width, height)) in [("down", small), ("up", large)] {
            add(&format!("{name} {what}"), Op::Resize { width, height, sampling }, &[]);
        }
    }
    for radius in [1, 2, 3 + random.below(20)] {
        add(&radius.to_string(), Op::box_blur(radius)?, &[]);
    }
    for sigma in [0.3, 1.0, random.float(2.0, 9.0)] {
        add(&format!("{sigma:.1}"), Op::gaussian_blur(sigma)?, &[]);
    }
    add("", Op::Edges, &[]);
    for side in [3, 5] {
        let weights: Vec<_> = (0..side * side).map(|_| random.float(-0.9, 1.1)).collect();
        let bias = random.float(-32.0, 32.0);
        add(&format!("{side}x{side}"), Op::convolve(&weights, bias)?, &[]);
    }
    Ok(())
}

/// Every way of resizing by its name in `wit/`.
pub const SAMPLINGS: [(&str, Sampling); 5] = [
    ("nearest", Sampling::Nearest),
    ("bilinear", Sampling::Bilinear),
    ("bicubic", Sampling::Bicubic),
    ("lanczos", Sampling::Lanczos),
    ("area", Sampling::Area),
];

fn add_colors(random: &mut Random, add: &mut Add<'_>) -> Result<(), DeviceError> {
    add("curves", Op::apply_lut(&random.bytes(crate::CURVES_BYTES))?, &[]);
    for size in [2, 5, 17] {
        let points: Vec<_> = (0..size * size * size * 3).map(|_| random.float(-0.1, 1.1)).collect();
        add(&format!("cube {size}"), Op::apply_cube(size, &points)?, &[]);
    }
    let weights: Vec<_> = (0..12)
        .map(|at| if at % 4 == 3 { random.float(-40.0, 40.0) } else { random.float(-0.5, 1.0) })
        .collect();
    add("", Op::color_matrix(&weights)?, &[]);
    add("", Op::Threshold { level: random.byte() }, &[]);
    add("", Op::Noise { strength: random.byte() / 4, seed: random.number() as u32 }, &[]);
    add("strong", Op::Noise { strength: 255, seed: random.number() as u32 }, &[]);
    Ok(())
}

fn add_pairs(shape: Shape, random: &mut Random, add: &mut Add<'_>) {
    let Shape { width, height, .. } = shape;
    let of = |format: PixelFormat| Shape { format, ..shape };
    let mut others = PixelFormat::BASIC.into_iter().cycle();
    let mut other = || of(others.next().unwrap_or(PixelFormat::Gray));
    add("", Op::Mix { t: random.byte() }, &[shape]);
    add("of others", Op::Mix { t: random.byte() }, &[other()]);
    add("", Op::Denoise { strength: 1 + random.byte() / 2 }, &[shape]);
    add("strong", Op::Denoise { strength: 255 }, &[other()]);
    add("", Op::Composite, &[other(), of(PixelFormat::Gray)]);
    add("alike", Op::Composite, &[shape, of(PixelFormat::Gray)]);
    for format in PixelFormat::BASIC {
        let (width, height) = (width / 2 + 1 + random.below(3), height / 2 + 1);
        let (x, y) = (random.place(shape.width), random.place(shape.height));
        let op = Op::Overlay { x, y, alpha: random.byte() | 64 };
        add(format.name(), op, &[Shape { format, width, height }]);
    }
}
