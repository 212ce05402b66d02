//! Encodes pictures without copying them, on the caller's clock.
//!
//! **Invariant:** each picture gives one packet whose pts and duration are the picture's; decode
//! times rise and are never later than display.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::planes::PixelFormat;

use crate::error::{EncodeError, LibavError};
use crate::ffi::codec::{Codec, EncoderFailure, EncoderSettings};
use crate::ffi::frame::{Color, Picture, pixel_format};
use crate::ffi::packet::Packet;
use crate::track::{Kind, Rational, Track};

/// Longest side of a picture: the largest that H.264 levels allow at any shape.
const SIDE_MAX: u32 = 16_384;
/// Threads that an encoder may have: libx264 gains nothing from more at 1080p.
const THREADS_MAX: u32 = 64;

/// How many bits a picture may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// Constant quality: 0 is lossless, 51 is worst (libx264's `crf`).
    Quality(u8),
    /// Bits a second on average.
    BitsPerSecond(u64),
}

/// Whether a picture begins a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// As the encoder sees fit.
    Free,
    /// Decoding can begin here: an IDR picture.
    Forced,
}

/// How to encode.
#[derive(Debug, Clone)]
pub struct EncodeConfig {
    /// libav's name of the encoder, such as `libx264`.
    pub codec: String,
    /// Pixels in a row; even, for layouts with chroma at half size.
    pub width: u32,
    /// Rows; even, for layouts with chroma at half size.
    pub height: u32,
    /// Layout of the pictures.
    pub format: PixelFormat,
    /// Seconds in a tick of their timestamps.
    pub time_base: Rational,
    /// Frames a second, if known: steers rate control, not timestamps.
    pub frame_rate: Option<Rational>,
    /// Width to height of one pixel, if not square.
    pub pixel_aspect: Option<Rational>,
    /// Colour description, written as it is.
    pub color: Color,
    /// Speed against size, such as `veryfast`; empty for an encoder without presets.
    pub preset: String,
    /// Bits or quality.
    pub rate: Rate,
    /// Threads; the same number gives the same bytes.
    pub threads: u32,
    /// Pictures from one key frame to the next, at most.
    pub gop_max: u32,
    /// B-frames in a row, at most.
    pub b_frames: u32,
    /// Whether each picture comes out at once, at the cost of size.
    pub low_latency: bool,
}

impl EncodeConfig {
    /// Returns the settings that a live job begins with: libx264, `veryfast`, quality 23, one
    /// thread, a key frame every 250 pictures, no B-frames, low latency.
    pub fn live(width: u32, height: u32, format: PixelFormat, time_base: Rational) -> Self {
        Self {
            codec: "libx264".to_owned(),
            width,
            height,
            format,
            time_base,
            frame_rate: None,
            pixel_aspect: None,
            color: Color::UNSPECIFIED,
            preset: "veryfast".to_owned(),
            rate: Rate::Quality(23),
            threads: 1,
            gop_max: 250,
            b_frames: 0,
            low_latency: true,
        }
    }
}

/// An open encoder.
pub struct Encoder {
    codec: Codec,
    config: EncodeConfig,
    /// Durations of the pictures inside the encoder, by pts; as many as it looks ahead.
    durations: BTreeMap<i64, i64>,
    last_pts: Option<i64>,
    finished: bool,
    ended: bool,
}

impl Encoder {
    /// Opens the encoder that `config` names. Fails if there is none, or if it does not take the
    /// layout, the size or a setting.
    pub fn open(config: EncodeConfig) -> Result<Self, EncodeError> {
        check_shape(&config)?;
        let fail = |failure| open_error(&config, failure);
        let quality;
        let mut options = Vec::new();
        if !config.preset.is_empty() {
            options.push(("preset", config.preset.as_str()));
        }
        let mut bit_rate = 0;
        match config.rate {
            Rate::Quality(value) => {
                quality = value.to_string();
                options.push(("crf", quality.as_str()));
            }
            Rate::BitsPerSecond(bits) => bit_rate = i64::try_from(bits).unwrap_or(i64::MAX),
        }
        if config.codec == "libx264" {
            options.push(("forced-idr", "1"));
            if config.low_latency {
                options.push(("tune", "zerolatency"));
            }
        }
        let settings = EncoderSettings {
            codec: &config.codec,
            size: (config.width as i32, config.height as i32),
            format: pixel_format(config.format),
            time_base: config.time_base,
            frame_rate: config.frame_rate.filter(|rate| rate.is_positive()),
            pixel_aspect: config.pixel_aspect.filter(|aspect| aspect.is_positive()),
            color: config.color,
            threads: config.threads.clamp(1, THREADS_MAX) as i32,
            gop: i32::try_from(config.gop_max).unwrap_or(i32::MAX),
            b_frames: i32::try_from(config.b_frames).unwrap_or(i32::MAX),
            bit_rate,
            options: &options,
        };
        let codec = Codec::encoder(&settings).map_err(fail)?;
        Ok(Self {
            codec,
            config,
            durations: BTreeMap::new(),
            last_pts: None,
            finished: false,
            ended: false,
        })
    }

