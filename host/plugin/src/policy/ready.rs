//! Ready sets: prepared instances of one decision, taken for one call and put back.
//!
//! Any thread may ask; where all are taken, one more is made, up to a limit. An instance that
//! faults is not put back.
//!
//! **Invariant:** no more instances exist at once than the limit says.

use std::sync::{Mutex, PoisonError};

use crate::fault::{Fault, FaultKind, Identity};
use crate::info::SetupError;

/// Instances of one ready set: two for each thread of a large machine's runtime.
pub const READY_MAX: usize = 64;

/// What making a prepared instance can end in.
pub type Prepared<I> = Result<Result<I, SetupError>, Fault>;

/// Prepared instances of one component for one snapshot. Boxed: an instance is taken and put back
/// for every call, and is some hundred bytes.
pub struct Ready<I> {
    make: Box<dyn Fn() -> Prepared<I> + Send + Sync>,
    who: Identity,
    idle: Mutex<Idle<I>>,
}

struct Idle<I> {
    instances: Vec<Box<I>>,
    made: usize,
}

impl<I> Ready<I> {
    /// Makes the first instance with `make`, and keeps `make` for more. Belongs on a blocking
    /// thread.
    pub(crate) fn new(
        who: Identity,
        make: impl Fn() -> Prepared<I> + Send + Sync + 'static,
    ) -> Result<Result<Self, SetupError>, Fault> {
        let first = match make()? {
            Ok(first) => first,
            Err(refused) => return Ok(Err(refused)),
        };
        let idle = Mutex::new(Idle { instances: vec![Box::new(first)], made: 1 });
        Ok(Ok(Self { make: Box::new(make), who, idle }))
    }

    /// Returns whose instances these are.
    pub fn identity(&self) -> &Identity {
        &self.who
    }

    /// Calls an instance; one that faults is dropped.
    pub fn with<T>(&self, call: impl FnOnce(&mut I) -> Result<T, Fault>) -> Result<T, Fault> {
        let mut instance = self.take()?;
        let answer = call(&mut instance);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if answer.is_ok() {
            idle.instances.push(instance);
        } else {
            idle.made -= 1;
        }
        answer
    }

    /// Makes an instance that has answered nothing yet, beside the set. Takes as long as preparing:
    /// never while a client waits.
    pub fn fresh(&self) -> Result<I, Fault> {
        // The first instance took the same document, so refusing it now breaks the contract.
        (self.make)()?.map_err(|refused| {
            let text = format!("refused what it had accepted: {refused}");
            Fault::new(FaultKind::Contract, &self.who, "prepare", text)
        })
    }

    fn take(&self) -> Result<Box<I>, Fault> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(instance) = idle.instances.pop() {
            return Ok(instance);
        }
        if idle.made == READY_MAX {
            let text = format!("all of {READY_MAX} ready instances are taken");
            return Err(Fault::new(FaultKind::Full, &self.who, "prepare", text));
        }
        idle.made += 1;
        drop(idle);
        let made = self.fresh();
        if made.is_err() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).made -= 1;
        }
        made.map(Box::new)
    }
}
