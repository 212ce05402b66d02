//! An open input: a format context and, for live bytes, the reader that feeds it.

use std::io::{self, Read};
use std::path::Path;

use super::io::Io;
use super::packet::{Packet, known};
use super::params::Parameters;
use super::{LibavError, Options, c_string, check, init, owned_text, rational, sys};
use crate::track::Rational;

/// What the container says of one of its streams.
pub(crate) struct StreamFacts {
    pub(crate) parameters: Parameters,
    pub(crate) time_base: Rational,
    pub(crate) frame_rate: Option<Rational>,
    pub(crate) frames: u64,
    /// A still such as a cover, stored as a video stream.
    pub(crate) still: bool,
    /// Bits after which its timestamps begin again.
    pub(crate) wrap_bits: u32,
}

/// An open demuxer.
pub(crate) struct Input {
    context: *mut sys::AVFormatContext,
    // Dropped after the context is closed, which still uses it.
    io: Option<Io>,
}

// SAFETY: the context is reached only through this value, and the reader is `Send`.
unsafe impl Send for Input {}

impl Input {
    /// Opens bytes that arrive in order, as the named format.
    pub(crate) fn open_reader(
        source: Box<dyn Read + Send>,
        format: &str,
        options: &[(&str, &str)],
    ) -> Result<Self, (LibavError, Option<io::Error>, u64)> {
        init();
        let mut io = Io::reader(source).map_err(|error| (error, None, 0))?;
        match Self::open_context(Some(&io), c"", Some(format), options) {
            Ok(context) => Ok(Self { context, io: Some(io) }),
            Err(error) => {
                let cause = io.take_error();
                Err((error, cause, io.bytes()))
            }
        }
    }

    /// Opens a local file of one of the `formats`.
    pub(crate) fn open_file(path: &Path, options: &[(&str, &str)]) -> Result<Self, LibavError> {
        init();
        // The prefix keeps a colon in the path from being read as a protocol.
        let mut url = b"file:".to_vec();
        url.extend_from_slice(path.as_os_str().as_encoded_bytes());
        let url = std::ffi::CString::new(url).map_err(|_| LibavError(-libc::EINVAL))?;
        let context = Self::open_context(None, &url, None, options)?;
        Ok(Self { context, io: None })
    }

    fn open_context(
        io: Option<&Io>,
        url: &std::ffi::CStr,
        format: Option<&str>,
        options: &[(&str, &str)],
    ) -> Result<*mut sys::AVFormatContext, LibavError> {
        let mut options = Options::new(options)?;
        let format = match format {
            None => std::ptr::null(),
            Some(name) => {
                let name = c_string(name)?;
                // SAFETY: the name ends with zero.
                unsafe { sys::av_find_input_format(name.as_ptr()) }
            }
        };
        // SAFETY: `open_input` frees the context itself when it fails, but not our I/O context.
        unsafe {
            let mut context = sys::avformat_alloc_context();
            if context.is_null() {
                return Err(LibavError::NO_MEMORY);
            }
            if let Some(io) = io {
                (*context).pb = io.as_ptr();
            }
            check(sys::avformat_open_input(
                &mut context,
                url.as_ptr(),
                format,
                options.as_mut_ptr(),
            ))?;
            Ok(context)
        }
    }

    /// Reads ahead until every stream's parameters are known or libav's bounds are reached.
    pub(crate) fn find_stream_info(&mut self) -> Result<(), LibavError> {
        // SAFETY: the context is open, and we are exclusive.
        check(unsafe { sys::avformat_find_stream_info(self.context, std::ptr::null_mut()) })?;
        Ok(())
    }

    /// Returns how many streams the container has shown so far.
    pub(crate) fn streams(&self) -> usize {
        // SAFETY: the context is open.
        unsafe { (*self.context).nb_streams as usize }
    }

    /// Returns what is known of stream `index`, which must be below [`Input::streams`].
    pub(crate) fn stream(&self, index: usize) -> Result<StreamFacts, LibavError> {
        assert!(index < self.streams(), "stream {index} of {}", self.streams());
        // SAFETY: the index was checked, and a stream's parameters live as long as it.
        unsafe {
            let stream = *(*self.context).streams.add(index);
            let mut frame_rate = (*stream).avg_frame_rate;
            if frame_rate.num <= 0 || frame_rate.den <= 0 {
                frame_rate = (*stream).r_frame_rate;
            }
            Ok(StreamFacts {
                parameters: Parameters::copy_of((*stream).codecpar)?,
                time_base: rational((*stream).time_base),
                frame_rate: (frame_rate.num > 0 && frame_rate.den > 0)
                    .then(|| rational(frame_rate)),
                frames: (*stream).nb_frames.max(0) as u64,
                still: (*stream).disposition & sys::AV_DISPOSITION_ATTACHED_PIC != 0,
                wrap_bits: (*stream).pts_wrap_bits.max(0) as u32,
            })
        }
    }

    /// Reads the next packet of any stream; `EOF` at the end.
    pub(crate) fn read(&mut self) -> Result<Packet, LibavError> {
        let mut packet = Packet::empty()?;
        // SAFETY: context and packet are live, and we are exclusive.
        unsafe {
            check(sys::av_read_frame(self.context, packet.as_mut_ptr()))?;
            let index = (*packet.as_ptr()).stream_index as usize;
            let stream = *(*self.context).streams.add(index);
            packet.set_time_base(rational((*stream).time_base));
        }
        Ok(packet)
    }

    /// Returns the length in microseconds, where the container or its bit rate tells it.
    pub(crate) fn duration_us(&self) -> Option<i64> {
        // SAFETY: the context is open.
        known(unsafe { (*self.context).duration }).filter(|us| *us > 0)
    }

    /// Returns libav's name of the container.
    pub(crate) fn format(&self) -> String {
        // SAFETY: an open context has a format with a static name.
        unsafe { owned_text((*(*self.context).iformat).name) }
    }

    /// Returns the bytes taken from the source so far.
    pub(crate) fn bytes(&self) -> u64 {
        match &self.io {
            Some(io) => io.bytes(),
            // SAFETY: an open context of a file has an I/O context.
            None => unsafe {
                let io = (*self.context).pb;
                if io.is_null() { 0 } else { (*io).bytes_read.max(0) as u64 }
            },
        }
    }

    /// Says whether a read went beyond the last byte.
    pub(crate) fn ran_out(&self) -> bool {
        // SAFETY: the context is open; its I/O context, if any, lives as long.
        unsafe {
            let io = (*self.context).pb;
            !io.is_null() && (*io).eof_reached != 0
        }
    }

    /// Takes the reader's own error, if that is what ended the input.
    pub(crate) fn take_error(&mut self) -> Option<io::Error> {
        self.io.as_mut().and_then(Io::take_error)
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // SAFETY: we own the context; a custom I/O context is left alone and freed by its field.
        unsafe { sys::avformat_close_input(&mut self.context) };
    }
}
