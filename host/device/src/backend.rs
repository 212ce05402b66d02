//! The seam between streams and what does the work. A backend has memory, copies planes and runs
//! kernels in the order in which it is told to; it knows no op, no session and no limit.
//!
//! **Invariant:** whatever a backend is told is done in order, and is done when
//! [`Backend::wait`] returns.

use domain::planes::{Owner, Plane};

use crate::error::DeviceError;
use crate::launch::Launch;

/// One run of memory, freed when dropped.
pub trait Memory: Send + Sync {
    /// Returns the address of its first byte, a multiple of 64.
    fn address(&self) -> u64;

    /// Overwrites all of it with one value, in order with the rest of the backend's work.
    ///
    /// # Safety
    /// Nobody reads or writes it meanwhile, but for work that the backend was told before.
    unsafe fn fill(&self, value: u8);
}

/// Where a copy goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From host memory to the device's.
    ToDevice,
    /// From the device's memory to host memory.
    ToHost,
}

/// A rectangle of bytes to copy from one plane to another.
#[derive(Debug, Clone, Copy)]
pub struct PlaneCopy {
    /// From where.
    pub from: Plane,
    /// To where.
    pub to: Plane,
    /// Bytes in a row.
    pub row: usize,
    /// Rows.
    pub rows: usize,
    /// Between which memories.
    pub direction: Direction,
}

/// One stream of work on one device.
pub trait Backend: Send + Sync {
    /// Returns the device's name, such as `cpu-0`.
    fn name(&self) -> &str;

    /// Returns whose memory its kernels work on.
    fn owner(&self) -> Owner;

    /// Takes memory that its kernels work on. Errors: out of memory.
    fn allocate(&self, bytes: usize) -> Result<Box<dyn Memory>, DeviceError>;

    /// Takes host memory for copies from and to the device. Errors: out of memory.
    fn allocate_host(&self, bytes: usize) -> Result<Box<dyn Memory>, DeviceError>;

    /// Runs a kernel.
    ///
    /// # Safety
    /// The planes that the launch names are as large as it says, lie in [`Backend::owner`]'s
    /// memory, live until the work is done, and nothing else writes them meanwhile; results
    /// overlap nothing.
    unsafe fn launch(&self, launch: &Launch) -> Result<(), DeviceError>;

    /// Copies a plane between host and device memory.
    ///
    /// # Safety
    /// As for [`Backend::launch`], with both planes where `direction` says.
    unsafe fn copy(&self, copy: &PlaneCopy) -> Result<(), DeviceError>;

    /// Waits until everything is done. Errors: the device failed at something it had been told.
    fn wait(&self) -> Result<(), DeviceError>;
}
