//! An open output: a format context and the sink behind it.

use std::io;

use super::io::{Io, Sink};
use super::packet::Packet;
use super::params::Parameters;
use super::{LibavError, Options, av_rational, c_string, check, init, rational, sys};
use crate::track::Rational;

/// Given for an audio track of which nothing has come yet: libav demands a rate, and a container
/// whose header needs the true one is refused above.
const NOMINAL_SAMPLE_RATE: i32 = 48_000;

/// An open muxer. Streams are added before [`Output::begin`], packets written after it.
pub(crate) struct Output {
    context: *mut sys::AVFormatContext,
    // Dropped after the context is freed, which still points to it.
    io: Io,
}

// SAFETY: the context is reached only through this value, and the sink is `Send`.
unsafe impl Send for Output {}

impl Output {
    pub(crate) fn new(sink: Sink, format: &str) -> Result<Self, LibavError> {
        init();
        let io = Io::writer(sink)?;
        let format = c_string(format)?;
        let mut context = std::ptr::null_mut();
        // SAFETY: the context is ours once made. No packet waits for another one's sake: each is
        // written through, with its own timestamps.
        unsafe {
            check(sys::avformat_alloc_output_context2(
                &mut context,
                std::ptr::null(),
                format.as_ptr(),
                std::ptr::null(),
            ))?;
            (*context).pb = io.as_ptr();
            (*context).flags |= sys::AVFMT_FLAG_CUSTOM_IO | sys::AVFMT_FLAG_BITEXACT;
            (*context).avoid_negative_ts = sys::AVFMT_AVOID_NEG_TS_DISABLED;
            (*context).max_delay = 0;
            (*context).flush_packets = 0;
        }
        Ok(Self { context, io })
    }

    /// Makes every packet's bytes go to the sink at once.
    pub(crate) fn write_through(&mut self) {
        // SAFETY: the context is live, and we are exclusive.
        unsafe { (*self.context).flush_packets = 1 };
    }

    /// Adds a stream that prefers `time_base`.
    pub(crate) fn add_stream(
        &mut self,
        parameters: &Parameters,
        time_base: Rational,
        frame_rate: Option<Rational>,
    ) -> Result<(), LibavError> {
        // SAFETY: the context is live, not yet begun, and owns the new stream.
        unsafe {
            let stream = sys::avformat_new_stream(self.context, std::ptr::null());
            if stream.is_null() {
                return Err(LibavError::NO_MEMORY);
            }
            check(sys::avcodec_parameters_copy((*stream).codecpar, parameters.as_ptr()))?;
            let copied = &mut *(*stream).codecpar;
            copied.codec_tag = 0;
            if copied.codec_type == sys::AVMediaType::AVMEDIA_TYPE_AUDIO && copied.sample_rate == 0
            {
                copied.sample_rate = NOMINAL_SAMPLE_RATE;
            }
            (*stream).sample_aspect_ratio = (*parameters.as_ptr()).sample_aspect_ratio;
            (*stream).time_base = av_rational(time_base);
            if let Some(rate) = frame_rate {
                (*stream).avg_frame_rate = av_rational(rate);
            }
        }
        Ok(())
    }

    pub(crate) fn begin(&mut self, options: &[(&str, &str)]) -> Result<(), LibavError> {
        let mut options = Options::new(options)?;
        // SAFETY: the context is live and has its streams.
        check(unsafe { sys::avformat_write_header(self.context, options.as_mut_ptr()) })?;
        Ok(())
    }

    /// Sets one of the muxer's own options while it runs.
    pub(crate) fn set_option(&mut self, name: &str, value: &str) -> Result<(), LibavError> {
        let (name, value) = (c_string(name)?, c_string(value)?);
        // SAFETY: a muxer with options keeps them at the start of its private data.
        check(unsafe {
            sys::av_opt_set((*self.context).priv_data, name.as_ptr(), value.as_ptr(), 0)
        })?;
        Ok(())
    }

    /// Returns the time base that the muxer chose for stream `index`.
    pub(crate) fn time_base(&self, index: usize) -> Rational {
        // SAFETY: the caller writes only to streams it added.
        unsafe {
            assert!(index < (*self.context).nb_streams as usize, "stream {index} was added");
            rational((*(*(*self.context).streams.add(index))).time_base)
        }
    }

    /// Writes a packet whose times are in the stream's time base.
    pub(crate) fn write(&mut self, packet: &mut Packet) -> Result<(), LibavError> {
        // SAFETY: context and packet are live, and we are exclusive.
        check(unsafe { sys::av_write_frame(self.context, packet.as_mut_ptr()) })?;
        Ok(())
    }

    /// Hands what is buffered to the sink.
    pub(crate) fn flush(&mut self) -> Result<(), LibavError> {
        // SAFETY: null asks the muxer to write what it holds.
        check(unsafe { sys::av_write_frame(self.context, std::ptr::null_mut()) })?;
        // SAFETY: the I/O context lives as long as `self`.
        unsafe { sys::avio_flush(self.io.as_ptr()) };
        // SAFETY: as above.
        check(unsafe { (*self.io.as_ptr()).error })?;
        Ok(())
    }

    pub(crate) fn end(&mut self) -> Result<(), LibavError> {
        // SAFETY: the caller ends an output once, after `begin`.
        check(unsafe { sys::av_write_trailer(self.context) })?;
        Ok(())
    }

    /// Writes all bytes to the sink; a file also to its disk.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.io.sync()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.io.bytes()
    }

    /// Takes the sink's own error, if that is what failed.
    pub(crate) fn take_error(&mut self) -> Option<io::Error> {
        self.io.take_error()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // SAFETY: we own the context; its I/O context is freed by its own field.
        unsafe { sys::avformat_free_context(self.context) };
    }
}
