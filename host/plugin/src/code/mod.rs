//! Compiled code: how a component becomes it, where it is kept, and the one place where bytes
//! become executable.
//!
//! **Invariants:** nothing is made executable but what this program compiled, in this process or in
//! a child of it, or what carries this machine's seal under the key that was asked for; the bytes
//! that are judged are the bytes that are loaded, read once.

mod apart;
mod cache;
mod compile;
mod loader;

use std::hash::{Hash, Hasher};

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::digest::Digest;
use crate::engine::{EngineSetup, wasmtime_version};
use crate::fit;
use crate::manifest::World;

pub use apart::{ADDRESS_SPACE_MAX, CPU_TIME_MAX, WALL_TIME_MAX};
pub use cache::{Cache, CacheError, SECRET_BYTES, unseal};
pub use compile::{CompileError, Misfit, compile_for_parent};
pub(crate) use loader::NoCode;
pub use loader::{Compiler, Loader};

/// Longest compiled code that is taken: machine code has up to five times the bytes of a component,
/// and the largest component is 64 MiB.
pub const CODE_BYTES_MAX: usize = 320 << 20;

/// What compiled code depends on, all of it: the component, its world, the contract that it was found
/// to fit, the engine's configuration, the version of the compiler and the instructions of this
/// processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodeKey(pub [u8; 32]);

impl CodeKey {
    /// Returns the key of `component`'s code.
    pub(crate) fn of(component: &[u8], world: World, engine: &Engine, setup: EngineSetup) -> Self {
        Self::of_digest(Digest::of(component), world, engine, setup)
    }

    /// The same, of a component whose digest is known.
    pub(crate) fn of_digest(
        digest: Digest,
        world: World,
        engine: &Engine,
        setup: EngineSetup,
    ) -> Self {
        let mut hash = Sha256::new();
        hash.update(digest.0);
        // The engine's own hash covers configuration, target and instruction sets; what is named
        // besides it is what makes a stale entry unthinkable rather than unlikely.
        for word in [world.name(), setup.name(), wasmtime_version(), env!("CARGO_PKG_VERSION")] {
            hash.update(word.as_bytes());
            hash.update([0]);
        }
        let mut all = Feed(hash);
        fit::hash_contract(&mut all);
        engine.precompile_compatibility_hash().hash(&mut all);
        Self(all.0.finalize().into())
    }

    /// Returns it in hexadecimal.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Hands what a [`Hash`] feeds to SHA-256, so that nothing of it is folded into 64 bits.
struct Feed(Sha256);

impl Hasher for Feed {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("only the whole digest is asked for")
    }
}

/// Compiled code that this program made: compiled just now, or found under this machine's seal.
#[derive(Debug)]
pub(crate) struct Code {
    bytes: Vec<u8>,
    start: usize,
}

impl Code {
    /// Takes what the compiler has just answered.
    fn compiled(bytes: Vec<u8>) -> Self {
        Self { bytes, start: 0 }
    }

    /// Takes an entry of the cache whose code begins at `start` and whose seal was found whole.
    fn unsealed(bytes: Vec<u8>, start: usize) -> Self {
        Self { bytes, start }
    }

    /// Returns the code.
    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Makes it executable. What fails here is code of another engine, or a component that no
    /// instance slot of this engine could hold.
    pub(crate) fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: the bytes have to be what wasmtime's own compiler made, unchanged. The two
        // constructors are private to this module: `compiled` takes what the compiler answered in
        // this process or in a child running this program, and `unsealed` what a seal with this
        // machine's secret vouches for, over the very bytes held here. Nobody else has a reference
        // to them, so they cannot change between the check and this call, which copies them.
        unsafe { Component::deserialize(engine, self.bytes()) }
    }
}