    /// Describes the track of the packets, for a muxer.
    pub fn track(&self) -> Result<Track, EncodeError> {
        let parameters = self.codec.parameters().map_err(EncodeError::Libav)?;
        Ok(Track {
            index: 0,
            kind: Kind::Video,
            codec: parameters.codec_name(),
            time_base: self.config.time_base,
            size: Some((self.config.width, self.config.height)),
            frame_rate: self.config.frame_rate,
            packets_expected: 0,
            parameters: Arc::new(parameters),
        })
    }

    /// Gives the next picture, shown at `pts` for `duration` ticks. Its memory is read until the
    /// encoder lets it go, also after this returns. Fails if the picture has another shape than
    /// the encoder, or does not follow the one before in time.
    pub fn send(
        &mut self,
        picture: &Picture,
        pts: i64,
        duration: i64,
        key: Key,
    ) -> Result<(), EncodeError> {
        if self.finished {
            return Err(EncodeError::Finished { pts });
        }
        let planes = picture.planes();
        let got = (planes.format, planes.width, planes.height);
        let want = (self.config.format, self.config.width, self.config.height);
        if got != want {
            return Err(EncodeError::Shape { got, want });
        }
        if let Some(last) = self.last_pts.filter(|last| pts <= *last) {
            return Err(EncodeError::Order { pts, last });
        }
        let failed = |source| EncodeError::Picture { pts, source };
        let frame = picture.for_encoder(pts, duration, key == Key::Forced).map_err(failed)?;
        self.codec.send_frame(Some(&frame)).map_err(failed)?;
        self.last_pts = Some(pts);
        self.durations.insert(pts, duration);
        Ok(())
    }

    /// Takes the next packet; nothing if a picture is wanted first, or at the end. All that is
    /// ready has to be taken before the next picture is given.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, EncodeError> {
        if self.ended {
            return Ok(None);
        }
        match self.codec.receive_packet() {
            Ok(mut packet) => {
                let (pts, dts) = (packet.pts(), packet.dts());
                let duration = pts.and_then(|pts| self.durations.remove(&pts)).unwrap_or(0);
                packet.set_times(pts, dts, duration);
                packet.set_time_base(self.config.time_base);
                packet.set_track(0);
                Ok(Some(packet))
            }
            Err(LibavError::AGAIN) => Ok(None),
            Err(LibavError::EOF) => {
                self.ended = true;
                Ok(None)
            }
            Err(source) => {
                Err(EncodeError::Picture { pts: self.last_pts.unwrap_or_default(), source })
            }
        }
    }

    /// Says that there are no more pictures; every packet still inside comes out next.
    pub fn finish(&mut self) -> Result<(), EncodeError> {
        if !self.finished {
            self.finished = true;
            self.codec.send_frame(None).map_err(EncodeError::Libav)?;
        }
        Ok(())
    }
}

fn check_shape(config: &EncodeConfig) -> Result<(), EncodeError> {
    let (width, height, format) = (config.width, config.height, config.format);
    let sides = 1..=SIDE_MAX;
    let halved = matches!(format, PixelFormat::Nv12 | PixelFormat::Yuv420p);
    let odd = halved && (width % 2 == 1 || height % 2 == 1);
    if !sides.contains(&width) || !sides.contains(&height) || odd {
        let (codec, format) = (config.codec.clone(), format.name());
        return Err(EncodeError::Size { codec, width, height, format });
    }
    if !config.time_base.is_positive() {
        return Err(EncodeError::TimeBase(config.time_base));
    }
    Ok(())
}

fn open_error(config: &EncodeConfig, failure: EncoderFailure) -> EncodeError {
    let codec = config.codec.clone();
    match failure {
        EncoderFailure::UnknownCodec => EncodeError::NoEncoder { codec },
        EncoderFailure::UnsupportedFormat => {
            EncodeError::Format { codec, format: config.format.name() }
        }
        EncoderFailure::UnusedOption(option) => EncodeError::Option { codec, option },
        EncoderFailure::Libav(source) => EncodeError::Open { codec, source },
    }
}
