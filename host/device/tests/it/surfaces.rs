//! Memory: what is shared, what is bounded, what is used again and what nobody ever sees again.

use std::any::Any;
use std::sync::Arc;

use device::{Op, POISON, ROW_ALIGN, Surface};
use domain::Class;
use domain::planes::{Owner, PixelFormat, Plane, Planes};

use crate::counted::allocations;
use crate::{PLENTY, Random, open_cpu, stream};

const TO_GRAY: Op = Op::Convert { format: PixelFormat::Gray };
const TO_YUV: Op = Op::Convert { format: PixelFormat::Yuv420p };

/// Borrows a yuv420p picture of 16 by 16 from a vector.
fn borrow(memory: &Arc<Vec<u8>>) -> Surface {
    let start = memory.as_ptr().expose_provenance() as u64;
    let plane = |offset, pitch| Plane { address: start + offset, pitch };
    let planes = Planes {
        format: PixelFormat::Yuv420p,
        width: 16,
        height: 16,
        owner: Owner::Host,
        planes: [plane(0, 16), plane(256, 8), plane(320, 8)],
    };
    let keep: Arc<dyn Any + Send + Sync> = Arc::clone(memory) as _;
    // SAFETY: the vector has 384 bytes, is kept alive by the surface, and is not written.
    unsafe { Surface::borrow_foreign(planes, keep) }.unwrap()
}

#[test]
fn a_foreign_picture_keeps_its_owner_alive_exactly_as_long_as_a_plane_is_shown() {
    let stream = stream();
    let memory = Arc::new(Random(1).bytes(384));
    let decoded = borrow(&memory);
    let gray = stream.run(&TO_GRAY, &[&decoded]).unwrap();
    let again = stream.run(&TO_YUV, &[&gray]).unwrap();
    drop((decoded, gray));
    assert_eq!(again.planes().planes[0].address, memory.as_ptr().addr() as u64);
    assert_eq!(Arc::strong_count(&memory), 2, "the luma is still shown");
    drop(again);
    assert_eq!(Arc::strong_count(&memory), 1);
}

#[test]
fn gray_and_back_copies_nothing_and_both_chroma_planes_are_one() {
    let stream = stream();
    let input = stream.picture(PixelFormat::Gray, 50, 20, &[9; 1000]).unwrap();
    let before = stream.held_bytes();
    let first = stream.run(&TO_YUV, &[&input]).unwrap();
    let second = stream.run(&TO_YUV, &[&input]).unwrap();
    assert_eq!(stream.held_bytes() - before, 64 * 10, "one neutral plane for all");
    let planes = first.planes().planes;
    assert_eq!(planes[0], input.planes().planes[0]);
    assert_eq!(planes[1], planes[2]);
    assert_eq!(planes, second.planes().planes);
    assert!(first.rows(2).unwrap().iter().flatten().all(|byte| *byte == 128));
}

#[test]
fn pooled_rows_begin_at_multiples_of_the_alignment() {
    let stream = stream();
    let picture = stream.picture(PixelFormat::Nv12, 7, 5, &[1; 35 + 24]).unwrap();
    for plane in &picture.planes().planes[..2] {
        assert_eq!((plane.address as usize % ROW_ALIGN, plane.pitch % ROW_ALIGN), (0, 0));
    }
}

#[test]
fn ten_thousand_frames_use_the_same_memory_and_allocate_nothing() {
    let stream = open_cpu(1, None).stream(PLENTY).unwrap();
    let edges = Op::convolve(&[-1.0, -1.0, -1.0, -1.0, 8.0, -1.0, -1.0, -1.0, -1.0], 0.0).unwrap();
    let lut = Op::apply_lut(&[7; 768]).unwrap();
    let decoded = borrow(&Arc::new(Random(1).bytes(384)));
    let frame = || {
        let gray = stream.run(&TO_GRAY, &[&decoded]).unwrap();
        let drawn = stream.run(&edges, &[&gray]).unwrap();
        let mapped = stream.run(&lut, &[&drawn]).unwrap();
        let sketch = stream.run(&TO_YUV, &[&mapped]).unwrap();
        let faded = stream.run(&Op::Mix { t: 40 }, &[&sketch, &decoded]).unwrap();
        stream.run(&lut, &[&faded]).unwrap();
    };
    frame();
    let (held, before) = (stream.held_bytes(), allocations());
    for _ in 0..10_000 {
        frame();
    }
    assert_eq!(stream.held_bytes(), held);
    assert_eq!(allocations(), before);
}

