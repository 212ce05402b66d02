//! Pictures on their way to and from a card. No card is needed: what is checked is what a stream
//! promises while a device is late, on a backend that does everything at the last moment.

use std::any::Any;
use std::sync::{Arc, Mutex};

use device::{Backend, DeviceError, Direction, Launch, Memory, Op, PlaneCopy, Stream, Surface};
use domain::Class;
use domain::planes::{Owner, PixelFormat, Plane, Planes};

/// A card that copies only when it is waited for, and counts launches.
#[derive(Default)]
struct LateCard {
    copies: Mutex<Vec<PlaneCopy>>,
    launches: Mutex<usize>,
}

struct Block(Mutex<Vec<u64>>, u64);

impl Block {
    fn boxed(bytes: usize) -> Box<dyn Memory> {
        let mut words = vec![0_u64; bytes.div_ceil(8)];
        let address = words.as_mut_ptr().expose_provenance() as u64;
        Box::new(Self(Mutex::new(words), address))
    }
}

impl Memory for Block {
    fn address(&self) -> u64 {
        self.1
    }

    unsafe fn fill(&self, value: u8) {
        self.0.lock().unwrap().fill(u64::from_ne_bytes([value; 8]));
    }
}

impl Backend for LateCard {
    fn name(&self) -> &str {
        "cuda-0"
    }

    fn owner(&self) -> Owner {
        Owner::Cuda(0)
    }

    fn allocate(&self, bytes: usize) -> Result<Box<dyn Memory>, DeviceError> {
        Ok(Block::boxed(bytes))
    }

    fn allocate_host(&self, bytes: usize) -> Result<Box<dyn Memory>, DeviceError> {
        Ok(Block::boxed(bytes))
    }

    unsafe fn launch(&self, _: &Launch) -> Result<(), DeviceError> {
        *self.launches.lock().unwrap() += 1;
        Ok(())
    }

    unsafe fn copy(&self, copy: &PlaneCopy) -> Result<(), DeviceError> {
        self.copies.lock().unwrap().push(*copy);
        Ok(())
    }

    fn wait(&self) -> Result<(), DeviceError> {
        for PlaneCopy { from, to, row, rows, .. } in self.copies.lock().unwrap().drain(..) {
            for y in 0..rows {
                let from = from.address as usize + y * from.pitch;
                let to = to.address as usize + y * to.pitch;
                // SAFETY: the stream vouches for both planes until this has been done.
                unsafe {
                    let from = std::ptr::with_exposed_provenance::<u8>(from);
                    std::ptr::with_exposed_provenance_mut::<u8>(to)
                        .copy_from_nonoverlapping(from, row);
                }
            }
        }
        Ok(())
    }
}

fn late_stream() -> (Arc<LateCard>, Stream) {
    let card = Arc::new(LateCard::default());
    let stream = Stream::over(Arc::clone(&card) as Arc<dyn Backend>, 1 << 20);
    (card, stream)
}

fn borrow_gray(memory: &Arc<Vec<u8>>, owner: Owner) -> Surface {
    let address = memory.as_ptr().expose_provenance() as u64;
    let planes = [Plane { address, pitch: 10 }; 3];
    let planes = Planes { format: PixelFormat::Gray, width: 9, height: 4, owner, planes };
    // SAFETY: the vector has 40 bytes, is kept alive by the surface, and is not written.
    unsafe { Surface::borrow_foreign(planes, Arc::clone(memory) as Arc<dyn Any + Send + Sync>) }
        .unwrap()
}

#[test]
fn pixels_on_their_way_from_a_card_cannot_be_read_before_the_wait() {
    let (card, stream) = late_stream();
    let memory = Arc::new((0..40).collect::<Vec<u8>>());
    let picture = borrow_gray(&memory, Owner::Host);
    let there = stream.upload(&picture).unwrap();
    assert_eq!(there.owner(), Owner::Cuda(0));
    assert!(there.rows(0).is_err(), "not host memory");
    let back = stream.download(&there).unwrap();
    assert_eq!(back.rows(0).unwrap_err().class(), Class::Conflict);
    let directions: Vec<_> = card.copies.lock().unwrap().iter().map(|c| c.direction).collect();
    assert_eq!(directions, [Direction::ToDevice, Direction::ToHost]);
    stream.wait().unwrap();
    assert_eq!(back.to_bytes().unwrap(), picture.to_bytes().unwrap());
}

#[test]
fn what_an_unfinished_copy_or_op_reads_is_held_until_the_wait_and_no_longer() {
    let (card, stream) = late_stream();
    let (on_host, on_card) = (Arc::new(vec![7; 40]), Arc::new(vec![7; 40]));
    let there = stream.upload(&borrow_gray(&on_host, Owner::Host)).unwrap();
    let op = Op::Mix { t: 9 };
    let mixed = stream.run(&op, &[&there, &borrow_gray(&on_card, Owner::Cuda(0))]).unwrap();
    drop(stream.download(&mixed).unwrap());
    assert_eq!(*card.launches.lock().unwrap(), 1);
    assert_eq!((Arc::strong_count(&on_host), Arc::strong_count(&on_card)), (2, 2));
    stream.wait().unwrap();
    assert_eq!((Arc::strong_count(&on_host), Arc::strong_count(&on_card)), (1, 1));
}

#[test]
fn a_caller_who_never_waits_does_not_pile_up_pictures() {
    let (_, stream) = late_stream();
    let memory = Arc::new(vec![7; 40]);
    for _ in 0..10_000 {
        stream.upload(&borrow_gray(&memory, Owner::Host)).unwrap();
    }
    assert!(Arc::strong_count(&memory) <= 65);
    drop(stream);
    assert_eq!(Arc::strong_count(&memory), 1);
}

#[test]
fn a_picture_in_the_wrong_memory_is_refused() {
    let (_, stream) = late_stream();
    let memory = Arc::new(vec![7; 40]);
    let op = Op::Convert { format: PixelFormat::Rgba };
    let error = stream.run(&op, &[&borrow_gray(&memory, Owner::Host)]).unwrap_err();
    assert_eq!(error.to_string(), "`cuda-0` cannot work on a picture in `host memory`");
    let other = borrow_gray(&memory, Owner::Cuda(1));
    assert_eq!(stream.run(&op, &[&other]).unwrap_err().class(), Class::Invalid);
    assert_eq!(stream.download(&other).unwrap_err().class(), Class::Invalid);
}
