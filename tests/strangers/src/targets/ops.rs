//! Any ops on any pictures, as a plugin may ask for them: each is refused before it is done, or gives
//! the picture that was foretold, with the same bits at every dispatch level.

use std::num::NonZeroUsize;
use std::sync::LazyLock;

use device::{
    Axis, Borders, Color, Device, DeviceConfig, DeviceError, Op, Rect, Sampling, SimdLevel, Stream,
    Surface,
};
use domain::planes::PixelFormat;

use crate::Target;
use crate::bytes::Bytes;

/// Ops on pictures.
pub const TARGET: Target = Target { name: "ops", feed, seeds };

/// Memory of a stream: few pictures, so that it is used up now and then.
const STREAM_BYTES: usize = 4 << 20;
/// Pixels a side of the pictures that there are to begin with.
const SIDE_MAX: u32 = 70;
/// Ops of one input, and pictures that an op takes.
const OPS_MAX: usize = 6;
const PICTURES_MAX: usize = 3;
const SAMPLINGS: [Sampling; 5] =
    [Sampling::Nearest, Sampling::Bilinear, Sampling::Bicubic, Sampling::Lanczos, Sampling::Area];

static DEVICES: LazyLock<Vec<Device>> = LazyLock::new(|| {
    let open = |level: SimdLevel| {
        let config = DeviceConfig { threads: NonZeroUsize::MIN, simd: Some(level) };
        Device::open("cpu-0", &config).expect("a supported level")
    };
    SimdLevel::ALL.into_iter().filter(|level| level.is_supported()).map(open).collect()
});

fn feed(bytes: &[u8]) {
    let mut first: Option<Vec<u8>> = None;
    for device in DEVICES.iter() {
        let stream = device.stream(STREAM_BYTES).expect("a stream");
        let result = work(&stream, Bytes::new(bytes));
        let expected = first.get_or_insert_with(|| result.clone());
        assert_eq!(&result, expected, "the bits of `{}` at another level", device.name());
    }
}

/// Does what the input says and returns the bytes of all pictures.
fn work(stream: &Stream, mut input: Bytes<'_>) -> Vec<u8> {
    let mut pictures: Vec<Surface> = (0..2).map(|_| picture(stream, &mut input)).collect();
    let mut seen = Vec::new();
    for _ in 0..OPS_MAX {
        if input.is_empty() {
            break;
        }
        let Ok(op) = op(&mut input) else { continue };
        let count = op.pictures().min(PICTURES_MAX);
        let places: Vec<_> = (0..count).map(|_| usize::from(input.byte())).collect();
        let sources: Vec<_> = places.iter().map(|at| &pictures[at % pictures.len()]).collect();
        let shapes: Vec<_> = sources.iter().map(|source| source.shape()).collect();
        match (op.shape(&shapes), stream.run(&op, &sources)) {
            (Ok(shape), Ok(result)) => {
                assert_eq!(result.shape(), shape, "`{}` of {shapes:?}", op.name());
                seen.extend(result.to_bytes().expect("on the CPU pixels are there at once"));
                pictures.push(result);
            }
            (Err(_), Err(_))
            | (Ok(_), Err(DeviceError::Exhausted { .. } | DeviceError::OutOfMemory { .. })) => {}
            (foretold, done) => {
                let done = done.map(|picture| picture.shape());
                panic!("`{}` of {shapes:?}: {foretold:?} came to {done:?}", op.name());
            }
        }
    }
    seen
}

fn picture(stream: &Stream, input: &mut Bytes<'_>) -> Surface {
    let format = input.one_of(&PixelFormat::ALL);
    let (width, height) = (1 + input.number() % SIDE_MAX, 1 + input.number() % SIDE_MAX);
    let sizes = (0..format.planes()).map(|plane| format.plane_size(plane, width, height));
    let length = sizes.map(|(row, rows)| row * rows).sum();
    let (first, step) = (input.byte(), input.byte());
    let bytes: Vec<u8> =
        (0..length).map(|at| first.wrapping_add((at as u8).wrapping_mul(step))).collect();
    stream.picture(format, width, height, &bytes).expect("two small pictures fit")
}

fn rect(input: &mut Bytes<'_>) -> Rect {
    let (x, y) = (input.signed(), input.signed());
    Rect { x, y, width: input.number(), height: input.number() }
}

fn rects(input: &mut Bytes<'_>) -> Vec<Rect> {
    (0..input.byte() % 66).map(|_| rect(input)).collect()
}

fn floats(input: &mut Bytes<'_>, counts: &[usize]) -> Vec<f32> {
    (0..input.one_of(counts)).map(|_| input.float()).collect()
}

fn color(input: &mut Bytes<'_>) -> Color {
    Color { r: input.byte(), g: input.byte(), b: input.byte(), a: input.byte() }
}

