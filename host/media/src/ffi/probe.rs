//! Reads a track's parameters out of its first packet, without opening a decoder.

use super::packet::Packet;
use super::params::Parameters;
use super::{LibavError, check, sys};
use crate::adts;

/// Sample rate of every Opus stream.
const OPUS_RATE: i32 = 48_000;

/// Completes `parameters` from a packet that begins with the codec's own headers: size, format,
/// sample rate, extradata. Leaves what the packet does not tell.
pub(crate) fn learn(parameters: &mut Parameters, packet: &Packet) -> Result<(), LibavError> {
    if !parameters.has_extradata()
        && let Some(bytes) = extract_headers(parameters, packet)?
    {
        parameters.set_extradata(&bytes)?;
    }
    if let Some(header) = adts_header(parameters, packet) {
        parameters.set_aac(header);
        return Ok(());
    }
    let Some(parsed) = Parsed::new(parameters, packet)? else { return Ok(()) };
    // SAFETY: all three are live, and `target` is ours alone.
    unsafe {
        let (parser, context) = (&*parsed.parser, &*parsed.context);
        let target = &mut *parameters.as_mut_ptr();
        if target.codec_type == sys::AVMediaType::AVMEDIA_TYPE_VIDEO {
            if parser.width > 0 && parser.height > 0 {
                (target.width, target.height) = (parser.width, parser.height);
                target.format = parser.format;
                (target.profile, target.level) = (context.profile, context.level);
            }
        } else {
            if target.sample_rate == 0 && context.sample_rate > 0 {
                target.sample_rate = context.sample_rate;
                target.profile = context.profile;
                target.frame_size = context.frame_size;
                sys::av_channel_layout_copy(&mut target.ch_layout, &context.ch_layout);
            }
            if target.codec_id == sys::AVCodecID::AV_CODEC_ID_OPUS {
                target.sample_rate = OPUS_RATE;
            }
        }
    }
    Ok(())
}

/// Returns the samples in an audio packet and their rate, if its headers or the track tell.
pub(crate) fn samples(
    parameters: &Parameters,
    packet: &Packet,
) -> Result<Option<(u32, u32)>, LibavError> {
    if let Some(header) = adts_header(parameters, packet) {
        return Ok(Some((header.samples, header.sample_rate)));
    }
    let rate = parameters.sample_rate();
    let Some(parsed) = Parsed::new(parameters, packet)? else { return Ok(None) };
    // SAFETY: both are live.
    let (duration, frame_size) =
        unsafe { ((*parsed.parser).duration, (*parsed.context).frame_size) };
    let samples = if duration > 0 { duration } else { frame_size };
    Ok((samples > 0 && rate > 0).then_some((samples as u32, rate)))
}

fn adts_header(parameters: &Parameters, packet: &Packet) -> Option<adts::Header> {
    let aac = parameters.codec_id() == sys::AVCodecID::AV_CODEC_ID_AAC;
    if aac { adts::header(packet.data()) } else { None }
}

/// A parser that has seen one whole packet.
struct Parsed {
    parser: *mut sys::AVCodecParserContext,
    context: *mut sys::AVCodecContext,
}

impl Parsed {
    /// Parses `packet`; nothing if libav has no parser for the codec.
    fn new(parameters: &Parameters, packet: &Packet) -> Result<Option<Self>, LibavError> {
        let data = packet.data();
        // SAFETY: parser and context are freed by `drop`; the packet's bytes are padded by libav
        // and outlive the call.
        unsafe {
            let parser = sys::av_parser_init(parameters.codec_id() as i32);
            if parser.is_null() {
                return Ok(None);
            }
            let context = sys::avcodec_alloc_context3(std::ptr::null());
            let this = Self { parser, context };
            if context.is_null() {
                return Err(LibavError::NO_MEMORY);
            }
            check(sys::avcodec_parameters_to_context(context, parameters.as_ptr()))?;
            (*parser).flags |= sys::PARSER_FLAG_COMPLETE_FRAMES;
            let (mut out, mut out_bytes) = (std::ptr::null_mut(), 0);
            sys::av_parser_parse2(
                parser,
                context,
                &mut out,
                &mut out_bytes,
                data.as_ptr(),
                data.len() as i32,
                sys::AV_NOPTS_VALUE,
                sys::AV_NOPTS_VALUE,
                0,
            );
            Ok(Some(this))
        }
    }
}

impl Drop for Parsed {
    fn drop(&mut self) {
        // SAFETY: we own both; libav accepts a null context.
        unsafe {
            sys::av_parser_close(self.parser);
            sys::avcodec_free_context(&mut self.context);
        }
    }
}

/// Returns the parameter sets that stand in front of a key frame.
fn extract_headers(
    parameters: &Parameters,
    packet: &Packet,
) -> Result<Option<Vec<u8>>, LibavError> {
    let mut copy = packet.duplicate()?;
    let out = Packet::empty()?;
    // SAFETY: the filter is made, used and freed here; both packets are live.
    unsafe {
        let filter = sys::av_bsf_get_by_name(c"extract_extradata".as_ptr());
        let mut context = std::ptr::null_mut();
        if filter.is_null() || sys::av_bsf_alloc(filter, &mut context) < 0 {
            return Ok(None);
        }
        let copied = sys::avcodec_parameters_copy((*context).par_in, parameters.as_ptr());
        // A codec that keeps no headers in its packets is refused by `init`: nothing to learn.
        let ready = copied >= 0
            && sys::av_bsf_init(context) >= 0
            && sys::av_bsf_send_packet(context, copy.as_mut_ptr()) >= 0
            && sys::av_bsf_receive_packet(context, out.as_ptr().cast_mut()) >= 0;
        let mut size = 0;
        let found = if ready {
            sys::av_packet_get_side_data(
                out.as_ptr(),
                sys::AVPacketSideDataType::AV_PKT_DATA_NEW_EXTRADATA,
                &mut size,
            )
        } else {
            std::ptr::null_mut()
        };
        let bytes = (!found.is_null()).then(|| std::slice::from_raw_parts(found, size).to_vec());
        sys::av_bsf_free(&mut context);
        Ok(bytes)
    }
}
