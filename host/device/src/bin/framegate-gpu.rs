//! Checks a card: every op on the CPU and on CUDA must give the same bytes. Links neither FFmpeg nor
//! NVRTC, so it runs on a bare machine with only a driver.
//!
//! `framegate-gpu [--json FILE] [--seed N]` prints a table. `framegate-gpu --op NAME …` runs one op
//! on raw planes from standard input, for comparison with references in other languages.
//!
//! **Invariant:** exit 0 only if every byte was equal; 77 without a card.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use device::{Device, DeviceConfig, DeviceError, Op, OpenError, SimdLevel, Stream, Surface};
use domain::chain;
use domain::planes::{Owner, PixelFormat, Plane, Planes};

const USAGE: &str = "usage: framegate-gpu [--json FILE] [--seed N]
       framegate-gpu --op convert|convolve|apply-lut|mix --format NAME --width N --height N
                     [--backend cpu|cuda] [--to NAME] [--weights N,N,...] [--bias N]
                     [--curves HEX] [--t N] [--threads N] [--simd scalar|avx2|avx512]";

/// Memory of a stream here: 64 pictures of the largest size.
const STREAM_BYTES: usize = 64 * 1921 * 1081 * 4;

/// Single pixels, odd sizes, sizes about blocks, both sides of 720 rows.
const SIZES: [(u32, u32); 8] =
    [(1, 1), (2, 3), (31, 9), (129, 65), (643, 481), (1280, 720), (1920, 1080), (1921, 1081)];

/// Size and runs of the timings.
const TIMED: (u32, u32) = (1920, 1080);
const TIMED_RUNS: u32 = 200;

/// How the program ends.
enum End {
    Fine,
    Differs,
    Skipped,
    Usage(String),
    Input(String),
    Failed(String),
}

fn main() -> ExitCode {
    let end = match Options::parse(std::env::args().skip(1)) {
        Ok(options) if options.has("op") => run_one(&options),
        Ok(options) => check_card(&options),
        Err(message) => Err(End::Usage(message)),
    };
    let (code, message) = match end.unwrap_or_else(|end| end) {
        End::Fine => (0, None),
        End::Differs => (1, Some("CPU and CUDA differ".to_owned())),
        End::Skipped => (77, Some("skipped: no CUDA device".to_owned())),
        End::Usage(message) => (2, Some(format!("{message}\n{USAGE}"))),
        End::Input(message) => (3, Some(message)),
        End::Failed(message) => (1, Some(message)),
    };
    if let Some(message) = message {
        // Nothing is left to do if nobody can be told.
        let _ = writeln!(io::stderr(), "{message}");
    }
    ExitCode::from(code)
}

/// Command line: `--name value` pairs.
struct Options(BTreeMap<String, String>);

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        const NAMES: [&str; 14] = [
            "op", "format", "width", "height", "backend", "to", "weights", "bias", "curves", "t",
            "threads", "simd", "json", "seed",
        ];
        let mut given = BTreeMap::new();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").filter(|name| NAMES.contains(name));
            let name = name.ok_or_else(|| format!("no option is called `{word}`"))?;
            let value = words.next().ok_or_else(|| format!("`{word}` has no value"))?;
            given.insert(name.to_owned(), value);
        }
        Ok(Self(given))
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn text(&self, name: &str) -> Result<&str, End> {
        let value = self.0.get(name).map(String::as_str);
        value.ok_or_else(|| End::Usage(format!("`--{name}` is missing")))
    }

    /// Reads a value with `parse`, or takes `default` if it is not given.
    fn read<T>(
        &self,
        name: &str,
        default: Option<T>,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, End> {
        match (self.0.get(name), default) {
            (None, Some(default)) => Ok(default),
            _ => {
                let text = self.text(name)?;
                parse(text).ok_or_else(|| End::Usage(format!("`--{name}` cannot be `{text}`")))
            }
        }
    }

    fn format(&self, name: &str) -> Result<PixelFormat, End> {
        self.read(name, None, PixelFormat::from_name)
    }

    fn config(&self) -> Result<DeviceConfig, End> {
        let default = DeviceConfig::default();
        let level = |name: &str| SimdLevel::from_name(name).map(Some);
        Ok(DeviceConfig {
            threads: self.read("threads", Some(default.threads), parse::<NonZeroUsize>)?,
            simd: self.read("simd", Some(None), level)?,
        })
    }

    fn op(&self) -> Result<Op, End> {
        let made = match self.text("op")? {
            "convert" => Ok(Op::Convert { format: self.format("to")? }),
            "convolve" => {
                let weights = self.read("weights", None, |text| {
                    text.split(',').map(parse::<f32>).collect::<Option<Vec<_>>>()
                })?;
                Op::convolve(&weights, self.read("bias", Some(0.0), parse)?)
            }
            "apply-lut" => Op::apply_lut(&self.read("curves", None, from_hex)?),
            "mix" => Ok(Op::Mix { t: self.read("t", None, parse)? }),
            other => return Err(End::Usage(format!("no op is called `{other}`"))),
        };
        made.map_err(|error| End::Usage(error.to_string()))
    }
}

