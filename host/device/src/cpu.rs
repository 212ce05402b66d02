//! The CPU backend: kernels built by clang at several dispatch levels, run in bands of rows.
//!
//! **Invariant:** the result depends neither on the level nor on the number of threads: bands are
//! whole rows, and no kernel reads what it writes.

use std::ffi::c_void;
use std::sync::Arc;

use domain::planes::Owner;

use crate::backend::{Backend, Memory, PlaneCopy};
use crate::error::{DeviceError, OpenError};
use crate::launch::{Kernel, Launch};
use crate::simd::SimdLevel;

mod crew;

use crew::Crew;

/// Elements below which one thread does a launch alone: waking others costs tens of microseconds,
/// in which one thread does about this many.
const ALONE_MAX: usize = 32 * 1024;

/// A kernel as `kernels/cpu.c` exports it: arguments, first row, row after the last.
type Entry = unsafe extern "C" fn(*const c_void, i32, i32);

/// The kernels of one level, in the order of [`Kernel`].
type Table = [Entry; Kernel::ALL.len()];

unsafe extern "C" {
    static fg_kernels_scalar: Table;
}

#[cfg(target_arch = "x86_64")]
unsafe extern "C" {
    static fg_kernels_avx2: Table;
    static fg_kernels_avx512: Table;
}

/// The CPU. Cheap to clone; clones share the threads.
#[derive(Clone)]
pub(crate) struct Cpu {
    level: SimdLevel,
    crew: Arc<Crew>,
}

impl Cpu {
    /// Starts the threads and chooses the level, or takes the one that is asked for.
    pub(crate) fn open(threads: usize, level: Option<SimdLevel>) -> Result<Self, OpenError> {
        let best = SimdLevel::best();
        let level = level.unwrap_or(best);
        if !level.is_supported() {
            return Err(OpenError::NoSuchLevel { level, best });
        }
        Ok(Self { level, crew: Arc::new(Crew::start(threads)?) })
    }

    pub(crate) fn level(&self) -> SimdLevel {
        self.level
    }

    pub(crate) fn threads(&self) -> usize {
        self.crew.threads()
    }
}

impl Backend for Cpu {
    fn name(&self) -> &str {
        "cpu-0"
    }

    fn owner(&self) -> Owner {
        Owner::Host
    }

    fn allocate(&self, bytes: usize) -> Result<Box<dyn Memory>, DeviceError> {
        HostMemory::new(bytes).map(|memory| Box::new(memory) as Box<dyn Memory>).ok_or_else(|| {
            DeviceError::OutOfMemory { device: self.name().to_owned(), asked: bytes }
        })
    }

    fn allocate_host(&self, bytes: usize) -> Result<Box<dyn Memory>, DeviceError> {
        self.allocate(bytes)
    }

    unsafe fn launch(&self, launch: &Launch) -> Result<(), DeviceError> {
        let extent = launch.extent();
        let job = Job { entry: table(self.level)[launch.kernel() as usize], launch: *launch };
        let elements = extent.rows as usize * extent.columns as usize;
        if elements <= ALONE_MAX {
            job.run(0, extent.rows);
        } else {
            self.crew.run(&job, extent.rows);
        }
        Ok(())
    }

    unsafe fn copy(&self, _: &PlaneCopy) -> Result<(), DeviceError> {
        unreachable!("a stream does not copy where host and device memory are the same")
    }

    fn wait(&self) -> Result<(), DeviceError> {
        Ok(())
    }
}

/// A launch for some rows at a time.
#[derive(Clone, Copy)]
struct Job {
    entry: Entry,
    launch: Launch,
}

impl Job {
    /// Computes the rows from `from` up to `to`.
    fn run(&self, from: i32, to: i32) {
        // SAFETY: a job is made in `Cpu::launch` only, whose caller vouches for the planes until it
        // returns, and it returns after the last band; bands do not overlap. The entry is that of
        // the launch's kernel, so the arguments have its structure, and the level is supported.
        unsafe { (self.entry)(self.launch.arguments(), from, to) };
    }
}

fn table(level: SimdLevel) -> &'static Table {
    // SAFETY: `kernels/cpu.c` defines these tables, of this length and order, and never writes them.
    unsafe {
        match level {
            #[cfg(target_arch = "x86_64")]
            SimdLevel::Avx2 => &fg_kernels_avx2,
            #[cfg(target_arch = "x86_64")]
            SimdLevel::Avx512 => &fg_kernels_avx512,
            _ => &fg_kernels_scalar,
        }
    }
}

/// A cache line, for its alignment.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Host memory. The lines are only ever touched through the address.
struct HostMemory {
    address: u64,
    lines: Vec<Line>,
}

impl HostMemory {
    /// Takes memory, or nothing if there is none left.
    fn new(bytes: usize) -> Option<Self> {
        let count = bytes.div_ceil(size_of::<Line>());
        let mut lines = Vec::new();
        lines.try_reserve_exact(count).ok()?;
        lines.resize(count, Line([0; 64]));
        Some(Self { address: lines.as_mut_ptr().expose_provenance() as u64, lines })
    }
}

impl Memory for HostMemory {
    fn address(&self) -> u64 {
        self.address
    }

    unsafe fn fill(&self, value: u8) {
        let to = std::ptr::with_exposed_provenance_mut::<u8>(self.address as usize);
        // SAFETY: the lines lie there, and the caller vouches that nobody else uses them.
        unsafe { to.write_bytes(value, size_of_val(self.lines.as_slice())) };
    }
}
