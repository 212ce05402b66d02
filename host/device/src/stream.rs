//! Streams: one session's way to a device, with memory of its own.
//!
//! A stream makes pictures, moves them between host and device, and waits. What each op does is in
//! [`crate::run`], how is the backend's affair.
//!
//! **Invariant:** pictures of one stream never come from, or go to, another stream's memory; memory
//! that a copy still needs is held until it has been waited for.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use domain::picture::Sampling;
use domain::planes::{Owner, PixelFormat};

use crate::backend::{Backend, Direction, PlaneCopy};
use crate::color::ColorSpace;
use crate::error::DeviceError;
use crate::pool::{Pool, Space};
use crate::surface::{PlaneRef, ROW_ALIGN, Surface, check_size};

/// Pictures held for unfinished copies before the stream waits by itself. A session keeps a few
/// frames in flight; more than this means that its caller never waits.
const IN_FLIGHT_MAX: usize = 64;

/// Chroma of a gray picture.
const NEUTRAL: u8 = 128;

/// Tables that a stream keeps: for a session that shows several sizes with several looks.
const TABLES_MAX: usize = 32;

/// What a table is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TableKey {
    /// The points of a cube, by its id.
    Cube(u64),
    /// Weights for a row or column of another length.
    Resize { from: u32, to: u32, sampling: Sampling },
}

/// Numbers that kernels read from the device's memory, made and brought there once.
struct Table {
    key: TableKey,
    /// Numbers beside the table that whoever made it wants again.
    facts: [u32; 2],
    plane: PlaneRef,
}

/// One session's stream of work on a device. Work is done in the order in which it is asked for.
pub struct Stream {
    pub(crate) backend: Arc<dyn Backend>,
    pool: Arc<Pool>,
    host_pool: Arc<Pool>,
    /// The chroma plane of gray pictures in formats with chroma: one for all of them.
    neutral: Mutex<Option<(usize, usize, PlaneRef)>>,
    /// The last one used is the last one.
    tables: Mutex<Vec<Table>>,
    color_space: OnceLock<ColorSpace>,
    /// Pictures that unfinished work reads or writes outside the pool of the device.
    in_flight: Mutex<Vec<Surface>>,
}

impl Stream {
    /// Makes a stream over a backend, with at most `limit_bytes` of device memory and, where that
    /// is not the same, as much host memory for copies.
    pub fn over(backend: Arc<dyn Backend>, limit_bytes: usize) -> Self {
        let pool = Pool::new(Arc::clone(&backend), Space::Device, limit_bytes);
        let host_pool = match backend.owner() {
            Owner::Host => Arc::clone(&pool),
            Owner::Cuda(_) => Pool::new(Arc::clone(&backend), Space::Host, limit_bytes),
        };
        Self {
            backend,
            pool,
            host_pool,
            neutral: Mutex::default(),
            tables: Mutex::default(),
            color_space: OnceLock::new(),
            in_flight: Mutex::default(),
        }
    }

    /// Says what Y, U, V mean in all pictures of the stream; the first word counts. Without one,
    /// that depends on a picture's height, as [`ColorSpace::of_height`] says.
    pub fn set_color_space(&self, space: ColorSpace) {
        self.color_space.get_or_init(|| space);
    }

    /// Returns what Y, U, V mean in a picture of `height` rows.
    pub(crate) fn color_space(&self, height: u32) -> ColorSpace {
        self.color_space.get().copied().unwrap_or(ColorSpace::of_height(height))
    }

    /// Returns the name of the device.
    pub fn device(&self) -> &str {
        self.backend.name()
    }

    /// Returns the bytes of memory that the stream holds, in pictures or ready for the next.
    pub fn held_bytes(&self) -> usize {
        let host =
            if Arc::ptr_eq(&self.pool, &self.host_pool) { 0 } else { self.host_pool.held_bytes() };
        self.pool.held_bytes() + host
    }