fn parse<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

fn failed(error: impl Display) -> End {
    End::Failed(error.to_string())
}

fn open(name: &str, config: &DeviceConfig) -> Result<Device, End> {
    Device::open(name, config).map_err(|error| match error {
        OpenError::NoDriver { .. } | OpenError::NoCard { .. } => End::Skipped,
        OpenError::UnknownName { .. } | OpenError::NoSuchLevel { .. } => {
            End::Usage(error.to_string())
        }
        OpenError::Driver { .. } | OpenError::Threads { .. } => End::Failed(chain(&error)),
    })
}

/// Runs one op on pictures from standard input.
fn run_one(options: &Options) -> Result<End, End> {
    let op = options.op()?;
    let format = options.format("format")?;
    let (width, height) =
        (options.read("width", None, parse)?, options.read("height", None, parse)?);
    let backend = options.0.get("backend").map_or("cpu", String::as_str);
    let stream = open(backend, &options.config()?)?.stream(STREAM_BYTES).map_err(failed)?;
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes).map_err(failed)?;
    let size = picture_bytes(format, width, height);
    if size == 0 || bytes.len() != size * op.pictures() {
        let (given, pictures) = (bytes.len(), op.pictures());
        return Err(End::Input(format!(
            "`{given}` bytes on input ({pictures} pictures of {size})"
        )));
    }
    let pictures = bytes.chunks(size).map(|bytes| stream.picture(format, width, height, bytes));
    let pictures = pictures.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let result = run_to_bytes(&stream, &op, &pictures).map_err(failed)?;
    io::stdout().lock().write_all(&result).map_err(failed)?;
    Ok(End::Fine)
}

fn picture_bytes(format: PixelFormat, width: u32, height: u32) -> usize {
    let sizes = (0..format.planes()).map(|plane| format.plane_size(plane, width, height));
    sizes.map(|(row, rows)| row * rows).sum()
}

/// Brings pictures to the device, runs the op there and brings the result back.
fn run_to_bytes(stream: &Stream, op: &Op, pictures: &[Surface]) -> Result<Vec<u8>, DeviceError> {
    let there = upload(stream, pictures)?;
    let result = stream.run(op, &there.iter().collect::<Vec<_>>())?;
    let back = stream.download(&result)?;
    stream.wait()?;
    back.to_bytes()
}

fn upload(stream: &Stream, pictures: &[Surface]) -> Result<Vec<Surface>, DeviceError> {
    pictures.iter().map(|picture| stream.upload(picture)).collect()
}

/// One line of the table.
struct Row {
    op: String,
    sizes: usize,
    bytes: usize,
    differ: usize,
    cpu_us: f64,
    cuda_us: f64,
}

/// Compares CPU and card on every op.
fn check_card(options: &Options) -> Result<End, End> {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |age| age.as_nanos() as u64);
    let mut random = Random(options.read("seed", Some(clock), parse)?);
    let seed = random.0;
    let card = open("cuda", &options.config()?)?;
    let cpu = open("cpu", &options.config()?)?;
    let mut rows = Vec::new();
    for format in PixelFormat::ALL {
        for (name, op) in ops(format, &mut random).map_err(failed)? {
            let row = check_op(&cpu, &card, name, &op, format, &mut random).map_err(failed)?;
            rows.push(row);
        }
    }
    let devices = [card.description(), cpu.description()];
    print_table(&devices, seed, &rows).map_err(failed)?;
    if let Some(path) = options.0.get("json") {
        std::fs::write(path, to_json(&devices, seed, &rows)).map_err(failed)?;
    }
    Ok(if rows.iter().all(|row| row.differ == 0) { End::Fine } else { End::Differs })
}

/// The ops for one format, with random arguments, and what the table calls them.
fn ops(format: PixelFormat, random: &mut Random) -> Result<Vec<(String, Op)>, DeviceError> {
    let from = format.name();
    let mut ops = Vec::new();
    for to in PixelFormat::ALL.into_iter().filter(|to| *to != format) {
        ops.push((format!("convert {from} {}", to.name()), Op::Convert { format: to }));
    }
    for side in [3, 5] {
        let weights: Vec<_> = (0..side * side).map(|_| random.unit() * 2.0 - 0.9).collect();
        let op = Op::convolve(&weights, random.unit() * 64.0 - 32.0)?;
        ops.push((format!("convolve {from} {side}x{side}"), op));
    }
    ops.push((format!("apply-lut {from}"), Op::apply_lut(&random.bytes(device::CURVES_BYTES))?));
    ops.push((format!("mix {from}"), Op::Mix { t: random.bytes(1)[0] }));
    Ok(ops)
}

