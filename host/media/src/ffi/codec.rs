//! Codec contexts: packets in and frames out, or the other way round.

use std::sync::atomic::{AtomicU64, Ordering};

use super::frame::{Color, RawFrame};
use super::packet::Packet;
use super::params::Parameters;
use super::{LibavError, Options, av_rational, c_string, check, init, log, sys};
use crate::track::Rational;

/// What an encoder has to know beyond its options.
pub(crate) struct EncoderSettings<'a> {
    pub(crate) codec: &'a str,
    pub(crate) size: (i32, i32),
    pub(crate) format: sys::AVPixelFormat,
    pub(crate) time_base: Rational,
    pub(crate) frame_rate: Option<Rational>,
    pub(crate) pixel_aspect: Option<Rational>,
    pub(crate) color: Color,
    pub(crate) threads: i32,
    pub(crate) gop: i32,
    pub(crate) b_frames: i32,
    pub(crate) bit_rate: i64,
    pub(crate) options: &'a [(&'a str, &'a str)],
}

/// Why an encoder did not open.
pub(crate) enum EncoderFailure {
    UnknownCodec,
    UnsupportedFormat,
    UnusedOption(String),
    Libav(LibavError),
}

impl From<LibavError> for EncoderFailure {
    fn from(error: LibavError) -> Self {
        Self::Libav(error)
    }
}

/// An open codec.
pub(crate) struct Codec {
    context: *mut sys::AVCodecContext,
    // Dropped after the context is freed, which points to it.
    guesses: Box<AtomicU64>,
}

// SAFETY: the context is reached only through this value; libav's own threads are inside it.
unsafe impl Send for Codec {}

impl Codec {
    fn allocate(codec: *const sys::AVCodec) -> Result<Self, LibavError> {
        // SAFETY: the codec is one of libav's static ones; null is checked.
        let context = unsafe { sys::avcodec_alloc_context3(codec) };
        if context.is_null() {
            Err(LibavError::NO_MEMORY)
        } else {
            Ok(Self { context, guesses: Box::default() })
        }
    }

    /// Opens a decoder; `Ok(None)` if this libav has none for the codec.
    pub(crate) fn decoder(
        parameters: &Parameters,
        time_base: Rational,
        threads: i32,
    ) -> Result<Option<Self>, LibavError> {
        init();
        // SAFETY: returns a static codec or null.
        let codec = unsafe { sys::avcodec_find_decoder(parameters.codec_id()) };
        if codec.is_null() {
            return Ok(None);
        }
        let this = Self::allocate(codec)?;
        // SAFETY: the context is ours and not yet open; the parameters are live.
        unsafe {
            check(sys::avcodec_parameters_to_context(this.context, parameters.as_ptr()))?;
            (*this.context).pkt_timebase = av_rational(time_base);
            (*this.context).thread_count = threads;
            (*this.context).thread_type = sys::FF_THREAD_FRAME | sys::FF_THREAD_SLICE;
            log::count_guesses(this.context, &this.guesses);
            check(sys::avcodec_open2(this.context, codec, std::ptr::null_mut()))?;
        }
        Ok(Some(this))
    }

