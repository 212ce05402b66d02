//! Pictures: decoded frames in host memory, and foreign memory lent to an encoder.
//!
//! **Invariant:** the memory that [`Picture::planes`] names lives as long as any clone of the
//! picture, and libav never writes to it.

use std::any::Any;
use std::mem::ManuallyDrop;
use std::sync::Arc;

use domain::planes::{Owner, PixelFormat, Plane, Planes};
use libc::c_void;

use super::packet::known;
use super::{LibavError, check, sys};

/// Colour description of a picture, carried from decoder to encoder unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color {
    pub(crate) range: sys::AVColorRange,
    pub(crate) primaries: sys::AVColorPrimaries,
    pub(crate) transfer: sys::AVColorTransferCharacteristic,
    pub(crate) matrix: sys::AVColorSpace,
}

impl Color {
    /// Says nothing about colour: a player assumes its defaults.
    pub const UNSPECIFIED: Self = Self {
        range: sys::AVColorRange::AVCOL_RANGE_UNSPECIFIED,
        primaries: sys::AVColorPrimaries::AVCOL_PRI_UNSPECIFIED,
        transfer: sys::AVColorTransferCharacteristic::AVCOL_TRC_UNSPECIFIED,
        matrix: sys::AVColorSpace::AVCOL_SPC_UNSPECIFIED,
    };

    /// Says whether luma uses 0 to 255 instead of 16 to 235.
    pub fn is_full_range(&self) -> bool {
        self.range == sys::AVColorRange::AVCOL_RANGE_JPEG
    }

    /// Says whether luma is made as BT.709 has it, or else as BT.601 has it; nothing if the
    /// description does not say, or names another standard.
    pub fn is_bt709(&self) -> Option<bool> {
        use sys::AVColorSpace as Matrix;
        let named = |matrices: &[Matrix]| matrices.contains(&self.matrix);
        if named(&[Matrix::AVCOL_SPC_BT709]) {
            return Some(true);
        }
        named(&[Matrix::AVCOL_SPC_BT470BG, Matrix::AVCOL_SPC_SMPTE170M]).then_some(false)
    }
}

/// An owned libav frame.
pub(crate) struct RawFrame(*mut sys::AVFrame);

// SAFETY: the frame owns its references; after it is made its memory is only read.
unsafe impl Send for RawFrame {}
// SAFETY: `&RawFrame` only reads.
unsafe impl Sync for RawFrame {}

impl RawFrame {
    pub(crate) fn empty() -> Result<Self, LibavError> {
        // SAFETY: takes nothing; null is checked.
        let frame = unsafe { sys::av_frame_alloc() };
        if frame.is_null() { Err(LibavError::NO_MEMORY) } else { Ok(Self(frame)) }
    }

