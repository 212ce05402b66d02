//! Components that fit and that do not, written as text.

use std::path::Path;

use super::*;
use crate::limits::Limits;
use crate::load::LoadError;
use crate::manifest::Manifest;
use crate::{PolicyEngine, PricingRule};

fn of(text: &str, world: World) -> Fit {
    fit(&wat::parse_str(text).unwrap(), world).unwrap()
}

/// A component that exports `interface` with one function of the given type, made of a core
/// function of the given signature.
fn exporting(interface: &str, name: &str, core: &str, ty: &str) -> String {
    format!(
        r#"(component
            (core module $m {core})
            (core instance $i (instantiate $m))
            (func $f {ty} (canon lift (core func $i "f")))
            (instance $e (export "{name}" (func $f)))
            (export "{interface}" (instance $e)))"#
    )
}

#[test]
fn everything_missing_is_named_at_once() {
    let text = r#"(component
        (import "framegate:host/teleport@0.1.0" (instance (export "go" (func))))
        (import "framegate:policy/scope@0.2.0" (instance (export "generation" (func (result u64)))))
        (import "framegate:policy/meter@0.1.3" (instance
            (export "elapsed-ms" (func (result u64)))
            (export "moon-phase" (func (result u32)))
            (export "late-units" (func (param "since" u64) (result u64))))))"#;
    let found = of(text, World::PricingRule);
    let names = |missing: &[Missing]| missing.iter().map(Missing::to_string).collect::<Vec<_>>();
    assert_eq!(
        names(&found.missing_imports),
        [
            "`framegate:host/teleport@0.1.0`",
            "`framegate:policy/scope@0.2.0` (level `0.2` of the contract, and this host speaks `0.1`)",
            "`framegate:policy/meter@0.1.3` `moon-phase`",
        ]
    );
    assert_eq!(names(&found.missing_exports), ["`framegate:policy/pricing@0.1.0`"]);
    assert_eq!(
        found.mismatched_types,
        ["`framegate:policy/meter@0.1.3` `late-units`: 1 parameters, not 0"]
    );
    assert!(!found.is_good());
    assert_eq!(found.problems().len(), 5);
}

#[test]
fn a_component_of_another_world_is_called_what_it_is() {
    let text =
        exporting("framegate:policy/pricing@0.1.0", "nothing-of-it", r#"(func (export "f"))"#, "");
    let found = of(&text, World::SelectionPolicy);
    assert_eq!(found.is, Some(World::PricingRule));
    assert!(found.problems()[0].ends_with("(it is a `pricing-rule`)"), "{:?}", found.problems());
    let found = of(&text, World::PricingRule);
    let quote = "`framegate:policy/pricing@0.1.0` `quote`".to_owned();
    assert!(found.missing_exports.contains(&Missing::from(quote)));
}

#[test]
fn an_export_of_another_type_is_told_with_both_types() {
    let text = exporting(
        "framegate:policy/selection@0.1.0",
        "prepare",
        r#"(memory (export "memory") 1) (func (export "f") (param i64))"#,
        r#"(param "config" u64)"#,
    );
    let found = of(&text, World::SelectionPolicy);
    assert_eq!(
        found.mismatched_types,
        ["`framegate:policy/selection@0.1.0` `prepare`: parameter `config` is `u64`, not `string`"]
    );
}

#[test]
fn what_is_no_component_is_not_compared() {
    for bytes in [&b""[..], b"\0asm\x01\0\0\0", b"(component)", b"\0asm\x0d\0\x01\0\x01\xff"] {
        assert!(fit(bytes, World::Pipeline).is_err(), "{bytes:?}");
    }
}

#[test]
fn types_that_stand_for_more_text_than_there_is_memory_are_cut() {
    let mut text = r#"(component (import "framegate:policy/meter@0.1.0" (instance
        (type $t0 (tuple u32 u32))"#
        .to_owned();
    for level in 1..16 {
        let below = level - 1;
        text.push_str(&format!("(type $t{level} (tuple $t{below} $t{below}))"));
    }
    text.push_str(r#"(export "late-units" (func (result $t15))))))"#);
    let found = of(&text, World::PricingRule);
    assert_eq!(found.mismatched_types.len(), 1);
    assert!(found.mismatched_types[0].len() < 400, "{:?}", found.mismatched_types);
}

#[test]
fn long_types_are_told_apart_by_what_differs() {
    let long = |last: &str| format!("record{{{}{last}}}", "name: u32, ".repeat(20));
    let how = differs(&long("last: u64"), &long("last: u32")).unwrap();
    assert!(how.contains("last: u64") && how.contains("last: u32"), "{how}");
    assert!(how.len() < 200, "{how}");
    assert_eq!(differs("", "u32").unwrap(), "is nothing, not `u32`");
}

#[test]
fn what_a_check_finds_is_refused_at_load_in_the_same_words() {
    let of_other_type = exporting(
        "framegate:policy/pricing@0.1.0",
        "prepare",
        r#"(memory (export "memory") 1) (func (export "f") (param i64))"#,
        r#"(param "config" u64)"#,
    );
    let unneeded = r#"(component (import "framegate:policy/meter@0.1.0" (instance
        (export "late-units" (func (result u32))))))"#;
    let manifest = "[plugin]\nid='a'\nversion='1.0.0'\nworld='pricing-rule'\napi='0.1'\n\
                    component='a.wasm'";
    let manifest = Manifest::parse(manifest, Path::new("/p")).unwrap();
    let engine = PolicyEngine::new().unwrap();
    for text in [of_other_type.as_str(), unneeded] {
        let bytes = wat::parse_str(text).unwrap();
        let fit = fit(&bytes, World::PricingRule).unwrap();
        assert_eq!(fit.mismatched_types.len(), 1);
        match PricingRule::load(&engine, &manifest, &bytes, Limits::policy()).err() {
            Some(LoadError::DoesNotFit { problems, .. }) => assert_eq!(problems, fit.problems()),
            other => panic!("{other:?}"),
        }
    }
}
