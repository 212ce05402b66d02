//! From a component's bytes to machine code, in whatever process this runs.
//!
//! A compiler is attack surface: what a stranger sends makes it slow, large or wrong. A role has a
//! child do it ([`compile_for_parent`]), a test does it itself.

use std::io::{self, Read, Write};

use wasmtime::Engine;

use super::CodeKey;
use crate::engine::EngineSetup;
use crate::load::COMPONENT_BYTES_MAX;
use crate::manifest::World;

/// First byte of a child's answer: what follows is code.
pub(super) const ANSWER_CODE: u8 = 0;
/// What follows is why the compiler refuses the component.
pub(super) const ANSWER_REFUSED: u8 = 1;
/// The child would make other code than its parent runs.
pub(super) const ANSWER_OTHER_BUILD: u8 = 3;

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The bytes are no component, or use what this engine has switched off.
    #[error("{0}")]
    Refused(String),
    /// The compiler's process could not be started.
    #[error("starting the compiler `{program}`")]
    Start {
        /// What was to be run.
        program: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It ended without an answer: a limit of memory or time, or a defect of the compiler.
    #[error("the compiler ended without an answer ({how}; {limits})")]
    Died {
        /// How it ended, with its last words.
        how: String,
        /// The limits it ran under.
        limits: String,
    },
    /// It took too long.
    #[error("the compiler took longer than {0:?}")]
    Slow(std::time::Duration),
    /// Its answer is longer than code may be.
    #[error("the compiled code has over {0} bytes")]
    TooLarge(usize),
    /// The compiler is another program than this one.
    #[error("the compiler at `{0}` is of another build")]
    OtherBuild(String),
}

impl CompileError {
    /// Returns the class: what the component did to the compiler is the component's fault.
    pub const fn class(&self) -> domain::Class {
        match self {
            Self::Refused(_) | Self::Died { .. } | Self::Slow(_) | Self::TooLarge(_) => {
                domain::Class::Invalid
            }
            Self::Start { .. } | Self::OtherBuild(_) => domain::Class::Internal,
        }
    }
}

/// Compiles `bytes` in this process.
pub(super) fn compile(engine: &Engine, bytes: &[u8]) -> Result<Vec<u8>, CompileError> {
    // No text form: what a stranger sends is a component or nothing.
    if !bytes.starts_with(b"\0asm") {
        let text = "it does not begin as a component does (`\\0asm`)";
        return Err(CompileError::Refused(text.to_owned()));
    }
    engine.precompile_component(bytes).map_err(|error| CompileError::Refused(format!("{error:#}")))
}

/// The whole of a compiling child: limits itself, reads a component from `input` and answers on
/// `output`. `key` is the key that the parent expects the code to have.
pub fn compile_for_parent(
    setup: EngineSetup,
    world: World,
    key: &str,
    input: &mut impl Read,
    output: &mut impl Write,
) -> io::Result<()> {
    super::apart::limit_this_process()?;
    let mut bytes = Vec::new();
    input.take(COMPONENT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    let engine = setup.compiler().map_err(io::Error::other)?;
    let (kind, answer) = if CodeKey::of(&bytes, world, &engine, setup).hex() != key {
        (ANSWER_OTHER_BUILD, Vec::new())
    } else {
        match compile(&engine, &bytes) {
            Ok(code) => (ANSWER_CODE, code),
            Err(error) => (ANSWER_REFUSED, error.to_string().into_bytes()),
        }
    };
    output.write_all(&[kind])?;
    output.write_all(&answer)?;
    output.flush()
}
