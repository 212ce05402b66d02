//! Variations of inputs, the same for the same number: what a fuzzer does first, without watching
//! what comes of it.

use crate::rng::Rng;

/// Changes made to one input at most.
const CHANGES_MAX: u64 = 4;
/// Bytes that are more often at fault than others: edges of numbers, and of texts.
const EDGES: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'\n', b'-'];

/// Returns variation `number` of one of `seeds`.
///
/// # Panics
/// Without seeds there is nothing to vary.
pub fn variation(seeds: &[Vec<u8>], number: u64) -> Vec<u8> {
    let mut rng = Rng::new(number);
    let mut bytes = seeds[rng.index(seeds.len())].clone();
    for _ in 0..rng.between(1, CHANGES_MAX) {
        let at = rng.index(bytes.len() + 1);
        match rng.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, EDGES[rng.index(EDGES.len())]),
            2 => {
                // The end of another input in place of this one's.
                let other = &seeds[rng.index(seeds.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[rng.index(other.len() + 1)..]);
            }
            3 => {
                let end = at + rng.index(bytes.len() - at + 1).min(16);
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            edit => {
                let Some(byte) = bytes.get_mut(at) else { continue };
                let edge = EDGES[rng.index(EDGES.len())];
                *byte = if edit == 4 { edge } else { *byte ^ 1 << rng.below(8) };
            }
        }
    }
    bytes
}

#[cfg(test)]
#[test]
fn variations_are_many_and_the_same_each_time() {
    let seeds = [b"one input".to_vec(), b"another".to_vec()];
    let all = || (0..100).map(|number| variation(&seeds, number)).collect::<Vec<_>>();
    let distinct: std::collections::BTreeSet<_> = all().into_iter().collect();
    assert_eq!(all(), all());
    assert!(distinct.len() > 80, "only {} of 100 differ", distinct.len());
}
