//! `live.latency`: the time from publishing a 720p30 picture to having received what became of it,
//! through gateway, orchestrator and worker, over the least that is possible: decoding it, the frame
//! after which its end is known, encoding it.
//!
//! A picture is stamped with its presentation time, which the way through leaves as it is up to a
//! constant; it is published with its first byte and received with its last.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::{sleep_until, timeout};
use wire::client::{Client, Config};
use wire::tls::Pins;
use wire::trickle::{Ask, Publisher, Subscriber};
use wire::ts::{Event, PACKET_BYTES, Scanner};

use super::machine::shown;
use super::pair::measure;
use super::stats::{median, quantile};
use super::{Line, Skipped, env, floor, machine, place};
use crate::rig::{Rig, Setup};

/// Pairs, each with a job of its own.
const PAIRS: usize = 15;
/// Pictures of one job, at 30 a second, and those at its beginning that warm everything up.
const PICTURES: usize = 90;
const WARM_UP: usize = 30;
/// Time between two pictures.
pub(super) const FRAME: Duration = Duration::from_nanos(33_333_333);
/// Time for a job to end once its input has: as long as it may drain.
const END_MAX: Duration = Duration::from_secs(30);

/// Measures both pipelines.
pub(super) fn run() -> Result<Vec<Line>, Skipped> {
    let folder = TempDir::new().map_err(|error| Skipped(error.to_string()))?;
    let (clip, made_by) = clip(folder.path())?;
    let pictures = Pictures::read(&clip)?;
    let plugins = folder.path().join("plugins");
    copy(&place::guest("pass-frames")?, &plugins.join("pass-frames"))?;
    copy(&place::guest("sketch-video")?, &plugins.join("sketch-video"))?;
    let setup = Setup {
        rest: format!("[plugins]\nfolders = [\"{}\"]", plugins.display()),
        ..Setup::default()
    };
    let rig = setup.up();
    let runtime = Runtime::new().map_err(|error| Skipped(error.to_string()))?;
    let mut lines = Vec::new();
    for (id, pipeline) in [("pass", "pass-frames"), ("sketch", "sketch-video")] {
        let idle = machine::idle();
        let mut all = Vec::new();
        let mut floors = Vec::new();
        let pairs = measure(
            PAIRS,
            || {
                let found = runtime.block_on(job(&rig, pipeline, &pictures))?;
                all.extend_from_slice(&found);
                Ok::<f64, Skipped>(median(&found))
            },
            || {
                let found = floor::measure(&clip, WARM_UP)?;
                floors.extend_from_slice(&found);
                Ok(median(&found))
            },
        )?;
        let env = env(json!({
            "pipeline": pipeline,
            "clip": made_by,
            "p50_ms": median(&all),
            "p99_ms": quantile(&all, 0.99),
            "floor_p50_ms": median(&floors),
            "floor_p99_ms": quantile(&floors, 0.99),
            "floor": "decode + 1/30 s + encode, in this process, with the worker's own settings",
            "pictures": all.len(),
            "stamp": "presentation time; from the first byte published to the last received",
            "config": setup.config(),
        }));
        let id = format!("live.latency.{id}");
        lines.push(Line::of_pairs(&id, "ms", &pairs, idle, env));
    }
    Ok(lines)
}

/// Makes the input: a moving picture, a key frame each second, nothing held back.
fn clip(folder: &Path) -> Result<(PathBuf, String), Skipped> {
    let path = folder.join("live.ts");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i"]);
    command.arg("testsrc2=size=1280x720:rate=30");
    command.args(["-frames:v", &(PICTURES + 1).to_string(), "-c:v", "libx264", "-preset"]);
    command.args(["veryfast", "-tune", "zerolatency", "-g", "30", "-bf", "0"]);
    command.args(["-pix_fmt", "yuv420p", "-threads:v", "1"]).arg(&path);
    let status = command.status().map_err(|error| Skipped(format!("ffmpeg: {error}")))?;
    if !status.success() {
        return Err(Skipped(format!("{command:?} ended with {status}")));
    }
    Ok((path, shown(&command)))
}

fn copy(from: &Path, to: &Path) -> Result<(), Skipped> {
    let failed = |error: std::io::Error| Skipped(format!("copying `{}`: {error}", from.display()));
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        fs::copy(entry.path(), to.join(entry.file_name())).map_err(failed)?;
    }
    Ok(())
}

