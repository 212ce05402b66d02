//! The CUDA backend: the same kernels as PTX, over the driver alone.
//!
//! Uses the card's primary context, which FFmpeg can share, and one CUDA stream a session. Knows
//! nothing of ops; decides how many threads a launch gets.
//!
//! **Invariant:** the driver's library is never touched unless it is known to be there and to have
//! what is called: the bindings panic otherwise.

mod driver;

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaFunction, CudaStream, DriverError, result, sys};
use cudarc::nvrtc::Ptx;
use domain::planes::Owner;

use crate::backend::{Backend, Direction, Memory, PlaneCopy};
use crate::error::{DeviceError, OpenError};
use crate::launch::{Kernel, Launch, PTX};

pub use driver::DRIVER_FUNCTIONS;

/// Threads of a block: a warp along the row, so that its reads join, and eight rows.
const BLOCK: (u32, u32) = (32, 8);

/// A card that has been opened. Cheap to clone; clones share context and kernels.
#[derive(Clone)]
pub(crate) struct Cuda {
    name: Arc<str>,
    context: Arc<CudaContext>,
    functions: Arc<BTreeMap<Kernel, CudaFunction>>,
}

impl Cuda {
    /// Opens a card by its ordinal; `asked` is the name in errors.
    pub(crate) fn open(ordinal: u32, asked: &str) -> Result<Self, OpenError> {
        driver::look(asked)?;
        let failed =
            |attempt: &'static str| move |error: DriverError| refusal(asked, attempt, error);
        let context = CudaContext::new(ordinal as usize).map_err(failed("taking the context"))?;
        // SAFETY: a stream touches its own memory only, so there is nothing to track between
        // streams; no memory has been taken yet.
        unsafe { context.disable_event_tracking() };
        let mut functions = BTreeMap::new();
        for (text, kernels) in PTX {
            let module =
                context.load_module(Ptx::from_src(text)).map_err(failed("loading the kernels"))?;
            for &kernel in kernels {
                let function =
                    module.load_function(kernel.entry()).map_err(failed("finding a kernel"))?;
                functions.insert(kernel, function);
            }
        }
        Ok(Self { name: format!("cuda-{ordinal}").into(), context, functions: Arc::new(functions) })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the card's name and memory.
    pub(crate) fn description(&self) -> String {
        let card = self.context.name().unwrap_or_else(|_| "a card without a name".to_owned());
        let mib = self.context.total_mem().unwrap_or(0) >> 20;
        format!("{card}, {mib} MiB")
    }

    /// Makes a stream of work.
    pub(crate) fn backend(&self) -> Result<CudaBackend, DeviceError> {
        let failed = |error| driver_error(&self.name, "making a CUDA stream", error);
        let cuda_stream = self.context.new_stream().map_err(failed)?;
        Ok(CudaBackend { card: self.clone(), cuda_stream })
    }
}

/// One session's CUDA stream.
pub(crate) struct CudaBackend {
    card: Cuda,
    cuda_stream: Arc<CudaStream>,
}

impl CudaBackend {
    fn bind(&self) -> Result<(), DeviceError> {
        self.check("using the context", self.card.context.bind_to_thread())
    }

    fn check<T>(
        &self,
        attempt: &'static str,
        result: Result<T, DriverError>,
    ) -> Result<T, DeviceError> {
        result.map_err(|error| driver_error(&self.card.name, attempt, error))
    }

    fn check_memory<T>(
        &self,
        bytes: usize,
        result: Result<T, DriverError>,
    ) -> Result<T, DeviceError> {
        result.map_err(|error| match error.0 {
            sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                DeviceError::OutOfMemory { device: self.card.name.to_string(), asked: bytes }
            }
            _ => driver_error(&self.card.name, "taking memory", error),
        })
    }
}

impl Backend for CudaBackend {
    fn name(&self) -> &str {
        &self.card.name
    }

    fn owner(&self) -> Owner {
        Owner::Cuda(self.card.context.ordinal() as u32)
    }

    fn allocate(&self, bytes: usize) -> Result<Box<dyn Memory>, DeviceError> {
        self.bind()?;
        let cuda_stream = Arc::clone(&self.cuda_stream);
        // SAFETY: the memory is unset; a stream hands it out only as the result of a kernel or copy
        // that sets all of it.
        let taken = unsafe {
            if self.card.context.has_async_alloc() {
                result::malloc_async(cuda_stream.cu_stream(), bytes)
            } else {
                result::malloc_sync(bytes)
            }
        };
        let address = self.check_memory(bytes, taken)?;
        Ok(Box::new(CardMemory { address, bytes, cuda_stream }))
    }

    fn allocate_host(&self, bytes: usize) -> Result<Box<dyn Memory>, DeviceError> {
        self.bind()?;
        // Not write-combined: the host reads what is copied here.
        // SAFETY: the memory is unset; a stream hands it out only once a copy has set all of it.
        let taken = unsafe { result::malloc_host(bytes, 0) };
        let start = self.check_memory(bytes, taken)?;
        let context = Arc::clone(&self.card.context);
        Ok(Box::new(PinnedMemory { address: start.expose_provenance(), bytes, context }))
    }

