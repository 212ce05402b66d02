//! Codec parameters of a track, as libav passes them between demuxer, codec and muxer.

use super::{LibavError, check, owned_text, sys};
use crate::adts::Header;
use crate::track::Kind;

/// What a decoder or muxer has to know about a track before its first packet.
pub(crate) struct Parameters(*mut sys::AVCodecParameters);

// SAFETY: plain data with one owner.
unsafe impl Send for Parameters {}
// SAFETY: `&Parameters` only reads.
unsafe impl Sync for Parameters {}

impl Parameters {
    pub(crate) fn empty() -> Result<Self, LibavError> {
        // SAFETY: takes nothing; null is checked.
        let parameters = unsafe { sys::avcodec_parameters_alloc() };
        if parameters.is_null() { Err(LibavError::NO_MEMORY) } else { Ok(Self(parameters)) }
    }

    /// Copies parameters of a live stream.
    ///
    /// # Safety
    /// `from` points to live parameters.
    pub(crate) unsafe fn copy_of(from: *const sys::AVCodecParameters) -> Result<Self, LibavError> {
        let copy = Self::empty()?;
        // SAFETY: both are live; libav copies deeply.
        check(unsafe { sys::avcodec_parameters_copy(copy.0, from) })?;
        Ok(copy)
    }

    pub(crate) fn duplicate(&self) -> Result<Self, LibavError> {
        // SAFETY: ours are live.
        unsafe { Self::copy_of(self.0) }
    }

    pub(crate) fn as_ptr(&self) -> *const sys::AVCodecParameters {
        self.0
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut sys::AVCodecParameters {
        self.0
    }

    pub(crate) fn kind(&self) -> Kind {
        // SAFETY: live; only the two kinds we carry are compared.
        match unsafe { (*self.0).codec_type } {
            sys::AVMediaType::AVMEDIA_TYPE_VIDEO => Kind::Video,
            sys::AVMediaType::AVMEDIA_TYPE_AUDIO => Kind::Audio,
            _ => Kind::Other,
        }
    }

    pub(crate) fn codec_id(&self) -> sys::AVCodecID {
        // SAFETY: live.
        unsafe { (*self.0).codec_id }
    }

    pub(crate) fn codec_name(&self) -> String {
        // SAFETY: libav returns a static string for every id.
        unsafe { owned_text(sys::avcodec_get_name(self.codec_id())) }
    }

    /// Returns width and height, once known.
    pub(crate) fn size(&self) -> Option<(u32, u32)> {
        // SAFETY: live.
        let (width, height) = unsafe { ((*self.0).width, (*self.0).height) };
        (width > 0 && height > 0).then_some((width as u32, height as u32))
    }

    pub(crate) fn sample_rate(&self) -> u32 {
        // SAFETY: live.
        unsafe { (*self.0).sample_rate.max(0) as u32 }
    }

    /// Fills in what an ADTS header tells.
    pub(crate) fn set_aac(&mut self, header: Header) {
        // SAFETY: live, and we are exclusive; the layout holds no memory of its own.
        unsafe {
            (*self.0).sample_rate = header.sample_rate as i32;
            (*self.0).profile = header.profile;
            (*self.0).frame_size = header.samples as i32;
            sys::av_channel_layout_default(&mut (*self.0).ch_layout, header.channels as i32);
        }
    }

    pub(crate) fn has_extradata(&self) -> bool {
        // SAFETY: live.
        unsafe { (*self.0).extradata_size > 0 }
    }

    pub(crate) fn set_extradata(&mut self, bytes: &[u8]) -> Result<(), LibavError> {
        let room = bytes.len() + sys::AV_INPUT_BUFFER_PADDING_SIZE as usize;
        // SAFETY: the new buffer has the padding that libav demands, zeroed, and replaces an old
        // one that we own.
        unsafe {
            let buffer: *mut u8 = sys::av_mallocz(room).cast();
            if buffer.is_null() {
                return Err(LibavError::NO_MEMORY);
            }
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer, bytes.len());
            sys::av_freep((&raw mut (*self.0).extradata).cast());
            (*self.0).extradata = buffer;
            (*self.0).extradata_size = bytes.len() as i32;
        }
        Ok(())
    }
}

impl Drop for Parameters {
    fn drop(&mut self) {
        // SAFETY: we own them.
        unsafe { sys::avcodec_parameters_free(&mut self.0) };
    }
}

impl std::fmt::Debug for Parameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parameters").field("codec", &self.codec_name()).finish_non_exhaustive()
    }
}