/// A transport stream by its pictures.
#[derive(Debug, Default, PartialEq, Eq)]
struct Pictures {
    bytes: Vec<u8>,
    /// Offset of the first packet and presentation time of each, in order.
    starts: Vec<(usize, i64)>,
    pid: u16,
}

impl Pictures {
    fn read(path: &Path) -> Result<Self, Skipped> {
        let bytes = fs::read(path).map_err(|error| Skipped(error.to_string()))?;
        let found = Self::scan(bytes);
        if found.starts.len() <= PICTURES {
            return Err(Skipped(format!("{} pictures were made", found.starts.len())));
        }
        Ok(found)
    }

    fn scan(bytes: Vec<u8>) -> Self {
        let mut scanner = Scanner::new();
        let (mut starts, mut pid) = (Vec::new(), 0);
        let mut note = |event| {
            if let Event::Unit { track, offset, pts: Some(pts), .. } = event
                && track.kind.is_video()
            {
                pid = track.pid;
                starts.push((usize::try_from(offset).expect("it fits memory"), pts));
            }
        };
        scanner.feed(&bytes, &mut note);
        scanner.finish(&mut note);
        Self { bytes, starts, pid }
    }

    /// Returns what is to be published for picture `index`, with the tables before it.
    fn part(&self, index: usize) -> Bytes {
        let from = if index == 0 { 0 } else { self.starts[index].0 };
        let to = self.starts.get(index + 1).map_or(self.bytes.len(), |(offset, _)| *offset);
        Bytes::copy_from_slice(&self.bytes[from..to])
    }

    /// Returns the offset just past the last packet of each picture but the last, by its time.
    fn ends(&self) -> BTreeMap<i64, usize> {
        let next = self.starts.iter().skip(1).map(|(offset, _)| *offset);
        let both = self.starts.iter().zip(next);
        both.map(|((start, pts), next)| (*pts, self.last_packet_end(*start, next))).collect()
    }

    /// Tables and sound lie between a picture's last packet and the next picture.
    fn last_packet_end(&self, start: usize, next: usize) -> usize {
        let mut end = next;
        while end >= start + 2 * PACKET_BYTES {
            let packet = &self.bytes[end - PACKET_BYTES..end];
            if u16::from_be_bytes([packet[1] & 0x1f, packet[2]]) == self.pid {
                break;
            }
            end -= PACKET_BYTES;
        }
        end
    }
}

/// Runs one job and returns the latency of each picture after the warm-up, in milliseconds.
async fn job(rig: &Rig, pipeline: &str, pictures: &Pictures) -> Result<Vec<f64>, Skipped> {
    let pins = Pins::load(&rig.data().join("bench-pins.json")).map_err(Skipped::of)?;
    let client = Client::new(pins, Config::default());
    let started = start(&client, &rig.url("gateway"), pipeline).await?;
    let url = |key: &str| {
        started[key].as_str().map(str::to_owned).ok_or_else(|| Skipped(started.to_string()))
    };
    let reader = Subscriber::new(client.clone(), &url("subscribe_url")?, Ask::Seq(0));
    let reading = tokio::spawn(read(reader));
    let mut publisher = Publisher::new(client.clone(), &url("publish_url")?, "video/mp2t");
    let sent = publish(&mut publisher, pictures).await?;
    publisher.close().await.map_err(Skipped::of)?;
    let ended = timeout(END_MAX, reading).await.map_err(|_| Skipped("no end".to_owned()))?;
    let (bytes, arrivals) = ended.map_err(|error| Skipped(error.to_string()))??;
    latencies(pictures, &sent, Pictures::scan(bytes), &arrivals)
}

async fn start(client: &Client, gateway: &str, pipeline: &str) -> Result<Value, Skipped> {
    let url = format!("{}/live-video-to-video", gateway.trim_end_matches('/'));
    let body = json!({"model_id": pipeline, "params": {}}).to_string();
    let request = http::Request::post(url).header("content-type", "application/json");
    let request = request.body(Bytes::from(body)).map_err(Skipped::of)?;
    let answer = client.exchange(request).await.map_err(Skipped::of)?;
    let said = String::from_utf8_lossy(answer.body()).into_owned();
    if !answer.status().is_success() {
        return Err(Skipped(format!("the job was refused with {}: {said}", answer.status())));
    }
    serde_json::from_str(&said).map_err(Skipped::of)
}

