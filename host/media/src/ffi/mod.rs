//! The only place that touches libav: owned handles with safe methods, and nothing decided.
//!
//! It knows pointers, lifetimes and return codes; which codec, which option and what a failure
//! means is decided by the modules above it.
//!
//! **Invariant:** every libav object has one owner here, and is freed exactly once by its `Drop`.

pub(crate) mod codec;
pub(crate) mod frame;
pub(crate) mod input;
pub(crate) mod io;
mod log;
pub(crate) mod output;
pub(crate) mod packet;
pub(crate) mod params;
pub(crate) mod probe;
pub(crate) mod scale;

use std::ffi::{CStr, CString};
use std::fmt;
use std::sync::Once;

use ffmpeg_next::ffi as sys;
use libc::{c_char, c_int};

use crate::track::Rational;

/// Room for libav's longest error text (`AV_ERROR_MAX_STRING_SIZE`).
const ERROR_TEXT_BYTES: usize = 64;

/// A libav return code, printed as libav words it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LibavError(pub(crate) c_int);

impl LibavError {
    pub(crate) const EOF: Self = Self(sys::AVERROR_EOF);
    pub(crate) const INVALID_DATA: Self = Self(sys::AVERROR_INVALIDDATA);
    pub(crate) const AGAIN: Self = Self(-libc::EAGAIN);
    pub(crate) const NO_MEMORY: Self = Self(-libc::ENOMEM);
}

impl fmt::Display for LibavError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0 as c_char; ERROR_TEXT_BYTES];
        // SAFETY: libav writes at most the given number of bytes and ends them with a zero.
        let text = unsafe {
            sys::av_strerror(self.0, text.as_mut_ptr(), text.len());
            CStr::from_ptr(text.as_ptr())
        };
        f.write_str(&text.to_string_lossy())
    }
}

impl std::error::Error for LibavError {}

/// Turns a return code into a result.
pub(crate) fn check(code: c_int) -> Result<c_int, LibavError> {
    if code < 0 { Err(LibavError(code)) } else { Ok(code) }
}

/// Silences libav's own log: what matters comes back as values, and standard error is the user's.
pub(crate) fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::install();
    });
}

/// Converts a name from our own code or a configuration for libav.
pub(crate) fn c_string(text: &str) -> Result<CString, LibavError> {
    CString::new(text).map_err(|_| LibavError(-libc::EINVAL))
}

/// Copies a static C string of libav.
///
/// # Safety
/// `text` is null or points to a zero-ended string that outlives the call.
pub(crate) unsafe fn owned_text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and the caller promises the rest.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

pub(crate) fn rational(value: sys::AVRational) -> Rational {
    Rational { num: value.num, den: value.den }
}

pub(crate) fn av_rational(value: Rational) -> sys::AVRational {
    sys::AVRational { num: value.num, den: value.den }
}

/// Options of a libav object, given by name.
pub(crate) struct Options(*mut sys::AVDictionary);

impl Options {
    pub(crate) fn new(pairs: &[(&str, &str)]) -> Result<Self, LibavError> {
        let mut options = Self(std::ptr::null_mut());
        for (name, value) in pairs {
            let (name, value) = (c_string(name)?, c_string(value)?);
            // SAFETY: both strings end with zero; libav copies them.
            check(unsafe { sys::av_dict_set(&mut options.0, name.as_ptr(), value.as_ptr(), 0) })?;
        }
        Ok(options)
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut *mut sys::AVDictionary {
        &mut self.0
    }

    /// Returns the name of an option that nothing consumed.
    pub(crate) fn left_over(&self) -> Option<String> {
        // SAFETY: the dictionary is ours; the entry lives as long as it, the text is copied.
        unsafe {
            let entry = sys::av_dict_get(
                self.0,
                c"".as_ptr(),
                std::ptr::null(),
                sys::AV_DICT_IGNORE_SUFFIX,
            );
            if entry.is_null() { None } else { Some(owned_text((*entry).key)) }
        }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: we own the dictionary; libav accepts null.
        unsafe { sys::av_dict_free(&mut self.0) };
    }
}

/// Returns name, packed version and licence of each linked library.
pub(crate) fn libraries() -> [(&'static str, u32, String); 4] {
    // SAFETY: these functions take nothing and return constants.
    unsafe {
        [
            ("libavutil", sys::avutil_version(), owned_text(sys::avutil_license())),
            ("libavcodec", sys::avcodec_version(), owned_text(sys::avcodec_license())),
            ("libavformat", sys::avformat_version(), owned_text(sys::avformat_license())),
            ("libswscale", sys::swscale_version(), owned_text(sys::swscale_license())),
        ]
    }
}
