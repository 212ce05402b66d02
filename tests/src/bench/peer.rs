//! `op.NAME.LIBRARY`: one op on pictures of 1080p, on one thread, over what another library takes for
//! the same.
//!
//! Libraries in C are no part of this program: `tests/peers/pixels.c` is built with one of them, and is
//! asked for its own times. One that is not here is absent, and the rest goes on.
//!
//! Libraries round in their own ways. How near a result is to numbers in float64 is told beside the
//! times, and a faster one that is less near by more than [`DECIBELS`] is no reason for a goal.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use device::{Op, Sampling, Shape, Stream, Surface};
use domain::planes::PixelFormat;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use serde_json::{Value, json};

use super::kernel::{BLOCK_SECONDS, FULL, PAIRS, PICTURES, bytes_of, microseconds, open};
use super::pair::measure;
use super::{Line, Skipped, env, machine, place};
use crate::root;

const SMALL: (u32, u32) = (1280, 720);
/// How much less near to float64 another library's result may be and still count as equal.
const DECIBELS: f64 = 0.5;
/// Pixels at the edges that are not compared: each library has its own outside.
const EDGE: usize = 16;

/// A library in C that has some of the ops.
#[derive(Clone, Copy)]
pub(super) enum Library {
    Zimg,
    Swscale,
    Libyuv,
}

impl Library {
    /// Returns its name, its name in `pixels.c`, and what links it.
    const fn names(self) -> (&'static str, &'static str, &'static [&'static str]) {
        match self {
            Self::Zimg => ("zimg", "ZIMG", &["-lzimg", "-lm"]),
            Self::Swscale => ("swscale", "SWSCALE", &["-lswscale", "-lavutil"]),
            Self::Libyuv => ("libyuv", "LIBYUV", &["-lyuv"]),
        }
    }
}

