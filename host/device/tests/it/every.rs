//! Every op, on every format: the same bytes whatever the level, the threads and what lay in the
//! memory before; the bytes on record; and no border that shows an old picture.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use device::sample::{Case, Random, cases, conversions};
use device::{Op, Shape, SimdLevel, Stream, Surface};
use domain::planes::{Owner, PixelFormat, Plane, Planes};
use sha2::{Digest, Sha256};

use crate::counted::allocations;
use crate::{PLENTY, open_cpu, stream};

/// Single pixels, lines, odd sizes, sizes about tiles and vectors, both sides of 720 rows.
const SIZES: [(u32, u32); 9] =
    [(1, 1), (2, 1), (1, 3), (3, 2), (17, 9), (65, 34), (129, 5), (515, 6), (6, 721)];

/// Puts a picture of noise into foreign memory with a pitch of its own and noise between its rows.
pub(crate) fn noise(shape: Shape, random: &mut Random) -> Surface {
    let Shape { format, width, height } = shape;
    let mut memory = Vec::new();
    let mut planes = [Plane { address: 0, pitch: 0 }; 3];
    for (index, plane) in planes.iter_mut().enumerate().take(format.planes()) {
        let (row, rows) = format.plane_size(index, width, height);
        // Words and floats lie on multiples of four.
        let odd = if format.is_basic() { 1 + random.below(37) as usize } else { 0 };
        memory.resize(memory.len().next_multiple_of(4), 0);
        *plane = Plane { address: memory.len() as u64, pitch: row.next_multiple_of(2) + odd };
        memory.extend(random.bytes(plane.pitch * rows));
    }
    if format == PixelFormat::Gbrpf32 {
        // From a little below 0 to a little above 1, and what is no number.
        for word in memory.chunks_exact_mut(4) {
            let value = if word[0] == 0 { f32::NAN } else { f32::from(word[1]) / 230.0 - 0.05 };
            word.copy_from_slice(&value.to_le_bytes());
        }
    }
    // Words of eight bytes, so that the first byte is aligned.
    let words: Vec<u64> = memory
        .chunks(8)
        .map(|part| part.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
        .collect();
    let memory = Arc::new(words);
    for plane in planes.iter_mut().take(format.planes()) {
        plane.address += memory.as_ptr().expose_provenance() as u64;
    }
    let planes = Planes { format, width, height, owner: Owner::Host, planes };
    // SAFETY: the vector has these planes, is kept alive by the surface, and is not written.
    unsafe { Surface::borrow_foreign(planes, memory as Arc<dyn Any + Send + Sync>) }.unwrap()
}

/// Every case for one size, with its pictures.
pub(crate) fn all_cases(
    (width, height): (u32, u32),
    random: &mut Random,
) -> Vec<(Case, Vec<Surface>)> {
    let shape = |format| Shape { format, width, height };
    let mut all = Vec::new();
    for format in PixelFormat::BASIC {
        all.extend(cases(shape(format), random).unwrap());
    }
    all.extend(conversions(shape(PixelFormat::P010)));
    all.extend(conversions(shape(PixelFormat::Gbrpf32)));
    let with_pictures = |case: Case| {
        let pictures = case.inputs.iter().map(|shape| noise(*shape, random)).collect();
        (case, pictures)
    };
    all.into_iter().map(with_pictures).collect()
}

pub(crate) fn run(stream: &Stream, case: &Case, pictures: &[Surface]) -> Surface {
    stream.run(&case.op, &pictures.iter().collect::<Vec<_>>()).unwrap_or_else(|error| {
        panic!("{} of {:?}: {error}", case.name, case.inputs);
    })
}

#[test]
fn results_have_the_shape_that_was_announced_and_are_the_same_at_every_level() {
    let levels = SimdLevel::ALL.into_iter().filter(|level| level.is_supported());
    let streams: Vec<_> =
        levels.map(|level| open_cpu(1, Some(level)).stream(PLENTY).unwrap()).collect();
    let mut random = Random(7);
    for size in SIZES {
        for (case, pictures) in all_cases(size, &mut random) {
            let [first, others @ ..] = streams.as_slice() else { panic!("no level at all") };
            let result = run(first, &case, &pictures);
            assert_eq!(result.shape(), case.op.shape(&case.inputs).unwrap(), "{}", case.name);
            let expected = result.to_bytes().unwrap();
            for other in others {
                let bytes = run(other, &case, &pictures).to_bytes().unwrap();
                assert!(bytes == expected, "{} of {:?}", case.name, case.inputs);
            }
        }
    }
}

/// Hashes the results of each op.
fn hashes(threads: usize, level: SimdLevel, size: (u32, u32)) -> BTreeMap<&'static str, String> {
    let stream = open_cpu(threads, Some(level)).stream(PLENTY).unwrap();
    let mut hashes: BTreeMap<_, Sha256> = BTreeMap::new();
    for (case, pictures) in all_cases(size, &mut Random(2026)) {
        let bytes = run(&stream, &case, &pictures).to_bytes().unwrap();
        hashes.entry(case.op.name()).or_default().update(bytes);
    }
    let short = |hash: Sha256| hash.finalize()[..8].iter().map(|b| format!("{b:02x}")).collect();
    hashes.into_iter().map(|(name, hash)| (name, short(hash))).collect()
}

