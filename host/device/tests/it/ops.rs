//! Every op, on every format, level and number of threads, against the reference and against hashes.

use std::any::Any;
use std::sync::Arc;

use device::{Op, SimdLevel, Stream, Surface};
use domain::planes::{Owner, PixelFormat, Plane, Planes};
use sha2::{Digest, Sha256};

use crate::reference::{Picture, picture_bytes};
use crate::{PLENTY, Random, open_cpu, stream};

/// Single pixels, lines, odd sizes, sizes about tiles and vectors, both sides of 720 rows.
const SIZES: [(usize, usize); 12] = [
    (1, 1),
    (2, 1),
    (1, 3),
    (3, 2),
    (5, 4),
    (17, 9),
    (64, 3),
    (65, 4),
    (129, 5),
    (257, 7),
    (515, 6),
    (6, 721),
];

const SHARPEN: [f32; 9] = [0.0, -1.0, 0.0, -1.0, 5.25, -1.0, 0.0, -1.0, 0.0];

fn wide_weights(random: &mut Random) -> Vec<f32> {
    (0..25).map(|_| ((random.next() >> 40) as f32 / (1 << 24) as f32 - 0.45) * 1.7).collect()
}

fn random_picture(random: &mut Random, format: PixelFormat, size: (usize, usize)) -> Picture {
    let (width, height) = size;
    Picture { format, width, height, bytes: random.bytes(picture_bytes(format, width, height)) }
}

/// Puts a picture into foreign memory with a pitch of its own, in which the padding is noise.
fn foreign(picture: &Picture, random: &mut Random) -> Surface {
    let (width, height) = (picture.width as u32, picture.height as u32);
    let mut memory = Vec::new();
    let mut offsets = Vec::new();
    let mut rest = picture.bytes.as_slice();
    for plane in 0..picture.format.planes() {
        let (row, rows) = picture.format.plane_size(plane, width, height);
        let pitch = row + 1 + (random.next() % 37) as usize;
        offsets.push((memory.len(), pitch));
        for _ in 0..rows {
            let (line, after) = rest.split_at(row);
            rest = after;
            memory.extend_from_slice(line);
            memory.extend(random.bytes(pitch - row));
        }
    }
    let memory: Arc<Vec<u8>> = Arc::new(memory);
    let start = memory.as_ptr().expose_provenance() as u64;
    let mut planes = [Plane { address: 0, pitch: 0 }; 3];
    for (plane, (offset, pitch)) in planes.iter_mut().zip(offsets) {
        *plane = Plane { address: start + offset as u64, pitch };
    }
    let planes = Planes { format: picture.format, width, height, owner: Owner::Host, planes };
    // SAFETY: the vector is kept alive by the surface, has these planes, and is not written.
    unsafe { Surface::borrow_foreign(planes, memory as Arc<dyn Any + Send + Sync>) }.unwrap()
}