    /// Opens the encoder that goes by the name in `settings`.
    pub(crate) fn encoder(settings: &EncoderSettings<'_>) -> Result<Self, EncoderFailure> {
        init();
        let name = c_string(settings.codec)?;
        // SAFETY: the name ends with zero; returns a static codec or null.
        let codec = unsafe { sys::avcodec_find_encoder_by_name(name.as_ptr()) };
        if codec.is_null() {
            return Err(EncoderFailure::UnknownCodec);
        }
        if !takes_format(codec, settings.format) {
            return Err(EncoderFailure::UnsupportedFormat);
        }
        let this = Self::allocate(codec)?;
        let mut options = Options::new(settings.options)?;
        // SAFETY: the context is ours and not yet open.
        unsafe {
            let context = &mut *this.context;
            (context.width, context.height) = settings.size;
            context.pix_fmt = settings.format;
            context.time_base = av_rational(settings.time_base);
            if let Some(rate) = settings.frame_rate {
                context.framerate = av_rational(rate);
            }
            if let Some(aspect) = settings.pixel_aspect {
                context.sample_aspect_ratio = av_rational(aspect);
            }
            context.color_range = settings.color.range;
            context.color_primaries = settings.color.primaries;
            context.color_trc = settings.color.transfer;
            context.colorspace = settings.color.matrix;
            context.thread_count = settings.threads;
            context.gop_size = settings.gop;
            context.max_b_frames = settings.b_frames;
            context.bit_rate = settings.bit_rate;
            check(sys::avcodec_open2(this.context, codec, options.as_mut_ptr()))?;
        }
        match options.left_over() {
            Some(name) => Err(EncoderFailure::UnusedOption(name)),
            None => Ok(this),
        }
    }

    /// Returns the parameters of what an encoder makes.
    pub(crate) fn parameters(&self) -> Result<Parameters, LibavError> {
        let mut parameters = Parameters::empty()?;
        // SAFETY: both are live.
        check(unsafe {
            sys::avcodec_parameters_from_context(parameters.as_mut_ptr(), self.context)
        })?;
        Ok(parameters)
    }

    /// Gives a packet to a decoder; `None` says that there are no more.
    pub(crate) fn send_packet(&mut self, packet: Option<&Packet>) -> Result<(), LibavError> {
        let packet = packet.map_or(std::ptr::null(), Packet::as_ptr);
        // SAFETY: context and packet are live; libav takes its own reference.
        check(unsafe { sys::avcodec_send_packet(self.context, packet) }).map(|_| ())
    }

    /// Takes a frame from a decoder; `AGAIN` wants a packet, `EOF` is the end.
    pub(crate) fn receive_frame(&mut self) -> Result<RawFrame, LibavError> {
        let mut frame = RawFrame::empty()?;
        // SAFETY: context and frame are live, and we are exclusive.
        check(unsafe { sys::avcodec_receive_frame(self.context, frame.as_mut_ptr()) })?;
        Ok(frame)
    }

    /// Returns how many pictures a decoder has guessed parts of so far.
    pub(crate) fn guesses(&self) -> u64 {
        self.guesses.load(Ordering::Relaxed)
    }

    /// Gives a frame to an encoder; `None` says that there are no more.
    pub(crate) fn send_frame(&mut self, frame: Option<&RawFrame>) -> Result<(), LibavError> {
        let frame = frame.map_or(std::ptr::null(), RawFrame::as_ptr);
        // SAFETY: context and frame are live; libav takes its own reference.
        check(unsafe { sys::avcodec_send_frame(self.context, frame) }).map(|_| ())
    }

    /// Takes a packet from an encoder; `AGAIN` wants a frame, `EOF` is the end.
    pub(crate) fn receive_packet(&mut self) -> Result<Packet, LibavError> {
        let mut packet = Packet::empty()?;
        // SAFETY: context and packet are live, and we are exclusive.
        check(unsafe { sys::avcodec_receive_packet(self.context, packet.as_mut_ptr()) })?;
        Ok(packet)
    }
}

impl Drop for Codec {
    fn drop(&mut self) {
        // SAFETY: we own the context.
        unsafe { sys::avcodec_free_context(&mut self.context) };
    }
}

/// Says whether an encoder lists `format`; one without a list takes any.
fn takes_format(codec: *const sys::AVCodec, format: sys::AVPixelFormat) -> bool {
    // SAFETY: a static codec; its list ends with `NONE`.
    unsafe {
        let mut listed = (*codec).pix_fmts;
        if listed.is_null() {
            return true;
        }
        while *listed != sys::AVPixelFormat::AV_PIX_FMT_NONE {
            if *listed == format {
                return true;
            }
            listed = listed.add(1);
        }
        false
    }
}
