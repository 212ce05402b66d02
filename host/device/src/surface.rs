//! Surfaces: immutable pictures in host or device memory, shared by counting.
//!
//! A surface is a handful of planes, each counted by itself, so that two pictures can share a plane
//! (a gray picture is the luma of the one it came from). What is computed from it is none of its
//! business.
//!
//! **Invariant:** once a surface exists, nothing changes its pixels, and their memory lives as long
//! as any surface that shows them.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use domain::planes::{Owner, PixelFormat, Plane, Planes};

use crate::error::DeviceError;
use crate::pool::Lease;

/// The most pixels a side of a picture: `wit/` promises plugins results of up to this.
pub const MAX_SIDE: u32 = 16_384;

/// Rows of pooled planes begin at multiples of this: the widest vector of any dispatch level, and a
/// cache line.
pub const ROW_ALIGN: usize = 64;

/// A picture. Cheap to clone.
#[derive(Clone)]
pub struct Surface {
    format: PixelFormat,
    width: u32,
    height: u32,
    owner: Owner,
    planes: [Option<PlaneRef>; 3],
}

/// A share in one plane.
#[derive(Clone)]
pub(crate) struct PlaneRef {
    plane: Plane,
    hold: Hold,
}

#[derive(Clone)]
enum Hold {
    Pooled(Lease),
    Foreign { _keep_alive: Arc<dyn Any + Send + Sync> },
}

impl Surface {
    /// Borrows a picture that somebody else made, such as a decoder; `keep_alive` is dropped with
    /// the last surface that shows any of it. Errors: a size outside 1 to [`MAX_SIDE`], a plane
    /// without an address or with a pitch below its row.
    ///
    /// # Safety
    /// Until `keep_alive` is dropped, the memory of every plane is valid for reads of its rows at
    /// its pitch, and nothing writes it. It may be read from any thread.
    pub unsafe fn borrow_foreign(
        planes: Planes,
        keep_alive: Arc<dyn Any + Send + Sync>,
    ) -> Result<Self, DeviceError> {
        let Planes { format, width, height, owner, planes } = planes;
        check_size(width, height)?;
        let mut refs = [None, None, None];
        for (index, slot) in refs.iter_mut().enumerate().take(format.planes()) {
            let plane = planes[index];
            let (row, _) = format.plane_size(index, width, height);
            if plane.address == 0 || plane.pitch < row {
                let Plane { address, pitch } = plane;
                return Err(DeviceError::Plane { format, plane: index, pitch, row, address });
            }
            let keep = Arc::clone(&keep_alive);
            *slot = Some(PlaneRef { plane, hold: Hold::Foreign { _keep_alive: keep } });
        }
        Ok(Self { format, width, height, owner, planes: refs })
    }

    pub(crate) const fn from_parts(
        format: PixelFormat,
        width: u32,
        height: u32,
        owner: Owner,
        planes: [Option<PlaneRef>; 3],
    ) -> Self {
        Self { format, width, height, owner, planes }
    }

    /// Returns the layout.
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// Returns the pixels in a row.
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Returns the number of rows.
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// Returns whose memory the picture lies in.
    pub const fn owner(&self) -> Owner {
        self.owner
    }

    /// Returns where the picture lies, for code outside Rust: valid for reads while this surface, or
    /// a clone of it, lives. Host memory of a picture on its way from a card holds the pixels only
    /// after [`Stream::wait`](crate::Stream::wait).
    pub fn planes(&self) -> Planes {
        let absent = Plane { address: 0, pitch: 0 };
        let planes = [0, 1, 2].map(|index| self.plane(index).unwrap_or(absent));
        let Self { format, width, height, owner, .. } = *self;
        Planes { format, width, height, owner, planes }
    }

    /// Gives access to the pixels of one plane. Errors: the picture is not in host memory, or not
    /// yet; there is no such plane.
    pub fn rows(&self, plane: usize) -> Result<Rows<'_>, DeviceError> {
        let shared = self.planes.get(plane).and_then(Option::as_ref);
        match shared {
            Some(shared) if self.owner == Owner::Host && !shared.is_awaited() => {
                let (row, rows) = self.format.plane_size(plane, self.width, self.height);
                Ok(Rows { plane: shared.plane, row, rows, _surface: self })
            }
            _ => Err(DeviceError::NotReady),
        }
    }

    /// Copies the pixels, plane after plane, rows without padding. Errors: as [`Surface::rows`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, DeviceError> {
        let mut bytes = Vec::new();
        for plane in 0..self.format.planes() {
            let rows = self.rows(plane)?;
            for row in rows.iter() {
                bytes.extend_from_slice(row);
            }
        }
        Ok(bytes)
    }

    pub(crate) fn plane(&self, index: usize) -> Option<Plane> {
        self.planes[index].as_ref().map(|shared| shared.plane)
    }

    pub(crate) fn plane_refs(&self) -> &[Option<PlaneRef>; 3] {
        &self.planes
    }
}

impl fmt::Debug for Surface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Surface({} in {:?} memory)", self.shape(), self.owner)
    }
}

impl PlaneRef {
    pub(crate) fn pooled(lease: Lease, pitch: usize) -> Self {
        let plane = Plane { address: lease.address(), pitch };
        Self { plane, hold: Hold::Pooled(lease) }
    }

    pub(crate) const fn plane(&self) -> Plane {
        self.plane
    }

    /// Shows the plane from another byte of another row on.
    pub(crate) const fn skip(&mut self, bytes: usize, rows: usize) {
        self.plane.address += (rows * self.plane.pitch + bytes) as u64;
    }

    /// Returns the lease of a plane that comes from a pool.
    pub(crate) const fn lease(&self) -> Option<&Lease> {
        match &self.hold {
            Hold::Pooled(lease) => Some(lease),
            Hold::Foreign { .. } => None,
        }
    }

    fn is_awaited(&self) -> bool {
        self.lease().is_some_and(Lease::is_awaited)
    }
}

/// The pixels of one plane in host memory.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    plane: Plane,
    row: usize,
    rows: usize,
    _surface: &'a Surface,
}

impl<'a> Rows<'a> {
    /// Returns the number of rows.
    pub const fn len(&self) -> usize {
        self.rows
    }

    /// Returns whether there are none. There always is one.
    pub const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Returns the rows from the top, without padding.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let Self { plane, row, rows, .. } = *self;
        (0..rows).map(move |y| {
            let address = plane.address as usize + y * plane.pitch;
            // SAFETY: `rows` made sure that this is host memory which no copy is writing; the
            // surface keeps it alive for 'a, it has `rows` rows of `row` bytes at this pitch, and
            // surfaces do not change.
            unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance(address), row) }
        })
    }
}

/// Checks the size of a picture.
pub(crate) fn check_size(width: u32, height: u32) -> Result<(), DeviceError> {
    if (1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height) {
        Ok(())
    } else {
        Err(DeviceError::Size { width, height, max: MAX_SIDE })
    }
}