#[test]
fn the_bits_of_every_op_are_those_on_record_whatever_the_threads() {
    let on_record: BTreeMap<_, _> = GOLDEN.into_iter().map(|(k, v)| (k, v.to_owned())).collect();
    let best = SimdLevel::best();
    for threads in 1..=3 {
        // Large enough to be cut into bands.
        assert_eq!(hashes(threads, best, (331, 202)), on_record, "{best} {threads}");
    }
    assert_eq!(hashes(1, SimdLevel::Scalar, (331, 202)), on_record);
}

/// The beginning of the SHA-256 of every op's results, in the order of the names.
const GOLDEN: [(&str, &str); 23] = [
    ("apply-lut", "228924dfc7eeeeb6"),
    ("blank", "22f37b9e4dcc2fcc"),
    ("blur-areas", "b26d570f77adce53"),
    ("box-blur", "94ec0da13c43d75e"),
    ("color-matrix", "c8a0fd9f0a2b9f13"),
    ("composite", "4d2fab5c38a322f9"),
    ("convert", "b0433c06b89dd845"),
    ("convolve", "ed15c71a0ee6966a"),
    ("crop", "298261a91642f6db"),
    ("denoise", "9cf998593bd126b6"),
    ("draw-rects", "3ea518bb2698d824"),
    ("draw-text", "1e21d839c7ca384c"),
    ("edges", "3cafe7f26c6c004e"),
    ("flip", "392567e801a1939d"),
    ("gaussian-blur", "93fa059cae583bb2"),
    ("mix", "e232f89af363dbdb"),
    ("noise", "95283d441ac53aef"),
    ("overlay", "00993f346afce5a0"),
    ("pad", "ed23da74c58b6ad2"),
    ("pixelate-areas", "03935b10238cf1d1"),
    ("resize", "8eafb5f3cce65b05"),
    ("rotate", "70e2bab78b505bcb"),
    ("threshold", "b5012831fbe61c4a"),
];

#[test]
fn what_a_picture_held_before_shows_up_in_no_result() {
    let mut random = Random(31);
    for (case, pictures) in all_cases((37, 22), &mut random) {
        let fresh = stream();
        let expected = run(&fresh, &case, &pictures).to_bytes().unwrap();
        for old in [0, 255] {
            // The stream's memory is full of another picture, in blocks of the same sizes.
            let used = stream();
            let result = run(&used, &case, &pictures);
            let shape = result.shape();
            drop(result);
            let size = expected.len();
            drop(used.picture(shape.format, shape.width, shape.height, &vec![old; size]).unwrap());
            let again = run(&used, &case, &pictures).to_bytes().unwrap();
            assert!(again == expected, "{} of {:?}", case.name, case.inputs);
        }
    }
}

#[test]
fn every_op_allocates_nothing_once_its_stream_is_warm() {
    let mut random = Random(3);
    let stream = open_cpu(1, None).stream(PLENTY).unwrap();
    let all = all_cases((64, 48), &mut random);
    for (case, pictures) in &all {
        let inputs: Vec<_> = pictures.iter().collect();
        let frame = || drop(stream.run(&case.op, &inputs).unwrap());
        frame();
        let (held, before) = (stream.held_bytes(), allocations());
        (0..20).for_each(|_| frame());
        assert_eq!(stream.held_bytes(), held, "{}", case.name);
        assert_eq!(allocations(), before, "{} of {:?}", case.name, case.inputs);
    }
}

#[test]
fn an_8k_picture_and_the_longest_line_work() {
    let stream = stream();
    for (width, height) in [(7680, 4320), (16_384, 1), (1, 16_384)] {
        let fill = device::Color { r: 200, g: 30, b: 90, a: 255 };
        let blank = Op::Blank { width, height, format: PixelFormat::Yuv420p, fill };
        let picture = stream.run(&blank, &[]).unwrap();
        let first: Vec<u8> =
            (0..3).map(|p| picture.rows(p).unwrap().iter().next().unwrap()[0]).collect();
        let half = Op::Resize {
            width: width.div_ceil(2),
            height: height.div_ceil(2),
            sampling: device::Sampling::Area,
        };
        for op in [half, Op::box_blur(127).unwrap(), Op::gaussian_blur(2.0).unwrap()] {
            let result = stream.run(&op, &[&picture]).unwrap();
            for (plane, value) in first.iter().enumerate() {
                let rows = result.rows(plane).unwrap();
                assert!(rows.iter().flatten().all(|byte| byte == value), "{} {width}", op.name());
            }
        }
    }
}