fn check_op(
    cpu: &Device,
    card: &Device,
    name: String,
    op: &Op,
    format: PixelFormat,
    random: &mut Random,
) -> Result<Row, DeviceError> {
    let (on_cpu, on_card) = (cpu.stream(STREAM_BYTES)?, card.stream(STREAM_BYTES)?);
    let mut row = Row { op: name, sizes: 0, bytes: 0, differ: 0, cpu_us: 0.0, cuda_us: 0.0 };
    for size in SIZES {
        let pictures: Result<Vec<_>, _> =
            (0..op.pictures()).map(|_| foreign_noise(format, size, random)).collect();
        let pictures = pictures?;
        let expected = run_to_bytes(&on_cpu, op, &pictures)?;
        spoil(&on_card, size, random)?;
        let result = run_to_bytes(&on_card, op, &pictures)?;
        row.sizes += 1;
        row.bytes += expected.len();
        row.differ += expected.iter().zip(&result).filter(|(a, b)| a != b).count();
        row.differ += expected.len().abs_diff(result.len());
        if size == TIMED {
            row.cpu_us = time(&on_cpu, op, &pictures)?;
            row.cuda_us = time(&on_card, op, &pictures)?;
        }
    }
    Ok(row)
}

/// Leaves noise in the blocks that the next results will lie in.
fn spoil(stream: &Stream, size: (u32, u32), random: &mut Random) -> Result<(), DeviceError> {
    for format in PixelFormat::ALL {
        let noise = foreign_noise(format, size, random)?;
        let there = stream.upload(&noise)?;
        let back = stream.download(&there)?;
        stream.wait()?;
        drop((there, back));
    }
    Ok(())
}

/// Returns the microseconds of a run, the device kept busy.
fn time(stream: &Stream, op: &Op, pictures: &[Surface]) -> Result<f64, DeviceError> {
    let there = upload(stream, pictures)?;
    let inputs: Vec<_> = there.iter().collect();
    stream.run(op, &inputs)?;
    stream.wait()?;
    let start = Instant::now();
    for _ in 0..TIMED_RUNS {
        stream.run(op, &inputs)?;
    }
    stream.wait()?;
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(TIMED_RUNS))
}

/// Makes a picture of noise with odd pitches and noise between its rows.
fn foreign_noise(
    format: PixelFormat,
    (width, height): (u32, u32),
    random: &mut Random,
) -> Result<Surface, DeviceError> {
    let mut total = 0;
    let mut planes = [Plane { address: 0, pitch: 0 }; 3];
    for (index, plane) in planes.iter_mut().enumerate().take(format.planes()) {
        let (row, rows) = format.plane_size(index, width, height);
        *plane = Plane { address: total as u64, pitch: row + 1 + 2 * index };
        total += plane.pitch * rows;
    }
    let memory = Arc::new(random.bytes(total));
    for plane in planes.iter_mut().take(format.planes()) {
        plane.address += memory.as_ptr().expose_provenance() as u64;
    }
    let planes = Planes { format, width, height, owner: Owner::Host, planes };
    // SAFETY: the vector has exactly these planes, is kept alive by the surface, and nobody has
    // another way to write it.
    unsafe { Surface::borrow_foreign(planes, memory as Arc<dyn Any + Send + Sync>) }
}

fn print_table(devices: &[String; 2], seed: u64, rows: &[Row]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{} against {}, seed {seed}", devices[0], devices[1])?;
    writeln!(
        out,
        "{:<26} {:>5} {:>10} {:>8} {:>9} {:>9}",
        "op", "sizes", "bytes", "differ", "cpu us", "cuda us"
    )?;
    for Row { op, sizes, bytes, differ, cpu_us, cuda_us } in rows {
        writeln!(out, "{op:<26} {sizes:>5} {bytes:>10} {differ:>8} {cpu_us:>9.1} {cuda_us:>9.1}")?;
    }
    Ok(())
}

fn to_json(devices: &[String; 2], seed: u64, rows: &[Row]) -> String {
    let mut lines = Vec::new();
    for Row { op, sizes, bytes, differ, cpu_us, cuda_us } in rows {
        let mut line = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            line,
            r#"{{"op":"{op}","sizes":{sizes},"bytes":{bytes},"differ":{differ},"cpu_us":{cpu_us:.2},"cuda_us":{cuda_us:.2}}}"#
        );
        lines.push(line);
    }
    let [card, cpu] = devices.each_ref().map(|name| name.replace(['"', '\\'], "'"));
    let rows = lines.join(",\n  ");
    format!("{{\"card\":\"{card}\",\"cpu\":\"{cpu}\",\"seed\":{seed},\"ops\":[\n  {rows}\n]}}\n")
}

/// Reproducible bytes: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend(self.next().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }

    /// A number from 0 up to 1.
    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }
}