    pub(crate) fn as_ptr(&self) -> *const sys::AVFrame {
        self.0
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut sys::AVFrame {
        self.0
    }

    /// Makes a second frame on the same memory.
    pub(crate) fn duplicate(&self) -> Result<Self, LibavError> {
        let copy = Self::empty()?;
        // SAFETY: both frames are live; libav counts the references.
        check(unsafe { sys::av_frame_ref(copy.0, self.0) })?;
        Ok(copy)
    }

    fn read(&self) -> &sys::AVFrame {
        // SAFETY: the frame is live and not written through while borrowed.
        unsafe { &*self.0 }
    }

    /// Returns our name of its layout, if we have one and its rows run downwards.
    pub(crate) fn format(&self) -> Option<PixelFormat> {
        let frame = self.read();
        let is = |format: sys::AVPixelFormat| frame.format == format as i32;
        let format = if is(sys::AVPixelFormat::AV_PIX_FMT_YUV420P)
            || is(sys::AVPixelFormat::AV_PIX_FMT_YUVJ420P)
        {
            PixelFormat::Yuv420p
        } else if is(sys::AVPixelFormat::AV_PIX_FMT_NV12) {
            PixelFormat::Nv12
        } else if is(sys::AVPixelFormat::AV_PIX_FMT_GRAY8) {
            PixelFormat::Gray
        } else {
            return None;
        };
        frame.linesize[..format.planes()].iter().all(|pitch| *pitch > 0).then_some(format)
    }

    /// Returns width, height and libav's number of the layout.
    pub(crate) fn shape(&self) -> (i32, i32, i32) {
        let frame = self.read();
        (frame.width, frame.height, frame.format)
    }

    /// Says whether its colours use the full range, by description or by format.
    pub(crate) fn is_full_range(&self) -> bool {
        use sys::AVPixelFormat as Format;
        const FULL: [Format; 5] = [
            Format::AV_PIX_FMT_YUVJ420P,
            Format::AV_PIX_FMT_YUVJ422P,
            Format::AV_PIX_FMT_YUVJ444P,
            Format::AV_PIX_FMT_YUVJ440P,
            Format::AV_PIX_FMT_YUVJ411P,
        ];
        let frame = self.read();
        frame.color_range == sys::AVColorRange::AVCOL_RANGE_JPEG
            || FULL.iter().any(|format| *format as i32 == frame.format)
    }
}

impl Drop for RawFrame {
    fn drop(&mut self) {
        // SAFETY: we own the frame.
        unsafe { sys::av_frame_free(&mut self.0) };
    }
}

/// A decoded picture in host memory. Clones share it.
#[derive(Clone)]
pub struct Picture {
    frame: Arc<RawFrame>,
    planes: Planes,
}

impl Picture {
    /// Wraps a frame of a format we know; gives another one back.
    pub(crate) fn new(frame: RawFrame) -> Result<Self, RawFrame> {
        let Some(format) = frame.format() else { return Err(frame) };
        let mut planes = [Plane { address: 0, pitch: 0 }; 3];
        let raw = frame.read();
        for (index, plane) in planes[..format.planes()].iter_mut().enumerate() {
            plane.address = raw.data[index] as u64;
            plane.pitch = raw.linesize[index] as usize;
        }
        let (width, height) = (raw.width as u32, raw.height as u32);
        let planes = Planes { format, width, height, owner: Owner::Host, planes };
        Ok(Self { frame: Arc::new(frame), planes })
    }

    /// Lends foreign host memory to an encoder as a picture, without copying it. `keep_alive` is
    /// dropped when the last reader is done, on any thread. Returns nothing if the memory is not
    /// the host's or a pitch is beyond libav's range.
    ///
    /// # Safety
    /// While `keep_alive` exists, every plane that the format has is readable for its rows at its
    /// pitch, and nobody writes to it.
    pub unsafe fn borrow(planes: Planes, keep_alive: Arc<dyn Any + Send + Sync>) -> Option<Self> {
        if planes.owner != Owner::Host {
            return None;
        }
        let mut frame = RawFrame::empty().ok()?;
        let rows = planes.format.plane_size(0, planes.width, planes.height).1;
        // SAFETY: the frame is ours. The buffer only ties the caller's memory to `keep_alive`,
        // which `release` drops once; it is marked read-only, so libav never writes to it.
        unsafe {
            let raw = frame.as_mut_ptr();
            (*raw).format = pixel_format(planes.format) as i32;
            (*raw).width = i32::try_from(planes.width).ok()?;
            (*raw).height = i32::try_from(planes.height).ok()?;
            for (index, plane) in planes.planes[..planes.format.planes()].iter().enumerate() {
                (*raw).data[index] = plane.address as *mut u8;
                (*raw).linesize[index] = i32::try_from(plane.pitch).ok()?;
            }
            (*raw).extended_data = (*raw).data.as_mut_ptr();
            let opaque = Box::into_raw(Box::new(keep_alive));
            (*raw).buf[0] = sys::av_buffer_create(
                (*raw).data[0],
                planes.planes[0].pitch * rows,
                Some(release),
                opaque.cast(),
                sys::AV_BUFFER_FLAG_READONLY,
            );
            if (*raw).buf[0].is_null() {
                drop(Box::from_raw(opaque));
                return None;
            }
        }
        Some(Self { frame: Arc::new(frame), planes })
    }

