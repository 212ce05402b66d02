//! Any bytes as MPEG-TS: the scanner says the same however they are cut into pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::ts::Scanner;

fn scan<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, String) {
    let mut scanner = Scanner::new();
    let mut events = Vec::new();
    pieces.for_each(|piece| scanner.feed(piece, |event| events.push(format!("{event:?}"))));
    scanner.finish(|event| events.push(format!("{event:?}")));
    (events, format!("{:?} {:?}", scanner.tracks(), scanner.damage()))
}

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    let whole = scan(std::iter::once(bytes));
    let cut = scan(bytes.chunks(usize::from(piece) + 1));
    assert_eq!(whole, cut, "pieces of {}", usize::from(piece) + 1);
});