/// `pixels.c` with one library, ready to be timed at one op.
struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    /// Builds and starts it with the bytes of its picture.
    fn start(library: Library, op: &str, picture: &[u8]) -> Result<Self, Skipped> {
        let (name, define, links) = library.names();
        let folder = place::target()?.join("peers");
        std::fs::create_dir_all(&folder).map_err(Skipped::of)?;
        let program = folder.join(format!("pixels-{name}"));
        let source = root().join("tests/peers/pixels.c");
        let mut compile = Command::new("cc");
        compile.args(["-O2", &format!("-D{define}"), "-o"]).arg(&program).arg(source).args(links);
        let built = compile.output().map_err(Skipped::of)?;
        if !built.status.success() {
            let said = String::from_utf8_lossy(&built.stderr).into_owned();
            let why = said.lines().find(|line| line.contains("error")).unwrap_or(&said);
            return Err(Skipped(format!("`{name}` is absent: {why}")));
        }
        let mut start = Command::new(&program);
        start.arg(op).arg((BLOCK_SECONDS * 1e6).to_string());
        start.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = start.spawn().map_err(Skipped::of)?;
        let mut input = child.stdin.take().expect("it was asked for");
        let output = BufReader::new(child.stdout.take().expect("it was asked for"));
        input.write_all(picture).map_err(Skipped::of)?;
        Ok(Self { child, input, output })
    }

    fn ask(&mut self, what: &str) -> Result<String, Skipped> {
        writeln!(self.input, "{what}").map_err(Skipped::of)?;
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(Skipped::of)?;
        Ok(line.trim().to_owned())
    }

    /// Returns the microseconds of one call.
    fn time(&mut self) -> Result<f64, Skipped> {
        let line = self.ask("time")?;
        line.parse().map_err(|_| Skipped(format!("a peer answered `{line}`")))
    }

    /// Returns the bytes of the result.
    fn show(&mut self) -> Result<Vec<u8>, Skipped> {
        let line = self.ask("show")?;
        let count = line.parse().map_err(|_| Skipped(format!("a peer answered `{line}`")))?;
        let mut bytes = vec![0; count];
        self.output.read_exact(&mut bytes).map_err(Skipped::of)?;
        Ok(bytes)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It holds nothing and has nothing to say.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Our op on pictures in turn.
struct Ours {
    stream: Stream,
    op: Op,
    pictures: Vec<Surface>,
    /// The last results, so that each lies elsewhere than the one before.
    made: Vec<Option<Surface>>,
    turn: usize,
}

impl Ours {
    fn new(op: Op, shape: Shape, bytes: &[u8]) -> Result<Self, Skipped> {
        let stream = open()?;
        let Shape { format, width, height } = shape;
        let picture = |_| stream.picture(format, width, height, bytes).map_err(Skipped::of);
        let pictures = (0..PICTURES).map(picture).collect::<Result<_, _>>()?;
        Ok(Self { stream, op, pictures, made: vec![None; PICTURES], turn: 0 })
    }

    fn run(&mut self) -> Result<Surface, Skipped> {
        self.turn = (self.turn + 1) % PICTURES;
        let result =
            self.stream.run(&self.op, &[&self.pictures[self.turn]]).map_err(Skipped::of)?;
        self.made[self.turn] = Some(result.clone());
        Ok(result)
    }

    fn time(&mut self) -> Result<f64, Skipped> {
        microseconds(&mut || self.run().map(drop))
    }
}

/// Measures `convert` between four pairs of formats, and `box-blur`, over libyuv's.
pub(super) fn libyuv() -> Result<Vec<Line>, Skipped> {
    use PixelFormat::{Nv12, Rgb24, Rgba, Yuv420p};
    let pairs = [(Nv12, Rgb24), (Yuv420p, Rgba), (Rgb24, Yuv420p), (Rgba, Nv12)];
    let mut lines = Vec::new();
    for (from, to) in pairs {
        let name = format!("convert.{}.{}", from.name(), to.name());
        lines.push(over_libyuv(&name, Op::Convert { format: to }, from)?);
    }
    lines.push(over_libyuv("box-blur", Op::box_blur(8).map_err(Skipped::of)?, Rgba)?);
    Ok(lines)
}

fn over_libyuv(name: &str, op: Op, format: PixelFormat) -> Result<Line, Skipped> {
    let shape = Shape { format, ..FULL };
    let bytes = scene(shape);
    let mut peer = Peer::start(Library::Libyuv, name, &bytes)?;
    let idle = machine::idle();
    let mut ours = Ours::new(op, shape, &bytes)?;
    let pairs = measure(PAIRS, || ours.time(), || peer.time())?;
    let facts = json!({
        "ours": format!("`{name}` on {shape}, one thread"),
        "base": "libyuv, the same on one thread, in a process of its own",
        "rounding": "ours to the nearest of 14 bits; libyuv's in words of 16 bits",
        "clock": "wall time of blocks of 10 ms",
    });
    let line = Line::of_pairs(&format!("op.{name}.libyuv"), "us", &pairs, idle, env(facts));
    Ok(line.with_goal(1.0))
}

/// Measures `resize` over a library in C.
pub(super) fn resize(library: Library) -> Result<Vec<Line>, Skipped> {
    let bytes = scene(FULL);
    let mut peer = Peer::start(library, "resize", &bytes)?;
    let shown = peer.show()?;
    over(library.names().0, &bytes, &shown, || peer.time())
}

/// Measures `resize` over the crate `fast_image_resize`, with what instructions it finds.
pub(super) fn fast_image_resize() -> Result<Vec<Line>, Skipped> {
    let bytes = scene(FULL);
    let mut resizer = Resizer::new();
    let lanczos = ResizeAlg::Convolution(FilterType::Lanczos3);
    let options = ResizeOptions::new().resize_alg(lanczos);
    let mut call = || {
        let mut made = Vec::new();
        let mut at = 0;
        for plane in 0..3 {
            let (row, rows) = FULL.format.plane_size(plane, FULL.width, FULL.height);
            let (to_row, to_rows) = FULL.format.plane_size(plane, SMALL.0, SMALL.1);
            let bytes = &bytes[at..at + row * rows];
            at += row * rows;
            let from = ImageRef::new(row as u32, rows as u32, bytes, PixelType::U8);
            let from = from.map_err(Skipped::of)?;
            let mut to = Image::new(to_row as u32, to_rows as u32, PixelType::U8);
            resizer.resize(&from, &mut to, &options).map_err(Skipped::of)?;
            made.push(to.into_vec());
        }
        Ok(made)
    };
    let shown = call()?.concat();
    over("fast_image_resize", &bytes, &shown, || microseconds(&mut || call().map(drop)))
}

fn over(
    library: &str,
    bytes: &[u8],
    shown: &[u8],
    mut base: impl FnMut() -> Result<f64, Skipped>,
) -> Result<Vec<Line>, Skipped> {
    let (width, height) = SMALL;
    let idle = machine::idle();
    let op = Op::Resize { width, height, sampling: Sampling::Lanczos };
    let mut ours = Ours::new(op, FULL, bytes)?;
    let exact = lanczos(bytes);
    let near = decibels(&ours.run()?.to_bytes().map_err(Skipped::of)?, &exact);
    let theirs = decibels(shown, &exact);
    let pairs = measure(PAIRS, || ours.time(), &mut base)?;
    let facts = json!({
        "ours": format!("`resize` of {FULL} to {width}x{height}, Lanczos, one thread"),
        "base": format!("{library}, the same on one thread"),
        "psnr": decibel_facts(near, theirs),
        "clock": "wall time of blocks of 10 ms",
    });
    let line = Line::of_pairs(&format!("op.resize.{library}"), "us", &pairs, idle, env(facts));
    Ok(vec![if theirs >= near - DECIBELS { line.with_goal(1.0) } else { line }])
}

fn decibel_facts(ours: f64, theirs: f64) -> Value {
    let tenths = |value: f64| (value * 10.0).round() / 10.0;
    json!({ "ours": tenths(ours), "base": tenths(theirs), "of": "luma, against float64" })
}

/// Makes a picture of waves, edges and grain, in any format: bytes are bytes.
fn scene(shape: Shape) -> Vec<u8> {
    let row = shape.format.plane_size(0, shape.width, shape.height).0;
    (0..bytes_of(shape))
        .map(|at| {
            let (x, y) = ((at % row) as f64, (at / row) as f64);
            let waves = 60.0 * (x / 17.0).sin() * (y / 23.0).cos() + 30.0 * (x * y / 9000.0).sin();
            let edge = if ((x / 97.0 + y / 61.0) as u32).is_multiple_of(2) { 12.0 } else { -12.0 };
            let grain = (at.wrapping_mul(2_654_435_761) >> 20 & 15) as f64;
            (120.0 + waves + edge + grain) as u8
        })
        .collect()
}

/// Resizes the luma of a picture in float64: the middles of pixels lie at halves, the filter is as much
/// wider as the result is smaller, and outside lies the nearest pixel inside.
fn lanczos(bytes: &[u8]) -> Vec<f64> {
    let [from_width, from_height] = [FULL.width, FULL.height].map(|side| side as usize);
    let (width, height) = (SMALL.0 as usize, SMALL.1 as usize);
    let down = weights(from_height, height);
    let across = weights(from_width, width);
    let mut made = Vec::with_capacity(width * height);
    for places in &down {
        let column = |x: usize| {
            places.iter().map(|(at, weight)| weight * f64::from(bytes[at * from_width + x])).sum()
        };
        let row: Vec<f64> = (0..from_width).map(column).collect();
        made.extend(
            across.iter().map(|places| places.iter().map(|(at, w)| w * row[*at]).sum::<f64>()),
        );
    }
    made
}

/// Returns what each place takes of which pixels.
fn weights(from: usize, to: usize) -> Vec<Vec<(usize, f64)>> {
    let scale = from as f64 / to as f64;
    let sinc = |x: f64| {
        if x == 0.0 { 1.0 } else { (x * std::f64::consts::PI).sin() / (x * std::f64::consts::PI) }
    };
    (0..to)
        .map(|at| {
            let middle = (at as f64 + 0.5) * scale;
            let (low, high) = (middle - 3.0 * scale, middle + 3.0 * scale);
            let pixels = low.floor() as i64..=high.ceil() as i64;
            let taken: Vec<_> = pixels
                .map(|pixel| {
                    let x = (pixel as f64 + 0.5 - middle) / scale;
                    let weight = if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 };
                    (pixel.clamp(0, from as i64 - 1) as usize, weight)
                })
                .collect();
            let sum: f64 = taken.iter().map(|(_, weight)| weight).sum();
            taken.into_iter().map(|(pixel, weight)| (pixel, weight / sum)).collect()
        })
        .collect()
}

/// Returns the peak signal-to-noise ratio of luma, cut to 0..255, away from the edges.
fn decibels(bytes: &[u8], exact: &[f64]) -> f64 {
    let (width, height) = (SMALL.0 as usize, SMALL.1 as usize);
    let inside =
        (EDGE..height - EDGE).flat_map(|y| (EDGE..width - EDGE).map(move |x| y * width + x));
    let (mut sum, mut count) = (0.0, 0.0);
    for at in inside {
        sum += (f64::from(bytes[at]) - exact[at].clamp(0.0, 255.0)).powi(2);
        count += 1.0;
    }
    10.0 * (255.0 * 255.0 * count / sum).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_as_near_to_float64_as_bytes_can_be() {
        let bytes = scene(FULL);
        let (width, height) = SMALL;
        let op = Op::Resize { width, height, sampling: Sampling::Lanczos };
        let made = Ours::new(op, FULL, &bytes).unwrap().run().unwrap().to_bytes().unwrap();
        // Bytes that are each the nearest have 58.9 dB.
        let near = decibels(&made, &lanczos(&bytes));
        assert!(near > 57.5, "{near} dB");
    }
}
