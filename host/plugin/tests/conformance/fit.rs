//! What a component may import, by grant and by level: the same answer whatever version it was built
//! from.

use std::path::Path;

use plugin::pipeline::Pipeline;
use plugin::{Allowed, Grant, Grants, Limits, LoadError, Manifest, PipelineEngine};

use crate::build;

/// Returns `bytes` with their length in front, as vectors and sections have it.
fn counted(bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 1 << 14, "a length of two bytes");
    let (low, high) = (bytes.len() & 0x7f | 0x80, bytes.len() >> 7);
    let mut all = vec![low as u8, high as u8];
    all.extend_from_slice(bytes);
    all
}

fn section(id: u8, body: &[u8], out: &mut Vec<u8>) {
    out.push(id);
    out.extend(counted(body));
}

fn name(text: &str) -> Vec<u8> {
    let mut all = vec![0];
    all.extend(counted(text.as_bytes()));
    all
}

const PREAMBLE: [u8; 8] = *b"\0asm\x0d\0\x01\0";

/// A component that imports `interfaces`, each with one function `f`, and exports nothing.
fn importing(interfaces: &[&str]) -> Vec<u8> {
    let mut bytes = PREAMBLE.to_vec();
    // One type: an instance with the type of a function without parameters and results, exported.
    let mut kind = vec![1, 0x42, 2, 0x01, 0x40, 0, 0x01, 0x00, 0x04];
    kind.extend(name("f"));
    kind.extend([0x01, 0]);
    section(7, &kind, &mut bytes);
    let mut imports = vec![interfaces.len() as u8];
    for interface in interfaces {
        imports.extend(name(interface));
        imports.extend([0x05, 0]);
    }
    section(10, &imports, &mut bytes);
    bytes
}

/// A component that exports an empty instance as `interface`.
fn exporting(interface: &str) -> Vec<u8> {
    let mut bytes = PREAMBLE.to_vec();
    section(5, &[1, 0x01, 0], &mut bytes);
    let mut exports = vec![1];
    exports.extend(name(interface));
    exports.extend([0x05, 0, 0]);
    section(11, &exports, &mut bytes);
    bytes
}

fn manifest(grants: &str) -> Manifest {
    let text = format!(
        "[plugin]\nid='ask-much'\nversion='0.1.0'\nworld='pipeline'\napi='0.1'\n\
         component='ask-much.wasm'\n[grants]\n{grants}\n"
    );
    Manifest::parse(&text, Path::new("/p")).expect("a manifest")
}

fn problems(bytes: &[u8], asked: &str, allowed: Grants) -> Vec<String> {
    let engine = PipelineEngine::new().expect("an engine");
    let allowed = Allowed { grants: allowed, stores: None };
    let loaded = Pipeline::load(&engine, &manifest(asked), bytes, Limits::pipeline(), &allowed);
    match loaded.err() {
        Some(LoadError::DoesNotFit { problems, .. }) => problems,
        other => panic!("{other:?}"),
    }
}

const ALL: &str = "kv='1MiB'\ndata=true\npixels=true\naudio=true";

fn all() -> Grants {
    Grants { kv_bytes: 1 << 20, data: true, pixels: true, audio: true, ..Grants::default() }
}

#[test]
fn an_import_that_is_not_granted_is_refused_by_name_in_every_version_of_its_interface() {
    for version in ["0.1.0", "0.1.1", "0.1.99"] {
        for grant in Grant::ALL {
            let name = format!("{}@{version}", grant.interface());
            let bytes = importing(&[&name]);
            let without = |grants: Grants| match grant {
                Grant::Kv => Grants { kv_bytes: 0, ..grants },
                Grant::Data => Grants { data: false, ..grants },
                Grant::Pixels => Grants { pixels: false, ..grants },
                Grant::Audio => Grants { audio: false, ..grants },
            };
            let denied = problems(&bytes, ALL, without(all()));
            let wanted = format!(
                "it imports `{name}`, which is not granted: the operator does not allow `{grant}`"
            );
            assert!(denied.contains(&wanted), "{denied:?}");
            let denied = problems(&bytes, "", all());
            let wanted = format!(
                "it imports `{name}`, which is not granted: the manifest does not ask for `{grant}`"
            );
            assert!(denied.contains(&wanted), "{denied:?}");
            // Granted by both it is no problem any more; that it exports nothing still is.
            let left = problems(&bytes, ALL, all());
            assert!(left.iter().all(|problem| !problem.contains("granted")), "{left:?}");
        }
    }
}

#[test]
fn a_level_that_is_not_spoken_is_refused_with_both_levels_named() {
    let bytes = importing(&[
        "framegate:host/log@0.2.0",
        "framegate:host/kv@1.0.0",
        "wasi:http/types@0.2.0",
    ]);
    assert_eq!(
        problems(&bytes, ALL, all()),
        [
            "it imports `framegate:host/log@0.2.0`, level `0.2` of the contract, and this host \
             speaks `0.1`",
            "it imports `framegate:host/kv@1.0.0`, level `1` of the contract, and this host speaks \
             `0.1`",
            "it imports `wasi:http/types@0.2.0`, which the world does not have",
            "it does not export `framegate:media/session-handler@0.1.0`",
        ]
    );
    let bytes = exporting("framegate:media/session-handler@0.2.0");
    assert_eq!(
        problems(&bytes, "", Grants::default()),
        ["it does not export `framegate:media/session-handler@0.1.0` (it exports \
          `framegate:media/session-handler@0.2.0`, level `0.2` of the contract, and this host speaks \
          `0.1`)"]
    );
}

#[test]
fn a_guest_that_asks_for_more_than_it_is_granted_does_not_load() {
    let engine = PipelineEngine::new().unwrap();
    let error = engine.load(&build::guest("call-pipeline")).err().unwrap().to_string();
    for grant in Grant::ALL {
        let part = format!("the operator does not allow `{grant}`");
        assert!(error.contains(&part), "{error}");
    }
}
