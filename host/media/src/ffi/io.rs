//! Byte sources and sinks behind libav's I/O contexts.
//!
//! A callback never unwinds into C: a panic of the caller's reader or writer becomes an I/O
//! error. What the error means is decided above.
//!
//! **Invariant:** the state lives at one address from `open` until the context is freed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use libc::{c_int, c_void};

use super::{LibavError, sys};

/// Bytes of a context's buffer: 174 TS packets, so that a read is seldom split.
const BUFFER_BYTES: usize = 32 * 1024;

/// Where muxed bytes go.
pub(crate) enum Sink {
    /// Bytes in order, never taken back.
    Stream(Box<dyn Write + Send>),
    /// A file whose header is rewritten at the end.
    File(File),
}

enum End {
    Source(Box<dyn Read + Send>),
    Sink(Sink),
}

struct State {
    end: End,
    bytes: u64,
    error: Option<io::Error>,
}

/// An I/O context and the reader or writer behind it.
pub(crate) struct Io {
    context: *mut sys::AVIOContext,
    state: *mut State,
}

// SAFETY: the context and state are reached only through this value, and both ends are `Send`.
unsafe impl Send for Io {}

impl Io {
    pub(crate) fn reader(source: Box<dyn Read + Send>) -> Result<Self, LibavError> {
        Self::new(End::Source(source), false)
    }

    pub(crate) fn writer(sink: Sink) -> Result<Self, LibavError> {
        let seekable = matches!(sink, Sink::File(_));
        Self::new(End::Sink(sink), seekable)
    }

    fn new(end: End, seekable: bool) -> Result<Self, LibavError> {
        let writes = matches!(end, End::Sink(_));
        let state = Box::into_raw(Box::new(State { end, bytes: 0, error: None }));
        // SAFETY: the buffer comes from libav's allocator as the context demands, and `state`
        // outlives the context (see `drop`).
        let context = unsafe {
            let buffer = sys::av_malloc(BUFFER_BYTES).cast();
            sys::avio_alloc_context(
                buffer,
                BUFFER_BYTES as c_int,
                c_int::from(writes),
                state.cast(),
                if writes { None } else { Some(on_read) },
                if writes { Some(on_write) } else { None },
                if seekable { Some(on_seek) } else { None },
            )
        };
        let io = Self { context, state };
        if context.is_null() { Err(LibavError::NO_MEMORY) } else { Ok(io) }
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::AVIOContext {
        self.context
    }

    /// Returns the bytes read or written so far.
    pub(crate) fn bytes(&self) -> u64 {
        // SAFETY: no callback runs while we hold `&self`: they run inside calls on `&mut`.
        unsafe { (*self.state).bytes }
    }

    /// Takes the error of the reader or writer that made libav give up.
    pub(crate) fn take_error(&mut self) -> Option<io::Error> {
        // SAFETY: as in `bytes`, and we are exclusive.
        unsafe { (*self.state).error.take() }
    }

    /// Writes everything to the sink; a file also to its disk.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        // SAFETY: the context is live, and we are exclusive.
        let state = unsafe {
            sys::avio_flush(self.context);
            &mut *self.state
        };
        if let Some(error) = state.error.take() {
            return Err(error);
        }
        match &mut state.end {
            End::Sink(Sink::File(file)) => file.sync_all(),
            End::Sink(Sink::Stream(stream)) => stream.flush(),
            End::Source(_) => Ok(()),
        }
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        // SAFETY: whoever used the context is gone (fields drop after their users), libav may
        // have replaced the buffer, and the state was boxed by `new`.
        unsafe {
            if !self.context.is_null() {
                sys::av_freep((&raw mut (*self.context).buffer).cast());
                sys::avio_context_free(&mut self.context);
            }
            drop(Box::from_raw(self.state));
        }
    }
}

/// Runs a callback's body; keeps its error for [`Io::take_error`].
fn guarded<T>(state: &mut State, body: impl FnOnce(&mut State) -> io::Result<T>) -> Option<T> {
    let outcome = catch_unwind(AssertUnwindSafe(|| body(state)))
        .unwrap_or_else(|_| Err(io::Error::other("the reader or writer panicked")));
    outcome.map_err(|error| state.error = Some(error)).ok()
}

unsafe extern "C" fn on_read(opaque: *mut c_void, buffer: *mut u8, size: c_int) -> c_int {
    // SAFETY: `opaque` is the state of a live context, used by one call at a time; libav gives
    // `size` writable bytes at `buffer`, which are zeroed before they are seen as a slice.
    let (state, buffer) = unsafe {
        std::ptr::write_bytes(buffer, 0, size as usize);
        (&mut *opaque.cast::<State>(), std::slice::from_raw_parts_mut(buffer, size as usize))
    };
    let read = guarded(state, |state| {
        let End::Source(source) = &mut state.end else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        loop {
            match source.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    });
    match read {
        Some(0) => sys::AVERROR_EOF,
        Some(count) => {
            state.bytes += count as u64;
            count as c_int
        }
        None => -libc::EIO,
    }
}

unsafe extern "C" fn on_write(opaque: *mut c_void, buffer: *mut u8, size: c_int) -> c_int {
    // SAFETY: as in `on_read`; libav gives `size` readable bytes.
    let (state, buffer) = unsafe {
        (&mut *opaque.cast::<State>(), std::slice::from_raw_parts(buffer, size as usize))
    };
    let written = guarded(state, |state| match &mut state.end {
        End::Sink(Sink::Stream(stream)) => stream.write_all(buffer),
        End::Sink(Sink::File(file)) => file.write_all(buffer),
        End::Source(_) => Err(io::ErrorKind::Unsupported.into()),
    });
    if written.is_none() {
        return -libc::EIO;
    }
    state.bytes += size as u64;
    size
}

unsafe extern "C" fn on_seek(opaque: *mut c_void, offset: i64, whence: c_int) -> i64 {
    // SAFETY: as in `on_read`.
    let state = unsafe { &mut *opaque.cast::<State>() };
    let position = guarded(state, |state| {
        let End::Sink(Sink::File(file)) = &mut state.end else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        match whence & !sys::AVSEEK_FORCE {
            sys::AVSEEK_SIZE => Ok(file.metadata()?.len()),
            libc::SEEK_SET => file.seek(SeekFrom::Start(offset.max(0) as u64)),
            libc::SEEK_CUR => file.seek(SeekFrom::Current(offset)),
            libc::SEEK_END => file.seek(SeekFrom::End(offset)),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    });
    position.map_or(-i64::from(libc::EIO), |position| position as i64)
}