#[track_caller]
fn check(stream: &Stream, op: &Op, inputs: &[&Picture], random: &mut Random, expected: &Picture) {
    let surfaces: Vec<_> = inputs.iter().map(|picture| foreign(picture, random)).collect();
    let result = stream.run(op, &surfaces.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(result.format(), expected.format);
    assert_eq!(
        (result.width() as usize, result.height() as usize),
        (expected.width, expected.height)
    );
    let bytes = result.to_bytes().unwrap();
    if let Some(at) = bytes.iter().zip(&expected.bytes).position(|(is, should)| is != should) {
        let (is, should) = (bytes[at], expected.bytes[at]);
        let picture = inputs[0];
        let (format, width, height) = (picture.format.name(), picture.width, picture.height);
        panic!("{} of {format} {width}x{height}: byte {at} is {is}, not {should}", op.name());
    }
    assert_eq!(bytes.len(), expected.bytes.len());
}

fn check_all_ops(stream: &Stream, size: (usize, usize), random: &mut Random) {
    let curves = random.bytes(768);
    let wide = wide_weights(random);
    for format in PixelFormat::BASIC {
        let a = random_picture(random, format, size);
        let b = random_picture(random, format, size);
        for to in PixelFormat::BASIC {
            check(stream, &Op::Convert { format: to }, &[&a], random, &a.convert(to));
        }
        for (weights, bias) in [(SHARPEN.as_slice(), 7.5), (wide.as_slice(), -20.0)] {
            let op = Op::convolve(weights, bias).unwrap();
            check(stream, &op, &[&a], random, &a.convolve(weights, bias));
        }
        check(stream, &Op::apply_lut(&curves).unwrap(), &[&a], random, &a.apply_lut(&curves));
        for t in [0, 1, 77, 128, 255] {
            check(stream, &Op::Mix { t }, &[&a, &b], random, &a.mix(&b, t));
        }
    }
}

#[test]
fn every_op_gives_what_its_definition_says_at_every_level() {
    for level in SimdLevel::ALL.into_iter().filter(|level| level.is_supported()) {
        let stream = open_cpu(1, Some(level)).stream(PLENTY).unwrap();
        let mut random = Random(11);
        for size in SIZES {
            check_all_ops(&stream, size, &mut random);
        }
    }
}

#[test]
fn mixing_is_exact_for_every_pair_of_bytes_and_every_share() {
    let stream = stream();
    let a = (0..=255_u8).flat_map(|a| [a; 256]).collect::<Vec<_>>();
    let b = (0..256).flat_map(|_| 0..=255_u8).collect::<Vec<_>>();
    let [a, b] =
        [a, b].map(|bytes| Picture { format: PixelFormat::Gray, width: 256, height: 256, bytes });
    let mut random = Random(1);
    for t in 0..=255 {
        check(&stream, &Op::Mix { t }, &[&a, &b], &mut random, &a.mix(&b, t));
    }
}

/// The bytes of every op on one picture of each format, large enough to be cut into bands.
fn hash_of_all_ops(threads: usize, level: SimdLevel, size: (usize, usize)) -> String {
    let stream = open_cpu(threads, Some(level)).stream(PLENTY).unwrap();
    let mut random = Random(2026);
    let (curves, wide) = (random.bytes(768), wide_weights(&mut random));
    let mut hash = Sha256::new();
    for format in PixelFormat::BASIC {
        let a = foreign(&random_picture(&mut random, format, size), &mut random);
        let b = foreign(&random_picture(&mut random, format, size), &mut random);
        let mut ops: Vec<_> = PixelFormat::BASIC.map(|format| Op::Convert { format }).into();
        ops.push(Op::convolve(&SHARPEN, 0.0).unwrap());
        ops.push(Op::convolve(&wide, 3.0).unwrap());
        ops.push(Op::apply_lut(&curves).unwrap());
        ops.push(Op::Mix { t: 99 });
        for op in ops {
            let inputs = [&a, &b];
            let result = stream.run(&op, &inputs[..op.pictures()]).unwrap();
            hash.update(result.to_bytes().unwrap());
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_bits_are_those_on_record_at_every_level_and_number_of_threads() {
    for level in SimdLevel::ALL.into_iter().filter(|level| level.is_supported()) {
        for threads in 1..=3 {
            for (size, golden) in [((643, 481), GOLDEN_601), ((1281, 723), GOLDEN_709)] {
                assert_eq!(hash_of_all_ops(threads, level, size), golden, "{level} {threads}");
            }
        }
    }
}

const GOLDEN_601: &str = "0927fca41a70446c04c5e40c30fba978bcdba9b75c09d3d115949b8c4137e5cb";
const GOLDEN_709: &str = "8229b89cb7d65378426ee20fddd9f76b7df34bab9c5705cc486498db557de2d9";

#[test]
fn a_lut_on_yuv_is_the_same_as_through_rgb() {
    let stream = stream();
    let mut random = Random(5);
    let lut = Op::apply_lut(&random.bytes(768)).unwrap();
    for format in [PixelFormat::Nv12, PixelFormat::Yuv420p] {
        let input = foreign(&random_picture(&mut random, format, (131, 77)), &mut random);
        let direct = stream.run(&lut, &[&input]).unwrap();
        let rgb = stream.run(&Op::Convert { format: PixelFormat::Rgb24 }, &[&input]).unwrap();
        let curved = stream.run(&lut, &[&rgb]).unwrap();
        let back = stream.run(&Op::Convert { format }, &[&curved]).unwrap();
        assert_eq!(direct.to_bytes().unwrap(), back.to_bytes().unwrap());
    }
}

#[test]
fn white_black_and_grey_keep_their_colour_both_ways() {
    let stream = stream();
    for height in [2, 720] {
        for (luma, level) in [(16, 0), (235, 255), (126, 128)] {
            let gray =
                stream.picture(PixelFormat::Gray, 2, height, &vec![luma; 2 * height as usize]);
            let to_rgb = Op::Convert { format: PixelFormat::Rgb24 };
            let rgb = stream.run(&to_rgb, &[&gray.unwrap()]).unwrap();
            assert!(rgb.to_bytes().unwrap().iter().all(|byte| *byte == level));
            let back = stream.run(&Op::Convert { format: PixelFormat::Yuv420p }, &[&rgb]).unwrap();
            assert!(back.rows(0).unwrap().iter().flatten().all(|byte| *byte == luma));
            assert!(back.rows(1).unwrap().iter().flatten().all(|byte| *byte == 128));
        }
    }
}

#[test]
fn numbers_outside_what_an_op_takes_are_named() {
    let message = |result: Result<Op, device::DeviceError>| result.unwrap_err().to_string();
    assert_eq!(
        message(Op::convolve(&[1.0; 10], 0.0)),
        "`convolve`: the number of weights is `10` (9 or 25)"
    );
    assert_eq!(
        message(Op::convolve(&[f32::NAN; 9], 0.0)),
        "`convolve`: a weight is `NaN` (-31 to 31)"
    );
    assert_eq!(
        message(Op::convolve(&[31.0; 25], 1e6)),
        "`convolve`: the bias is `1000000` (-200000 to 200000)"
    );
    assert_eq!(
        message(Op::apply_lut(&[0; 767])),
        "`apply-lut`: the number of bytes of the curves is `767` (768)"
    );
}

#[test]
fn the_largest_weights_and_bias_do_not_overflow() {
    let stream = stream();
    let mut random = Random(3);
    let picture = Picture {
        bytes: vec![255; 400],
        ..random_picture(&mut random, PixelFormat::Gray, (20, 20))
    };
    for sign in [1.0, -1.0] {
        let op = Op::convolve(&[31.0 * sign; 25], 200_000.0 * sign).unwrap();
        let expected = picture.convolve(&[31.0 * sign; 25], 200_000.0 * sign);
        check(&stream, &op, &[&picture], &mut random, &expected);
    }
}

#[test]
fn pictures_that_are_not_alike_are_not_mixed() {
    let stream = stream();
    let a = stream.picture(PixelFormat::Gray, 2, 2, &[0; 4]).unwrap();
    let b = stream.picture(PixelFormat::Gray, 4, 1, &[0; 4]).unwrap();
    let error = stream.run(&Op::Mix { t: 1 }, &[&a, &b]).unwrap_err();
    assert_eq!(error.to_string(), "`mix` of `gray 2x2` and `gray 4x1`: sizes must be equal");
    let error = stream.run(&Op::Mix { t: 1 }, &[&a]).unwrap_err();
    assert_eq!(error.to_string(), "`mix` takes 2 pictures, not 1");
}
