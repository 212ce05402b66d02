//! Listens to libav's log for the one fact that it tells nowhere else, and prints nothing.
//!
//! A decoder that guesses a part of a picture marks the picture, but with several threads the
//! mark can come after the picture has left (FFmpeg 5.1 and 6.1). The log line always comes.
//!
//! **Invariant:** the callback reads only what libav passes, and bumps only the counter that an
//! open decoder owns.

use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};

use libc::{c_char, c_int, c_void};

use super::sys;

/// How the line about guessed parts begins (`libavcodec/error_resilience.c`).
const CONCEALING: &[u8] = b"concealing ";
/// The class of the object that says it.
const DECODER_CLASS: &CStr = c"AVCodecContext";

type Callback = unsafe extern "C" fn(*mut c_void, c_int, *const c_char, *mut c_void);

/// Replaces libav's printer for the whole process.
pub(super) fn install() {
    let callback: Callback = on_line;
    // SAFETY: the last parameter is a C argument list, which every ABI we build for passes as a
    // pointer; we never look at it. Both types are otherwise the same.
    unsafe {
        let callback = std::mem::transmute::<Callback, ListType>(callback);
        sys::av_log_set_callback(Some(callback));
    }
}

/// What bindgen made of the callback's type; the name of its last part differs by target.
type ListType = unsafe extern "C" fn(*mut c_void, c_int, *const c_char, *mut sys::__va_list_tag);

/// Makes a decoder's context count its guesses in `counter`.
///
/// # Safety
/// `context` is live, and `counter` outlives it.
pub(super) unsafe fn count_guesses(context: *mut sys::AVCodecContext, counter: &AtomicU64) {
    // SAFETY: as promised; libav copies the field to its threads' contexts and never follows it.
    unsafe { (*context).opaque = std::ptr::from_ref(counter).cast_mut().cast() };
}

unsafe extern "C" fn on_line(
    object: *mut c_void,
    _level: c_int,
    format: *const c_char,
    _arguments: *mut c_void,
) {
    if object.is_null() || format.is_null() {
        return;
    }
    // SAFETY: libav passes a zero-ended format and an object that begins with its class; one of
    // the decoder class is a codec context, whose `opaque` is null or set by `count_guesses`.
    unsafe {
        if !CStr::from_ptr(format).to_bytes().starts_with(CONCEALING) {
            return;
        }
        let class = *object.cast::<*const sys::AVClass>();
        if class.is_null() || CStr::from_ptr((*class).class_name) != DECODER_CLASS {
            return;
        }
        let counter = (*object.cast::<sys::AVCodecContext>()).opaque.cast::<AtomicU64>();
        if let Some(counter) = counter.as_ref() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}
