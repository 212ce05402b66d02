//! Decodes packets of a video track into pictures in host memory.
//!
//! Damaged packets are counted, not returned as errors: the pictures that can be had come out.
//! Layouts that ops do not know become yuv420p here.
//!
//! **Invariant:** every picture that the decoder makes is returned once, in order of display.

use std::collections::VecDeque;

use crate::error::{DecodeError, LibavError};
use crate::ffi::codec::Codec;
use crate::ffi::frame::{Picture, RawFrame};
use crate::ffi::packet::Packet;
use crate::ffi::scale::Converter;
use crate::track::Track;

/// Threads that a decoder may have: beyond this the delay of a frame each outweighs the gain.
const THREADS_MAX: u32 = 16;

/// How to decode.
#[derive(Debug, Clone, Copy)]
pub struct DecodeConfig {
    /// Threads: 1 to 16. Each beyond the first holds back one more frame.
    pub threads: u32,
}

/// Counts of one decoder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DecodeStats {
    /// Packets given.
    pub packets: u64,
    /// Pictures returned.
    pub pictures: u64,
    /// Packets that could not be decoded.
    pub errors: u64,
    /// Pictures that are partly guessed.
    pub corrupt: u64,
    /// Changes of width, height or layout within the track.
    pub shape_changes: u64,
    /// Packets given when damage was last seen; equal to `packets` after the end of a cut input.
    pub last_damage: u64,
}

impl DecodeStats {
    /// Says whether nothing sound followed the last damage: after the end, that the input was cut.
    pub fn damaged_at_end(&self) -> bool {
        self.last_damage > 0 && self.last_damage == self.packets
    }
}

/// An open decoder of one video track.
pub struct Decoder {
    codec: Codec,
    converter: Converter,
    ready: VecDeque<RawFrame>,
    shape: Option<(i32, i32, i32)>,
    stats: DecodeStats,
    sent_all: bool,
    ended: bool,
}

impl Decoder {
    /// Opens a decoder for `track`. Fails if the linked libav has none for its codec.
    pub fn open(track: &Track, config: DecodeConfig) -> Result<Self, DecodeError> {
        let threads = config.threads.clamp(1, THREADS_MAX) as i32;
        let codec = Codec::decoder(&track.parameters, track.time_base, threads)
            .map_err(|source| DecodeError::Open { codec: track.codec.clone(), source })?
            .ok_or_else(|| DecodeError::NoDecoder { codec: track.codec.clone() })?;
        Ok(Self {
            codec,
            converter: Converter::new(),
            ready: VecDeque::new(),
            shape: None,
            stats: DecodeStats::default(),
            sent_all: false,
            ended: false,
        })
    }

    /// Gives the next packet of the track. Pictures may be ready afterwards.
    pub fn send(&mut self, packet: &Packet) -> Result<(), DecodeError> {
        self.stats.packets += 1;
        self.push(Some(packet))
    }

    /// Says that there are no more packets; every picture still inside comes out next.
    pub fn finish(&mut self) -> Result<(), DecodeError> {
        if self.sent_all {
            return Ok(());
        }
        self.sent_all = true;
        self.push(None)
    }

    /// Takes the next picture; nothing if a packet is wanted first, or at the end.
    pub fn next_picture(&mut self) -> Result<Option<Picture>, DecodeError> {
        let frame = match self.ready.pop_front() {
            Some(frame) => frame,
            None => match self.receive()? {
                Some(frame) => frame,
                None => return Ok(None),
            },
        };
        self.picture(frame).map(Some)
    }

    /// Returns the counts so far.
    pub fn stats(&self) -> DecodeStats {
        self.stats
    }

    fn push(&mut self, packet: Option<&Packet>) -> Result<(), DecodeError> {
        loop {
            match self.codec.send_packet(packet) {
                Ok(()) => return Ok(()),
                Err(LibavError::AGAIN) => {
                    // The decoder is full: it gives at least one picture before it refuses.
                    match self.receive()? {
                        Some(frame) => self.ready.push_back(frame),
                        None => return Ok(()),
                    }
                }
                Err(error) => return self.damaged(error),
            }
        }
    }

    /// Looks whether the decoder had to guess. With several threads it says so some packets later.
    fn note_guesses(&mut self) {
        let guesses = self.codec.guesses();
        if guesses > self.stats.corrupt {
            self.stats.corrupt = guesses;
            self.stats.last_damage = self.stats.packets;
        }
    }

    fn receive(&mut self) -> Result<Option<RawFrame>, DecodeError> {
        while !self.ended {
            let received = self.codec.receive_frame();
            self.note_guesses();
            match received {
                Ok(frame) => return Ok(Some(frame)),
                Err(LibavError::AGAIN) => return Ok(None),
                Err(LibavError::EOF) => self.ended = true,
                Err(error) => self.damaged(error)?,
            }
        }
        Ok(None)
    }

    fn damaged(&mut self, error: LibavError) -> Result<(), DecodeError> {
        if error == LibavError::NO_MEMORY {
            return Err(DecodeError::Libav(error));
        }
        self.stats.errors += 1;
        self.stats.last_damage = self.stats.packets;
        Ok(())
    }

    fn picture(&mut self, frame: RawFrame) -> Result<Picture, DecodeError> {
        let shape = frame.shape();
        let changed = self.shape.is_some_and(|before| before != shape);
        self.stats.shape_changes += u64::from(changed);
        self.shape = Some(shape);
        let picture = match Picture::new(frame) {
            Ok(picture) => picture,
            Err(frame) => {
                let frame = self.converter.convert(&frame).map_err(DecodeError::Convert)?;
                Picture::new(frame).map_err(|_| DecodeError::Convert(LibavError::INVALID_DATA))?
            }
        };
        self.stats.pictures += 1;
        Ok(picture)
    }
}
