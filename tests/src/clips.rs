//! Media to test with: made by ffmpeg's generators, or the real clips that `./x setup clips` keeps
//! in the user's cache. Nothing here is committed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;

use crate::root;

/// What a made clip has.
#[derive(Debug, Clone)]
pub struct Clip {
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// Pictures a second.
    pub rate: u32,
    /// Pictures in all.
    pub frames: u32,
    /// Pictures from one key frame to the next.
    pub gop: u32,
    /// Whether it has a sound track (AAC).
    pub audio: bool,
    /// Whether it is full of noise that is kept: megabytes a second.
    pub noisy: bool,
}

impl Default for Clip {
    /// Two seconds of 320x180 at 25 pictures a second, a key frame each second, with sound.
    fn default() -> Self {
        Self { size: (320, 180), rate: 25, frames: 50, gop: 25, audio: true, noisy: false }
    }
}

impl Clip {
    /// Makes the clip as `name` in `folder`; the container follows from the name.
    pub fn make(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        let (width, height) = self.size;
        let noise = if self.noisy { ",noise=alls=60:allf=t" } else { "" };
        let picture = format!("testsrc2=size={width}x{height}:rate={}{noise}", self.rate);
        let sound = "sine=frequency=440:sample_rate=48000".to_owned();
        let mut arguments = vec!["-f".to_owned(), "lavfi".to_owned(), "-i".to_owned(), picture];
        if self.audio {
            arguments.extend(["-f", "lavfi", "-i"].map(str::to_owned));
            arguments.push(sound);
            arguments.extend(["-c:a", "aac", "-shortest"].map(str::to_owned));
        }
        let (frames, gop) = (self.frames.to_string(), self.gop.to_string());
        let video = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"];
        arguments.extend(video.map(str::to_owned));
        let quality = ["-crf", if self.noisy { "8" } else { "23" }];
        arguments.extend(quality.map(str::to_owned));
        let cut = ["-frames:v", &frames, "-g", &gop, "-keyint_min", &gop, "-sc_threshold", "0"];
        arguments.extend(cut.map(str::to_owned));
        ffmpeg(&arguments, &path);
        path
    }
}

/// Cuts a clip of ours into TS segments at its key frames.
pub fn segments(clip: &Path) -> Vec<Bytes> {
    let mut source = media::Segmenter::open(clip, Duration::ZERO).expect("a clip of ours");
    let mut segments: Vec<Vec<u8>> = Vec::new();
    while let Some(part) = source.next_part().expect("a clip of ours") {
        if segments.len() as u64 <= part.segment {
            segments.push(Vec::new());
        }
        segments.last_mut().expect("just pushed").extend_from_slice(&part.bytes);
    }
    segments.into_iter().map(Bytes::from).collect()
}

/// Makes a clip that has sound and no picture.
pub fn audio_only(folder: &Path) -> PathBuf {
    let path = folder.join("audio-only.mp4");
    let arguments = ["-f", "lavfi", "-i", "sine=frequency=440:duration=1", "-c:a", "aac"];
    ffmpeg(&arguments.map(str::to_owned), &path);
    path
}

/// Writes a file of words under the name of a clip.
pub fn text(folder: &Path) -> PathBuf {
    let path = folder.join("words.mp4");
    let words = "These are words, and no decoder makes a picture of them.\n".repeat(200);
    fs::write(&path, words).expect("the folder can be written to");
    path
}

/// Makes an empty file under the name of a clip.
pub fn empty(folder: &Path) -> PathBuf {
    let path = folder.join("empty.mp4");
    fs::write(&path, []).expect("the folder can be written to");
    path
}

/// Makes an MPEG-TS file and cuts it inside a packet, three fifths in.
pub fn cut_in_the_middle(folder: &Path) -> PathBuf {
    let whole = Clip::default().make(folder, "whole.ts");
    let mut bytes = fs::read(&whole).expect("the clip was made");
    // 100 bytes into a packet of 188: the cut is where no writer would ever stop.
    bytes.truncate(bytes.len() * 3 / 5 / 188 * 188 + 100);
    let path = folder.join("cut.ts");
    fs::write(&path, bytes).expect("the folder can be written to");
    path
}

/// Makes a copy of `original` with a key frame each second; sound and timestamps stay.
pub fn with_key_frames(original: &Path, folder: &Path) -> PathBuf {
    let path = folder.join("one-second.mp4");
    let original = original.to_str().expect("a path is text");
    let arguments = ["-i", original, "-c:v", "libx264", "-preset", "veryfast", "-crf", "12"];
    let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
    let rest = ["-force_key_frames", "expr:gte(t,n_forced)", "-fps_mode", "passthrough"];
    arguments.extend(rest.map(str::to_owned));
    arguments.extend(["-enc_time_base", "-1", "-c:a", "copy"].map(str::to_owned));
    ffmpeg(&arguments, &path);
    path
}

/// Returns one of the fetched clips, such as `bigbuckbunny`, fetching them if they are not there.
/// `None`, with a counted `skipped:` line, where they cannot be had.
pub fn fetched(name: &str) -> Option<PathBuf> {
    let cache = || {
        let set = |key: &str| env::var_os(key).map(PathBuf::from);
        let base = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
        base.unwrap_or_default().join("framegate/clips")
    };
    let folder = env::var_os("FRAMEGATE_CLIPS").map_or_else(cache, PathBuf::from);
    let path = folder.join(format!("{name}.mp4"));
    if !path.is_file() {
        let mut fetch = Command::new(root().join("x"));
        // A failure shows in the file still missing.
        drop(fetch.args(["setup", "clips"]).stdin(Stdio::null()).status());
    }
    if path.is_file() {
        return Some(path);
    }
    crate::skipped(&format!("clip `{name}` is not here and cannot be fetched"));
    None
}

fn ffmpeg(arguments: &[String], to: &Path) {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y", "-fflags", "+bitexact"]).args(arguments).arg(to);
    let done = command.output().expect("ffmpeg can be run");
    assert!(
        done.status.success(),
        "ffmpeg {arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}
