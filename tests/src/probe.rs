//! What a media file holds, as ffmpeg sees it: a second opinion on what the program wrote.

use std::path::Path;
use std::process::Command;

/// What ffprobe says of the picture track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Video {
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// Presentation times in microseconds, in order of presentation.
    pub times_us: Vec<i64>,
}

/// Reads size and presentation times of the picture track, decoding nothing.
pub fn video(path: &Path) -> Video {
    let entries = "stream=width,height:packet=pts_time";
    let text = ffprobe(&["-select_streams", "v:0", "-show_entries", entries], path);
    let json: serde_json::Value = serde_json::from_str(&text).expect("ffprobe writes JSON");
    let number = |key: &str| {
        let value = json["streams"][0][key].as_u64().expect("a picture track has a size");
        u32::try_from(value).expect("a size is small")
    };
    let packets = json["packets"].as_array().expect("ffprobe lists packets");
    let mut times_us: Vec<i64> =
        packets.iter().map(|packet| microseconds(packet["pts_time"].as_str())).collect();
    times_us.sort_unstable();
    Video { size: (number("width"), number("height")), times_us }
}

/// Reads `seconds.fraction` exactly.
fn microseconds(text: Option<&str>) -> i64 {
    let text = text.expect("a packet has a time");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let sign = if whole.starts_with('-') { -1 } else { 1 };
    let whole: i64 = whole.parse().expect("seconds are a number");
    let fraction: i64 = format!("{fraction:0<6.6}").parse().expect("a fraction is a number");
    whole * 1_000_000 + sign * fraction
}

/// Counts the pictures that can be decoded.
pub fn decoded_frames(path: &Path) -> usize {
    let arguments = ["-select_streams", "v:0", "-count_frames", "-show_entries"];
    let text = ffprobe(&[&arguments[..], &["stream=nb_read_frames"]].concat(), path);
    let json: serde_json::Value = serde_json::from_str(&text).expect("ffprobe writes JSON");
    let count = json["streams"][0]["nb_read_frames"].as_str().unwrap_or("0");
    count.parse().expect("a count is a number")
}

/// Returns the MD5 of each sound packet as it lies in the file.
pub fn audio_packets(path: &Path) -> Vec<String> {
    let path = path.to_str().expect("a path is text");
    let text = ffmpeg(&["-i", path, "-map", "0:a:0", "-c", "copy", "-f", "framemd5", "-"]);
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.filter_map(|row| row.rsplit(',').next().map(|hash| hash.trim().to_owned())).collect()
}

/// Returns the mean chroma saturation over all pictures (`signalstats` SATAVG).
pub fn saturation(path: &Path) -> f64 {
    let path = path.to_str().expect("a path is text");
    let print = "signalstats,metadata=mode=print:key=lavfi.signalstats.SATAVG:file=-";
    let text = ffmpeg(&["-i", path, "-map", "0:v:0", "-vf", print, "-f", "null", "-"]);
    let values: Vec<f64> = text
        .lines()
        .filter_map(|line| line.strip_prefix("lavfi.signalstats.SATAVG="))
        .map(|value| value.parse().expect("a mean is a number"))
        .collect();
    assert!(!values.is_empty(), "`{path}` has no pictures");
    #[expect(clippy::cast_precision_loss, reason = "a count of pictures")]
    let count = values.len() as f64;
    values.iter().sum::<f64>() / count
}

/// Returns the structural similarity of two clips, picture by picture, over all planes.
pub fn similarity(one: &Path, other: &Path) -> f64 {
    let path = |path: &Path| path.to_str().expect("a path is text").to_owned();
    let (one, other) = (path(one), path(other));
    // By number, not by time: the clocks of two containers differ by less than a picture.
    let graph = "[0:v]setpts=N/TB/25[a];[1:v]setpts=N/TB/25[b];[a][b]ssim=stats_file=-";
    let text = ffmpeg(&["-i", &one, "-i", &other, "-lavfi", graph, "-f", "null", "-"]);
    let values: Vec<f64> = text
        .lines()
        .filter_map(|line| line.split("All:").nth(1)?.split(' ').next()?.parse().ok())
        .collect();
    assert!(!values.is_empty(), "`{one}` and `{other}` have no picture in common");
    #[expect(clippy::cast_precision_loss, reason = "a count of pictures")]
    let count = values.len() as f64;
    values.iter().sum::<f64>() / count
}

fn ffprobe(arguments: &[&str], path: &Path) -> String {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-of", "json"]).args(arguments).arg(path);
    output(command)
}

fn ffmpeg(arguments: &[&str]) -> String {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin"]).args(arguments);
    output(command)
}

fn output(mut command: Command) -> String {
    let done = command.output().expect("ffmpeg can be run");
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {errors}");
    String::from_utf8(done.stdout).expect("ffmpeg prints text")
}