/// Publishes one segment without end at 30 pictures a second; returns when each was begun.
async fn publish(publisher: &mut Publisher, pictures: &Pictures) -> Result<Vec<Instant>, Skipped> {
    let mut segment = publisher.begin();
    let begin = Instant::now();
    let mut sent = Vec::new();
    for index in 0..=PICTURES {
        let due = begin + FRAME * u32::try_from(index).expect("few pictures");
        sleep_until(due.into()).await;
        let part = pictures.part(index);
        sent.push(Instant::now());
        segment.write(part).await.map_err(Skipped::of)?;
    }
    segment.end().await.map_err(Skipped::of)?;
    Ok(sent)
}

/// When the bytes up to an offset had arrived.
type Arrivals = Vec<(usize, Instant)>;

async fn read(mut reader: Subscriber) -> Result<(Vec<u8>, Arrivals), Skipped> {
    let (mut bytes, mut arrivals) = (Vec::new(), Vec::new());
    while reader.next_segment().await.map_err(Skipped::of)?.is_some() {
        while let Some(chunk) = reader.chunk().await.map_err(Skipped::of)? {
            bytes.extend_from_slice(&chunk);
            arrivals.push((bytes.len(), Instant::now()));
        }
    }
    Ok((bytes, arrivals))
}

/// Pairs what was sent with what arrived, by presentation time.
fn latencies(
    sent: &Pictures,
    sent_at: &[Instant],
    got: Pictures,
    arrivals: &Arrivals,
) -> Result<Vec<f64>, Skipped> {
    let first = |pictures: &Pictures| pictures.starts.first().map(|(_, pts)| *pts);
    let (Some(sent_first), Some(got_first)) = (first(sent), first(&got)) else {
        return Err(Skipped("no picture came back".to_owned()));
    };
    let ends = got.ends();
    let mut found = Vec::new();
    for (index, (_, pts)) in sent.starts.iter().enumerate().take(PICTURES).skip(WARM_UP) {
        let lost = || Skipped(format!("picture {index} did not come back"));
        let end = *ends.get(&(pts - sent_first + got_first)).ok_or_else(lost)?;
        let at = arrivals.partition_point(|(offset, _)| *offset < end);
        let (_, arrived) = arrivals.get(at).ok_or_else(lost)?;
        found.push(arrived.duration_since(sent_at[index]).as_secs_f64() * 1e3);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_arrived_with_its_own_last_packet() {
        let folder = TempDir::new().unwrap();
        let (clip, _) = clip(folder.path()).unwrap();
        let pictures = Pictures::read(&clip).unwrap();
        let (whole, parts) = (pictures.bytes.len(), 0..pictures.starts.len());
        assert_eq!(parts.map(|index| pictures.part(index).len()).sum::<usize>(), whole);
        let ends = pictures.ends();
        assert_eq!(ends.len(), pictures.starts.len() - 1);
        for ((start, pts), (next, _)) in pictures.starts.iter().zip(&pictures.starts[1..]) {
            let end = ends[pts];
            assert!(start < &end && end <= *next, "{start} {end} {next}");
            let packet = &pictures.bytes[end - PACKET_BYTES..];
            assert_eq!(u16::from_be_bytes([packet[1] & 0x1f, packet[2]]), pictures.pid);
        }
        // A stream that comes back as it was, each byte 5 ms after its picture was sent.
        let begin = Instant::now();
        let sent: Vec<Instant> =
            (0..pictures.starts.len()).map(|i| begin + FRAME * u32::try_from(i).unwrap()).collect();
        let late = Duration::from_millis(5);
        let arrivals: Arrivals =
            ends.values().zip(&sent).map(|(end, sent)| (*end, *sent + late)).collect();
        let again = Pictures::scan(pictures.bytes.clone());
        let found = latencies(&pictures, &sent, again, &arrivals).unwrap();
        assert_eq!(found.len(), PICTURES - WARM_UP);
        assert!(found.iter().all(|latency| (latency - 5.0).abs() < 1e-6), "{found:?}");
    }
}
