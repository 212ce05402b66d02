//! Checks a card: every op on the CPU and on CUDA must give the same bytes. Links neither FFmpeg nor
//! NVRTC, so it runs on a bare machine with only a driver.
//!
//! `framegate-gpu [--json FILE] [--seed N]` prints a table. `framegate-gpu --op NAME …` runs one op
//! on raw planes from standard input, for comparison with references in other languages.
//!
//! **Invariant:** exit 0 only if every byte was equal; 77 without a card.

mod check;
mod options;

use std::fmt::Display;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use device::{Counts, Device, DeviceConfig, DeviceError, Op, OpenError, Shape, Stream, Surface};
use domain::chain;

use options::{Options, Task, USAGE};

/// Memory of a stream here: 96 pictures of the largest size.
const STREAM_BYTES: usize = 96 * 1921 * 1081 * 4;

/// How the program ends.
enum End {
    Fine,
    Differs,
    Skipped(OpenError),
    Usage(String),
    Input(String),
    Failed(String),
}

fn main() -> ExitCode {
    let end = match Options::parse(std::env::args().skip(1)) {
        Ok(options) if options.has("op") => run_one(&options),
        Ok(options) => check::card(&options),
        Err(message) => Err(End::Usage(message)),
    };
    let (code, message) = match end.unwrap_or_else(|end| end) {
        End::Fine => (0, None),
        End::Differs => (1, Some("CPU and CUDA differ".to_owned())),
        End::Skipped(why) => (77, Some(format!("skipped: no CUDA device: {why}"))),
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

fn failed(error: impl Display) -> End {
    End::Failed(error.to_string())
}

fn open(name: &str, config: &DeviceConfig) -> Result<Device, End> {
    Device::open(name, config).map_err(|error| match error {
        OpenError::NoDriver { .. } | OpenError::OldDriver { .. } | OpenError::NoCard { .. } => {
            End::Skipped(error)
        }
        OpenError::UnknownName { .. } | OpenError::NoSuchLevel { .. } => {
            End::Usage(error.to_string())
        }
        OpenError::Driver { .. } | OpenError::Threads { .. } => End::Failed(chain(&error)),
    })
}

/// Runs one op on pictures from standard input.
fn run_one(options: &Options) -> Result<End, End> {
    let task = options.task()?;
    let shapes = options.shapes(&task)?;
    let stream = open(options.backend(), &options.config()?)?.stream(STREAM_BYTES);
    let stream = stream.map_err(failed)?;
    if let Some(space) = options.color_space()? {
        stream.set_color_space(space);
    }
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes).map_err(failed)?;
    let expected: usize = shapes.iter().copied().map(picture_bytes).sum();
    if bytes.len() != expected {
        let (given, pictures) = (bytes.len(), shapes.len());
        return Err(End::Input(format!(
            "`{given}` bytes on input ({expected} for {pictures} pictures)"
        )));
    }
    let mut rest = bytes.as_slice();
    let mut pictures = Vec::new();
    for shape in shapes {
        let (picture, after) = rest.split_at(picture_bytes(shape));
        rest = after;
        let Shape { format, width, height } = shape;
        pictures.push(stream.picture(format, width, height, picture).map_err(failed)?);
    }
    let result = match task {
        Task::Op(op) => run_to_bytes(&stream, &op, &pictures),
        Task::Histogram => numbers(&stream, &pictures, |there| stream.histogram(&there[0])),
        Task::Difference => {
            numbers(&stream, &pictures, |there| stream.difference(&there[0], &there[1]))
        }
    };
    io::stdout().lock().write_all(&result.map_err(failed)?).map_err(failed)?;
    Ok(End::Fine)
}

fn picture_bytes(Shape { format, width, height }: Shape) -> usize {
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

/// Brings pictures to the device, counts there and returns the numbers as floats of 32 bits.
fn numbers(
    stream: &Stream,
    pictures: &[Surface],
    count: impl Fn(&[Surface]) -> Result<Counts, DeviceError>,
) -> Result<Vec<u8>, DeviceError> {
    let counts = count(&upload(stream, pictures)?)?;
    stream.wait()?;
    let values = counts.values().ok_or(DeviceError::NotReady)?;
    Ok(values.into_iter().flat_map(f32::to_le_bytes).collect())
}

fn upload(stream: &Stream, pictures: &[Surface]) -> Result<Vec<Surface>, DeviceError> {
    pictures.iter().map(|picture| stream.upload(picture)).collect()
}
