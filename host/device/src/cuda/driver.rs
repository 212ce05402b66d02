//! Whether the CUDA driver is there and has every function that this crate calls.
//!
//! The bindings look a function up when it is first called and panic if it is missing, which in a
//! worker would end every session. So all of them are looked for before the first call, and a driver
//! that lacks one counts as none.
//!
//! **Invariant:** [`DRIVER_FUNCTIONS`] has every function that an op can reach; a test serves ops
//! with a driver of just these.

use cudarc::driver::sys;

use crate::error::OpenError;

/// Library names that are looked for, as the error lists them.
const TRIED: &str = "libcuda.so, libcuda.so.12, libcuda.so.11, libcuda.so.1, libnvcuda.so";

/// Functions of the driver's library that are called.
pub const DRIVER_FUNCTIONS: [&str; 26] = [
    "cuCtxGetCurrent",
    "cuCtxSetCurrent",
    "cuDeviceGet",
    "cuDeviceGetAttribute",
    "cuDeviceGetName",
    "cuDevicePrimaryCtxRelease_v2",
    "cuDevicePrimaryCtxRetain",
    "cuDeviceTotalMem_v2",
    "cuGetErrorName",
    "cuGetErrorString",
    "cuInit",
    "cuLaunchKernel",
    "cuMemAllocAsync",
    "cuMemAlloc_v2",
    "cuMemFreeAsync",
    "cuMemFreeHost",
    "cuMemFree_v2",
    "cuMemHostAlloc",
    "cuMemcpy2DAsync_v2",
    "cuMemsetD8Async",
    "cuModuleGetFunction",
    "cuModuleLoadData",
    "cuModuleUnload",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuStreamSynchronize",
];

/// Looks for the driver on behalf of the device called `asked`. Errors: it is not there, or lacks a
/// function.
pub(super) fn look(asked: &str) -> Result<(), OpenError> {
    let name = asked.to_owned();
    // SAFETY: tries to open the library, which has no requirements.
    if !unsafe { sys::is_culib_present() } {
        return Err(OpenError::NoDriver { name, tried: TRIED.to_owned() });
    }
    // SAFETY: the library was opened a moment ago, so this does not panic; the functions are looked
    // up and not called.
    let lacking = unsafe {
        let library = sys::culib();
        DRIVER_FUNCTIONS
            .into_iter()
            .find(|function| library.get::<unsafe extern "C" fn()>(function.as_bytes()).is_err())
    };
    match lacking {
        Some(function) => Err(OpenError::OldDriver { name, function }),
        None => Ok(()),
    }
}
