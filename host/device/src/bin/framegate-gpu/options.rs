//! The command line: `--name value` pairs, and the op that they describe.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::str::FromStr;

use device::sample::SAMPLINGS;
use device::{
    Axis, Borders, Color, ColorSpace, DeviceConfig, DeviceError, Op, Range, Rect, Shape, SimdLevel,
    Standard,
};
use domain::planes::PixelFormat;

use crate::End;

pub(crate) const USAGE: &str = "usage: framegate-gpu [--json FILE] [--seed N]
       framegate-gpu --op NAME --format NAME --width N --height N [--others FORMAT:N:N,...]
                     [--backend cpu|cuda] [--threads N] [--simd scalar|avx2|avx512]
                     [--standard bt601|bt709] [--range limited|full] [ARGUMENT...]
  an op's arguments: --to FORMAT --size N,N --sampling NAME --area X,Y,N,N --areas X,Y,N,N,...
    --borders L,T,R,B --ink R,G,B,A --quarters N --axis horizontal|vertical --radius N --sigma N
    --block N --weights N,N,... --bias N --curves HEX --cube N --points N,N,... --strength N
    --level N --t N --at X,Y --alpha N --thickness N --text TEXT --text-size N --seed N";

const NAMES: [&str; 35] = [
    "op",
    "format",
    "width",
    "height",
    "others",
    "backend",
    "threads",
    "simd",
    "standard",
    "range",
    "to",
    "size",
    "sampling",
    "area",
    "areas",
    "borders",
    "ink",
    "quarters",
    "axis",
    "radius",
    "sigma",
    "block",
    "weights",
    "bias",
    "curves",
    "cube",
    "points",
    "strength",
    "level",
    "t",
    "at",
    "alpha",
    "thickness",
    "text",
    "text-size",
];
/// Options that say where the table goes and what it is made of.
const TABLE_NAMES: [&str; 2] = ["json", "seed"];

/// What is to be done with the pictures.
pub(crate) enum Task {
    Op(Box<Op>),
    Histogram,
    Difference,
}

/// Command line: `--name value` pairs.
pub(crate) struct Options(BTreeMap<String, String>);

impl Options {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut given = BTreeMap::new();
        while let Some(word) = words.next() {
            let known = |name: &&str| NAMES.contains(name) || TABLE_NAMES.contains(name);
            let name = word.strip_prefix("--").filter(known);
            let name = name.ok_or_else(|| format!("no option is called `{word}`"))?;
            let value = words.next().ok_or_else(|| format!("`{word}` has no value"))?;
            given.insert(name.to_owned(), value);
        }
        Ok(Self(given))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn text(&self, name: &str) -> Result<&str, End> {
        self.get(name).ok_or_else(|| End::Usage(format!("`--{name}` is missing")))
    }

