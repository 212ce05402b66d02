//! Any bytes as a component: each of the three loaders refuses them, or describes the plugin.

#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use plugin::pipeline::Pipeline;
use plugin::{
    Allowed, Limits, Manifest, PipelineEngine, PolicyEngine, PricingRule, SelectionPolicy,
};

static POLICIES: LazyLock<PolicyEngine> = LazyLock::new(|| PolicyEngine::new().expect("an engine"));
static PIPELINES: LazyLock<PipelineEngine> =
    LazyLock::new(|| PipelineEngine::new().expect("an engine"));

fn manifest(world: &str) -> Manifest {
    let text = format!(
        "[plugin]\nid = \"any\"\nversion = \"0.1.0\"\nworld = \"{world}\"\napi = \"0.1\"\n\
         component = \"any.wasm\"\n"
    );
    Manifest::parse(&text, Path::new("/plugins/any")).expect("a manifest")
}

fuzz_target!(|bytes: &[u8]| {
    let (limits, allowed) = (Limits::policy(), Allowed::default());
    let _ = SelectionPolicy::load(&POLICIES, &manifest("selection-policy"), bytes, limits);
    let _ = PricingRule::load(&POLICIES, &manifest("pricing-rule"), bytes, limits);
    let _ = Pipeline::load(&PIPELINES, &manifest("pipeline"), bytes, Limits::pipeline(), &allowed);
});
