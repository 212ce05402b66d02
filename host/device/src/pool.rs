//! Pools: the memory that one stream's pictures live in, bounded and used again and again.
//!
//! A pool knows bytes, not pictures, and belongs to one stream, so no session ever gets memory that
//! held another's picture. In debug builds a block is overwritten when its last picture goes.
//!
//! **Invariant:** blocks in use plus blocks kept for reuse never exceed the limit.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::backend::{Backend, Memory};
use crate::error::DeviceError;

/// What released blocks are overwritten with in debug builds: neither black nor white nor grey.
pub const POISON: u8 = 0xA5;

/// Which memory of a backend a pool takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    /// What kernels work on.
    Device,
    /// What copies from and to the device use.
    Host,
}

/// The memory of one stream in one space.
pub(crate) struct Pool {
    id: u64,
    backend: Arc<dyn Backend>,
    space: Space,
    limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Bytes of all blocks, in use or free.
    held: usize,
    free: Vec<Arc<Block>>,
}

struct Block {
    memory: Box<dyn Memory>,
    bytes: usize,
    pool: Weak<Pool>,
    pool_id: u64,
    /// Leases of this block. `Arc`'s own count would free the block; this one sends it back.
    users: AtomicUsize,
    /// A copy into the block has been asked for and not been waited for.
    awaited: AtomicBool,
}

/// A share in one block; the last one to go gives the block back to its pool.
pub(crate) struct Lease(Arc<Block>);

impl Pool {
    pub(crate) fn new(backend: Arc<dyn Backend>, space: Space, limit: usize) -> Arc<Self> {
        /// Tells pools apart, so that a picture of another stream is noticed.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { id, backend, space, limit, state: Mutex::default() })
    }

    /// Returns the pool's number in this process.
    pub(crate) const fn id(&self) -> u64 {
        self.id
    }

    /// Returns the bytes of all blocks, in use or free.
    pub(crate) fn held_bytes(&self) -> usize {
        self.lock().held
    }

    /// Takes a block of exactly `bytes`, a used one if there is one.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Result<Lease, DeviceError> {
        let mut state = self.lock();
        if let Some(at) = state.free.iter().rposition(|block| block.bytes == bytes) {
            let block = state.free.swap_remove(at);
            block.users.store(1, Ordering::Relaxed);
            return Ok(Lease(block));
        }
        // Blocks of another size are of no use to a stream whose pictures have changed size.
        while state.held + bytes > self.limit {
            let Some(block) = state.free.pop() else {
                return Err(DeviceError::Exhausted {
                    device: self.backend.name().to_owned(),
                    limit: self.limit,
                    used: state.held,
                    asked: bytes,
                });
            };
            state.held -= block.bytes;
        }
        let memory = match self.space {
            Space::Device => self.backend.allocate(bytes)?,
            Space::Host => self.backend.allocate_host(bytes)?,
        };
        state.held += bytes;
        let block = Block {
            memory,
            bytes,
            pool: Arc::downgrade(self),
            pool_id: self.id,
            users: AtomicUsize::new(1),
            awaited: AtomicBool::new(false),
        };
        Ok(Lease(Arc::new(block)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change leaves the state whole, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Returns the address of the block.
    pub(crate) fn address(&self) -> u64 {
        self.0.memory.address()
    }

    /// Returns the number of the pool that the block belongs to.
    pub(crate) fn pool_id(&self) -> u64 {
        self.0.pool_id
    }

    /// Fills a block that nobody has seen yet.
    pub(crate) fn fill(&self, value: u8) {
        debug_assert_eq!(self.0.users.load(Ordering::Relaxed), 1);
        // SAFETY: a lease that has not been cloned is the only way to the block, and this is it.
        unsafe { self.0.memory.fill(value) };
    }

    /// Says whether a copy into the block is on its way.
    pub(crate) fn set_awaited(&self, awaited: bool) {
        self.0.awaited.store(awaited, Ordering::Release);
    }

    /// Returns whether a copy into the block is on its way.
    pub(crate) fn is_awaited(&self) -> bool {
        self.0.awaited.load(Ordering::Acquire)
    }
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        self.0.users.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Release: what this user read is read before the block is used again. Acquire: so is what
        // the others read.
        if self.0.users.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        if cfg!(debug_assertions) {
            // SAFETY: the last user is gone and the pool does not have the block back yet.
            unsafe { self.0.memory.fill(POISON) };
        }
        if let Some(pool) = self.0.pool.upgrade() {
            pool.lock().free.push(Arc::clone(&self.0));
        }
    }
}
