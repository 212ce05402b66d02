//! The PTX that is shipped, run by an interpreter behind a stream: the same bytes as the CPU's
//! kernels for every op, and no access outside of what a stream owns.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use device::sample::Random;
use device::{Backend, DeviceError, Kernel, Launch, Memory, PTX, PlaneCopy, Stream};
use domain::planes::Owner;

use crate::every::{all_cases, run};
use crate::interpret::{Blocks, Program};
use crate::{PLENTY, stream};

/// Threads of a block, as the CUDA backend has them.
const BLOCK: (u32, u32) = (32, 8);

/// A card without a card.
struct Interpreted {
    programs: BTreeMap<Kernel, Program>,
    blocks: Arc<Mutex<Blocks>>,
    launched: Mutex<BTreeMap<Kernel, usize>>,
}

impl Interpreted {
    fn new() -> Self {
        let parse = |(text, kernels): (&str, &[Kernel])| {
            let parsed = |kernel: &Kernel| (*kernel, Program::parse(text, kernel.entry()));
            kernels.iter().map(parsed).collect::<Vec<_>>()
        };
        Self {
            programs: PTX.into_iter().flat_map(parse).collect(),
            blocks: Arc::default(),
            launched: Mutex::default(),
        }
    }
}

/// A block that its card knows of while it is there.
struct Block {
    words: Mutex<Vec<u64>>,
    address: u64,
    known: Arc<Mutex<Blocks>>,
}

impl Memory for Block {
    fn address(&self) -> u64 {
        self.address
    }

    unsafe fn fill(&self, value: u8) {
        self.words.lock().unwrap().fill(u64::from_ne_bytes([value; 8]));
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.known.lock().unwrap().remove(&self.address);
    }
}

impl Backend for Interpreted {
    fn name(&self) -> &str {
        "cuda-0"
    }

    fn owner(&self) -> Owner {
        Owner::Cuda(0)
    }

    fn allocate(&self, bytes: usize) -> Result<Box<dyn Memory>, DeviceError> {
        // What nobody sets shows.
        let mut words = vec![0x5A5A_A5A5_1234_8765_u64; bytes.div_ceil(8)];
        let address = words.as_mut_ptr().expose_provenance() as u64;
        self.blocks.lock().unwrap().insert(address, bytes);
        let known = Arc::clone(&self.blocks);
        Ok(Box::new(Block { words: Mutex::new(words), address, known }))
    }

    fn allocate_host(&self, bytes: usize) -> Result<Box<dyn Memory>, DeviceError> {
        self.allocate(bytes)
    }

    unsafe fn launch(&self, launch: &Launch) -> Result<(), DeviceError> {
        let (kernel, extent) = (launch.kernel(), launch.extent());
        let (span, high) = kernel.tile();
        let grid = (
            (extent.columns as u32).div_ceil(BLOCK.0 * span),
            (extent.rows as u32).div_ceil(BLOCK.1 * high),
        );
        let arguments = launch.arguments().cast::<u8>();
        // SAFETY: the structure has so many bytes; what lies between its fields is not read.
        let arguments =
            unsafe { std::slice::from_raw_parts(arguments, kernel.argument_bytes()) }.to_vec();
        // SAFETY: the blocks are those of one stream, which tells one thing after the other.
        unsafe {
            self.programs[&kernel].run((grid, BLOCK), &arguments, &self.blocks.lock().unwrap());
        }
        *self.launched.lock().unwrap().entry(kernel).or_default() += 1;
        Ok(())
    }

    unsafe fn copy(&self, copy: &PlaneCopy) -> Result<(), DeviceError> {
        let PlaneCopy { from, to, row, rows, .. } = *copy;
        for y in 0..rows {
            let from = from.address as usize + y * from.pitch;
            let to = to.address as usize + y * to.pitch;
            // SAFETY: the stream vouches for both planes.
            unsafe {
                let from = std::ptr::with_exposed_provenance::<u8>(from);
                std::ptr::with_exposed_provenance_mut::<u8>(to).copy_from_nonoverlapping(from, row);
            }
        }
        Ok(())
    }

    fn wait(&self) -> Result<(), DeviceError> {
        Ok(())
    }
}

#[test]
fn the_shipped_ptx_gives_the_bytes_of_the_cpu_for_every_op() {
    let card = Arc::new(Interpreted::new());
    let on_card = Stream::over(Arc::clone(&card) as Arc<dyn Backend>, PLENTY);
    let on_cpu = stream();
    let mut random = Random(91);
    for size in [(1, 1), (13, 9), (150, 3)] {
        for (case, pictures) in all_cases(size, &mut random) {
            let expected = run(&on_cpu, &case, &pictures).to_bytes().unwrap();
            let there: Vec<_> = pictures.iter().map(|p| on_card.upload(p).unwrap()).collect();
            let result = on_card.download(&run(&on_card, &case, &there)).unwrap();
            on_card.wait().unwrap();
            let bytes = result.to_bytes().unwrap();
            let differ = bytes.iter().zip(&expected).position(|(is, should)| is != should);
            assert_eq!(differ, None, "{} of {:?}", case.name, case.inputs);
        }
    }
    for (case, pictures) in all_cases((21, 18), &mut random).into_iter().take(1) {
        let expected = on_cpu.histogram(&pictures[0]).unwrap().values();
        let there = on_card.upload(&pictures[0]).unwrap();
        let counts = on_card.histogram(&there).unwrap();
        let apart = on_card.difference(&there, &there).unwrap();
        on_card.wait().unwrap();
        assert_eq!(counts.values(), expected, "{:?}", case.inputs);
        assert_eq!(apart.values(), Some(vec![0.0]));
    }
    let launched = card.launched.lock().unwrap();
    let missing: Vec<_> =
        Kernel::ALL.iter().filter(|kernel| !launched.contains_key(kernel)).collect();
    assert!(missing.is_empty(), "never run: {missing:?}");
}