#[test]
fn a_full_pool_names_limit_use_and_what_was_asked() {
    let stream = open_cpu(1, None).stream(3 * 64).unwrap();
    let bytes = [7; 64];
    let first = stream.picture(PixelFormat::Gray, 64, 1, &bytes).unwrap();
    let _second = stream.picture(PixelFormat::Gray, 64, 1, &bytes).unwrap();
    let error = stream.picture(PixelFormat::Gray, 64, 2, &[7; 128]).unwrap_err();
    assert_eq!(error.class(), Class::Exhausted);
    assert_eq!(
        error.to_string(),
        "`stream.memory-bytes` of `cpu-0` is used up (128 of 192 bytes, 128 more asked)"
    );
    // What is free in another size makes room.
    drop(first);
    stream.picture(PixelFormat::Gray, 64, 2, &[7; 128]).unwrap();
}

#[test]
fn a_released_picture_shows_up_in_no_later_result() {
    let stream = stream();
    let secret = stream.picture(PixelFormat::Gray, 33, 9, &[200; 297]).unwrap();
    let address = secret.planes().planes[0].address;
    drop(secret);
    // The same memory comes back for the next picture of that size; borders are the risk.
    let black = Arc::new(vec![0; 384]);
    let gray = stream.run(&TO_GRAY, &[&borrow(&black)]).unwrap();
    drop(gray);
    let input = stream.picture(PixelFormat::Gray, 33, 9, &[0; 297]).unwrap();
    assert_eq!(input.planes().planes[0].address, address, "the block is used again");
    for side in [9, 25] {
        drop(stream.picture(PixelFormat::Gray, 33, 9, &[200; 297]).unwrap());
        let result = stream.run(&Op::convolve(&vec![1.0; side], 0.0).unwrap(), &[&input]).unwrap();
        assert!(result.to_bytes().unwrap().iter().all(|byte| *byte == 0));
    }
}

#[cfg(debug_assertions)]
#[test]
fn a_released_block_is_overwritten_in_debug_builds() {
    let stream = stream();
    let picture = stream.picture(PixelFormat::Gray, 64, 1, &[200; 64]).unwrap();
    let address = picture.planes().planes[0].address as usize;
    drop(picture);
    // SAFETY: the stream's pool keeps the block, and no other thread uses this stream.
    let byte = unsafe { std::ptr::with_exposed_provenance::<u8>(address).read() };
    assert_eq!(byte, POISON);
}

#[test]
fn a_picture_of_another_session_is_refused() {
    let cpu = open_cpu(1, None);
    let (ours, theirs) = (cpu.stream(PLENTY).unwrap(), cpu.stream(PLENTY).unwrap());
    let picture = theirs.picture(PixelFormat::Gray, 4, 4, &[1; 16]).unwrap();
    let error = ours.run(&TO_YUV, &[&picture]).unwrap_err();
    assert_eq!(
        (error.class(), error.to_string().as_str()),
        (Class::Invalid, "a picture of another stream")
    );
    assert!(ours.download(&picture).is_err());
}

#[test]
fn a_picture_outlives_its_stream() {
    let stream = stream();
    let picture = stream.picture(PixelFormat::Gray, 4, 4, &[3; 16]).unwrap();
    drop(stream);
    assert_eq!(picture.to_bytes().unwrap(), [3; 16]);
}

#[test]
fn moving_a_picture_to_where_it_is_does_nothing() {
    let stream = stream();
    let decoded = borrow(&Arc::new(vec![5; 384]));
    let up = stream.upload(&decoded).unwrap();
    let down = stream.download(&up).unwrap();
    stream.wait().unwrap();
    assert_eq!(down.planes(), decoded.planes());
}

#[test]
fn planes_that_make_no_picture_are_refused() {
    let plane = Plane { address: 64, pitch: 15 };
    let planes = [plane; 3];
    let mut picture =
        Planes { format: PixelFormat::Gray, width: 16, height: 1, owner: Owner::Host, planes };
    // SAFETY: refused before anything is read.
    let borrow = |planes| unsafe { Surface::borrow_foreign(planes, Arc::new(())) };
    let error = borrow(picture).unwrap_err();
    assert_eq!(
        error.to_string(),
        "plane 0 of a `gray` picture has pitch 15 (row of 16 bytes) at 0x40"
    );
    picture.width = 16_385;
    let error = borrow(picture).unwrap_err();
    assert_eq!(error.to_string(), "a picture of `16385x1` (1 to 16384 pixels a side)");
}
