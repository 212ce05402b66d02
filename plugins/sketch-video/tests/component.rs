//! The component as it is shipped, in the engine that serves, on pictures of its own.

use framegate_testing::{PixelFormat, Plugin, Rehearsal, SessionError, Show, Shown, TestingError};

const SHOW: Show =
    Show { format: PixelFormat::Yuv420p, width: 64, height: 48, frame_rate_milli: 30_000 };

fn open(params: &str) -> Result<Rehearsal, TestingError> {
    Plugin::build_with(env!("CARGO_MANIFEST_DIR"), "guest")?.rehearse(&SHOW, params)
}

/// Black on the left, white on the right: one edge, in the middle.
fn halves() -> Vec<u8> {
    let (width, height) = (SHOW.width as usize, SHOW.height as usize);
    let row: Vec<u8> = (0..width).map(|x| if x < width / 2 { 16 } else { 235 }).collect();
    let mut picture = row.repeat(height);
    picture.resize(width * height * 3 / 2, 128);
    picture
}

#[test]
fn an_edge_is_drawn_and_an_even_area_is_paper() {
    let mut session = open(r#"{"shade":0}"#).unwrap();
    let Shown::Picture { format, width, height, bytes } = session.frame(&halves()).unwrap() else {
        panic!("a picture in is a picture out");
    };
    assert_eq!((format, width, height), (SHOW.format, SHOW.width, SHOW.height));
    let row = &bytes[24 * 64..25 * 64];
    let (paper, line) = (row[8], *row[28..36].iter().min().unwrap());
    assert!(paper > 220, "paper is {paper}: {row:?}");
    assert!(line < paper / 2, "the line is {line} on {paper}: {row:?}");
    assert!(bytes[64 * 48..].iter().all(|chroma| *chroma == 128), "a drawing has no colour");
    session.stop().unwrap();
}

#[test]
fn parameters_change_it_while_it_runs_and_wrong_ones_are_refused_by_name() {
    let mut session = open("").unwrap();
    let before = session.frame(&halves()).unwrap();
    assert_eq!(session.frame(&halves()).unwrap(), before, "the same picture, the same drawing");
    session.params(r#"{"contrast":0}"#).unwrap().unwrap();
    assert_ne!(session.frame(&halves()).unwrap(), before);
    let refused = session.params(r#"{"contrast":301}"#).unwrap().unwrap_err();
    assert!(refused.contains("contrast"), "{refused}");
    let refused = open(r#"{"ink":1}"#).err().unwrap();
    assert!(matches!(&refused, TestingError::Session(SessionError::Setup { .. })), "{refused}");
}
