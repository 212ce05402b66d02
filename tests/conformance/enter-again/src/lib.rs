//! Calls the host while the host is calling it: when the host asks for memory to put an answer in,
//! the allocator asks the host something first.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

use framegate_sdk::prelude::*;

struct Asking;

static ARMED: AtomicBool = AtomicBool::new(false);

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Asking {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if ARMED.swap(false, Ordering::Relaxed) {
            let _ = session::width();
        }
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Asking = Asking;

struct Guest;

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("calls the host while the host is calling it")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        ARMED.store(timing.sequence == 1, Ordering::Relaxed);
        assert!(!frame.format().is_empty());
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
