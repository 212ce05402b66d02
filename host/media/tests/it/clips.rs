//! Clips made by ffmpeg's own sources, and what ffprobe says of a file.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use media::{
    Container, DecodeConfig, Decoder, Demuxer, EncodeConfig, Encoder, Key, Kind, Muxer, Picture,
    Track,
};

/// Two inputs: moving test pictures and a tone.
pub(crate) const PICTURE: &str = "testsrc2=size=320x180:rate=30:duration=2";
pub(crate) const TONE: &str = "sine=frequency=440:sample_rate=48000:duration=2";

#[track_caller]
pub(crate) fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Makes `name` in `dir` with the arguments between `-y` and the file.
#[track_caller]
pub(crate) fn make(dir: &Path, name: &str, args: &str) -> PathBuf {
    let path = dir.join(name);
    let mut all = vec!["-v", "error", "-nostdin", "-y"];
    all.extend(args.split_whitespace());
    all.push(path.to_str().unwrap());
    run("ffmpeg", &all);
    path
}

/// Makes a clip of [`PICTURE`] and [`TONE`].
#[track_caller]
pub(crate) fn make_av(dir: &Path, name: &str, args: &str) -> PathBuf {
    make(dir, name, &format!("-f lavfi -i {PICTURE} -f lavfi -i {TONE} {args}"))
}

/// Returns one line of the named fields a packet, of stream `v` or `a`.
#[track_caller]
pub(crate) fn packets(path: &Path, stream: &str, fields: &str) -> Vec<String> {
    let entries = format!("packet={fields}");
    let args = [
        "-v",
        "error",
        "-select_streams",
        stream,
        "-show_data_hash",
        "md5",
        "-show_entries",
        &entries,
        "-of",
        "csv=p=0",
        path.to_str().unwrap(),
    ];
    // Side data breaks a line in two.
    let text = run("ffprobe", &args).replace("\n,", ",").replace(",,", ",");
    text.lines()
        .map(|line| line.trim_end_matches(',').to_owned())
        .filter(|l| !l.is_empty())
        .collect()
}

/// Returns display times in seconds, sorted.
#[track_caller]
pub(crate) fn pts(path: &Path, stream: &str) -> Vec<String> {
    let mut times = packets(path, stream, "pts_time");
    times.sort_by(|a, b| seconds(a).total_cmp(&seconds(b)));
    times
}

fn seconds(text: &str) -> f64 {
    text.parse().unwrap()
}

/// Compares two lists of packets and names the first difference.
#[track_caller]
pub(crate) fn same(got: &[String], want: &[String]) {
    let difference = got.iter().zip(want).position(|(got, want)| got != want);
    if let Some(at) = difference {
        panic!("packet {at}: got {}, want {}", got[at], want[at]);
    }
    assert_eq!(got.len(), want.len());
}

/// Counts the frames that ffmpeg decodes.
#[track_caller]
pub(crate) fn frames(path: &Path) -> usize {
    let args = [
        "-v",
        "quiet",
        "-select_streams",
        "v:0",
        "-count_frames",
        "-show_entries",
        "stream=nb_read_frames",
        "-of",
        "csv=p=0",
        path.to_str().unwrap(),
    ];
    run("ffprobe", &args).lines().next().unwrap().trim_end_matches(',').parse().unwrap()
}

/// A reader that gives `step` bytes a call and counts them.
pub(crate) struct Steps {
    pub(crate) bytes: Vec<u8>,
    pub(crate) step: usize,
    pub(crate) given: Arc<Mutex<usize>>,
}

impl Steps {
    pub(crate) fn new(bytes: Vec<u8>, step: usize) -> Self {
        Self { bytes, step, given: Arc::default() }
    }
}

impl Read for Steps {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut given = self.given.lock().unwrap();
        let count = self.step.min(buffer.len()).min(self.bytes.len() - *given);
        buffer[..count].copy_from_slice(&self.bytes[*given..*given + count]);
        *given += count;
        Ok(count)
    }
}

/// A writer whose bytes can be read afterwards.
#[derive(Clone, Default)]
pub(crate) struct Sink(pub(crate) Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What came out of [`transcode`].
pub(crate) struct Transcoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) pts: Vec<i64>,
    pub(crate) truncated: bool,
    pub(crate) damaged_at_end: bool,
}

/// Decodes the video of a live TS, encodes each picture at its own time, passes audio through:
/// what a session does with a pipeline that returns its frames.
pub(crate) fn transcode(
    source: Box<dyn Read + Send>,
    threads: u32,
    low_latency: bool,
) -> Transcoded {
    let mut demuxer = Demuxer::open(source, Container::MpegTs).unwrap();
    let video = demuxer.video().unwrap().clone();
    let mut decoder = Decoder::open(&video, DecodeConfig { threads }).unwrap();
    let mut out: Option<(Encoder, Muxer)> = None;
    let sink = Sink::default();
    let mut pts = Vec::new();
    let audio: Vec<Track> =
        demuxer.tracks().iter().filter(|track| track.kind == Kind::Audio).cloned().collect();
    let mut held = Vec::new();
    let begin = |picture: &Picture| {
        let planes = picture.planes();
        let mut config =
            EncodeConfig::live(planes.width, planes.height, planes.format, video.time_base);
        config.threads = threads;
        config.low_latency = low_latency;
        config.b_frames = if low_latency { 0 } else { 3 };
        config.color = picture.color();
        let encoder = Encoder::open(config).unwrap();
        let track = encoder.track().unwrap();
        let tracks: Vec<&Track> = std::iter::once(&track).chain(&audio).collect();
        let muxer = Muxer::open(Box::new(sink.clone()), Container::MpegTs, &tracks).unwrap();
        (encoder, muxer)
    };
    loop {
        let packet = demuxer.next_packet().unwrap();
        match &packet {
            Some(packet) if packet.track() == video.index => decoder.send(packet).unwrap(),
            None => decoder.finish().unwrap(),
            Some(_) => {}
        }
        while let Some(picture) = decoder.next_picture().unwrap() {
            let (encoder, muxer) = out.get_or_insert_with(|| begin(&picture));
            let key = if picture.is_key() { Key::Forced } else { Key::Free };
            pts.push(picture.pts().unwrap());
            encoder.send(&picture, picture.pts().unwrap(), picture.duration(), key).unwrap();
            while let Some(packet) = encoder.next_packet().unwrap() {
                muxer.write(0, &packet).unwrap();
            }
        }
        let Some(packet) = packet else { break };
        if let Some(at) = audio.iter().position(|track| track.index == packet.track()) {
            held.push((at + 1, packet));
        }
        if let Some((_, muxer)) = &mut out {
            for (track, packet) in held.drain(..) {
                muxer.write(track, &packet).unwrap();
            }
        }
    }
    let (mut encoder, mut muxer) = out.unwrap();
    encoder.finish().unwrap();
    while let Some(packet) = encoder.next_packet().unwrap() {
        muxer.write(0, &packet).unwrap();
    }
    assert_eq!(muxer.repaired(), 0);
    muxer.finish().unwrap();
    let bytes = std::mem::take(&mut *sink.0.lock().unwrap());
    let truncated = demuxer.truncated();
    Transcoded { bytes, pts, truncated, damaged_at_end: decoder.stats().damaged_at_end() }
}
