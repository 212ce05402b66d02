//! Converts pictures of other layouts to planar 4:2:0, at the same size.

use super::frame::RawFrame;
use super::{LibavError, check, sys};

/// Tables of the ITU-R BT.601 matrix: the same on both sides, so that no colour is moved.
const MATRIX: i32 = sys::SWS_CS_ITU601;
/// One in swscale's 16.16 fixed point: contrast and saturation as they are.
const ONE: i32 = 1 << 16;

/// A conversion to yuv420p, kept while the input's layout stays.
pub(crate) struct Converter(*mut sys::SwsContext);

// SAFETY: the context is reached only through this value.
unsafe impl Send for Converter {}

impl Converter {
    pub(crate) fn new() -> Self {
        Self(std::ptr::null_mut())
    }

    /// Converts `frame`, keeping its range, colours and times. Deterministic on one machine type.
    pub(crate) fn convert(&mut self, frame: &RawFrame) -> Result<RawFrame, LibavError> {
        let mut out = RawFrame::empty()?;
        let full = i32::from(frame.is_full_range());
        let flags = sys::SWS_BICUBIC | sys::SWS_ACCURATE_RND | sys::SWS_BITEXACT;
        // SAFETY: both frames are live and of the sizes that the context was made for; the
        // context is ours, and is replaced by libav when the layout changes.
        unsafe {
            let (from, to) = (frame.as_ptr(), out.as_mut_ptr());
            let format = std::mem::transmute::<i32, sys::AVPixelFormat>((*from).format);
            self.0 = sys::sws_getCachedContext(
                self.0,
                (*from).width,
                (*from).height,
                format,
                (*from).width,
                (*from).height,
                sys::AVPixelFormat::AV_PIX_FMT_YUV420P,
                flags,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                std::ptr::null(),
            );
            if self.0.is_null() {
                return Err(LibavError(-libc::ENOSYS));
            }
            let table = sys::sws_getCoefficients(MATRIX);
            sys::sws_setColorspaceDetails(self.0, table, full, table, full, 0, ONE, ONE);
            check(sys::av_frame_copy_props(to, from))?;
            (*to).width = (*from).width;
            (*to).height = (*from).height;
            (*to).format = sys::AVPixelFormat::AV_PIX_FMT_YUV420P as i32;
            if full == 1 {
                (*to).color_range = sys::AVColorRange::AVCOL_RANGE_JPEG;
            }
            check(sys::av_frame_get_buffer(to, 0))?;
            check(sys::sws_scale(
                self.0,
                (*from).data.as_ptr().cast(),
                (*from).linesize.as_ptr(),
                0,
                (*from).height,
                (*to).data.as_ptr(),
                (*to).linesize.as_ptr(),
            ))?;
        }
        Ok(out)
    }
}

impl Drop for Converter {
    fn drop(&mut self) {
        // SAFETY: we own the context; libav accepts null.
        unsafe { sys::sws_freeContext(self.0) };
    }
}