    /// Makes a picture in host memory from its bytes: plane after plane, rows without padding.
    /// Errors: a size outside the limits, the wrong number of bytes, memory used up.
    pub fn picture(
        &self,
        format: PixelFormat,
        width: u32,
        height: u32,
        bytes: &[u8],
    ) -> Result<Surface, DeviceError> {
        check_size(width, height)?;
        let sizes = [0, 1, 2].map(|plane| format.plane_size(plane, width, height));
        if bytes.len() != sizes.iter().map(|(row, rows)| row * rows).sum::<usize>() {
            return Err(DeviceError::Argument {
                op: "picture",
                what: "the number of bytes",
                given: bytes.len().to_string(),
                range: "what format and size make",
            });
        }
        let mut rest = bytes;
        let mut planes = [None, None, None];
        for (slot, (row, rows)) in planes.iter_mut().zip(sizes).take(format.planes()) {
            let shared = self.take_plane(&self.host_pool, row, rows)?;
            for y in 0..rows {
                let (line, after) = rest.split_at(row);
                rest = after;
                let at = shared.plane().address as usize + y * shared.plane().pitch;
                // SAFETY: the plane is host memory of `rows` rows of at least `row` bytes, fresh
                // from the pool, so nobody else has it.
                unsafe {
                    let to = std::ptr::with_exposed_provenance_mut::<u8>(at);
                    to.copy_from_nonoverlapping(line.as_ptr(), row);
                }
            }
            *slot = Some(shared);
        }
        Ok(Surface::from_parts(format, width, height, Owner::Host, planes))
    }

    /// Brings a picture to the device's memory. One that lies there is returned as it is, so on the
    /// CPU nothing happens. Errors: memory used up, the picture is of another stream or device.
    pub fn upload(&self, surface: &Surface) -> Result<Surface, DeviceError> {
        self.bring(surface, self.backend.owner(), &self.pool, Direction::ToDevice)
    }

    /// Brings a picture to host memory, where its pixels are once [`Stream::wait`] has returned.
    /// One that lies there is returned as it is, so on the CPU nothing happens. Errors: as
    /// [`Stream::upload`].
    pub fn download(&self, surface: &Surface) -> Result<Surface, DeviceError> {
        self.bring(surface, Owner::Host, &self.host_pool, Direction::ToHost)
    }

    /// Waits until everything that was asked for is done. Errors: the device failed at it.
    pub fn wait(&self) -> Result<(), DeviceError> {
        self.settle(&mut lock(&self.in_flight))
    }

    fn bring(
        &self,
        surface: &Surface,
        to: Owner,
        pool: &Arc<Pool>,
        direction: Direction,
    ) -> Result<Surface, DeviceError> {
        self.check_origin(surface)?;
        if surface.owner() == to {
            return Ok(surface.clone());
        }
        if surface.owner() != Owner::Host && surface.owner() != self.backend.owner() {
            return Err(self.elsewhere(surface));
        }
        let (format, width, height) = (surface.format(), surface.width(), surface.height());
        let mut planes = [None, None, None];
        for (index, slot) in planes.iter_mut().enumerate().take(format.planes()) {
            let (row, rows) = format.plane_size(index, width, height);
            *slot = Some(self.take_plane(pool, row, rows)?);
        }
        let result = Surface::from_parts(format, width, height, to, planes);
        if direction == Direction::ToHost {
            set_awaited(&result, Awaited::Yes);
        }
        // Held before the first copy, so that a failure of the second leaves nothing behind.
        let mut in_flight = self.lock_with_room()?;
        in_flight.extend([surface.clone(), result.clone()]);
        for index in 0..format.planes() {
            let (Some(from), Some(to)) = (surface.plane(index), result.plane(index)) else {
                continue;
            };
            let (row, rows) = format.plane_size(index, width, height);
            let copy = PlaneCopy { from, to, row, rows, direction };
            // SAFETY: both planes have `rows` rows of `row` bytes, the source is immutable, the
            // target is fresh from the pool and unseen, and both are held until the stream waits.
            unsafe { self.backend.copy(&copy)? };
        }
        Ok(result)
    }

    /// Keeps a picture until the next wait.
    pub(crate) fn hold(&self, surface: &Surface) -> Result<(), DeviceError> {
        self.lock_with_room()?.push(surface.clone());
        Ok(())
    }

