//! Opening a device by name, and streams on it.
//!
//! Reads no environment and no file: names, threads and level come from the caller. Knows neither
//! sessions nor plugins.
//!
//! **Invariant:** a device that is asked for by name is that device or an error; only `auto`
//! chooses, and says why.

use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::backend::Backend;
use crate::cpu::Cpu;
use crate::cuda::Cuda;
use crate::error::{DeviceError, OpenError};
use crate::simd::SimdLevel;
use crate::stream::Stream;

/// How a device is to be used.
#[derive(Debug, Clone)]
pub struct DeviceConfig {
    /// Threads of the CPU backend, the caller's included (`FRAMEGATE_THREADS`). With one, nothing
    /// is started.
    pub threads: NonZeroUsize,
    /// Dispatch level of the CPU backend (`FRAMEGATE_SIMD`); the best there is when not given.
    pub simd: Option<SimdLevel>,
}

impl Default for DeviceConfig {
    /// One thread a core.
    fn default() -> Self {
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self { threads, simd: None }
    }
}

/// A device that has been opened. Cheap to clone.
#[derive(Clone)]
pub struct Device {
    kind: Kind,
    name: String,
    note: Option<String>,
}

#[derive(Clone)]
enum Kind {
    Cpu(Cpu),
    Cuda(Cuda),
}

impl Device {
    /// Opens `cpu-0`, `cuda-0` and so on; `cpu` and `cuda` are the first of each; `auto` is a card
    /// if one can be used, else the CPU. Errors: no such name, no driver or card, a dispatch level
    /// that the CPU lacks, no threads left.
    pub fn open(name: &str, config: &DeviceConfig) -> Result<Self, OpenError> {
        match name {
            "cpu" | "cpu-0" => Self::open_cpu(config, None),
            "auto" => match Cuda::open(0, "cuda-0") {
                Ok(cuda) => Ok(Self::from_cuda(cuda, Some("`auto` took `cuda-0`".to_owned()))),
                Err(missing) => {
                    Self::open_cpu(config, Some(format!("`auto` took `cpu-0`: {missing}")))
                }
            },
            "cuda" => Cuda::open(0, name).map(|cuda| Self::from_cuda(cuda, None)),
            _ => {
                let ordinal = name.strip_prefix("cuda-").and_then(|number| number.parse().ok());
                let unknown = || OpenError::UnknownName { name: name.to_owned() };
                Cuda::open(ordinal.ok_or_else(unknown)?, name)
                    .map(|cuda| Self::from_cuda(cuda, None))
            }
        }
    }

    /// Returns the device's name, such as `cpu-0`, whatever name it was opened by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns which device `auto` took and why; nothing for a device that was named.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Describes the device in a few words: dispatch level and threads, or the card's name.
    pub fn description(&self) -> String {
        match &self.kind {
            Kind::Cpu(cpu) => format!("cpu, {}, {} threads", cpu.level(), cpu.threads()),
            Kind::Cuda(cuda) => cuda.description(),
        }
    }

    /// Makes a stream for one session, with at most `limit_bytes` of device memory and, on a card,
    /// as much host memory. Errors: the driver refuses.
    pub fn stream(&self, limit_bytes: usize) -> Result<Stream, DeviceError> {
        let backend: Arc<dyn Backend> = match &self.kind {
            Kind::Cpu(cpu) => Arc::new(cpu.clone()),
            Kind::Cuda(cuda) => Arc::new(cuda.backend()?),
        };
        Ok(Stream::over(backend, limit_bytes))
    }

    fn open_cpu(config: &DeviceConfig, note: Option<String>) -> Result<Self, OpenError> {
        let cpu = Cpu::open(config.threads.get(), config.simd)?;
        Ok(Self { name: cpu.name().to_owned(), kind: Kind::Cpu(cpu), note })
    }

    fn from_cuda(cuda: Cuda, note: Option<String>) -> Self {
        Self { name: cuda.name().to_owned(), kind: Kind::Cuda(cuda), note }
    }
}