    /// Returns where its pixels lie. They stay there while this picture or a clone of it lives.
    pub fn planes(&self) -> Planes {
        self.planes
    }

    /// Returns when it is shown, in ticks of its track's time base.
    pub fn pts(&self) -> Option<i64> {
        let frame = self.frame.read();
        known(frame.best_effort_timestamp).or_else(|| known(frame.pts))
    }

    /// Returns how long it is shown, in ticks of its track's time base; zero if unknown.
    pub fn duration(&self) -> i64 {
        self.frame.read().pkt_duration.max(0)
    }

    /// Says whether it was decoded without another picture.
    pub fn is_key(&self) -> bool {
        // The field moved between FFmpeg versions, and the wrapper knows where; it would also free
        // the frame it was lent.
        // SAFETY: the frame is live, and the wrapper is only read and never dropped.
        unsafe { ManuallyDrop::new(ffmpeg_next::Frame::wrap(self.frame.0)).is_key() }
    }

    /// Says whether the decoder had to guess parts of it.
    pub fn is_corrupt(&self) -> bool {
        let frame = self.frame.read();
        frame.flags & sys::AV_FRAME_FLAG_CORRUPT != 0 || frame.decode_error_flags != 0
    }

    /// Returns its colour description.
    pub fn color(&self) -> Color {
        let frame = self.frame.read();
        let full = self.frame.is_full_range();
        Color {
            range: if full { sys::AVColorRange::AVCOL_RANGE_JPEG } else { frame.color_range },
            primaries: frame.color_primaries,
            transfer: frame.color_trc,
            matrix: frame.colorspace,
        }
    }

    /// Returns width to height of one pixel, where it is known not to be square.
    pub fn pixel_aspect(&self) -> Option<crate::Rational> {
        let aspect = self.frame.read().sample_aspect_ratio;
        (aspect.num > 0 && aspect.den > 0).then(|| super::rational(aspect))
    }

    /// Makes the frame that is handed to an encoder: the same memory, other times.
    pub(crate) fn for_encoder(
        &self,
        pts: i64,
        duration: i64,
        force_key: bool,
    ) -> Result<RawFrame, LibavError> {
        let mut frame = self.frame.duplicate()?;
        // SAFETY: the new frame is ours alone.
        unsafe {
            let raw = frame.as_mut_ptr();
            (*raw).format = pixel_format(self.planes.format) as i32;
            (*raw).pts = pts;
            (*raw).pkt_duration = duration;
            (*raw).pict_type = if force_key {
                sys::AVPictureType::AV_PICTURE_TYPE_I
            } else {
                sys::AVPictureType::AV_PICTURE_TYPE_NONE
            };
        }
        Ok(frame)
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Picture").field("pts", &self.pts()).field("planes", &self.planes).finish()
    }
}

unsafe extern "C" fn release(opaque: *mut c_void, _data: *mut u8) {
    // SAFETY: `borrow` boxed it, and libav calls this once, with the last reference.
    drop(unsafe { Box::from_raw(opaque.cast::<Arc<dyn Any + Send + Sync>>()) });
}

pub(crate) fn pixel_format(format: PixelFormat) -> sys::AVPixelFormat {
    match format {
        PixelFormat::Nv12 => sys::AVPixelFormat::AV_PIX_FMT_NV12,
        PixelFormat::Yuv420p => sys::AVPixelFormat::AV_PIX_FMT_YUV420P,
        PixelFormat::Rgb24 => sys::AVPixelFormat::AV_PIX_FMT_RGB24,
        PixelFormat::Rgba => sys::AVPixelFormat::AV_PIX_FMT_RGBA,
        PixelFormat::Gray => sys::AVPixelFormat::AV_PIX_FMT_GRAY8,
        PixelFormat::P010 => sys::AVPixelFormat::AV_PIX_FMT_P010LE,
        PixelFormat::Gbrpf32 => sys::AVPixelFormat::AV_PIX_FMT_GBRPF32LE,
    }
}
