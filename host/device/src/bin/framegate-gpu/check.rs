//! Every op on the card and on the CPU, on random pictures, in memory that held others before.

use std::any::Any;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use device::sample::{Case, Random, cases, conversions};
use device::{Device, DeviceError, Op, Shape, Stream, Surface};
use domain::planes::{Owner, PixelFormat, Plane, Planes};

use crate::options::Options;
use crate::{End, STREAM_BYTES, failed, numbers, open, run_to_bytes, upload};

/// Single pixels, odd sizes, sizes about blocks, both sides of 720 rows.
const SIZES: [(u32, u32); 8] =
    [(1, 1), (2, 3), (31, 9), (129, 65), (643, 481), (1280, 720), (1920, 1080), (1921, 1081)];

/// Size and runs of the timings.
const TIMED: (u32, u32) = (1920, 1080);
const TIMED_RUNS: u32 = 50;

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
pub(crate) fn card(options: &Options) -> Result<End, End> {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |age| age.as_nanos() as u64);
    let seed = options.seed(clock)?;
    let card = open("cuda", &options.config()?)?;
    let cpu = open("cpu", &options.config()?)?;
    let mut random = Random(seed);
    let mut rows = Vec::new();
    for size in SIZES {
        for format in PixelFormat::ALL {
            check_format(&cpu, &card, format, size, &mut random, &mut rows).map_err(failed)?;
        }
    }
    let devices = [card.description(), cpu.description()];
    print_table(&devices, seed, &rows).map_err(failed)?;
    if let Some(path) = options.get("json") {
        std::fs::write(path, to_json(&devices, seed, &rows)).map_err(failed)?;
    }
    Ok(if rows.iter().all(|row| row.differ == 0) { End::Fine } else { End::Differs })
}

/// Checks every op on pictures of one format and size.
fn check_format(
    cpu: &Device,
    card: &Device,
    format: PixelFormat,
    (width, height): (u32, u32),
    random: &mut Random,
    rows: &mut Vec<Row>,
) -> Result<(), DeviceError> {
    let (on_cpu, on_card) = (cpu.stream(STREAM_BYTES)?, card.stream(STREAM_BYTES)?);
    let shape = Shape { format, width, height };
    let all = if format.is_basic() { cases(shape, random)? } else { conversions(shape) };
    for Case { name, op, inputs } in all {
        let pictures = inputs.iter().map(|shape| noise(*shape, random));
        let pictures = pictures.collect::<Result<Vec<_>, _>>()?;
        let expected = run_to_bytes(&on_cpu, &op, &pictures)?;
        spoil(&on_card, shape, random)?;
        let result = run_to_bytes(&on_card, &op, &pictures)?;
        let row = row_of(rows, format!("{name} {}", format.name()));
        row.add(&expected, &result);
        if (width, height) == TIMED {
            row.cpu_us = time(&on_cpu, &op, &pictures)?;
            row.cuda_us = time(&on_card, &op, &pictures)?;
        }
    }
    if format.is_basic() {
        let pictures = [noise(shape, random)?, noise(shape, random)?];
        for stream_of in [count_all, tell_apart] {
            let (name, expected) = stream_of(&on_cpu, &pictures)?;
            let (_, result) = stream_of(&on_card, &pictures)?;
            row_of(rows, format!("{name} {}", format.name())).add(&expected, &result);
        }
    }
    Ok(())
}

type Counted = Result<(&'static str, Vec<u8>), DeviceError>;

fn count_all(stream: &Stream, pictures: &[Surface; 2]) -> Counted {
    let counts = numbers(stream, &pictures[..1], |there| stream.histogram(&there[0]))?;
    Ok(("histogram", counts))
}

fn tell_apart(stream: &Stream, pictures: &[Surface; 2]) -> Counted {
    let apart = numbers(stream, pictures, |there| stream.difference(&there[0], &there[1]))?;
    Ok(("difference", apart))
}

fn row_of(rows: &mut Vec<Row>, op: String) -> &mut Row {
    let at = rows.iter().position(|row| row.op == op).unwrap_or(rows.len());
    if at == rows.len() {
        rows.push(Row { op, sizes: 0, bytes: 0, differ: 0, cpu_us: 0.0, cuda_us: 0.0 });
    }
    &mut rows[at]
}

impl Row {
    fn add(&mut self, expected: &[u8], result: &[u8]) {
        self.sizes += 1;
        self.bytes += expected.len();
        self.differ += expected.iter().zip(result).filter(|(a, b)| a != b).count();
        self.differ += expected.len().abs_diff(result.len());
    }
}

/// Leaves noise in the blocks that the next results will lie in.
fn spoil(stream: &Stream, shape: Shape, random: &mut Random) -> Result<(), DeviceError> {
    for format in PixelFormat::ALL {
        let noise = noise(Shape { format, ..shape }, random)?;
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

/// Makes a picture of noise with pitches of its own and noise between its rows.
fn noise(
    Shape { format, width, height }: Shape,
    random: &mut Random,
) -> Result<Surface, DeviceError> {
    let mut total = 0_usize;
    let mut planes = [Plane { address: 0, pitch: 0 }; 3];
    for (index, plane) in planes.iter_mut().enumerate().take(format.planes()) {
        let (row, rows) = format.plane_size(index, width, height);
        // Words and floats lie on multiples of four; bytes on odd places.
        let odd = if format.is_basic() { 1 + 2 * index } else { 0 };
        total = total.next_multiple_of(4);
        *plane = Plane { address: total as u64, pitch: row.next_multiple_of(4) + odd };
        total += plane.pitch * rows;
    }
    // Words of eight bytes, so that the first byte is aligned.
    let memory: Arc<Vec<u64>> = Arc::new((0..total.div_ceil(8)).map(|_| random.number()).collect());
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
        "{:<34} {:>5} {:>10} {:>8} {:>9} {:>9}",
        "op", "sizes", "bytes", "differ", "cpu us", "cuda us"
    )?;
    for Row { op, sizes, bytes, differ, cpu_us, cuda_us } in rows {
        writeln!(out, "{op:<34} {sizes:>5} {bytes:>10} {differ:>8} {cpu_us:>9.1} {cuda_us:>9.1}")?;
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