/// Reads an op. Errors: numbers that none takes.
fn op(input: &mut Bytes<'_>) -> Result<Op, DeviceError> {
    match input.byte() % 25 {
        0 => Ok(Op::Convert { format: input.one_of(&PixelFormat::ALL) }),
        1 => Ok(Op::Resize {
            width: input.number(),
            height: input.number(),
            sampling: input.one_of(&SAMPLINGS),
        }),
        2 => Ok(Op::Crop { area: rect(input) }),
        3 => {
            let (left, top) = (input.number(), input.number());
            let borders = Borders { left, top, right: input.number(), bottom: input.number() };
            Ok(Op::Pad { borders, fill: color(input) })
        }
        4 => Ok(Op::Rotate { quarters: input.number() }),
        5 => Ok(Op::Flip { axis: input.one_of(&[Axis::Horizontal, Axis::Vertical]) }),
        6 => Op::box_blur(input.number()),
        7 => Op::gaussian_blur(input.float()),
        8 => Op::blur_areas(&rects(input), input.float()),
        9 => Op::pixelate_areas(&rects(input), input.number()),
        10 => Ok(Op::Edges),
        11 => Op::convolve(&floats(input, &[9, 25, 0, 10]), input.float()),
        12 => Ok(Op::Denoise { strength: input.byte() }),
        13 => Op::apply_lut(&curves(input)),
        14 => {
            let size = input.number();
            let count = (size as usize).saturating_pow(3).saturating_mul(3).min(3 * 5 * 5 * 5);
            Op::apply_cube(size, &(0..count).map(|_| input.float()).collect::<Vec<_>>())
        }
        15 => Op::color_matrix(&floats(input, &[12, 9])),
        16 => Ok(Op::Threshold { level: input.byte() }),
        17 => Ok(Op::Mix { t: input.byte() }),
        18 => Ok(Op::Overlay { x: input.signed(), y: input.signed(), alpha: input.byte() }),
        19 => Ok(Op::Composite),
        20 => Op::draw_rects(&rects(input), input.number(), color(input)),
        21 => {
            let text = String::from_utf8_lossy(input.some(300)).into_owned();
            let at = (input.signed(), input.signed());
            Op::draw_text(&text, at, input.number(), color(input))
        }
        22 => Ok(Op::Blank {
            width: input.number(),
            height: input.number(),
            format: input.one_of(&PixelFormat::ALL),
            fill: color(input),
        }),
        _ => Ok(Op::Noise { strength: input.byte(), seed: input.number() }),
    }
}

fn curves(input: &mut Bytes<'_>) -> Vec<u8> {
    let (count, first, step) = (input.one_of(&[768, 767]), input.byte(), input.byte());
    (0..count).map(|at| first.wrapping_add((at as u8).wrapping_mul(step))).collect()
}

fn seeds() -> Vec<Vec<u8>> {
    // Two pictures: 17 by 9 in one format, 30 by 40 in another.
    let with = |first: u8, second: u8, ops: &[u8]| {
        [&[first, 16, 8, 3, 7, second, 29, 39, 5, 11][..], ops].concat()
    };
    let mut found = vec![
        // All the ops without numbers of their own, one after the other.
        with(0, 2, &[10, 0, 4, 1, 0, 5, 1, 1, 16, 90, 0, 12, 50, 0, 0, 17, 77, 0, 0]),
        // Conversions of a chain of pictures.
        with(1, 3, &[0, 2, 0, 0, 5, 2, 0, 0, 3, 0, 6, 4, 0, 1, 5]),
        // Sizes: smaller, larger, a part, borders.
        with(
            2,
            0,
            &[1, 40, 30, 3, 0, 1, 5, 3, 4, 1, 2, 66, 64, 8, 6, 0, 3, 1, 2, 3, 4, 9, 9, 9, 9, 0],
        ),
        // Filters.
        with(3, 1, &[6, 5, 0, 7, 80, 0, 11, 0, 64, 63, 64, 63, 84, 63, 64, 63, 64, 64, 0]),
        // Areas: blurred, in squares, drawn.
        with(0, 3, &[8, 2, 60, 60, 9, 9, 70, 68, 4, 4, 90, 0, 9, 1, 64, 64, 12, 7, 4, 0]),
        with(2, 4, &[20, 1, 60, 66, 30, 7, 2, 255, 0, 0, 200, 1, 21, 2, b'h', b'i', 65, 65, 12]),
        // Colours: curves, a cube of two steps, a matrix, noise.
        with(
            3,
            2,
            &[13, 0, 3, 2, 0, 14, 2, 64, 80, 64, 80, 15, 0, 80, 64, 64, 64, 64, 80, 0, 23, 9],
        ),
        // Pictures on pictures, the mask being gray.
        with(2, 4, &[22, 17, 9, 4, 7, 7, 7, 7, 19, 0, 0, 2, 18, 60, 70, 128, 0, 1]),
    ];
    found.push(with(5, 6, &[0, 0, 0, 0, 2, 1, 1, 20, 20, 2, 2]));
    found
}
