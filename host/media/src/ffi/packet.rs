//! Packets: encoded units with their timestamps.
//!
//! **Invariant:** a packet's bytes are reference counted and never written after it was made.

use super::{LibavError, av_rational, check, rational, sys};
use crate::track::Rational;

/// An encoded unit of one track: a picture or an audio frame, still compressed.
pub struct Packet(*mut sys::AVPacket);

// SAFETY: the packet owns its reference; its bytes are only read, and the count is atomic.
unsafe impl Send for Packet {}
// SAFETY: `&Packet` only reads.
unsafe impl Sync for Packet {}

impl Packet {
    pub(crate) fn empty() -> Result<Self, LibavError> {
        // SAFETY: takes nothing; null is checked.
        let packet = unsafe { sys::av_packet_alloc() };
        if packet.is_null() { Err(LibavError::NO_MEMORY) } else { Ok(Self(packet)) }
    }

    pub(crate) fn as_ptr(&self) -> *const sys::AVPacket {
        self.0
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut sys::AVPacket {
        self.0
    }

    /// Makes a second packet on the same bytes.
    pub(crate) fn duplicate(&self) -> Result<Self, LibavError> {
        let copy = Self::empty()?;
        // SAFETY: both packets are live; libav counts the reference.
        check(unsafe { sys::av_packet_ref(copy.0, self.0) })?;
        Ok(copy)
    }

    /// Returns the position of its track in [`Demuxer::tracks`](crate::Demuxer::tracks); zero for
    /// a packet of an encoder.
    pub fn track(&self) -> usize {
        // SAFETY: the packet is live.
        unsafe { (*self.0).stream_index.max(0) as usize }
    }

    /// Returns the encoded bytes.
    pub fn data(&self) -> &[u8] {
        // SAFETY: libav keeps `size` bytes at `data` while the packet lives; null means none.
        unsafe {
            let (data, size) = ((*self.0).data, (*self.0).size);
            if data.is_null() { &[] } else { std::slice::from_raw_parts(data, size as usize) }
        }
    }

    /// Returns when it is shown, in ticks of [`Packet::time_base`].
    pub fn pts(&self) -> Option<i64> {
        // SAFETY: the packet is live.
        known(unsafe { (*self.0).pts })
    }

    /// Returns when it is decoded, in ticks of [`Packet::time_base`].
    pub fn dts(&self) -> Option<i64> {
        // SAFETY: the packet is live.
        known(unsafe { (*self.0).dts })
    }

    /// Returns how long it is shown, in ticks of [`Packet::time_base`]; zero if unknown.
    pub fn duration(&self) -> i64 {
        // SAFETY: the packet is live.
        unsafe { (*self.0).duration }
    }

    /// Returns the seconds in a tick.
    pub fn time_base(&self) -> Rational {
        // SAFETY: the packet is live.
        rational(unsafe { (*self.0).time_base })
    }

    /// Says whether decoding can begin here.
    pub fn is_key(&self) -> bool {
        self.flags() & sys::AV_PKT_FLAG_KEY != 0
    }

    /// Says whether the demuxer saw bytes missing in or before it.
    pub fn is_corrupt(&self) -> bool {
        self.flags() & sys::AV_PKT_FLAG_CORRUPT != 0
    }

    fn flags(&self) -> i32 {
        // SAFETY: the packet is live.
        unsafe { (*self.0).flags }
    }

    pub(crate) fn set_track(&mut self, track: usize) {
        // SAFETY: the packet is live and we are exclusive.
        unsafe { (*self.0).stream_index = track as i32 };
    }

    pub(crate) fn set_times(&mut self, pts: Option<i64>, dts: Option<i64>, duration: i64) {
        // SAFETY: the packet is live and we are exclusive.
        unsafe {
            (*self.0).pts = pts.unwrap_or(sys::AV_NOPTS_VALUE);
            (*self.0).dts = dts.unwrap_or(sys::AV_NOPTS_VALUE);
            (*self.0).duration = duration;
        }
    }

    pub(crate) fn set_time_base(&mut self, time_base: Rational) {
        // SAFETY: the packet is live and we are exclusive.
        unsafe { (*self.0).time_base = av_rational(time_base) };
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        // SAFETY: we own the packet.
        unsafe { sys::av_packet_free(&mut self.0) };
    }
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packet")
            .field("track", &self.track())
            .field("pts", &self.pts())
            .field("dts", &self.dts())
            .field("key", &self.is_key())
            .field("bytes", &self.data().len())
            .finish()
    }
}

/// Turns libav's "no timestamp" into `None`.
pub(crate) fn known(timestamp: i64) -> Option<i64> {
    (timestamp != sys::AV_NOPTS_VALUE).then_some(timestamp)
}
