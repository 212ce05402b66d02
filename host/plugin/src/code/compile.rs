//! From a component's bytes to machine code, in whatever process this runs.
//!
//! A compiler is attack surface: what a stranger sends makes it slow, large or wrong. A role has a
//! child do it ([`compile_for_parent`]), a test does it itself.

use std::io::{self, Read, Write};

use wasmtime::Engine;

use super::CodeKey;
use crate::engine::EngineSetup;
use crate::fit::fit;
use crate::load::COMPONENT_BYTES_MAX;
use crate::manifest::World;

/// First byte of a child's answer: what follows is code.
pub(super) const ANSWER_CODE: u8 = 0;
/// What follows is why the compiler refuses the component.
pub(super) const ANSWER_REFUSED: u8 = 1;
/// What follows is what the component imports, and all of it that does not fit its world, in lines.
pub(super) const ANSWER_DOES_NOT_FIT: u8 = 2;
/// The child would make other code than its parent runs.
pub(super) const ANSWER_OTHER_BUILD: u8 = 3;

/// Problems of a component that are told, and imports: several times what a world has.
const LINES_MAX: usize = 256;

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The bytes are no component, or use what this engine has switched off.
    #[error("{0}")]
    Refused(String),
    /// It is a component of another shape than its world's, so that there was nothing to compile.
    #[error("{}", .0.problems.join("; "))]
    DoesNotFit(Misfit),
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

/// What does not fit, and what is imported besides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Misfit {
    /// Everything that does not fit the world, a sentence each.
    pub problems: Vec<String>,
    /// Everything that it imports, by interface.
    pub imports: Vec<String>,
}

impl Misfit {
    /// Writes it as lines: the imports, which have no spaces in their names, then each problem.
    fn to_lines(&self) -> String {
        let mut text = self.imports.join(" ");
        for problem in &self.problems {
            text.push('\n');
            text.push_str(&problem.replace('\n', " "));
        }
        text
    }

    /// Reads what [`Misfit::to_lines`] has written.
    pub(super) fn from_lines(text: &str) -> Self {
        let mut lines = text.lines().map(str::to_owned);
        let imports = lines.next().unwrap_or_default();
        let imports = imports.split_whitespace().map(str::to_owned).collect();
        Self { imports, problems: lines.collect() }
    }
}

impl CompileError {
    /// Returns the class: what the component did to the compiler is the component's fault.
    pub const fn class(&self) -> domain::Class {
        match self {
            Self::Refused(_)
            | Self::DoesNotFit(_)
            | Self::Died { .. }
            | Self::Slow(_)
            | Self::TooLarge(_) => domain::Class::Invalid,
            Self::Start { .. } | Self::OtherBuild(_) => domain::Class::Internal,
        }
    }
}

/// Compiles `bytes` in this process if they fit `world`, so that there is code of nothing else.
pub(super) fn compile(
    engine: &Engine,
    world: World,
    bytes: &[u8],
) -> Result<Vec<u8>, CompileError> {
    // No text form: what a stranger sends is a component or nothing.
    if !bytes.starts_with(b"\0asm") {
        let text = "it does not begin as a component does (`\\0asm`)";
        return Err(CompileError::Refused(text.to_owned()));
    }
    let fit = fit(bytes, world).map_err(|error| CompileError::Refused(error.to_string()))?;
    if !fit.is_good() {
        let (mut problems, mut imports) = (fit.problems(), fit.imports);
        problems.truncate(LINES_MAX);
        imports.truncate(LINES_MAX);
        return Err(CompileError::DoesNotFit(Misfit { problems, imports }));
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
        match compile(&engine, world, &bytes) {
            Ok(code) => (ANSWER_CODE, code),
            Err(CompileError::DoesNotFit(misfit)) => {
                (ANSWER_DOES_NOT_FIT, misfit.to_lines().into_bytes())
            }
            Err(error) => (ANSWER_REFUSED, error.to_string().into_bytes()),
        }
    };
    output.write_all(&[kind])?;
    output.write_all(&answer)?;
    output.flush()
}

#[cfg(test)]
#[test]
fn what_does_not_fit_reads_the_same_on_the_other_side() {
    for problems in [vec![], vec!["it imports `a`".to_owned(), "it does not export `b`".to_owned()]]
    {
        let imports = problems.iter().map(|_| "a:b/c@0.1.0".to_owned()).collect();
        let misfit = Misfit { problems, imports };
        assert_eq!(Misfit::from_lines(&misfit.to_lines()), misfit);
    }
}
