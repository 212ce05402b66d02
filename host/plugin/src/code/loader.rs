//! Where a plugin's code comes from: the cache, or else a compiler whose answer the cache keeps.
//!
//! **Invariant:** an entry that is not taken costs one compilation and one event, never trust.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use domain::chain;
use domain::event::{CodeRejection, CodeSource, Event, Sink};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::cache::Cache;
use super::compile::CompileError;
use super::{Code, CodeKey, apart, compile};
use crate::engine::EngineSetup;
use crate::fault::Identity;
use crate::manifest::World;

/// Who compiles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Compiler {
    /// This process: for tests and tools, whose components are their own.
    #[default]
    Here,
    /// A child that runs this program, which must understand `compile` as `framegate` does.
    Apart(PathBuf),
}

/// Loads compiled code. Cheap to clone; the default compiles in this process and keeps nothing.
#[derive(Clone, Default)]
pub struct Loader {
    compiler: Compiler,
    cache: Option<Arc<Cache>>,
    sink: Option<Arc<dyn Sink>>,
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { compiler, cache, sink: _ } = self;
        f.debug_struct("Loader").field("compiler", compiler).field("cache", cache).finish()
    }
}

/// Why there is no executable code.
#[derive(Debug)]
pub(crate) enum NoCode {
    /// It could not be compiled.
    Compile(CompileError),
    /// It compiles, but no instance slot of the engine could ever hold it.
    NoSlotFits(String),
}

impl Loader {
    /// Makes a loader with the cache in `folder`, if there is to be one, which tells `sink` what it
    /// does. A cache that cannot be used costs an event and a compilation for each start.
    pub fn open(compiler: Compiler, folder: Option<&Path>, sink: Arc<dyn Sink>) -> Self {
        let cache = match folder.map(Cache::open).transpose() {
            Ok(cache) => cache.map(Arc::new),
            Err(error) => {
                sink.emit(Event::CodeCacheClosed { detail: chain(&error) });
                None
            }
        };
        Self { compiler, cache, sink: Some(sink) }
    }

    /// Returns executable code of the component `bytes`, which is `who` and is to fit `world`.
    pub(crate) fn load(
        &self,
        engine: &Engine,
        setup: EngineSetup,
        world: World,
        who: &Identity,
        bytes: &[u8],
    ) -> Result<Component, NoCode> {
        let started = Instant::now();
        let key = CodeKey::of_digest(who.digest, world, engine, setup);
        let (component, source) = match self.cached(engine, who, &key) {
            Some(component) => (component, CodeSource::Cache),
            None => {
                let code = self.compile(engine, setup, world, &key, bytes);
                let code = Code::compiled(code.map_err(NoCode::Compile)?);
                // What was compiled for this very engine fails to load for one reason only.
                let component = code.load(engine);
                let component =
                    component.map_err(|error| NoCode::NoSlotFits(format!("{error:#}")))?;
                self.keep(who, &key, &code);
                (component, CodeSource::Compiler)
            }
        };
        self.tell(|| Event::CodeLoaded {
            plugin: who.plugin.clone(),
            version: who.version.clone(),
            digest: who.digest.to_string(),
            source,
            took: started.elapsed(),
        });
        Ok(component)
    }

    fn cached(&self, engine: &Engine, who: &Identity, key: &CodeKey) -> Option<Component> {
        let reason = match self.cache.as_ref()?.find(key) {
            Ok(None) => return None,
            Ok(Some(code)) => match code.load(engine) {
                Ok(component) => return Some(component),
                Err(_) => CodeRejection::Unusable,
            },
            Err(reason) => reason,
        };
        self.tell(|| Event::CodeRejected { plugin: who.plugin.clone(), reason });
        None
    }

    fn compile(
        &self,
        engine: &Engine,
        setup: EngineSetup,
        world: World,
        key: &CodeKey,
        bytes: &[u8],
    ) -> Result<Vec<u8>, CompileError> {
        match &self.compiler {
            Compiler::Here => compile::compile(engine, world, bytes),
            Compiler::Apart(program) => {
                apart::compile(program, setup, world, key, bytes, apart::WALL_TIME_MAX)
            }
        }
    }

    fn keep(&self, who: &Identity, key: &CodeKey, code: &Code) {
        let Some(cache) = &self.cache else { return };
        if let Err(error) = cache.keep(key, code) {
            let plugin = who.plugin.clone();
            self.tell(|| Event::CodeNotKept { plugin, detail: chain(&error) });
        }
    }

    fn tell(&self, event: impl FnOnce() -> Event) {
        if let Some(sink) = &self.sink {
            sink.emit(event());
        }
    }
}
