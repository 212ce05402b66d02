//! The scanner against what ffmpeg writes.

use std::process::Command;

use wire::ts::{CLOCK_HZ, Event, Kind, PACKET_BYTES, Scanner};

/// Makes 4 s of 25 pictures a second with sound, a key frame a second, B frames included.
fn clip(extra: &[&str]) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc=s=160x96:r=25:d=4"])
        .args(["-f", "lavfi", "-i", "sine=d=4", "-c:v", "libx264", "-g", "25", "-bf", "2"])
        .args(["-sc_threshold", "0", "-c:a", "aac"])
        .args(extra)
        .args(["-f", "mpegts", "-"]);
    let output = command.output().expect("ffmpeg runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn scan(bytes: &[u8], piece: usize) -> (Vec<Event>, Scanner) {
    let mut scanner = Scanner::new();
    let mut events = Vec::new();
    for piece in bytes.chunks(piece) {
        scanner.feed(piece, |event| events.push(event));
    }
    scanner.finish(|event| events.push(event));
    (events, scanner)
}

/// Offset, presentation time and key mark of each picture.
fn pictures(events: &[Event]) -> Vec<(u64, i64, bool)> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Unit { track, offset, pts, key, .. } if track.kind.is_video() => {
                Some((*offset, pts.expect("ffmpeg names every time"), *key))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn every_picture_and_every_key_frame_is_found_however_the_input_is_cut() {
    let bytes = clip(&[]);
    let (events, scanner) = scan(&bytes, bytes.len());
    assert_eq!(
        scanner.tracks().iter().map(|t| t.kind).collect::<Vec<_>>(),
        [Kind::H264, Kind::Audio]
    );
    assert_eq!(scanner.damage(), wire::ts::Damage::default());
    let pictures = pictures(&events);
    assert_eq!(pictures.len(), 100);
    let keys: Vec<usize> =
        pictures.iter().enumerate().filter(|(_, p)| p.2).map(|(index, _)| index).collect();
    assert_eq!(keys, [0, 25, 50, 75]);
    let mut times: Vec<i64> = pictures.iter().map(|picture| picture.1).collect();
    times.sort_unstable();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == CLOCK_HZ / 25), "{times:?}");
    for piece in [1, 7, 188, 1000] {
        assert_eq!(scan(&bytes, piece).0, events, "pieces of {piece}");
    }
}

#[test]
fn a_key_frame_is_found_without_the_packets_mark() {
    let mut bytes = clip(&[]);
    let marked = pictures(&scan(&bytes, 4096).0);
    for packet in bytes.chunks_exact_mut(PACKET_BYTES) {
        if packet[3] & 0x20 != 0 && packet[4] > 0 {
            packet[5] &= !0x40;
        }
    }
    assert_eq!(pictures(&scan(&bytes, 4096).0), marked);
}

#[test]
fn times_go_on_where_the_clock_of_33_bits_wraps() {
    // Two seconds before the wrap.
    let start = ((1i64 << 33) - 2 * CLOCK_HZ) as f64 / CLOCK_HZ as f64;
    let bytes = clip(&["-output_ts_offset", &format!("{start:.3}"), "-muxdelay", "0"]);
    let mut times: Vec<i64> = pictures(&scan(&bytes, 4096).0).iter().map(|p| p.1).collect();
    times.sort_unstable();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == CLOCK_HZ / 25), "{times:?}");
    assert!(times[0] < 1 << 33 && times[99] > 1 << 33, "{times:?}");
}

#[test]
fn holes_rubbish_and_a_cut_end_are_told() {
    let whole = clip(&[]);
    let good = pictures(&scan(&whole, 4096).0).len();
    let at = PACKET_BYTES * (whole.len() / PACKET_BYTES / 2);
    let mut bytes = whole[..at].to_vec();
    bytes.extend_from_slice(&[0x47, 1, 2, 3, 0x47]);
    bytes.extend_from_slice(&whole[at + 3 * PACKET_BYTES..whole.len() - 100]);
    let (events, scanner) = scan(&bytes, 4096);
    let damage = scanner.damage();
    assert_eq!((damage.bytes_skipped, damage.bytes_left), (5, 88));
    assert!(damage.holes >= 1, "{damage:?}");
    assert!(events.iter().any(|event| matches!(event, Event::Lost { .. })));
    assert!(pictures(&events).len() > good - 4);
    // Rubbish alone is no stream, and costs no memory.
    let (events, scanner) = scan(&[0x47; 5000], 64);
    assert!(events.is_empty() && scanner.tracks().is_empty());
    let (events, _) = scan(&vec![b'x'; 5000], 64);
    assert!(events.is_empty());
}
