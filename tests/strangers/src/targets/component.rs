//! Any bytes as a component: each of the three loaders refuses them, or describes the plugin.

use std::path::Path;
use std::sync::LazyLock;

use plugin::pipeline::Pipeline;
use plugin::{
    Allowed, Limits, Manifest, PipelineEngine, PolicyEngine, PricingRule, SelectionPolicy, World,
};

use crate::Target;

/// The bytes of a component.
pub const TARGET: Target = Target { name: "component", feed, seeds };

static POLICIES: LazyLock<PolicyEngine> = LazyLock::new(|| PolicyEngine::new().expect("an engine"));
static PIPELINES: LazyLock<PipelineEngine> =
    LazyLock::new(|| PipelineEngine::new().expect("an engine"));

/// Makes the manifest of a plugin of `world`.
pub(crate) fn manifest(world: World) -> Manifest {
    let text = format!(
        "[plugin]\nid = \"any\"\nversion = \"0.1.0\"\nworld = \"{world}\"\napi = \"0.1\"\n\
         component = \"any.wasm\"\n"
    );
    Manifest::parse(&text, Path::new("/plugins/any")).expect("a manifest")
}

fn feed(bytes: &[u8]) {
    let (limits, allowed) = (Limits::policy(), Allowed::default());
    let _ = SelectionPolicy::load(&POLICIES, &manifest(World::SelectionPolicy), bytes, limits);
    let _ = PricingRule::load(&POLICIES, &manifest(World::PricingRule), bytes, limits);
    let manifest = manifest(World::Pipeline);
    let _ = Pipeline::load(&PIPELINES, &manifest, bytes, Limits::pipeline(), &allowed);
}

fn seeds() -> Vec<Vec<u8>> {
    // One that fits and is described: each takes seconds to compile under a sanitizer.
    let guest = std::fs::read(crate::guest("pick-first").join("pick-first.wasm"));
    let mut found = vec![guest.expect("the guests are built")];
    found.extend(WRITTEN.map(|text| wat::parse_str(text).expect("a component")));
    // The empty component, and the empty module, which is none.
    found.push(b"\0asm\x0d\0\x01\0".to_vec());
    found.push(b"\0asm\x01\0\0\0".to_vec());
    found
}

/// Small components of every section, which vary faster than what compilers make.
const WRITTEN: [&str; 4] = [
    r#"(component
        (core module $m (memory (export "memory") 1)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
            (func (export "f") (param i32) (result i32) local.get 0 i32.const 1 i32.add))
        (core instance $i (instantiate $m))
        (func (export "f") (param "x" u32) (result u32) (canon lift (core func $i "f"))))"#,
    r#"(component
        (import "host" (instance $host (export "log" (func (param "text" string)))))
        (core module $memory (memory (export "memory") 1))
        (core instance $memory (instantiate $memory))
        (core func $log
            (canon lower (func $host "log") (memory (core memory $memory "memory"))))
        (core module $m (import "host" "log" (func (param i32 i32)))
            (func (export "run") i32.const 0 i32.const 4 call 0))
        (core instance $i (instantiate $m
            (with "host" (instance (export "log" (func $log))))))
        (func (export "run") (canon lift (core func $i "run"))))"#,
    r#"(component
        (type $r (resource (rep i32)))
        (type $record (record (field "a" u8) (field "b" (list string)) (field "c" (option f64))))
        (type $variant (variant (case "one" $record) (case "two") (case "three" (own $r))))
        (component $inner (import "t" (type $t (sub resource)))
            (export "u" (type $t)))
        (instance $made (instantiate $inner (with "t" (type $r))))
        (export "t" (type $variant)))"#,
    r#"(component
        (core module $m
            (table (export "table") 4 funcref) (memory 1 2) (global (mut i64) i64.const 7)
            (elem (i32.const 0) func 0 0) (data (i32.const 8) "bytes")
            (func (export "loop") (result i64) (local v128)
                (loop $again (br_if $again (i32.eqz (i32.load8_u (i32.const 8)))))
                global.get 0))
        (core instance $i (instantiate $m))
        (alias core export $i "loop" (core func $loop))
        (func (export "loop") (result s64) (canon lift (core func $loop))))"#,
];