    fn lock_with_room(&self) -> Result<MutexGuard<'_, Vec<Surface>>, DeviceError> {
        let mut in_flight = lock(&self.in_flight);
        if in_flight.len() >= IN_FLIGHT_MAX {
            self.settle(&mut in_flight)?;
        }
        Ok(in_flight)
    }

    /// Waits, and lets go of what was held for it.
    fn settle(&self, in_flight: &mut Vec<Surface>) -> Result<(), DeviceError> {
        self.backend.wait()?;
        for surface in in_flight.drain(..) {
            set_awaited(&surface, Awaited::No);
        }
        Ok(())
    }

    /// Takes a fresh plane of the device's memory.
    pub(crate) fn new_plane(&self, row: usize, rows: usize) -> Result<PlaneRef, DeviceError> {
        self.take_plane(&self.pool, row, rows)
    }

    /// Returns a plane that is 128 all over.
    pub(crate) fn neutral_plane(&self, row: usize, rows: usize) -> Result<PlaneRef, DeviceError> {
        let mut cached = lock(&self.neutral);
        if let Some((has_row, has_rows, shared)) = cached.as_ref()
            && (*has_row, *has_rows) == (row, rows)
        {
            return Ok(shared.clone());
        }
        *cached = None;
        let shared = self.new_plane(row, rows)?;
        if let Some(lease) = shared.lease() {
            lease.fill(NEUTRAL);
        }
        *cached = Some((row, rows, shared.clone()));
        Ok(shared)
    }

    /// Returns a table in the device's memory and the facts about it, made the first time.
    pub(crate) fn table(
        &self,
        key: TableKey,
        make: impl FnOnce() -> (Vec<u8>, [u32; 2]),
    ) -> Result<(PlaneRef, [u32; 2]), DeviceError> {
        let mut tables = lock(&self.tables);
        if let Some(at) = tables.iter().position(|table| table.key == key) {
            tables[at..].rotate_left(1);
        } else {
            if tables.len() == TABLES_MAX {
                tables.remove(0);
            }
            let (bytes, facts) = make();
            tables.push(Table { key, facts, plane: self.bring_table(&bytes)? });
        }
        let table = tables.last().expect("a table was found or pushed");
        Ok((table.plane.clone(), table.facts))
    }

    /// Brings bytes to the device's memory, as a plane of one row.
    fn bring_table(&self, bytes: &[u8]) -> Result<PlaneRef, DeviceError> {
        let host = self.take_plane(&self.host_pool, bytes.len(), 1)?;
        // SAFETY: the plane is host memory of at least as many bytes, fresh from the pool, so nobody
        // else has it.
        unsafe {
            let to = std::ptr::with_exposed_provenance_mut::<u8>(host.plane().address as usize);
            to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        if self.backend.owner() == Owner::Host {
            return Ok(host);
        }
        let there = self.take_plane(&self.pool, bytes.len(), 1)?;
        let (from, to) = (host.plane(), there.plane());
        let (row, rows, direction) = (bytes.len(), 1, Direction::ToDevice);
        // The copy is held as if it were a picture; only its plane counts.
        let held =
            Surface::from_parts(PixelFormat::Gray, 1, 1, Owner::Host, [Some(host), None, None]);
        self.hold(&held)?;
        // SAFETY: both planes have a row of this length, the source is not written any more and held
        // until the stream waits, the target is fresh from the pool and unseen.
        unsafe { self.backend.copy(&PlaneCopy { from, to, row, rows, direction })? };
        Ok(there)
    }

    /// Checks that kernels of this stream can read a picture.
    pub(crate) fn check_input(&self, surface: &Surface) -> Result<(), DeviceError> {
        self.check_origin(surface)?;
        if surface.owner() == self.backend.owner() { Ok(()) } else { Err(self.elsewhere(surface)) }
    }

    fn check_origin(&self, surface: &Surface) -> Result<(), DeviceError> {
        let ours = [self.pool.id(), self.host_pool.id()];
        let mut leases = surface.plane_refs().iter().flatten().filter_map(PlaneRef::lease);
        if leases.all(|lease| ours.contains(&lease.pool_id())) {
            Ok(())
        } else {
            Err(DeviceError::OtherStream)
        }
    }

    fn elsewhere(&self, surface: &Surface) -> DeviceError {
        DeviceError::Elsewhere { device: self.device().to_owned(), given: surface.owner() }
    }

    fn take_plane(
        &self,
        pool: &Arc<Pool>,
        row: usize,
        rows: usize,
    ) -> Result<PlaneRef, DeviceError> {
        let pitch = row.next_multiple_of(ROW_ALIGN);
        Ok(PlaneRef::pooled(pool.take(pitch * rows)?, pitch))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // A failure here has nobody left to hear it; the device reports it to its next caller.
        let _ = self.wait();
    }
}

/// Whether a copy into a picture is on its way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Yes,
    No,
}

fn set_awaited(surface: &Surface, awaited: Awaited) {
    for lease in surface.plane_refs().iter().flatten().filter_map(PlaneRef::lease) {
        lease.set_awaited(awaited == Awaited::Yes);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these guard is whole at every step, so a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