    /// Reads a value with `parse`, or takes `default` if it is not given.
    fn read<T>(
        &self,
        name: &str,
        default: Option<T>,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, End> {
        match (self.get(name), default) {
            (None, Some(default)) => Ok(default),
            _ => {
                let text = self.text(name)?;
                parse(text).ok_or_else(|| End::Usage(format!("`--{name}` cannot be `{text}`")))
            }
        }
    }

    fn number<T: FromStr>(&self, name: &str) -> Result<T, End> {
        self.read(name, None, parse)
    }

    fn numbers<T: FromStr>(&self, name: &str) -> Result<Vec<T>, End> {
        self.read(name, None, list)
    }

    fn array<T: FromStr, const N: usize>(&self, name: &str) -> Result<[T; N], End> {
        self.read(name, None, |text| list(text)?.try_into().ok())
    }

    pub(crate) fn seed(&self, default: u64) -> Result<u64, End> {
        self.read("seed", Some(default), parse)
    }

    pub(crate) fn backend(&self) -> &str {
        self.get("backend").unwrap_or("cpu")
    }

    pub(crate) fn config(&self) -> Result<DeviceConfig, End> {
        let default = DeviceConfig::default();
        let level = |name: &str| SimdLevel::from_name(name).map(Some);
        Ok(DeviceConfig {
            threads: self.read("threads", Some(default.threads), parse::<NonZeroUsize>)?,
            simd: self.read("simd", Some(None), level)?,
        })
    }

    pub(crate) fn color_space(&self) -> Result<Option<ColorSpace>, End> {
        let standard = self.read("standard", Some(None), |name| match name {
            "bt601" => Some(Some(Standard::Bt601)),
            "bt709" => Some(Some(Standard::Bt709)),
            _ => None,
        })?;
        let range = self.read("range", Some(Range::Limited), |name| match name {
            "limited" => Some(Range::Limited),
            "full" => Some(Range::Full),
            _ => None,
        })?;
        Ok(standard.map(|standard| ColorSpace { standard, range }))
    }

    /// Returns the shapes of the pictures on input: the first as given, others alike unless they
    /// are given, and a mask that is `gray`.
    pub(crate) fn shapes(&self, task: &Task) -> Result<Vec<Shape>, End> {
        let count = match task {
            Task::Op(op) => op.pictures(),
            Task::Histogram => 1,
            Task::Difference => 2,
        };
        let format = self.read("format", None, PixelFormat::from_name)?;
        let first = Shape { format, width: self.number("width")?, height: self.number("height")? };
        let mut shapes = vec![first; count];
        if let (Some(mask), 3) = (shapes.get_mut(2), count) {
            mask.format = PixelFormat::Gray;
        }
        let others = self.read("others", Some(Vec::new()), |text| {
            text.split(',').map(shape).collect::<Option<Vec<_>>>()
        })?;
        for (slot, other) in shapes.iter_mut().skip(1).zip(others) {
            *slot = other;
        }
        Ok(shapes)
    }

    pub(crate) fn task(&self) -> Result<Task, End> {
        match self.text("op")? {
            "histogram" => return Ok(Task::Histogram),
            "difference" => return Ok(Task::Difference),
            _ => {}
        }
        let op = match self.place_op()? {
            Some(op) => op,
            None => self.other_op()?,
        };
        op.map(|op| Task::Op(Box::new(op))).map_err(|error| End::Usage(error.to_string()))
    }

    /// Ops on places and neighbourhoods.
    fn place_op(&self) -> Result<Option<Result<Op, DeviceError>>, End> {
        Ok(Some(match self.text("op")? {
            "resize" => {
                let [width, height] = self.array("size")?;
                let named = |name: &str| SAMPLINGS.into_iter().find(|known| known.0 == name);
                let (_, sampling) = self.read("sampling", None, named)?;
                Ok(Op::Resize { width, height, sampling })
            }
            "crop" => {
                let [area] = self.areas("area")?.try_into().map_err(|_| one_area())?;
                Ok(Op::Crop { area })
            }
            "pad" => {
                let [left, top, right, bottom] = self.array("borders")?;
                let borders = Borders { left, top, right, bottom };
                Ok(Op::Pad { borders, fill: self.ink()? })
            }
            "rotate" => Ok(Op::Rotate { quarters: self.number("quarters")? }),
            "flip" => {
                let axis = self.read("axis", None, |name| match name {
                    "horizontal" => Some(Axis::Horizontal),
                    "vertical" => Some(Axis::Vertical),
                    _ => None,
                })?;
                Ok(Op::Flip { axis })
            }
            "box-blur" => Op::box_blur(self.number("radius")?),
            "gaussian-blur" => Op::gaussian_blur(self.number("sigma")?),
            "blur-areas" => Op::blur_areas(&self.areas("areas")?, self.number("sigma")?),
            "pixelate-areas" => Op::pixelate_areas(&self.areas("areas")?, self.number("block")?),
            "edges" => Ok(Op::Edges),
            "convolve" => {
                let bias = self.read("bias", Some(0.0), parse)?;
                Op::convolve(&self.numbers::<f32>("weights")?, bias)
            }
            "blank" => {
                let [width, height] = self.array("size")?;
                let format = self.read("to", None, PixelFormat::from_name)?;
                Ok(Op::Blank { width, height, format, fill: self.ink()? })
            }
            _ => return Ok(None),
        }))
    }

    /// Ops on colours, and those that lay one thing on another.
    fn other_op(&self) -> Result<Result<Op, DeviceError>, End> {
        Ok(match self.text("op")? {
            "convert" => Ok(Op::Convert { format: self.read("to", None, PixelFormat::from_name)? }),
            "denoise" => Ok(Op::Denoise { strength: self.number("strength")? }),
            "apply-lut" if self.has("cube") => {
                Op::apply_cube(self.number("cube")?, &self.numbers::<f32>("points")?)
            }
            "apply-lut" => Op::apply_lut(&self.read("curves", None, from_hex)?),
            "color-matrix" => Op::color_matrix(&self.numbers::<f32>("weights")?),
            "threshold" => Ok(Op::Threshold { level: self.number("level")? }),
            "mix" => Ok(Op::Mix { t: self.number("t")? }),
            "noise" => {
                let (strength, seed) = (self.number("strength")?, self.number("seed")?);
                Ok(Op::Noise { strength, seed })
            }
            "overlay" => {
                let [x, y] = self.array("at")?;
                Ok(Op::Overlay { x, y, alpha: self.number("alpha")? })
            }
            "composite" => Ok(Op::Composite),
            "draw-rects" => {
                let areas = self.areas("areas")?;
                Op::draw_rects(&areas, self.number("thickness")?, self.ink()?)
            }
            "draw-text" => {
                let [x, y] = self.array("at")?;
                let size = self.number("text-size")?;
                Op::draw_text(self.text("text")?, (x, y), size, self.ink()?)
            }
            other => return Err(End::Usage(format!("no op is called `{other}`"))),
        })
    }

    fn ink(&self) -> Result<Color, End> {
        let [r, g, b, a] = self.array("ink")?;
        Ok(Color { r, g, b, a })
    }

    fn areas(&self, name: &str) -> Result<Vec<Rect>, End> {
        let numbers = self.numbers::<i64>(name)?;
        let area = |part: &[i64]| {
            let [x, y, width, height] = part else { return None };
            Some(Rect {
                x: i32::try_from(*x).ok()?,
                y: i32::try_from(*y).ok()?,
                width: u32::try_from(*width).ok()?,
                height: u32::try_from(*height).ok()?,
            })
        };
        let areas = numbers.chunks(4).map(area).collect::<Option<Vec<_>>>();
        areas.ok_or_else(|| End::Usage(format!("`--{name}` is not a list of areas")))
    }
}

fn one_area() -> End {
    End::Usage("`--area` is not one area".to_owned())
}

fn parse<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn list<T: FromStr>(text: &str) -> Option<Vec<T>> {
    text.split(',').map(parse).collect()
}

fn shape(text: &str) -> Option<Shape> {
    let mut parts = text.split(':');
    let format = PixelFormat::from_name(parts.next()?)?;
    Some(Shape { format, width: parse(parts.next()?)?, height: parse(parts.next()?)? })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
