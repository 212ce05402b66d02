//! Compiles the kernels for the CPU with clang, once a dispatch level. Knows nothing of PTX, which
//! is committed (see `ptx.sh`).
//!
//! **Invariant:** every level is built from the same text with contraction off, so levels differ
//! in speed only.

use std::env;

/// What the AVX-512 level needs; [`SimdLevel::is_supported`](src/simd.rs) asks for the same four.
const AVX512: &[&str] = &["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq"];

fn main() {
    println!("cargo:rerun-if-changed=kernels");
    println!("cargo:rerun-if-env-changed=FRAMEGATE_CLANG");
    build("scalar", &[]);
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64") {
        build("avx2", &["-mavx2"]);
        build("avx512", AVX512);
    }
}

/// Builds `kernels/cpu.c` into a library of its own, with the table `fg_kernels_LEVEL`.
fn build(level: &str, flags: &[&str]) {
    let table = format!("fg_kernels_{level}");
    let mut compiler = cc::Build::new();
    compiler
        .compiler(env::var("FRAMEGATE_CLANG").unwrap_or_else(|_| "clang".to_owned()))
        .file("kernels/cpu.c")
        .define("FG_TABLE", table.as_str())
        .std("gnu11")
        .opt_level(3)
        .flag("-ffp-contract=off")
        .flag("-Wno-pass-failed")
        // Vectors go to functions that are part of their callers, so no calling convention matters.
        .flag("-Wno-psabi");
    for flag in flags {
        compiler.flag(flag);
    }
    compiler.compile(&table);
}