    unsafe fn launch(&self, launch: &Launch) -> Result<(), DeviceError> {
        self.bind()?;
        let function = self.card.functions.get(&launch.kernel());
        let function = function.expect("every kernel is in `PTX`, and all of that was loaded");
        let extent = launch.extent();
        let (span, high) = launch.kernel().tile();
        let grid = (
            (extent.columns as u32).div_ceil(BLOCK.0 * span),
            (extent.rows as u32).div_ceil(BLOCK.1 * high),
            1,
        );
        let mut arguments: [*mut c_void; 1] = [launch.arguments().cast_mut()];
        // SAFETY: the kernel takes one structure, which `arguments` points to and the driver copies
        // before it returns; the caller vouches for the planes in it.
        let launched = unsafe {
            result::launch_kernel(
                function.cu_function(),
                grid,
                (BLOCK.0, BLOCK.1, 1),
                0,
                self.cuda_stream.cu_stream(),
                &mut arguments,
            )
        };
        self.check("starting a kernel", launched)
    }

    unsafe fn copy(&self, copy: &PlaneCopy) -> Result<(), DeviceError> {
        self.bind()?;
        let (from, to) = (copy.from, copy.to);
        let mut region = sys::CUDA_MEMCPY2D {
            srcPitch: from.pitch,
            dstPitch: to.pitch,
            WidthInBytes: copy.row,
            Height: copy.rows,
            ..empty_region()
        };
        match copy.direction {
            Direction::ToDevice => {
                region.srcMemoryType = sys::CUmemorytype::CU_MEMORYTYPE_HOST;
                region.srcHost = std::ptr::with_exposed_provenance(from.address as usize);
                region.dstMemoryType = sys::CUmemorytype::CU_MEMORYTYPE_DEVICE;
                region.dstDevice = to.address;
            }
            Direction::ToHost => {
                region.srcMemoryType = sys::CUmemorytype::CU_MEMORYTYPE_DEVICE;
                region.srcDevice = from.address;
                region.dstMemoryType = sys::CUmemorytype::CU_MEMORYTYPE_HOST;
                region.dstHost = std::ptr::with_exposed_provenance_mut(to.address as usize);
            }
        }
        // SAFETY: the caller vouches for both planes until the work is done.
        let copied =
            unsafe { sys::cuMemcpy2DAsync_v2(&region, self.cuda_stream.cu_stream()).result() };
        self.check("copying a picture", copied)
    }

    fn wait(&self) -> Result<(), DeviceError> {
        self.check("waiting for the device", self.cuda_stream.synchronize())
    }
}

/// Memory of the card, freed in the order of its stream.
struct CardMemory {
    address: sys::CUdeviceptr,
    bytes: usize,
    cuda_stream: Arc<CudaStream>,
}

impl Memory for CardMemory {
    fn address(&self) -> u64 {
        self.address
    }

    unsafe fn fill(&self, value: u8) {
        let context = self.cuda_stream.context();
        context.record_err(context.bind_to_thread());
        // SAFETY: the memory is `bytes` long, and the caller vouches that nobody else uses it.
        context.record_err(unsafe {
            result::memset_d8_async(self.address, value, self.bytes, self.cuda_stream.cu_stream())
        });
    }
}

impl Drop for CardMemory {
    fn drop(&mut self) {
        let context = self.cuda_stream.context();
        context.record_err(context.bind_to_thread());
        // SAFETY: the address comes from the matching call in `allocate`, and is freed once.
        context.record_err(unsafe {
            if context.has_async_alloc() {
                result::free_async(self.address, self.cuda_stream.cu_stream())
            } else {
                result::free_sync(self.address)
            }
        });
    }
}

/// Host memory that the card copies from and to by itself.
struct PinnedMemory {
    address: usize,
    bytes: usize,
    context: Arc<CudaContext>,
}

impl Memory for PinnedMemory {
    fn address(&self) -> u64 {
        self.address as u64
    }

    unsafe fn fill(&self, value: u8) {
        // A stream holds pictures that copies use until it has waited, so none is under way.
        let to = std::ptr::with_exposed_provenance_mut::<u8>(self.address);
        // SAFETY: the memory is `bytes` long, and the caller vouches that nobody else uses it.
        unsafe { to.write_bytes(value, self.bytes) };
    }
}

impl Drop for PinnedMemory {
    fn drop(&mut self) {
        self.context.record_err(self.context.bind_to_thread());
        let start = std::ptr::with_exposed_provenance_mut::<c_void>(self.address);
        // SAFETY: the address comes from the matching call in `allocate_host`, and is freed once.
        self.context.record_err(unsafe { result::free_host(start) });
    }
}

fn empty_region() -> sys::CUDA_MEMCPY2D {
    sys::CUDA_MEMCPY2D {
        srcXInBytes: 0,
        srcY: 0,
        srcMemoryType: sys::CUmemorytype::CU_MEMORYTYPE_HOST,
        srcHost: std::ptr::null(),
        srcDevice: 0,
        srcArray: std::ptr::null_mut(),
        srcPitch: 0,
        dstXInBytes: 0,
        dstY: 0,
        dstMemoryType: sys::CUmemorytype::CU_MEMORYTYPE_HOST,
        dstHost: std::ptr::null_mut(),
        dstDevice: 0,
        dstArray: std::ptr::null_mut(),
        dstPitch: 0,
        WidthInBytes: 0,
        Height: 0,
    }
}

fn refusal(asked: &str, attempt: &'static str, error: DriverError) -> OpenError {
    let (name, fact) = (asked.to_owned(), error.to_string());
    match error.0 {
        sys::CUresult::CUDA_ERROR_NO_DEVICE | sys::CUresult::CUDA_ERROR_INVALID_DEVICE => {
            OpenError::NoCard { name, fact }
        }
        _ => OpenError::Driver { name, attempt, fact },
    }
}

fn driver_error(device: &str, attempt: &'static str, error: DriverError) -> DeviceError {
    DeviceError::Driver { device: device.to_owned(), attempt, fact: error.to_string() }
}
